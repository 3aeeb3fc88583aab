//! Work that may take its time, in pieces: after each one whoever else wants the core gets it.
//!
//! A thread that only computes is left alone by the system for a time slice of some milliseconds, whatever its
//! priority, while a commit that a sync has just ended for waits for the core. This yields long before that, unless
//! somebody will soon wait for the work: where the machine has more to do than it can, who yields gets little.

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// A piece: so long a commit waits for the core at most, a fraction of a sync.
const PIECE: Duration = Duration::from_micros(50);
/// Small steps between two looks at the clock: a few microseconds.
const STEPS: u32 = 256;

/// How work is done.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    /// When the present piece began; none where the work is done in one go.
    begun: Cell<Option<Instant>>,
    steps: Cell<u32>,
    /// The work is behind: it is done in one go for now.
    hurry: Arc<AtomicBool>,
}

impl Pace {
    /// In one go: where somebody waits for the work.
    pub(crate) fn at_once() -> Self {
        Self { begun: Cell::new(None), steps: Cell::new(0), hurry: Arc::default() }
    }

    /// In pieces, while there is no hurry.
    pub(crate) fn in_pieces(hurry: Arc<AtomicBool>) -> Self {
        Self { begun: Cell::new(Some(Instant::now())), steps: Cell::new(0), hurry }
    }

    /// A small step was done, of some nanoseconds.
    pub(crate) fn step(&self) {
        let steps = self.steps.get() + 1;
        self.steps.set(steps % STEPS);
        if steps == STEPS {
            self.rest();
        }
    }

    /// A step of some microseconds was done.
    pub(crate) fn rest(&self) {
        let is_over = self.begun.get().is_some_and(|begun| begun.elapsed() >= PIECE);
        if is_over && !self.hurry.load(Ordering::Relaxed) {
            thread::yield_now();
            self.begun.set(Some(Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_ends_when_its_time_is_over_and_there_is_no_hurry() {
        let long_ago = Instant::now().checked_sub(PIECE).expect("the clock is older than that");
        let pace = Pace::in_pieces(Arc::new(AtomicBool::new(true)));
        pace.begun.set(Some(long_ago));
        (0..STEPS).for_each(|_| pace.step());
        assert_eq!(pace.begun.get(), Some(long_ago), "there is a hurry");
        pace.hurry.store(false, Ordering::Relaxed);
        (1..STEPS).for_each(|_| pace.step());
        assert_eq!(pace.begun.get(), Some(long_ago), "small steps do not look at the clock");
        pace.step();
        assert!(pace.begun.get() > Some(long_ago), "the next piece begins");
    }

    #[test]
    fn work_at_once_has_no_pieces() {
        let pace = Pace::at_once();
        pace.rest();
        assert_eq!(pace.begun.get(), None);
    }
}
