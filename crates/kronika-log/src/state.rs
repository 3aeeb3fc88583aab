//! Where a log stands after a commit, and how the next one must continue it.

use crate::{
    format::{CommitKind, Malformed, RecordHead, decode_control},
    place::Place,
    recent::StoredCommit,
    replay::Records,
};
use kronika_core::{Epoch, Mark, PartitionId, SLICES, Timestamp};

/// Where a log stands after its last commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogState {
    /// Number of the last commit, and the check of its header.
    pub(crate) number: u64,
    pub(crate) previous: u32,
    /// The last event.
    pub(crate) mark: Mark,
    pub(crate) time: Timestamp,
    /// By slice.
    pub(crate) epochs: Vec<Epoch>,
}

impl LogState {
    /// Before the first commit.
    pub(crate) fn new() -> Self {
        Self {
            number: 0,
            previous: 0,
            mark: Mark::default(),
            time: Timestamp::new(i64::MIN),
            epochs: vec![Epoch::default(); usize::from(SLICES)],
        }
    }

    /// Takes the next commit, whose checks were found right, and hands each of its appends on.
    pub(crate) fn commit<'c>(
        &mut self,
        commit: &'c StoredCommit,
        check: u32,
        mut append: impl FnMut(Place, &RecordHead<'c>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let header = &commit.header;
        let next = self.mark.position.plus(1);
        if header.number != self.number + 1 || header.previous != self.previous {
            return Err(Malformed::Wrong("the commit does not continue the one before it"));
        }
        if header.first_position != next.get() {
            return Err(Malformed::Wrong("the commit's position is not the next one"));
        }
        if header.time < self.time.get() {
            return Err(Malformed::Wrong("the commit's time goes back"));
        }
        let mut events = 0;
        for record in Records::of(commit)? {
            let (place, record) = record?;
            match header.kind {
                CommitKind::Appends => {
                    let head = RecordHead::of(record)?;
                    if head.first != self.mark.position.plus(1) {
                        return Err(Malformed::Wrong("an append's position is not the next one"));
                    }
                    if head.time.get() != header.time {
                        return Err(Malformed::Wrong("an append's time is not its commit's"));
                    }
                    append(place, &head)?;
                    events += u64::from(head.events);
                    if let Some(last) = head.last_event()? {
                        let position = self.mark.position.plus(u64::from(head.events));
                        self.mark = Mark::at(PartitionId::default(), position, last);
                    }
                }
                CommitKind::Control => self.control(record)?,
            }
        }
        if events != u64::from(header.events) {
            return Err(Malformed::Wrong(
                "the commit's number of events is not that of its records",
            ));
        }
        (self.number, self.previous) = (header.number, check);
        self.time = Timestamp::new(header.time);
        Ok(())
    }

    fn control(&mut self, record: &[u8]) -> Result<(), Malformed> {
        if let Some(claim) = decode_control(&record[8..])? {
            let (first, last) = (claim.slices.first(), claim.slices.last());
            let epochs = &mut self.epochs[usize::from(first)..=usize::from(last)];
            if epochs.iter().any(|epoch| *epoch >= claim.epoch) {
                return Err(Malformed::Wrong("a claim does not raise the epoch"));
            }
            epochs.fill(claim.epoch);
        }
        Ok(())
    }
}
