//! What waits for the store's two threads, bounded. A snapshot that does not fit takes the place of the oldest
//! ones: it may always be left out.

use kronika_core::{Snapshot, SnapshotError, StreamId};
use std::{
    collections::VecDeque,
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::oneshot;

pub(super) type Loaded = Result<Option<Snapshot>, SnapshotError>;
pub(super) type Saved = Result<(), SnapshotError>;

/// Snapshots that wait to be stored, each with who waits for it.
#[derive(Default)]
pub(super) struct Waiting {
    pub snapshots: Vec<Snapshot>,
    pub answers: Vec<oneshot::Sender<Saved>>,
}

pub(super) struct Queue {
    saves_max: usize,
    bytes_max: usize,
    loads_max: usize,
    state: Mutex<State>,
    to_save: Condvar,
    to_load: Condvar,
}

#[derive(Default)]
struct State {
    saves: VecDeque<(Snapshot, oneshot::Sender<Saved>)>,
    save_bytes: usize,
    loads: VecDeque<(StreamId, oneshot::Sender<Loaded>)>,
    /// Those who wait for everything to be durable.
    syncs: Vec<oneshot::Sender<Saved>>,
    closed: bool,
}

/// What the storing thread is to do.
pub(super) enum ToSave {
    /// Store these, and sync for those who wait for it.
    Some(Waiting, Vec<oneshot::Sender<Saved>>),
    /// Nothing came for a while.
    Nothing,
    /// Nothing will come any more.
    Closed,
}

/// Bytes of snapshots in one transaction, but for the last one.
const BATCH_BYTES: usize = 4 << 20;

impl Queue {
    pub fn new(saves_max: usize, bytes_max: usize, loads_max: usize) -> Self {
        let (state, to_save, to_load) = Default::default();
        Self { saves_max, bytes_max, loads_max, state, to_save, to_load }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a snapshot; the oldest ones go if there are too many.
    pub fn save(&self, snapshot: Snapshot) -> oneshot::Receiver<Saved> {
        let (answer, answered) = oneshot::channel();
        let mut state = self.state();
        state.save_bytes += snapshot.state.len();
        state.saves.push_back((snapshot, answer));
        let mut left_out = Vec::new();
        while state.saves.len() > self.saves_max
            || (state.save_bytes > self.bytes_max && state.saves.len() > 1)
        {
            let (oldest, answer) = state.saves.pop_front().expect("there are too many");
            state.save_bytes -= oldest.state.len();
            left_out.push(answer);
        }
        drop(state);
        self.to_save.notify_one();
        for answer in left_out {
            let _ = answer.send(Err(SnapshotError::LeftOut)); // whoever waited may have gone
        }
        answered
    }

    /// Asks for everything so far to be durable.
    pub fn sync(&self) -> oneshot::Receiver<Saved> {
        let (answer, answered) = oneshot::channel();
        self.state().syncs.push(answer);
        self.to_save.notify_one();
        answered
    }

    /// Queues a look for a snapshot; `None` if too many wait.
    pub fn load(&self, stream: &StreamId) -> Option<oneshot::Receiver<Loaded>> {
        let (answer, answered) = oneshot::channel();
        let mut state = self.state();
        if state.closed || state.loads.len() >= self.loads_max {
            return None;
        }
        state.loads.push_back((stream.clone(), answer));
        drop(state);
        self.to_load.notify_one();
        Some(answered)
    }

    /// The next ones to store: all that wait, up to a batch. Waits for so long.
    pub fn next_to_save(&self, patience: Option<Duration>) -> ToSave {
        let mut state = self.state();
        if state.saves.is_empty() && state.syncs.is_empty() && !state.closed {
            state = match patience {
                None => self.to_save.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(patience) => {
                    let waited = self.to_save.wait_timeout(state, patience);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        if state.saves.is_empty() && state.syncs.is_empty() {
            return if state.closed { ToSave::Closed } else { ToSave::Nothing };
        }
        let (mut waiting, mut bytes) = (Waiting::default(), 0);
        while bytes < BATCH_BYTES
            && let Some((snapshot, answer)) = state.saves.pop_front()
        {
            bytes += snapshot.state.len();
            waiting.snapshots.push(snapshot);
            waiting.answers.push(answer);
        }
        state.save_bytes -= bytes;
        let all = state.saves.is_empty();
        let syncs = if all { mem::take(&mut state.syncs) } else { Vec::new() };
        ToSave::Some(waiting, syncs)
    }

    /// The next look; `None` when the queue is closed.
    pub fn next_to_load(&self) -> Option<(StreamId, oneshot::Sender<Loaded>)> {
        let mut state = self.state();
        loop {
            match state.loads.pop_front() {
                Some(load) => return Some(load),
                None if state.closed => return None,
                None => {
                    state = self.to_load.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Ends the threads once nothing waits.
    pub fn close(&self) {
        self.state().closed = true;
        self.to_save.notify_all();
        self.to_load.notify_all();
    }
}
