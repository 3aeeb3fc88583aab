//! Every bound of the HTTP side, in one place.

use std::time::Duration;

/// Bounds of one service over HTTP. What does not fit is refused with a problem, never dropped in silence.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpLimits {
    /// Bytes of a request's body. Default 1 MiB.
    pub body_bytes: usize,
    /// Levels of arrays and objects in a command's body, at most 127. Default 127.
    pub json_depth: usize,
    /// From a command's arrival until it is answered; no later one is decided. Default 10 seconds.
    pub command_time: Duration,
    /// From the arrival of an application's query until it is answered, its waiting for a token included.
    /// Default 90 seconds.
    pub query_time: Duration,
    /// Requests that are being answered, live feeds apart; more are refused with 429. Default 16,384.
    pub requests: usize,
    /// Live feeds that are open; more are refused with 429. Default 1,024.
    pub feeds: usize,
    /// Bytes of event bodies after which a list of events ends, at least one being given. Default 1 MiB.
    pub page_bytes: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            body_bytes: 1 << 20,
            json_depth: JSON_DEPTH_MAX,
            command_time: Duration::from_secs(10),
            query_time: Duration::from_secs(90),
            requests: 16_384,
            feeds: 1024,
            page_bytes: 1 << 20,
        }
    }
}

/// One less than where serde_json gives up by itself.
pub(crate) const JSON_DEPTH_MAX: usize = 127;

/// Items of a list where the client names no number.
pub(crate) const LIST_DEFAULT: usize = 100;
/// Items of a list at most; a greater number is cut.
pub(crate) const LIST_MAX: usize = 1000;
