//! Where everything stands: derived from the log, kept in memory, rebuilt by the scan at opening.
//!
//! By stream it holds 16 bytes for an append, by key 16 bytes for a key, by position 16 bytes for every
//! [`COMMITS_APART`] bytes of log. It says where to look and never what is there: what is read is verified.

use crate::place::Place;
use foldhash::fast::RandomState;
use kronika_core::{AppendId, Position, StreamId, Version};
use std::{
    collections::HashMap,
    hash::BuildHasher,
    sync::{Mutex, MutexGuard, PoisonError, RwLock},
};

/// Locks are held for one stream's entry at a time, so a few dozen keep readers and the writer apart.
const SHARDS: u16 = 64;
/// Bytes of log between two commits that are indexed by position.
const COMMITS_APART: u64 = 16 << 10;
/// A stream's version is kept in 40 bits.
pub(crate) const VERSION_MAX: u64 = (1 << 40) - 1;

/// One append of a stream: its place, the stream's version after it, and 24 bits of its id's hash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AppendEntry {
    pub(crate) place: Place,
    end_and_id: u64,
}

impl AppendEntry {
    pub(crate) fn new(place: Place, end: Version, id: AppendId) -> Self {
        Self { place, end_and_id: end.get() << 24 | id_bits(id) }
    }
    /// The stream's version after it.
    pub(crate) fn end(self) -> u64 {
        self.end_and_id >> 24
    }
    /// Whether it may be the append of that id.
    pub(crate) fn may_be(self, id: AppendId) -> bool {
        self.end_and_id & 0xff_ffff == id_bits(id)
    }
}

fn id_bits(id: AppendId) -> u64 {
    let folded = (id.get() as u64) ^ (id.get() >> 64) as u64;
    folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40
}

/// The log's index.
#[derive(Debug)]
pub(crate) struct Index {
    shards: Vec<Mutex<Shard>>,
    commits: RwLock<Vec<(u64, Place)>>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Shard {
    slots: HashMap<StreamId, u32, RandomState>,
    streams: Vec<Stream>,
    keys: HashMap<u64, Place, RandomState>,
}

#[derive(Debug, Default)]
struct Stream {
    /// Newest version, durable or about to be.
    admitted: u64,
    /// Durable appends.
    appends: Vec<AppendEntry>,
}

/// An append that was let in and is not durable yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Admitted {
    shard: u16,
    slot: u32,
    before: u64,
    created: bool,
}

impl Index {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            commits: RwLock::default(),
            hasher: RandomState::default(),
        }
    }

    fn shard(&self, shard: u16) -> MutexGuard<'_, Shard> {
        self.shards[usize::from(shard)].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets an append in if the stream's newest version is the expected one; else gives the newest.
    pub(crate) fn admit(
        &self,
        stream: &StreamId,
        expected: Version,
        events: u64,
    ) -> Result<Admitted, Version> {
        let number = stream.slice().get() % SHARDS;
        let mut shard = self.shard(number);
        let Shard { slots, streams, .. } = &mut *shard;
        let (slot, created) = match slots.get(stream) {
            Some(slot) => (*slot, false),
            None if expected != Version::ZERO => return Err(Version::ZERO),
            None => {
                let slot = u32::try_from(streams.len()).expect("a shard has at most 2^32 streams");
                slots.insert(stream.clone(), slot);
                streams.push(Stream::default());
                (slot, true)
            }
        };
        let entry = &mut streams[slot as usize];
        if entry.admitted != expected.get() {
            return Err(Version::new(entry.admitted));
        }
        let before = entry.admitted;
        entry.admitted += events;
        Ok(Admitted { shard: number, slot, before, created })
    }

    /// Takes the last admission back that was not taken back yet.
    pub(crate) fn withdraw(&self, stream: &StreamId, admitted: Admitted) {
        let mut shard = self.shard(admitted.shard);
        if admitted.created {
            shard.slots.remove(stream);
            shard.streams.pop();
            assert_eq!(shard.streams.len(), admitted.slot as usize, "taken back in reverse order");
        } else {
            shard.streams[admitted.slot as usize].admitted = admitted.before;
        }
    }

    /// An admitted append is durable.
    pub(crate) fn record(&self, admitted: Admitted, entry: AppendEntry, key: Option<u64>) {
        let mut shard = self.shard(admitted.shard);
        shard.streams[admitted.slot as usize].appends.push(entry);
        if let Some(key) = key {
            shard.keys.insert(key, entry.place);
        }
    }

    /// A durable commit whose first event has this position, or the next event if it has none.
    pub(crate) fn record_commit(&self, first: Position, place: Place) {
        let mut commits = self.commits.write().unwrap_or_else(PoisonError::into_inner);
        let apart = commits.last().is_none_or(|(_, last)| {
            last.segment() != place.segment() || place.offset() - last.offset() >= COMMITS_APART
        });
        if apart {
            commits.push((first.get(), place));
        }
    }

    /// A commit at or before the one that holds the position; `None` if nothing was recorded.
    pub(crate) fn commit_before(&self, position: Position) -> Option<Place> {
        let commits = self.commits.read().unwrap_or_else(PoisonError::into_inner);
        let after = commits.partition_point(|(first, _)| *first <= position.get());
        commits.get(after.saturating_sub(1)).map(|(_, place)| *place)
    }

    /// Looks at a stream's durable appends, which are none for a stream that is not there.
    pub(crate) fn stream<T>(&self, stream: &StreamId, look: impl FnOnce(&[AppendEntry]) -> T) -> T {
        let shard = self.shard(stream.slice().get() % SHARDS);
        let slot = shard.slots.get(stream);
        look(slot.map_or(&[], |slot| &shard.streams[*slot as usize].appends))
    }

    /// The place of the newest append that may have this key.
    pub(crate) fn key(&self, stream: &StreamId, hash: u64) -> Option<Place> {
        self.shard(stream.slice().get() % SHARDS).keys.get(&hash).copied()
    }

    /// Hash of an idempotency key in its scope. Seeded for each process, so that nobody can aim at it.
    pub(crate) fn key_hash(&self, stream: &StreamId, principal: Option<&str>, key: &str) -> u64 {
        self.hasher.hash_one((stream, principal, key))
    }
}
