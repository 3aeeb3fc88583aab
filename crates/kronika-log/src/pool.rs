//! A few threads that read files, so that nothing blocks the asynchronous workers.

use crate::window::Window;
use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

/// One thing to read.
pub(crate) type Job = Box<dyn FnOnce(&mut Window) + Send>;

/// Reads that wait for a thread, bounded.
pub(crate) struct Pool {
    waiting_max: usize,
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    closed: bool,
    /// What the reader threads would keep, where there are none: reads are done by whoever submits them.
    #[cfg(feature = "simulation")]
    inline: Option<VecDeque<Window>>,
}

impl Pool {
    pub(crate) fn new(waiting_max: usize) -> Arc<Self> {
        Arc::new(Self { waiting_max, state: Mutex::default(), filled: Condvar::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a read; false if too many wait.
    pub(crate) fn submit(&self, job: Job) -> bool {
        let mut state = self.state();
        if state.closed || state.jobs.len() >= self.waiting_max {
            return false;
        }
        #[cfg(feature = "simulation")]
        if let Some(windows) = &mut state.inline {
            let mut window = windows.pop_front().unwrap_or_default();
            drop(state);
            job(&mut window);
            self.state().inline.get_or_insert_default().push_back(window);
            return true;
        }
        state.jobs.push_back(job);
        drop(state);
        self.filled.notify_one();
        true
    }

    /// From now on reads are done by whoever submits them, as by one of so many readers in turn.
    #[cfg(feature = "simulation")]
    pub(crate) fn read_inline(&self, readers: usize) {
        self.state().inline = Some((0..readers).map(|_| Window::default()).collect());
    }

    /// Ends the threads once nothing waits.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.filled.notify_all();
    }

    /// Reads until the pool is closed: one of the threads.
    pub(crate) fn run(&self) {
        let mut window = Window::default();
        loop {
            let mut state = self.state();
            let job = loop {
                match state.jobs.pop_front() {
                    Some(job) => break job,
                    None if state.closed => return,
                    None => {
                        state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
                    }
                }
            };
            drop(state);
            // Whoever waited is told when the job drops their answer; the thread is there for the others.
            if catch_unwind(AssertUnwindSafe(|| job(&mut window))).is_err() {
                window = Window::default();
            }
        }
    }
}
