//! The one way back: after a conflict, a failed append, an unknown outcome or a spoiled state.
//!
//! It runs only when every append in flight of the stream has its result. It fences where an outcome is
//! unknown, reads back what was in doubt, and loads the durable state again.

use crate::{
    error::{CommandError, Failure},
    limits::Limits,
    load::{Loaded, load},
    ownership::{FenceError, Ownership},
    shard::Common,
};
use kronika_core::{
    Aggregate, AppendBy, AppendError, AppendId, DynJournal, Epoch, RecordedAppend, StreamId,
};
use std::{collections::HashMap, time::Duration};

/// What callers are told where no fence could be put up.
pub(crate) fn unfenced(error: FenceError) -> Failure {
    match error {
        FenceError::Lost => CommandError::NotOwner,
        FenceError::Failed(why) => CommandError::JournalFailed(why),
        FenceError::Unavailable(why) => CommandError::Unavailable(why),
    }
}

/// What is known after the way back.
pub(crate) struct Recovery<A> {
    /// What was in doubt and is recorded.
    pub recorded: HashMap<AppendId, RecordedAppend>,
    /// Whether what was in doubt and is not in `recorded` is known not to be recorded.
    pub certain: bool,
    /// The durable state to decide on again; else what the rest is told.
    pub then: Result<Loaded<A>, Failure>,
}

impl<A> Recovery<A> {
    /// Nothing is known, and the rest is told this.
    pub fn unknown(failure: Failure) -> Self {
        Self { recorded: HashMap::new(), certain: false, then: Err(failure) }
    }
}

/// What the way back begins from.
pub(crate) struct Broken {
    pub stream: StreamId,
    /// Epoch of the failed appends.
    pub epoch: Epoch,
    /// Appends that failed, with their errors.
    pub failed: Vec<(AppendId, AppendError)>,
}

pub(crate) async fn recover<A: Aggregate>(common: &Common, broken: Broken) -> Recovery<A> {
    let Common { journal, ownership, limits, .. } = common;
    let mut recovery =
        Recovery { recorded: HashMap::new(), certain: true, then: Err(CommandError::NotOwner) };
    let in_doubt: Vec<AppendId> = broken
        .failed
        .iter()
        .filter(|(_, error)| *error == AppendError::UnknownOutcome)
        .map(|(id, _)| *id)
        .collect();
    let fenced = match fence(ownership, limits, &broken, !in_doubt.is_empty()).await {
        Ok(()) => None,
        // Another owner's claim is a fence too: what is not recorded by now never will be.
        Err(FenceError::Lost) => Some(CommandError::NotOwner),
        Err(error) => {
            if !in_doubt.is_empty() {
                ownership.leave_in_doubt(broken.epoch);
            }
            recovery.certain = in_doubt.is_empty();
            recovery.then = Err(unfenced(error));
            return recovery;
        }
    };
    match read_back(&**journal, limits, &broken.stream, in_doubt).await {
        Ok(recorded) => recovery.recorded = recorded,
        Err(why) => {
            recovery.certain = false;
            recovery.then = Err(CommandError::Unavailable(why));
            return recovery;
        }
    }
    if let Some(failure) = fenced {
        recovery.then = Err(failure);
        return recovery;
    }
    let mut wait = Backoff::new();
    for _ in 0..limits.recovery_attempts {
        recovery.then = load(common, &broken.stream, None).await;
        if !matches!(recovery.then, Err(CommandError::Unavailable(_))) {
            break;
        }
        wait.wait().await;
    }
    recovery
}

/// Claims anew where an outcome is unknown, or where an append was refused for its epoch.
async fn fence(
    ownership: &Ownership,
    limits: &Limits,
    broken: &Broken,
    in_doubt: bool,
) -> Result<(), FenceError> {
    let refused = broken.failed.iter().filter_map(|(_, error)| match error {
        AppendError::Fenced { now, .. } => Some(*now),
        _ => None,
    });
    let beyond = refused.max().filter(|now| *now > ownership.epoch());
    if ownership.is_lost() {
        return Err(FenceError::Lost);
    }
    if !in_doubt && beyond.is_none() {
        return Ok(());
    }
    let mut wait = Backoff::new();
    let mut result = Ok(());
    for _ in 0..limits.recovery_attempts {
        // Under doubt: no append of the broken epoch may still be recorded. After a refusal: a claim of ours
        // may be on its way back, or another owner's claim shows in ours being refused.
        let held = match beyond {
            Some(now) if ownership.epoch() < now => ownership.epoch().max(broken.epoch),
            _ => broken.epoch,
        };
        result = ownership.fence(held).await;
        if !matches!(result, Err(FenceError::Unavailable(_))) {
            break;
        }
        wait.wait().await;
    }
    result
}

async fn read_back(
    journal: &dyn DynJournal,
    limits: &Limits,
    stream: &StreamId,
    in_doubt: Vec<AppendId>,
) -> Result<HashMap<AppendId, RecordedAppend>, String> {
    let mut recorded = HashMap::new();
    let mut wait = Backoff::new();
    let mut attempts = 0;
    for id in in_doubt {
        loop {
            match journal.read_append(stream, AppendBy::Id(id)).await {
                Ok(found) => {
                    recorded.extend(found.map(|append| (id, append)));
                    break;
                }
                Err(error) if attempts >= limits.recovery_attempts => return Err(error.to_string()),
                Err(_) => {
                    attempts += 1;
                    wait.wait().await;
                }
            }
        }
    }
    Ok(recorded)
}

/// Waits from 5 ms, doubling to 1 s.
struct Backoff(Duration);

impl Backoff {
    fn new() -> Self {
        Self(Duration::from_millis(5))
    }
    async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(Duration::from_secs(1));
    }
}
