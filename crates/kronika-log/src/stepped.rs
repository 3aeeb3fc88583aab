//! The log without threads, for simulations: what its threads would do is done in steps, on the caller's own
//! thread and in the caller's order, so that the same seed makes the same calls to the disk.
//!
//! Where a thread would wait for another one, the step does the other one's work. Nothing is decided here that the
//! threads would not do; which of them gets on is all that a caller chooses.

use crate::{
    batch::Batch,
    commit::Committer,
    disk::Disk,
    error::OpenError,
    handoff::{AbandonOnDrop, Handoff},
    log::{Duties, Log, Threads},
    prepare::{Making, Preparation},
    queue::{Queue, Work},
    sealing::Sealer,
    settings::Settings,
    shared::Shared,
};
use std::{
    collections::VecDeque,
    fmt,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// One unit of a duty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// The commit thread: settles what was written, and lets in what waits. A few records that find nothing on
    /// its way are written too.
    Commit,
    /// The writing thread takes the batch that is to be written next. It is not written yet.
    Take,
    /// The writing thread writes and syncs the batch that it took.
    Write,
    /// The preparing thread does the next part of the next segment.
    Prepare,
    /// The sealing thread seals a segment, merges some runs, or makes one anew.
    Seal,
}

impl Step {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Commit, Self::Take, Self::Write, Self::Prepare, Self::Seal];
    /// Those that may go on in the midst of a step of another duty, see [`Stepper::beside`].
    pub const BESIDE: &[Self] = &[Self::Prepare, Self::Seal];
}

/// The duties of a log whose threads it stands for.
///
/// Reads need no steps: they are done when their futures are polled first. When this is dropped, what waits is
/// abandoned, as when a process is killed; [`Stepper::finish`] ends the log in order.
///
/// ```
/// use kronika_log::{Log, SimulatedDisk, Step};
/// use std::{path::Path, sync::Arc};
///
/// let disk = Arc::new(SimulatedDisk::new(7));
/// let settings = kronika_log::Settings { seed: Some(7), ..kronika_log::Settings::small() };
/// let (_log, mut stepper) = Log::open_stepped(disk, Path::new("/journal"), settings)?;
/// assert!(!stepper.step(Step::Commit), "nothing waits");
/// assert!(stepper.step(Step::Prepare), "the next segment is being made");
/// # Ok::<(), kronika_log::OpenError>(())
/// ```
pub struct Stepper {
    shared: Arc<Shared>,
    committer: Committer,
    handoff: Arc<Handoff>,
    preparation: Arc<Preparation>,
    sealer: Arc<Mutex<Sealer>>,
    /// Empty between two steps.
    work: VecDeque<Work>,
    _abandon: AbandonOnDrop,
}

impl fmt::Debug for Stepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stepper").finish_non_exhaustive()
    }
}

impl Log {
    /// As [`Log::open_on`], without threads: what they would do is done by the stepper.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_stepped(
        disk: Arc<dyn Disk>,
        path: &Path,
        settings: Settings,
    ) -> Result<(Self, Stepper), OpenError> {
        let Duties { shared, mut committer, handoff, preparation, sealer, pool, .. } =
            Self::open_with(disk, path, None, settings)?;
        handoff.stepped.on.store(true, Ordering::Relaxed);
        preparation.stepped.on.store(true, Ordering::Relaxed);
        pool.read_inline(shared.settings.reader_threads);
        let threads = Threads::new(Arc::clone(&shared), Arc::clone(&preparation), pool);
        let log = Self { shared: Arc::clone(&shared), threads: Arc::new(threads) };
        let (work, abandon) = (VecDeque::new(), committer.begin());
        shared.sealing.never_wait();
        committer.never_wait();
        let sealer = Arc::new(Mutex::new(sealer));
        let stepper =
            Stepper { shared, committer, handoff, preparation, sealer, work, _abandon: abandon };
        Ok((log, stepper))
    }
}

impl Stepper {
    /// Does one unit of a duty; false if there was nothing to do.
    pub fn step(&mut self, step: Step) -> bool {
        match step {
            Step::Commit => self.shared.queue.has_some() && self.committer.turn(&mut self.work),
            Step::Take => self.handoff.take_in_step(),
            Step::Write => self.handoff.write_in_step(&self.shared.queue),
            Step::Prepare => self.preparation.step(),
            Step::Seal => seal(&self.sealer),
        }
    }

    /// The duties that may go on in the midst of a step of another one.
    pub fn beside(&self) -> Beside {
        Beside(Arc::clone(&self.preparation), Arc::clone(&self.sealer))
    }

    /// Does what waits to be committed, and then nothing more: the log is closed in order.
    pub fn finish(mut self) {
        self.shared.queue.close();
        while self.committer.turn(&mut self.work) {}
        self.committer.drain();
    }
}

/// The duties that go on beside a step that is being done: for the watcher of a disk, in the midst of a step.
pub struct Beside(Arc<Preparation>, Arc<Mutex<Sealer>>);

/// One thing of the sealing thread's; false if it is in the midst of one.
fn seal(sealer: &Mutex<Sealer>) -> bool {
    sealer.try_lock().is_ok_and(|mut sealer| sealer.step() == Ok(true))
}

impl fmt::Debug for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Beside").finish_non_exhaustive()
    }
}

impl Beside {
    /// As [`Stepper::step`]; false also where the duty is in the midst of a step, or waits for the one that is.
    pub fn step(&self, step: Step) -> bool {
        match step {
            Step::Prepare => self.0.step(),
            Step::Seal => seal(&self.1),
            Step::Commit | Step::Take | Step::Write => false,
        }
    }
}

/// The batch that the writing thread took, where it is no thread.
#[derive(Debug, Default)]
pub(crate) struct SteppedWrites {
    on: AtomicBool,
    taken: Mutex<Option<Batch>>,
}

impl SteppedWrites {
    fn taken(&self) -> MutexGuard<'_, Option<Batch>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handoff {
    /// Takes a batch, unless one was taken already.
    fn take_in_step(&self) -> bool {
        let mut taken = self.stepped.taken();
        if taken.is_none() {
            *taken = self.try_take();
            return taken.is_some();
        }
        false
    }

    /// Writes the batch that was taken.
    fn write_in_step(&self, queue: &Queue) -> bool {
        let taken = self.stepped.taken().take();
        taken.map(|batch| self.write_taken(batch, queue)).is_some()
    }

    /// Without a writing thread, whoever waits for one writes.
    pub(crate) fn write_if_stepped(&self, queue: &Queue) {
        if self.stepped.on.load(Ordering::Relaxed) {
            self.take_in_step();
            self.write_in_step(queue);
        }
    }
}

/// The segment that the preparing thread is making, where it is no thread.
#[derive(Debug, Default)]
pub(crate) struct SteppedMaking {
    on: AtomicBool,
    /// In the midst of a step.
    busy: AtomicBool,
    making: Mutex<Option<Making>>,
}

impl SteppedMaking {
    /// Whether there is no thread.
    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Begins a step with the segment that is being made, if there is one; none if one goes on already.
    pub(crate) fn begin(&self) -> Option<Option<Making>> {
        let busy = self.busy.swap(true, Ordering::Relaxed);
        (!busy).then(|| self.making.lock().unwrap_or_else(PoisonError::into_inner).take())
    }

    /// Ends a step, with the segment if it is still being made.
    pub(crate) fn end(&self, making: Option<Making>) {
        *self.making.lock().unwrap_or_else(PoisonError::into_inner) = making;
        self.busy.store(false, Ordering::Relaxed);
    }
}
