//! Between the commit thread and the writing thread: the batch that is being filled, and what is on its way.
//!
//! Batches are written one at a time and settled in the order in which they were taken. How they are written is said
//! in `write.rs`.

use crate::{
    batch::{Batch, Part},
    format::PublishedHead,
    queue::Queue,
    shared::Shared,
    write::{Done, WriteFault, Writer},
};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Batches kept to be filled again.
const SPARE_MAX: usize = 3;

/// How the batch that is being filled stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filling {
    /// Nothing is on its way, and it has no records.
    Empty,
    /// Nothing is on its way, and it has records.
    First,
    /// Another one is on its way.
    Behind,
}

/// Where the commit thread fills a batch while the writing thread writes the one before it.
///
/// A small batch that finds nothing being written is written by the commit thread itself: one thread to wake less.
#[derive(Debug)]
pub(crate) struct Handoff {
    state: Mutex<State>,
    offered: Condvar,
    writer: Mutex<Writer>,
    #[cfg(feature = "simulation")]
    pub(crate) stepped: crate::stepped::SteppedWrites,
}

#[derive(Debug)]
struct State {
    filling: Batch,
    spare: Vec<Batch>,
    /// A batch is being written.
    writing: bool,
    /// Batches that were taken and not settled yet.
    unsettled: usize,
    /// The batch waits for more.
    held: bool,
    /// A batch failed: nothing is taken until the commit thread dealt with it.
    halted: bool,
    closed: bool,
}

impl Handoff {
    pub(crate) fn new(writer: Writer) -> Self {
        let (writing, unsettled, held, halted, closed) = (false, 0, false, false, false);
        let (filling, spare) = (Batch::new(), Vec::new());
        let state = State { filling, spare, writing, unsettled, held, halted, closed };
        Self {
            state: Mutex::new(state),
            offered: Condvar::new(),
            writer: Mutex::new(writer),
            #[cfg(feature = "simulation")]
            stepped: crate::stepped::SteppedWrites::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fills the batch that is written next.
    pub(crate) fn fill<T>(&self, fill: impl FnOnce(&mut Batch) -> T) -> T {
        fill(&mut self.state().filling)
    }

    /// Whether nothing is on its way.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.state();
        state.filling.is_empty() && state.unsettled == 0
    }

    /// Lets the writing thread take the batch as soon as it can; or, if nothing is being written and the batch has
    /// at most so many records, writes it on this thread.
    pub(crate) fn offer(&self, records_here_max: u32) -> Option<Done> {
        let mut state = self.state();
        state.held = false;
        if !state.is_offered() {
            return None;
        }
        // Batches are settled in the order in which they were taken, wherever they were written.
        if state.filling.records > records_here_max || state.unsettled > 0 {
            drop(state);
            self.offered.notify_one();
            return None;
        }
        let batch = state.take();
        drop(state);
        Some(self.write(batch))
    }

    /// Writes a batch on this thread, when nothing else is on its way.
    pub(crate) fn write_alone(&self, batch: Batch) -> Done {
        let mut state = self.state();
        assert!(state.filling.is_empty() && state.unsettled == 0, "nothing else is on its way");
        (state.writing, state.unsettled) = (true, 1);
        drop(state);
        self.write(batch)
    }

    fn write(&self, batch: Batch) -> Done {
        let done = self.writer.lock().unwrap_or_else(PoisonError::into_inner).write(batch);
        let mut state = self.state();
        state.writing = false;
        state.halted = done.result.is_err();
        done
    }

    /// Keeps the batch that is being filled from being taken, until it is offered.
    pub(crate) fn hold(&self) {
        self.state().held = true;
    }

    /// How the batch that is being filled stands.
    pub(crate) fn filling(&self) -> Filling {
        let state = self.state();
        match state.filling.records {
            _ if state.unsettled > 0 => Filling::Behind,
            0 => Filling::Empty,
            _ => Filling::First,
        }
    }

    /// A batch was settled, and may be filled again.
    pub(crate) fn settled(&self, mut batch: Batch) {
        batch.clear();
        let mut state = self.state();
        state.unsettled -= 1;
        if state.spare.len() < SPARE_MAX {
            state.spare.push(batch);
        }
    }

    /// The commit thread dealt with the batch that failed, and with the one being filled.
    pub(crate) fn resume(&self) {
        self.state().halted = false;
    }

    /// What is published of the log as it is.
    pub(crate) fn head(&self) -> PublishedHead {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).head()
    }

    /// Ends the writing thread.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.offered.notify_all();
    }

    /// Writes what is offered until it is closed: the writing thread.
    pub(crate) fn run(&self, queue: &Queue) {
        loop {
            let mut state = self.state();
            while !state.closed && !state.is_offered() {
                state = self.offered.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.closed {
                return;
            }
            let batch = state.take();
            drop(state);
            self.write_taken(batch, queue);
        }
    }

    /// Takes the batch that is to be written, if there is one.
    #[cfg(feature = "simulation")]
    pub(crate) fn try_take(&self) -> Option<Batch> {
        let mut state = self.state();
        state.is_offered().then(|| state.take())
    }

    /// Writes a batch that was taken, and hands it back through the queue.
    pub(crate) fn write_taken(&self, mut batch: Batch, queue: &Queue) {
        let parts = std::mem::take(&mut batch.parts);
        let mut guard = FailOnPanic { handoff: self, queue, parts };
        let mut done = self.write(batch);
        done.batch.parts = std::mem::take(&mut guard.parts);
        std::mem::forget(guard);
        queue.push_done(done);
    }
}

/// A panic while writing is a failed write: the commit thread is not left waiting, and from then on gives the
/// answers, which have no records, out itself. It keeps the results of the batch, which may be a part of a group.
struct FailOnPanic<'a> {
    handoff: &'a Handoff,
    queue: &'a Queue,
    parts: Vec<Part>,
}

impl Drop for FailOnPanic<'_> {
    fn drop(&mut self) {
        let mut state = self.handoff.state();
        (state.writing, state.halted) = (false, true);
        drop(state);
        let mut batch = Batch::new();
        batch.parts = std::mem::take(&mut self.parts);
        let reason = "the writing thread panicked".to_owned();
        self.queue.push_done(Done { batch, result: Err(WriteFault::Failed(reason)) });
    }
}

impl State {
    /// Whether a batch waits that may be written now.
    fn is_offered(&self) -> bool {
        !self.filling.is_empty() && !self.writing && !self.halted && !self.held
    }

    fn take(&mut self) -> Batch {
        self.writing = true;
        self.unsettled += 1;
        std::mem::replace(&mut self.filling, self.spare.pop().unwrap_or_else(Batch::new))
    }
}

/// Whatever ends the commit thread, callers are not left waiting.
pub(crate) struct AbandonOnDrop(pub(crate) Arc<Shared>, pub(crate) Arc<Handoff>);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.1.close();
        self.0.queue.abandon();
        self.0.durable.send_modify(|durable| {
            durable.failed.get_or_insert_with(|| "the log is closed".into());
        });
    }
}
