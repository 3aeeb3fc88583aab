//! Bounds of a session, with their defaults.

use crate::query::QueryLimits;
use std::time::Duration;

/// Bounds of a session's file, threads and times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSettings {
    /// Threads that answer queries, each with a connection of its own; at least 1.
    pub readers: usize,
    /// Queries that may wait for a thread; what does not fit is refused as overloaded.
    pub queries_waiting_max: usize,
    /// Transactions that may wait for the writing thread; what does not fit is refused as overloaded.
    pub transactions_waiting_max: usize,
    /// How long the file may be locked by another process before a query or transaction gives up for now.
    pub busy_timeout: Duration,
    /// Bounds of queries that bring none of their own.
    pub query_limits: QueryLimits,
    /// How long a transaction may take, from the call to its commit, waiting included. What takes longer is
    /// rolled back.
    pub transaction_time: Duration,
    /// How long all migrations together may take, waiting for another process that migrates included.
    pub migration_time: Duration,
    /// Memory for pages of the writing connection, in bytes. Each reader takes a quarter of it.
    pub cache_bytes: u64,
    /// Size of the file in bytes, at most: beyond it, writes fail as if the disk were full.
    pub file_bytes_max: Option<u64>,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            readers: 4,
            queries_waiting_max: 256,
            transactions_waiting_max: 256,
            busy_timeout: Duration::from_secs(1),
            query_limits: QueryLimits::default(),
            transaction_time: Duration::from_secs(5),
            migration_time: Duration::from_secs(600),
            cache_bytes: 16 << 20,
            file_bytes_max: None,
        }
    }
}
