//! When work is to end early: its time is over, or nobody waits for it any more.

use super::error::SessionError;
use crate::query::{STEPS, Waiting};
use rusqlite::Connection;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// The end of one piece of work.
#[derive(Debug, Clone)]
pub(super) struct End {
    time: Duration,
    until: Option<Instant>,
    gone: Arc<AtomicBool>,
    /// The commit has begun, which is not interrupted any more.
    settled: Arc<AtomicBool>,
    cut: Arc<AtomicBool>,
}

impl End {
    /// From now on; the second is kept by whoever waits.
    pub fn within(time: Duration) -> (Self, Waiting) {
        let end = Self {
            time,
            until: Instant::now().checked_add(time),
            gone: Arc::default(),
            settled: Arc::default(),
            cut: Arc::default(),
        };
        let waiting = Waiting(end.gone.clone());
        (end, waiting)
    }

    /// Lets SQLite look at it every few steps; until another takes its place.
    pub fn watch(&self, connection: &mut Connection) -> Result<(), SessionError> {
        self.check()?;
        let end = self.clone();
        connection.progress_handler(STEPS, Some(move || end.is_over()))?;
        Ok(())
    }

    /// Whether the work is to stop.
    pub fn is_over(&self) -> bool {
        let over = !self.settled.load(Ordering::Relaxed)
            && (self.gone.load(Ordering::Relaxed)
                || self.until.is_some_and(|until| Instant::now() >= until));
        if over {
            self.cut.store(true, Ordering::Relaxed);
        }
        over
    }

    /// The error of work that is to stop.
    pub fn check(&self) -> Result<(), SessionError> {
        if self.is_over() { Err(SessionError::TookTooLong(self.time)) } else { Ok(()) }
    }

    /// Runs what is not to be interrupted any more.
    pub fn settled<T>(&self, work: impl FnOnce() -> T) -> T {
        self.settled.store(true, Ordering::Relaxed);
        let done = work();
        self.settled.store(false, Ordering::Relaxed);
        done
    }

    /// Whether it was ever told to stop.
    pub fn has_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }
}
