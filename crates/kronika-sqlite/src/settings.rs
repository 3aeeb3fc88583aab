//! Bounds of the read models' file and threads, with their defaults.

use crate::query::QueryLimits;
use std::time::Duration;

/// Bounds of the read models' file and threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteSettings {
    /// Threads that answer queries, each with a connection of its own; at least 1.
    pub readers: usize,
    /// Queries that may wait for a thread; what does not fit is refused as overloaded.
    pub queries_waiting_max: usize,
    /// Batches that may wait for the writing thread, and as many of read models that are not live behind
    /// them; what does not fit is tried again by its projection.
    pub batches_waiting_max: usize,
    /// How long a handler of batches may take for one batch, or for making its tables. Its statements are
    /// interrupted then, and the batch fails.
    pub handler_time_max: Duration,
    /// How long the file may be locked by another process before a write or query gives up for now.
    pub busy_timeout: Duration,
    /// Bounds of queries that bring none of their own.
    pub query_limits: QueryLimits,
    /// Memory for pages of the writing connection, in bytes. Each reader takes a quarter of it.
    pub cache_bytes: u64,
    /// Size of the file in bytes, at most: beyond it, writes fail as if the disk were full.
    pub file_bytes_max: Option<u64>,
    /// What is to go wrong.
    #[cfg(feature = "planted-faults")]
    pub planted: PlantedFaults,
}

impl Default for SqliteSettings {
    fn default() -> Self {
        Self {
            readers: 4,
            queries_waiting_max: 256,
            batches_waiting_max: 64,
            handler_time_max: Duration::from_secs(60),
            busy_timeout: Duration::from_secs(1),
            query_limits: QueryLimits::default(),
            cache_bytes: 32 << 20,
            file_bytes_max: None,
            #[cfg(feature = "planted-faults")]
            planted: PlantedFaults::default(),
        }
    }
}

/// Faults built in on purpose: a check that does not find them checks nothing.
#[cfg(feature = "planted-faults")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlantedFaults {
    /// Rows are committed in a transaction of their own, and the checkpoint after it.
    pub checkpoint_outside_transaction: bool,
    /// The commit of this number, from 1, fails between its rows and its checkpoint.
    pub fails_before_checkpoint: Option<u64>,
}
