//! What waits for the commit thread, in the order of the calls, bounded in bytes.
//!
//! Nothing is decided here but whether there is room. A group that is refused still leaves a mark in the order:
//! its streams' chains are broken for what comes after it.

use crate::{returning::Awaited, write::Done};
use kronika_core::{Append, Appended, ClaimError, Epoch, Loading, Ownership, SliceRange, StreamId};
use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};
use tokio::sync::oneshot;

/// Refused appends that are remembered one by one; past it a floor under all loadings stands for them.
const REFUSED_MAX: usize = 65_536;

/// Claims that wait, at most: owners send few.
const CLAIMS_MAX: usize = 4096;

/// One thing for the commit thread to do.
#[derive(Debug)]
pub(crate) enum Work {
    /// Appends to record.
    Group(Group),
    /// An epoch to raise.
    Claim(ClaimRequest),
    /// Appends that there was no room for.
    Refused(Vec<(StreamId, Loading)>),
    /// More of them: everything up to this loading.
    RefusedUpTo(Loading),
}

impl Work {
    /// Whether it is something to wait for.
    pub(crate) fn counts(&self) -> bool {
        matches!(self, Self::Group(_) | Self::Claim(_))
    }
}

/// Appends that were sent together.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) appends: Vec<Append>,
    pub(crate) bytes: usize,
    pub(crate) reply: oneshot::Sender<Vec<Appended>>,
}

/// An epoch to raise.
#[derive(Debug)]
pub(crate) struct ClaimRequest {
    pub(crate) slices: SliceRange,
    pub(crate) held: Option<Epoch>,
    pub(crate) reply: oneshot::Sender<Result<Ownership, ClaimError>>,
}

/// Why something was not queued.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no room now.
    Full,
    /// The commit thread is gone.
    Closed,
}

/// The queue.
#[derive(Debug)]
pub(crate) struct Queue {
    bytes_max: usize,
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct State {
    work: VecDeque<Work>,
    /// Batches that were written.
    done: Vec<Done>,
    /// Bytes of groups that are not settled.
    bytes: usize,
    refused: usize,
    groups: usize,
    claims: usize,
    /// The commit thread sleeps until so many groups and claims wait; none while it does not.
    sleeping: Option<usize>,
    closed: bool,
}

impl Queue {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, state: Mutex::default(), filled: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a group, if there is room; a group larger than the whole queue fits when nothing else waits.
    pub(crate) fn push_group(&self, group: Group) -> Result<(), Refusal> {
        let mut state = self.state();
        if state.closed {
            return Err(Refusal::Closed);
        }
        if state.bytes > 0 && state.bytes + group.bytes > self.bytes_max {
            state.refuse(group.appends);
            return Err(Refusal::Full);
        }
        state.bytes += group.bytes;
        state.groups += 1;
        state.work.push_back(Work::Group(group));
        self.wake(state);
        Ok(())
    }

    /// Queues a claim, if not too many wait.
    pub(crate) fn push_claim(&self, claim: ClaimRequest) -> Result<(), Refusal> {
        let mut state = self.state();
        if state.closed {
            return Err(Refusal::Closed);
        }
        if state.claims >= CLAIMS_MAX {
            return Err(Refusal::Full);
        }
        state.claims += 1;
        state.work.push_back(Work::Claim(claim));
        state.groups += 1;
        self.wake(state);
        Ok(())
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        let is_due = |least| state.groups >= least || !state.done.is_empty();
        if state.sleeping.is_some_and(is_due) {
            state.sleeping = None;
            drop(state);
            self.filled.notify_one();
        }
    }

    /// A batch was written.
    pub(crate) fn push_done(&self, done: Done) {
        let mut state = self.state();
        state.done.push(done);
        self.wake(state);
    }

    /// Takes all that waits and all that was written, once there is something, or so much as is awaited; false when
    /// it is closed and empty.
    pub(crate) fn take(
        &self,
        work: &mut VecDeque<Work>,
        done: &mut Vec<Done>,
        awaited: Option<Awaited>,
    ) -> bool {
        let mut state = self.state();
        let least = awaited.map_or(1, |awaited| awaited.groups);
        while state.groups < least && state.done.is_empty() && !state.closed {
            state.sleeping = Some(least);
            let Some(awaited) = awaited else {
                state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = awaited.until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.filled.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.sleeping = None;
        std::mem::swap(&mut state.work, work);
        done.append(&mut state.done);
        (state.groups, state.claims, state.refused) = (0, 0, 0);
        !(work.is_empty() && done.is_empty() && state.closed)
    }

    /// Whether there is something to take.
    #[cfg(feature = "simulation")]
    pub(crate) fn has_some(&self) -> bool {
        let state = self.state();
        state.groups > 0 || !state.done.is_empty()
    }

    /// Waits for a batch to be written.
    pub(crate) fn wait_done(&self, done: &mut Vec<Done>) {
        let mut state = self.state();
        while state.done.is_empty() {
            state.sleeping = Some(1);
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.sleeping = None;
        done.append(&mut state.done);
    }

    /// Groups of so many bytes are settled; gives how many groups and claims wait.
    pub(crate) fn settled(&self, bytes: usize) -> usize {
        let mut state = self.state();
        state.bytes -= bytes;
        state.groups
    }

    /// Takes nothing more; what waits is still done.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.filled.notify_all();
    }

    /// Drops what waits, when the commit thread is gone.
    pub(crate) fn abandon(&self) {
        let mut state = self.state();
        state.closed = true;
        let work = std::mem::take(&mut state.work);
        drop(state);
        drop(work);
    }
}

impl State {
    fn refuse(&mut self, appends: Vec<Append>) {
        if self.refused + appends.len() > REFUSED_MAX {
            let highest = appends.iter().map(|append| append.loading).max().unwrap_or_default();
            match self.work.back_mut() {
                Some(Work::RefusedUpTo(loading)) => *loading = highest.max(*loading),
                _ => self.work.push_back(Work::RefusedUpTo(highest)),
            }
            return;
        }
        self.refused += appends.len();
        let streams = appends.into_iter().map(|append| (append.stream, append.loading));
        match self.work.back_mut() {
            Some(Work::Refused(refused)) => refused.extend(streams),
            _ => self.work.push_back(Work::Refused(streams.collect())),
        }
    }
}
