//! Many lives on all cores: the same ones whatever the number of threads.

use super::{Plan, Tally, live};
use std::{
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

/// A life that takes longer hangs: milliseconds are usual, and a busy machine may stand still for minutes.
const LIFE_MAX: Duration = Duration::from_secs(900);
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// What came of lives: what happened in those that were right, and the first seed that was wrong.
#[derive(Debug, Default)]
pub struct Outcome {
    pub tally: Tally,
    pub wrong: Option<(u64, String)>,
}

/// What one thread does: the seed that it lives, and since when.
type Living = Mutex<Option<(u64, Instant)>>;

/// Lives all seeds of a range, or until one is wrong: then those before it are lived still, so that the first one
/// is told. `progress` is called about once in a second, `hangs` for a seed that does not come to its end.
pub fn run(
    seeds: Range<u64>,
    plan: &Plan,
    progress: impl Fn(&Tally, Duration),
    hangs: impl Fn(u64),
) -> Outcome {
    let begun = Instant::now();
    let (next, end) = (AtomicU64::new(seeds.start), AtomicU64::new(seeds.end));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let living = (0..threads).map(|_| Living::default()).collect::<Vec<_>>();
    let (sender, receiver) = mpsc::channel();
    let mut outcome = Outcome::default();
    thread::scope(|scope| {
        for living in &living {
            let (sender, next, end) = (sender.clone(), &next, &end);
            scope.spawn(move || work(next, end, plan, living, &sender));
        }
        drop(sender);
        let mut looked = Instant::now();
        loop {
            match receiver.recv_timeout(BETWEEN_LOOKS) {
                Ok((_, Ok(lived))) => outcome.tally += lived,
                Ok((seed, Err(wrong))) => {
                    if outcome.wrong.as_ref().is_none_or(|(first, _)| seed < *first) {
                        outcome.wrong = Some((seed, wrong));
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if looked.elapsed() >= BETWEEN_LOOKS {
                looked = Instant::now();
                progress(&outcome.tally, begun.elapsed());
                let since = |living: &Living| living.lock().map_or(None, |living| *living);
                let hanging = living.iter().filter_map(since);
                hanging
                    .filter(|(_, since)| since.elapsed() > LIFE_MAX)
                    .for_each(|(seed, _)| hangs(seed));
            }
        }
    });
    outcome
}

fn work(
    next: &AtomicU64,
    end: &AtomicU64,
    plan: &Plan,
    living: &Living,
    sender: &Sender<(u64, Result<Tally, String>)>,
) {
    let now_living = |now| {
        if let Ok(mut living) = living.lock() {
            *living = now;
        }
    };
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end.load(Ordering::Relaxed) {
            return now_living(None);
        }
        now_living(Some((seed, Instant::now())));
        let lived = live(seed, plan);
        if lived.is_err() {
            end.fetch_min(seed, Ordering::Relaxed);
        }
        if sender.send((seed, lived)).is_err() {
            return;
        }
    }
}
