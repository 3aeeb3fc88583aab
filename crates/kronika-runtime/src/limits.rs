//! Every bound of the write side, in one place.

use std::time::Duration;

/// Bounds of one runtime. What does not fit is refused with a typed error, never dropped in silence.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Loops that serve the residents of one aggregate type, 1 to 1024. Default: one for each processor.
    pub shards: usize,
    /// Commands that wait in one shard's mailbox. Default 16,384.
    pub mailbox_commands: usize,
    /// Commands of one aggregate that are undecided or not yet answered. Default 4,096.
    pub pending_commands: usize,
    /// Appends of one shard that were sent to the journal and have no result yet. Default 8,192.
    pub in_flight_appends: usize,
    /// Bytes of event bodies of one shard in flight. Default 32 MiB.
    pub in_flight_bytes: usize,
    /// Bytes of resident aggregates of one type, by their weight. Default 256 MiB.
    pub resident_bytes: usize,
    /// A resident without a command for so long is let go. Default 10 minutes.
    pub idle: Duration,
    /// Loadings of one shard at a time. Default 64.
    pub loadings: usize,
    /// Bytes in which the idempotency keys of one aggregate type are remembered. Default 64 MiB. Beyond it
    /// the journal is asked, and where it cannot tell, a keyed command is refused as overloaded.
    pub key_bytes: usize,
    /// How often one command is decided before it is given up as unavailable. Default 16.
    pub decisions: u32,
    /// How often the journal is asked again while recovering from an unknown outcome. Default 12, with waits
    /// from 5 ms doubling to 1 s.
    pub recovery_attempts: u32,
    /// A handler that takes longer by the wall clock is counted, and named in the log, once a second at most.
    /// Default 50 ms: less than that a busy machine takes by itself.
    pub slow_handler: Duration,
    /// Events between two snapshots of an aggregate, for all types, in place of `Aggregate::SNAPSHOT_EVERY`;
    /// `Some(0)` neither takes nor uses any. Default `None`.
    pub snapshot_every: Option<u32>,
    /// Bytes of an encoded state in a snapshot. A larger one has none: all its events are read. Default 8 MiB.
    pub snapshot_bytes: usize,
    /// Snapshots of one aggregate type on their way at a time; what does not fit is taken later. Default 64,
    /// and four of the largest.
    pub snapshots: usize,
    /// A fault that tests plant, to see it found: snapshots are saved before their version is durable.
    #[cfg(feature = "planted-faults")]
    pub early_snapshot: bool,
    /// A fault that tests plant, to see it found: of which history a snapshot is, is not checked.
    #[cfg(feature = "planted-faults")]
    pub trusted_snapshot: bool,
    /// A fault that tests plant, to see it found: rejections and reads are told before what they saw is
    /// durable.
    #[cfg(feature = "planted-faults")]
    pub early_rejection: bool,
}

impl Default for Limits {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            shards: processors.clamp(1, 64),
            mailbox_commands: 16_384,
            pending_commands: 4_096,
            in_flight_appends: 8_192,
            in_flight_bytes: 32 << 20,
            resident_bytes: 256 << 20,
            idle: Duration::from_secs(600),
            loadings: 64,
            key_bytes: 64 << 20,
            decisions: 16,
            recovery_attempts: 12,
            slow_handler: Duration::from_millis(50),
            snapshot_every: None,
            snapshot_bytes: 8 << 20,
            snapshots: 64,
            #[cfg(feature = "planted-faults")]
            early_snapshot: false,
            #[cfg(feature = "planted-faults")]
            trusted_snapshot: false,
            #[cfg(feature = "planted-faults")]
            early_rejection: false,
        }
    }
}

impl Limits {
    /// The first limit that would let nothing through.
    pub(crate) fn refusal(&self) -> Option<&'static str> {
        let limits = [
            ("shards", self.shards),
            ("mailbox_commands", self.mailbox_commands),
            ("pending_commands", self.pending_commands),
            ("in_flight_appends", self.in_flight_appends),
            ("in_flight_bytes", self.in_flight_bytes),
            ("loadings", self.loadings),
            ("decisions", self.decisions as usize),
        ];
        limits.into_iter().find(|(_, limit)| *limit == 0).map(|(name, _)| name)
    }
}
