//! Users' folds run on threads for blocking work, watched by their progress: one that never ends is named.

use crate::work::panic_message;
use kronika_core::WORKERS_MAX;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{task::spawn_blocking, time::timeout};

/// How far a piece of work has come, by the parts that are worked on beside each other.
pub(super) struct Progress(Box<[Part]>);

/// How far one part has come: moved at each event.
#[derive(Default)]
pub(super) struct Part {
    steps: AtomicUsize,
    place: AtomicUsize,
    is_done: AtomicBool,
}

impl Progress {
    fn new() -> Self {
        Self((0..WORKERS_MAX).map(|_| Part::default()).collect())
    }

    /// That of one part, from 0.
    pub fn part(&self, index: usize) -> &Part {
        &self.0[index % self.0.len()]
    }

    fn steps(&self) -> Vec<usize> {
        self.0.iter().map(|part| part.steps.load(Ordering::Relaxed)).collect()
    }

    /// A part that has begun, is not done, and stands where it stood.
    fn stuck(&self, before: &[usize]) -> Option<&Part> {
        let stands = |(part, before): &(&Part, &usize)| {
            let steps = part.steps.load(Ordering::Relaxed);
            steps > 0 && steps == **before && !part.is_done.load(Ordering::Relaxed)
        };
        self.0.iter().zip(before).find(stands).map(|(part, _)| part)
    }
}

impl Part {
    /// The event at this place of the batch is worked on.
    pub fn at(&self, place: usize) {
        self.place.store(place, Ordering::Relaxed);
        self.is_done.store(false, Ordering::Relaxed);
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// Nothing of users' code runs here until the next event.
    pub fn done(&self) {
        self.is_done.store(true, Ordering::Relaxed);
    }
}

/// The work did not go on at the event at this place. Its thread is lost until it ends.
pub(super) struct Stuck(pub usize);

/// Runs work until it ends, or until one event takes longer than `time_max`.
pub(super) async fn watched<T: Send + 'static>(
    time_max: Duration,
    work: impl FnOnce(&Progress) -> T + Send + 'static,
) -> Result<T, Stuck> {
    let progress = Arc::new(Progress::new());
    let watched = progress.clone();
    let mut work = spawn_blocking(move || work(&watched));
    let mut before = progress.steps();
    loop {
        match timeout(time_max, &mut work).await {
            Ok(Ok(result)) => return Ok(result),
            Ok(Err(error)) => match error.try_into_panic() {
                // Users' code is caught further inside: this is a fault of ours, told by the runner.
                Ok(panic) => panic!("{}", panic_message(&*panic)),
                Err(error) => panic!("{error}"),
            },
            Err(_) => {
                if let Some(part) = progress.stuck(&before) {
                    return Err(Stuck(part.place.load(Ordering::Relaxed)));
                }
                before = progress.steps();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn what_stands_still_is_named_and_what_goes_on_is_not() {
        let moment = Duration::from_millis(200);
        let (end, ends) = mpsc::channel::<()>();
        let stuck = watched(moment, move |progress| {
            progress.part(0).at(3);
            progress.part(0).done();
            progress.part(1).at(7);
            let _ = ends.recv();
        });
        assert_eq!(stuck.await.err().map(|Stuck(place)| place), Some(7));
        drop(end);
        let goes_on = watched(moment, |progress| {
            let begun = std::time::Instant::now();
            while begun.elapsed() < Duration::from_millis(600) {
                progress.part(0).at(1);
                std::thread::yield_now();
            }
            5
        });
        assert_eq!(goes_on.await.ok(), Some(5));
    }
}
