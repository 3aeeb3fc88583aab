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

    /// Gives the memory back; the journal is asked from now on.
    pub fn forget(&mut self) {
        if !self.recorded.is_empty() {
            self.recorded = HashMap::default();
            self.complete = false;
        }
    }
}
