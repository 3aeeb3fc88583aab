//! What a test does to a journal in memory: faults on demand, strangers, crashes; and what it asks it.

use super::{
    MemoryJournal,
    account::Sent,
    settings::{Fault, Plan, PlantedFault, ReadFault},
    state::{Awaited, Connection},
    store::Recorded,
};
use crate::moment::Moments;
use kronika_core::{
    AppendId, Epoch, Incarnation, NewEvent, Position, RecordedAppend, SliceRange, StreamId,
};
use std::{sync::Arc, time::Duration};

/// Faults on demand.
impl MemoryJournal {
    /// Delays and chances from now on: after a storm, a test wants to see progress.
    pub fn set_plan(&self, plan: Plan) {
        self.state().settings.plan = plan;
    }

    /// The nth append from now, counting from 1, is struck by the fault.
    pub fn fail_append(&self, nth: usize, fault: Fault) {
        assert!(nth > 0, "the next append is the first");
        self.state().scripted.push((Awaited::Nth(nth), fault));
    }

    /// The next append of a stream is struck by the fault.
    pub fn fail_append_of(&self, stream: &StreamId, fault: Fault) {
        self.state().scripted.push((Awaited::Of(stream.clone()), fault));
    }

    /// The nth read from now, counting from 1, is struck by the fault.
    pub fn fail_read(&self, nth: usize, fault: ReadFault) {
        assert!(nth > 0, "the next read is the first");
        self.state().scripted_reads.push((nth, fault));
    }

    /// From now on every append and claim is refused as `Failed`, until [`MemoryJournal::reopen`].
    pub fn poison(&self, why: &str) {
        self.state().failed = Some(why.to_owned());
    }

    /// Breaks the contract from now on, for a test of what should notice.
    pub fn plant(&self, fault: PlantedFault) {
        self.state().planted.push(fault);
    }

    /// Turns the wall clock back.
    pub fn turn_clock_back(&self, by: Duration) {
        self.state().turned_back += by;
    }

    /// Every lease is over.
    pub fn end_leases(&self) {
        self.state().leased_until.fill(None);
    }
}

/// Strangers.
impl MemoryJournal {
    /// What a stranger writes where [`Fault::Conflict`] strikes. Without, it repeats the first event of the
    /// append that it goes before.
    pub fn strangers_write(
        &self,
        events: impl Fn(&StreamId) -> Vec<NewEvent> + Send + Sync + 'static,
    ) {
        self.state().stranger = Some(Arc::new(events));
    }

    /// A stranger appends to a stream now, at its present version and epoch.
    pub fn write_as_stranger(&self, stream: &StreamId, events: Vec<NewEvent>) -> AppendId {
        let id = self.state().stranger_writes(stream, events);
        self.shared.changed.send_modify(|changes| *changes += 1);
        id
    }

    /// A stranger claims slices now, whatever lease is live.
    pub fn claim_as_stranger(&self, slices: SliceRange) -> Epoch {
        self.state().stranger_claims(slices)
    }

    /// A handle of another process on the same journal, with chains of its own.
    pub fn another_process(&self) -> Self {
        let mut state = self.state();
        state.processes += 1;
        let connection = Connection { process: state.processes, ..self.connection };
        drop(state);
        Self { shared: self.shared.clone(), connection }
    }
}

/// Crashes.
impl MemoryJournal {
    /// The journal stops. Of what is on its way, some appends took effect and the rest never will, by
    /// chance and in order; all of them are answered as unknown. Every handle is dead.
    pub fn crash(&self) {
        self.state().crash();
        self.shared.changed.send_modify(|changes| *changes += 1);
    }

    /// Opens it again, as a new process; the handles so far are dead. What is still on its way is treated as
    /// by [`MemoryJournal::crash`].
    pub fn reopen(&self) -> Self {
        let connection = self.state().reopen();
        self.shared.changed.send_modify(|changes| *changes += 1);
        Self { shared: self.shared.clone(), connection }
    }

    /// Restores a backup that ends at a position, and opens it: another history from there on, under a new
    /// incarnation.
    pub fn restore_to(&self, position: Position) -> Self {
        let restored = self.reopen();
        let mut state = restored.state();
        let appends = state.store.appends_until(position);
        state.store.truncate(appends);
        state.store.incarnation = Incarnation::new(state.random.u128(1..));
        drop(state);
        restored
    }

    /// Waits until nothing is on its way any more, late effects included.
    pub async fn settled(&self) {
        let mut changed = self.shared.changed.subscribe();
        loop {
            {
                let state = self.state();
                if state.queue.is_empty() && state.late.is_empty() {
                    return;
                }
            }
            changed.changed().await.expect("the handle holds the sender");
        }
    }
}

/// What happened.
impl MemoryJournal {
    /// The whole history, in the order of commits, with appends that hold no events.
    pub fn everything(&self) -> Vec<RecordedAppend> {
        self.state().store.recorded.iter().map(|recorded| recorded.append.clone()).collect()
    }

    /// The whole history with its circumstances.
    pub fn recorded(&self) -> Vec<Recorded> {
        self.state().store.recorded.clone()
    }

    /// Every append that was sent, in the order of the calls.
    pub fn sent(&self) -> Vec<Sent> {
        self.state().sent.clone()
    }

    /// Where its moments come from, for a history of what callers saw.
    pub fn moments(&self) -> Moments {
        self.state().moments.clone()
    }
}
