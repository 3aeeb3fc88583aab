//! Which idempotency keys an aggregate has seen, as far as memory remembers.

use kronika_core::AppendId;
use std::collections::HashMap;

/// Bytes that one remembered key takes, roughly: hash, id and the table's share.
pub(crate) const KEY_BYTES: usize = 48;

/// Keys of one resident. Complete as long as every key of the stream is in it: an unknown key is then
/// known to be new, without asking the journal.
#[derive(Debug)]
pub(crate) struct KeyMemory {
    recorded: HashMap<u128, AppendId, foldhash::fast::RandomState>,
    complete: bool,
}

/// What is remembered of a key.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Remembered {
    Recorded(AppendId),
    New,
    /// Only the journal can tell.
    Forgotten,
}

impl KeyMemory {
    pub fn new() -> Self {
        Self { recorded: HashMap::default(), complete: true }
    }

    pub fn look_up(&self, key: u128) -> Remembered {
        match (self.recorded.get(&key), self.complete) {
            (Some(id), _) => Remembered::Recorded(*id),
            (None, true) => Remembered::New,
            (None, false) => Remembered::Forgotten,
        }
    }

    pub fn remember(&mut self, key: u128, append: AppendId) {
        self.recorded.insert(key, append);
    }

    pub fn bytes(&self) -> usize {
        self.recorded.len() * KEY_BYTES
    }

    /// Keys before a snapshot are not known from reading on from it.
    pub fn after_snapshot(keyed: bool) -> Self {
        Self { complete: !keyed, ..Self::new() }
    }

    /// Whether no append of the stream has a key.
    pub fn has_none(&self) -> bool {
        self.complete && self.recorded.is_empty()
    }

    /// What was known of all keys before is known still, with those read since.
    pub fn with_all_known_before(self, mut before: Self) -> Self {
        if self.complete || !before.complete {
            return self;
        }
        before.recorded.extend(self.recorded);
        before
    }

    /// Gives the memory back; the journal is asked from now on.
    pub fn forget(&mut self) {
        if !self.recorded.is_empty() {
            self.recorded = HashMap::default();
            self.complete = false;
        }
    }
}
