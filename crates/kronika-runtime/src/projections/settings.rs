//! Bounds of projections, with their defaults.

use std::time::Duration;

/// Bounds of all projections of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectionSettings {
    /// Events in one batch, at most. A batch holds what is there when the one before it is done, so that it
    /// grows under load by itself.
    pub batch_events_max: usize,
    /// Bytes of events' bodies in one batch, at most, or one event.
    pub batch_bytes_max: usize,
    /// Events that a filter passed over before the checkpoint alone is written. They are read again after a
    /// crash.
    pub unsaved_events_max: u64,
    /// Time after which it is written in any case.
    pub unsaved_time_max: Duration,
    /// Wait before the first retry; the next ones double it, with jitter down to a half.
    pub retry_after_min: Duration,
    /// Wait before a retry, at most.
    pub retry_after_max: Duration,
}

impl Default for ProjectionSettings {
    fn default() -> Self {
        Self {
            batch_events_max: 4096,
            batch_bytes_max: 4 << 20,
            unsaved_events_max: 10_000,
            unsaved_time_max: Duration::from_secs(1),
            retry_after_min: Duration::from_millis(20),
            retry_after_max: Duration::from_secs(5),
        }
    }
}
