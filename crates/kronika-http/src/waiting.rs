//! Where queries wait until the read models that they are answered from have what the caller has seen.

use kronika_core::{BoxFuture, Token};
use std::time::Duration;
use tokio::time::Instant;

/// The read models of a service, as far as queries have to know of them.
pub trait ReadModels: Send + Sync + 'static {
    /// Waits until all ranges of the named projections have what the token has seen, or until the time.
    fn wait_for<'a>(
        &'a self,
        names: &'a [String],
        token: &'a Token,
        until: Instant,
    ) -> BoxFuture<'a, Waited>;

    /// How each projection stands.
    fn status(&self) -> Vec<ReadModelStatus>;
}

/// What came of waiting.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Waited {
    /// The read models have it. Rows of so many parked keys may be behind.
    There {
        /// Keys that are parked.
        parked: u64,
    },
    /// Not in time.
    Late,
    /// The key that was asked for is parked.
    Parked,
    /// The read models, or the token, are of another history.
    Diverged,
    /// A projection does not go on.
    Failed {
        /// Its name.
        projection: String,
    },
}

/// How a projection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadModelStatus {
    /// The projection's name.
    pub name: String,
    /// What it does: running, paused, stopped, failed and the like, in one word.
    pub state: &'static str,
    /// Whether it has failed, so that this process is not ready.
    pub failed: bool,
    /// Everything of the journal up to here is in its read model.
    pub seen: Token,
    /// Events that it has handled.
    pub events: u64,
    /// Events that it is behind.
    pub lag_events: u64,
    /// How old the oldest event is that it is behind.
    pub lag: Duration,
    /// Keys that are parked.
    pub parked_keys: u64,
}

/// A service without projections.
pub(crate) struct NoReadModels;

impl ReadModels for NoReadModels {
    fn wait_for<'a>(&'a self, _: &'a [String], _: &'a Token, _: Instant) -> BoxFuture<'a, Waited> {
        Box::pin(async { Waited::There { parked: 0 } })
    }

    fn status(&self) -> Vec<ReadModelStatus> {
        Vec::new()
    }
}
