//! Many lives on all cores: the same ones whatever the number of threads.

use super::{Plan, Tally, live};
use std::{
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// What came of lives: what happened in those that were right, and the first seed that was wrong.
#[derive(Debug, Default)]
pub struct Outcome {
    pub tally: Tally,
    pub wrong: Option<(u64, String)>,
}

/// Lives all seeds of a range, or until one is wrong: then those before it are lived still, so that the first one
/// is told. `progress` is called now and then.
pub fn run(seeds: Range<u64>, plan: &Plan, progress: impl Fn(&Tally, Duration) + Sync) -> Outcome {
    let begun = Instant::now();
    let (next, end) = (AtomicU64::new(seeds.start), AtomicU64::new(seeds.end));
    let outcome = Mutex::new((Outcome::default(), begun));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end.load(Ordering::Relaxed) {
                return;
            }
            let lived = live(seed, plan);
            let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
            let (Outcome { tally, wrong }, told) = &mut *outcome;
            match lived {
                Ok(lived) => *tally += lived,
                Err(what) => {
                    end.fetch_min(seed, Ordering::Relaxed);
                    if wrong.as_ref().is_none_or(|(first, _)| seed < *first) {
                        *wrong = Some((seed, what));
                    }
                }
            }
            if told.elapsed() > Duration::from_secs(1) {
                *told = Instant::now();
                progress(tally, begun.elapsed());
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    outcome.into_inner().unwrap_or_else(PoisonError::into_inner).0
}
