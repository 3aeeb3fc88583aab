//! What travels with a command beside the command itself.

use kronika_core::{Origin, Version};
use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_128;

/// Options of one command. The default is none.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CommandOptions {
    /// Sent again with the same key, the command is recorded once and gets the same receipt.
    pub idempotency_key: Option<String>,
    /// Refused unless the aggregate has this version.
    pub expected_version: Option<ExpectedVersion>,
    /// Not decided after this time; a caller waits no longer than this.
    pub deadline: Option<Instant>,
    /// Principal, tenant, correlation, causation and trace context: recorded with the events.
    pub origin: Origin,
    /// What the command is recognized by under its key, where it came as bytes: the body as received.
    pub fingerprint: Option<u128>,
}

/// What a caller expects of an aggregate before its command is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedVersion {
    /// Exactly this version.
    Exactly(Version),
    /// No events yet.
    New,
    /// At least one event.
    Existing,
}

impl ExpectedVersion {
    /// Whether the version fits.
    pub fn fits(self, version: Version) -> bool {
        match self {
            Self::Exactly(expected) => expected == version,
            Self::New => version == Version::ZERO,
            Self::Existing => version > Version::ZERO,
        }
    }
}

impl From<Version> for ExpectedVersion {
    fn from(version: Version) -> Self {
        Self::Exactly(version)
    }
}

/// Hash of a command's name and the bytes of its body.
pub fn fingerprint(command: &str, body: &[u8]) -> u128 {
    let mut bytes = Vec::with_capacity(command.len() + 1 + body.len());
    bytes.extend_from_slice(command.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(body);
    xxh3_128(&bytes)
}

/// Hash of an idempotency key in the scope of a principal, for memory only.
pub(crate) fn key_hash(principal: Option<&str>, key: &str) -> u128 {
    let mut bytes = Vec::with_capacity(key.len() + 64);
    bytes.extend_from_slice(principal.unwrap_or_default().as_bytes());
    bytes.push(u8::from(principal.is_some()));
    bytes.extend_from_slice(key.as_bytes());
    xxh3_128(&bytes)
}

/// Whether a text can be an idempotency key: 1 to 255 visible ASCII characters.
pub fn is_idempotency_key(key: &str) -> bool {
    (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Settles between a shard that decides and a caller whose deadline passes which of them was first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Withdrawal(Arc<AtomicU8>);

const WAITING: u8 = 0;
const DECIDED: u8 = 1;
const WITHDRAWN: u8 = 2;

impl Withdrawal {
    /// Before a decision: false if the caller has withdrawn the command. True again for one decided before.
    pub fn decide(&self) -> bool {
        let first = self.0.compare_exchange(WAITING, DECIDED, Ordering::AcqRel, Ordering::Acquire);
        first != Err(WITHDRAWN)
    }
    /// By the caller: whether nothing was decided, so that nothing will be recorded.
    pub fn withdraw(&self) -> bool {
        self.0.compare_exchange(WAITING, WITHDRAWN, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}
