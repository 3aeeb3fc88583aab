//! What a session did since it was opened, and what waits.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// What a session did since it was opened, and what waits now. Migrations count as transactions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionStats {
    /// Queries that were begun.
    pub queries: u64,
    /// Queries that wait for a thread.
    pub queries_waiting: u64,
    /// Queries that were refused, because too many waited or the session was closed.
    pub queries_refused: u64,
    /// Queries that took too long, or that nobody waited for any more.
    pub queries_interrupted: u64,
    /// Transactions that were begun.
    pub transactions: u64,
    /// Transactions that wait for the writing thread.
    pub transactions_waiting: u64,
    /// Transactions that were refused, because too many waited or the session was closed.
    pub transactions_refused: u64,
    /// Transactions that took too long, or that nobody waited for any more.
    pub transactions_interrupted: u64,
}

impl SessionStats {
    pub(super) fn of(queries: &Counts, transactions: &Counts) -> Self {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Self {
            queries: read(&queries.begun),
            queries_waiting: read(&queries.waiting),
            queries_refused: read(&queries.refused),
            queries_interrupted: read(&queries.interrupted),
            transactions: read(&transactions.begun),
            transactions_waiting: read(&transactions.waiting),
            transactions_refused: read(&transactions.refused),
            transactions_interrupted: read(&transactions.interrupted),
        }
    }
}

/// The counters of one queue.
#[derive(Debug, Default)]
pub(super) struct Counts {
    begun: AtomicU64,
    waiting: AtomicU64,
    refused: AtomicU64,
    interrupted: AtomicU64,
}

/// Counts as waiting until it is dropped, wherever that is.
pub(super) struct Waits(Arc<Counts>);

impl Counts {
    pub fn waits(self: &Arc<Self>) -> Waits {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waits(self.clone())
    }

    pub fn began(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    pub fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub fn interrupted(&self) {
        self.interrupted.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
