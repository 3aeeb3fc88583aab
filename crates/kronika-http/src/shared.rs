//! What all routes of one service stand on.

use crate::{creating::Seeds, limits::HttpLimits, metrics::Metrics, problem::Problem};
use kronika_core::DynJournal;
use kronika_runtime::{Kronika, Standing};
use std::{sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) struct Shared {
    pub kronika: Kronika,
    pub limits: HttpLimits,
    pub metrics: Metrics,
    pub seeds: Seeds,
    pub requests: Arc<Semaphore>,
    pub feeds: Arc<Semaphore>,
}

impl Shared {
    pub fn journal(&self) -> &dyn DynJournal {
        &**self.kronika.journal()
    }

    pub fn standing(&self) -> Standing {
        self.kronika.standing().borrow().clone()
    }
}

/// A place among those that may be served at a time, or the refusal.
pub(crate) fn place(
    places: &Arc<Semaphore>,
    what: &'static str,
) -> Result<OwnedSemaphorePermit, Problem> {
    let full = |_| Problem::overloaded(what, Duration::from_secs(1));
    places.clone().try_acquire_owned().map_err(full)
}
