//! Users' folds run on threads for blocking work, watched by their progress: one that never ends is named.

use crate::work::panic_message;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{task::spawn_blocking, time::timeout};

/// How far a piece of work has come: moved at each event.
#[derive(Default)]
pub(super) struct Progress {
    steps: AtomicUsize,
    place: AtomicUsize,
}

impl Progress {
    /// The event at this place of the batch is worked on.
    pub fn at(&self, place: usize) {
        self.place.store(place, Ordering::Relaxed);
        self.steps.fetch_add(1, Ordering::Relaxed);
    }
}

/// The work did not go on at the event at this place. Its thread is lost until it ends.
pub(super) struct Stuck(pub usize);

/// Runs work until it ends, or until one event takes longer than `time_max`.
pub(super) async fn watched<T: Send + 'static>(
    time_max: Duration,
    work: impl FnOnce(&Progress) -> T + Send + 'static,
) -> Result<T, Stuck> {
    let progress = Arc::new(Progress::default());
    let watched = progress.clone();
    let mut work = spawn_blocking(move || work(&watched));
    let mut before = 0;
    loop {
        match timeout(time_max, &mut work).await {
            Ok(Ok(result)) => return Ok(result),
            Ok(Err(error)) => match error.try_into_panic() {
                // Users' code is caught further inside: this is a fault of ours, told by the runner.
                Ok(panic) => panic!("{}", panic_message(&*panic)),
                Err(error) => panic!("{error}"),
            },
            Err(_) => {
                let steps = progress.steps.load(Ordering::Relaxed);
                if steps == before {
                    return Err(Stuck(progress.place.load(Ordering::Relaxed)));
                }
                before = steps;
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
            progress.at(7);
            let _ = ends.recv();
        });
        assert_eq!(stuck.await.err().map(|Stuck(place)| place), Some(7));
        drop(end);
        let goes_on = watched(moment, |progress| {
            let begun = std::time::Instant::now();
            while begun.elapsed() < Duration::from_millis(600) {
                progress.at(1);
                std::thread::yield_now();
            }
            5
        });
        assert_eq!(goes_on.await.ok(), Some(5));
    }
}
