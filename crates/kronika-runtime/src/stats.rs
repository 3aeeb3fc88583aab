//! What the write side counts of itself.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counters of one aggregate type, written by its shards.
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub $name: AtomicU64),* }

        /// What the shards of one aggregate type have counted since the start.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats { $($(#[$doc])* pub $name: u64),* }

        impl Counters {
            pub fn read(&self) -> Stats {
                Stats { $($name: self.$name.load(Ordering::Relaxed)),* }
            }
        }
    };
}

counters! {
    /// Commands answered, in whatever way.
    commands,
    /// Commands accepted.
    accepted,
    /// Commands rejected by the aggregate.
    rejected,
    /// Commands answered with another error.
    failed,
    /// States read through the mailbox.
    reads,
    /// Answers given again to a repeated idempotency key.
    replayed,
    /// Events recorded.
    events,
    /// Appends in groups sent to the journal.
    appends,
    /// Groups sent to the journal.
    groups,
    /// Aggregates loaded.
    loadings,
    /// Ways back taken: conflicts, failed appends, unknown outcomes, spoiled states.
    recoveries,
    /// Aggregates in memory now.
    residents,
    /// Their weight in bytes.
    resident_bytes,
    /// Residents let go.
    passivations,
    /// Snapshots handed to the store.
    snapshots,
    /// Loadings that began from a snapshot.
    snapshots_used,
    /// Snapshots that were looked for and did not serve: damaged, of another history or schema, not readable.
    snapshots_ignored,
    /// Handlers that took longer than the limit.
    slow_handlers,
    /// Panics in handlers, in `apply` and in replies.
    panics,
}

impl Counters {
    pub fn add(counter: &AtomicU64, count: u64) {
        if count > 0 {
            counter.fetch_add(count, Ordering::Relaxed);
        }
    }
}
