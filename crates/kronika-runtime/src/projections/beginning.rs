//! Beginning a read model: taking it over, seeing that it is of this journal's history, and taking up what was
//! asked for while nobody ran it.

use super::{
    changes::RowsChanged,
    orders::{Meter, Throttle},
    pace::Pace,
    runner::{End, Following, Parked, Runner},
    status::{ProjectionError, ProjectionState},
};
use kronika_core::{
    Batch, Checkpoint, HistoryDiverged, OpenReadModelError, Opened, ParkedKey, PartitionId,
    Takeover,
};
use std::sync::Arc;
use tokio::time::Instant;

impl Runner {
    /// Takes the read model over and looks whether it is of this journal's history.
    pub(super) async fn begin(&mut self) -> Result<Following, End> {
        let partitions = self.journal.capabilities().partitions;
        let takeover = Takeover::whole(self.journal.incarnation(), partitions);
        // What is asked from here on is looked for; what was asked before is in what is opened.
        let acts = self.orders.borrow().acts;
        let Opened { checkpoint: stored, parked } = self.open(takeover).await?;
        self.check_history(&stored).await?;
        let scanned: Vec<_> =
            (0..partitions).map(|number| stored.seen.mark(PartitionId::new(number))).collect();
        let begins = self.projection.begins_at_head() && stored.time.is_none();
        self.board.modify(|status| {
            if !begins {
                status.state = ProjectionState::Running;
            }
            status.seen = stored.seen.clone();
            status.events = stored.events;
            status.parked = Arc::new(parked.iter().map(|parked| parked.key.clone()).collect());
        });
        self.take_up(parked);
        if self.board.is_live() {
            // A commit that the store could not tell of was told to nobody.
            self.board.named.changes.tell(RowsChanged { keys: None, seen: stored.seen.clone() });
        }
        let mut following = Following {
            read_ahead: scanned.iter().map(|_| None).collect(),
            scanned,
            acts,
            done: None,
            due: None,
            types: self.projection.spec().types.clone(),
            throttle: Throttle::default(),
            meter: Meter::default(),
            pace: Pace::new(&self.settings),
            stored,
        };
        if begins {
            self.begin_at_head(&mut following).await?;
        }
        Ok(following)
    }

    /// Tries each key that is parked at once: this build may be able to handle it. Not so where it was tried already
    /// since the start, and the read model was only opened anew.
    fn take_up(&mut self, parked: Vec<ParkedKey>) {
        let mut before = std::mem::take(&mut self.parked);
        for ParkedKey { key, asked, .. } in parked {
            let at_once = Parked { due: Some(Instant::now()), ..Parked::default() };
            let known = before.remove(&key).unwrap_or(at_once);
            let due = asked.map(|_| Instant::now()).or(known.due);
            self.parked.insert(key, Parked { due, asked, goes: false, ..known });
        }
    }

    /// Passes over all that is there, before it is said to run. A time in the checkpoint says that this was done, also
    /// where nothing was there: what comes from then on is handled, whatever ends between.
    async fn begin_at_head(&mut self, following: &mut Following) -> Result<(), End> {
        for index in 0..following.scanned.len() {
            let mut pace = Pace::new(&self.settings);
            let partition = following.scanned[index].partition;
            following.scanned[index] = loop {
                match self.journal.head(partition).await {
                    Ok(head) => break head,
                    Err(error) => self.pause_reading(error, &mut pace).await?,
                }
            };
        }
        for (index, scanned) in following.scanned.clone().into_iter().enumerate() {
            let batch = Batch::new(Vec::new(), following.stored.clone(), scanned);
            let mut batch = self.prepared(batch);
            if index + 1 == following.scanned.len() {
                batch.next.time = Some(batch.at);
            }
            self.write(following, batch, None).await?;
        }
        self.board.modify(|status| status.state = ProjectionState::Running);
        Ok(())
    }

    async fn open(&mut self, takeover: Takeover) -> Result<Opened, End> {
        let mut pace = Pace::new(&self.settings);
        let run = self.board.id().run;
        loop {
            match self.projection.open(run, takeover).await {
                Ok(opened) => return Ok(opened),
                // It was dropped since the manager looked, which is to look again.
                Err(OpenReadModelError::Gone(_)) => return Err(End::Stopped),
                Err(OpenReadModelError::Store(fault)) if fault.may_pass() => {
                    self.pause(OpenReadModelError::Store(fault).into(), &mut pace).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Promise 13: the checkpoint's events must be those that the journal has at its positions.
    async fn check_history(&mut self, stored: &Checkpoint) -> Result<(), End> {
        let (ours, theirs) = (self.journal.incarnation(), stored.seen.incarnation());
        if ours != theirs {
            return Err(HistoryDiverged { ours, theirs }.into());
        }
        for mark in stored.seen.marks() {
            let mut pace = Pace::new(&self.settings);
            let found = loop {
                match self.journal.mark_at(mark.partition, mark.position).await {
                    Ok(found) => break found,
                    Err(error) => self.pause_reading(error, &mut pace).await?,
                }
            };
            if found != Some(mark) {
                return Err(ProjectionError::Diverged(mark).into());
            }
        }
        Ok(())
    }
}
