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
    /// Time that a fold may take for one event. One that takes longer stops its projection.
    pub event_time_max: Duration,
    /// Keys that may be parked in one read model: beyond, its projection stops, since then it is not the keys'
    /// fault.
    pub parked_keys_max: usize,
    /// How often a parked key is tried again by itself after each start, with growing waits; then it waits for
    /// an operator.
    pub parked_retries_max: u32,
    /// Wait before a parked key is tried again; four times as long before each further try.
    pub parked_retry_after: Duration,
    /// How often a projection's state is stored for tools, where it has changed.
    pub report_every: Duration,
    /// Bounds of handlers that reach out.
    pub effects: EffectSettings,
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
            event_time_max: Duration::from_secs(10),
            parked_keys_max: 1000,
            parked_retries_max: 3,
            parked_retry_after: Duration::from_secs(5),
            report_every: Duration::from_secs(1),
            effects: EffectSettings::default(),
        }
    }
}

/// Bounds of all handlers of effects of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectSettings {
    /// How often an effect is tried, from 1, before its stream is parked. While it is tried, events of other streams
    /// that came with it are handled, and later ones wait.
    pub attempts_max: u32,
    /// Wait before the second try; the next ones double it, with jitter down to a half.
    pub retry_after_min: Duration,
    /// Wait before a try, at most.
    pub retry_after_max: Duration,
    /// Time for one try. One that takes longer is dropped and has failed, whatever the other side made of it.
    pub time_max: Duration,
    /// Streams whose events are handled beside each other, from 1.
    pub streams_max: usize,
    /// Time that a stop leaves to effects on their way. What has not taken place by then is dropped, and handled
    /// again after the next start.
    pub stop_time_max: Duration,
}

impl Default for EffectSettings {
    fn default() -> Self {
        Self {
            attempts_max: 5,
            retry_after_min: Duration::from_millis(200),
            retry_after_max: Duration::from_secs(5),
            time_max: Duration::from_secs(10),
            streams_max: 16,
            stop_time_max: Duration::from_secs(1),
        }
    }
}
