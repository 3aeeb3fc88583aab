//! Following the log of another process: what its published head tells is durable is read, and nothing beyond it.

use crate::{
    commit_at::{CommitFault, Source},
    disk::{DiskFile, OpenMode},
    error::{Damage, OpenError},
    footer::Footer,
    format::{COMMIT_HEADER_BYTES, FIRST_COMMIT, PublishedHead, Seal},
    index::RunSet,
    place::Place,
    recover::{numbers, read_head},
    replay::Replay,
    sealed_prefix::open_segment,
    segments::SegmentInfo,
    shared::{Durable, Shared},
    window::Window,
};
use kronika_core::ReadError;
use std::sync::{Arc, PoisonError};

/// Bytes that are read at once.
const READ_AHEAD: usize = 512 << 10;

/// Where a follower stands.
#[derive(Debug)]
pub(crate) struct Following {
    shared: Arc<Shared>,
    replay: Replay,
    /// Where the next commit is expected.
    place: Place,
    /// The segment of it.
    segment: OpenSegment,
    window: Window,
}

#[derive(Debug)]
pub(crate) struct OpenSegment {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) seal: Seal,
    pub(crate) bytes: u64,
}

impl Following {
    pub(crate) fn new(
        shared: Arc<Shared>,
        replay: Replay,
        place: Place,
        segment: OpenSegment,
    ) -> Self {
        Self { shared, replay, place, segment, window: Window::default() }
    }

    /// Reads on to the published head; whether it has moved.
    pub(crate) fn advance(&mut self) -> Result<bool, ReadError> {
        let head = read_head(&*self.shared.disk, &self.shared.directory).map_err(unavailable)?;
        // One that is just being written is read again when it is whole.
        let Some(head) = head else { return Ok(false) };
        if head.incarnation != self.shared.incarnation.get() {
            return Err(diverged("another history is in its place"));
        }
        if head.number <= self.replay.state.number {
            return Ok(false);
        }
        if self.place.offset() == FIRST_COMMIT {
            // Until its first commit a segment may be made anew, larger, under the same name.
            self.segment = self.open(self.place.segment())?;
        }
        while self.replay.state.number < head.number {
            self.commit(&head)?;
        }
        #[cfg(feature = "planted-faults")]
        if self.shared.settings.plants(crate::PlantedFault::BeyondTheHead) {
            let end = Place::new(head.end.segment(), self.segment.bytes);
            while self.commit(&PublishedHead { end, ..head }).is_ok() {}
            return Ok(self.follows());
        }
        if self.replay.state.previous != head.previous {
            return Err(diverged("the published head is that of another commit"));
        }
        Ok(self.follows())
    }

    /// Shows readers what was read.
    fn follows(&self) -> bool {
        let state = &self.replay.state;
        let mut epochs = self.shared.epochs.write().unwrap_or_else(PoisonError::into_inner);
        epochs.copy_from_slice(&state.epochs);
        drop(epochs);
        let durable = Durable { end: self.place, mark: state.mark, failed: None };
        self.shared.durable.send_replace(durable);
        true
    }

    /// Reads the next commit, which is durable.
    fn commit(&mut self, head: &PublishedHead) -> Result<(), ReadError> {
        let is_last = self.place.segment() == head.end.segment();
        let OpenSegment { file, seal, bytes } = &self.segment;
        // Behind the head nothing is read, not even ahead: it may be written at this moment.
        let end = if is_last { head.end.offset() } else { *bytes };
        let offset = self.place.offset();
        let read = if offset + COMMIT_HEADER_BYTES as u64 > end {
            Err(CommitFault::Missing)
        } else {
            let source = Source {
                file: &**file,
                seal: *seal,
                end,
                ahead: READ_AHEAD,
                #[cfg(feature = "planted-faults")]
                unchecked: false,
            };
            source.commit(&mut self.window, offset)
        };
        match read {
            Ok((commit, check)) => {
                let end = commit.end();
                self.shared.segments.grew(end);
                self.replay.commit(&commit, check).map_err(|malformed| {
                    let place = commit.place;
                    let (segment, offset) = (place.segment(), place.offset());
                    ReadError::Corrupt(
                        Damage::at(segment, offset, malformed.to_string()).to_string(),
                    )
                })?;
                self.place = end;
                Ok(())
            }
            Err(CommitFault::Missing) if !is_last => self.roll(),
            Err(CommitFault::Io(error)) => Err(ReadError::Unavailable(error.to_string())),
            Err(fault) => match fault.must_be(self.place) {
                CommitFault::Damaged(damage) => Err(ReadError::Corrupt(damage.to_string())),
                _ => unreachable!("it must be there"),
            },
        }
    }

    /// Goes on in the next segment.
    fn roll(&mut self) -> Result<(), ReadError> {
        let number = self.place.segment() + 1;
        self.segment = self.open(number)?;
        let first = self.replay.state.mark.position.plus(1);
        let info = SegmentInfo { seal: self.segment.seal, first, end: FIRST_COMMIT };
        self.shared.segments.roll(self.place.offset(), info);
        self.place = Place::new(number, FIRST_COMMIT);
        self.adopt();
        Ok(())
    }

    fn open(&self, number: u32) -> Result<OpenSegment, ReadError> {
        let Shared { disk, directory, incarnation, .. } = &*self.shared;
        let opened = open_segment(&**disk, directory, number, OpenMode::Read, Some(*incarnation))
            .map_err(unavailable)?;
        let (seal, bytes) = (opened.header.seal(), opened.header.bytes);
        Ok(OpenSegment { file: opened.file, seal, bytes })
    }

    /// Takes the runs that the writer has made meanwhile, so that memory stays bounded. What cannot be taken now,
    /// since the writer is just replacing it, is taken next time.
    fn adopt(&self) {
        let shared = &self.shared;
        let Ok(names) = shared.disk.list(&shared.directory) else { return };
        if numbers(&names).is_err() {
            return;
        }
        let end_check = |segment: u32| {
            let footer = Footer::open(&*shared.disk, &shared.directory, segment).ok()?;
            let known = footer.header.after.0 <= self.replay.state.number;
            known.then_some(footer.header.after.1)
        };
        let last = self.place.segment() - 1;
        let bytes = shared.settings.index_bytes;
        let runs = RunSet::open(&*shared.disk, &shared.directory, &names, last, bytes, end_check);
        if runs.covered() > shared.index.runs().covered() {
            shared.index.publish(runs);
        }
    }
}

fn unavailable(error: OpenError) -> ReadError {
    match error {
        OpenError::Damaged(damage) => ReadError::Corrupt(damage.to_string()),
        other => ReadError::Unavailable(other.to_string()),
    }
}

fn diverged(what: &str) -> ReadError {
    ReadError::Closed(format!("history diverged: {what}"))
}
