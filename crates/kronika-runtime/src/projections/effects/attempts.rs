//! Bringing about one effect: tried again in place with growing waits, each try within its time, panics caught.

use super::super::{pace::Pace, settings::EffectSettings};
use crate::work::{causes, panic_message};
use futures_util::FutureExt;
use kronika_core::{
    About, EffectError, EffectKey, Effects, EffectsOf, ProjectionName, RecordedEvent,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Mutex,
};
use tokio::time::{sleep, timeout};

/// A handler with what bounds it.
pub(super) struct Performer<E> {
    pub effects: E,
    pub name: ProjectionName,
    pub settings: EffectSettings,
    /// For the jitter of waits.
    pub random: Mutex<fastrand::Rng>,
}

/// Why one try has failed.
enum Failed {
    /// It may succeed later.
    Again(String),
    /// It will not.
    Refused(String),
}

impl<E: Effects> Performer<E> {
    /// Until the event's effect took place, or is given up; then gives why.
    pub async fn perform(&self, event: &RecordedEvent) -> Result<(), String> {
        let settings = &self.settings;
        let mut pace = Pace::between(settings.retry_after_min, settings.retry_after_max);
        let mut attempt = 1;
        loop {
            match self.attempt(event).await {
                Ok(()) => return Ok(()),
                Err(Failed::Refused(cause)) => return Err(cause),
                Err(Failed::Again(cause)) if attempt >= settings.attempts_max => {
                    return Err(format!("{cause} (after {attempt} attempts)"));
                }
                Err(Failed::Again(cause)) => {
                    let wait = pace.next(&mut self.random.lock().expect("nothing panics under it"));
                    tracing::warn!(
                        effects = %self.name, event = %event.name, position = %event.position, attempt,
                        %cause, ?wait, "an effect is tried again"
                    );
                    sleep(wait).await;
                    attempt += 1;
                }
            }
        }
    }

    async fn attempt(&self, event: &RecordedEvent) -> Result<(), Failed> {
        // What users' code may have left half done is its own: it is called again with the same event.
        let decoded = catch_unwind(|| E::Follows::decode(event));
        let occasion = match decoded {
            Ok(Some(Ok(occasion))) => occasion,
            Ok(Some(Err(error))) => return Err(Failed::Refused(causes(&error))),
            // Of another type.
            Ok(None) => return Ok(()),
            Err(panic) => return Err(Failed::Refused(panicked(&*panic))),
        };
        let (about, key) = (About::of(event), EffectKey::of(&self.name, event.id));
        let perform = async { occasion.perform(&self.effects, &about, &key).await };
        let time_max = self.settings.time_max;
        match timeout(time_max, AssertUnwindSafe(perform).catch_unwind()).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error @ EffectError::Refused(_)))) => {
                Err(Failed::Refused(causes(error.cause())))
            }
            Ok(Ok(Err(error))) => Err(Failed::Again(causes(error.cause()))),
            Ok(Err(panic)) => Err(Failed::Again(panicked(&*panic))),
            Err(_) => Err(Failed::Again(format!("it took longer than {time_max:?}"))),
        }
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> String {
    format!("it panicked: {}", panic_message(panic))
}
