//! What the index holds in memory: appends of segments that have no run yet, and the newest versions of streams that
//! were written or loaded lately. Both are bounded: the first by sealing, the second by forgetting.

use super::entry::AppendEntry;
use crate::place::Place;
use foldhash::fast::RandomState;
use kronika_core::{StreamId, Version};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Locks are held for one stream's entry at a time, so a few dozen keep readers and the writer apart.
const SHARDS: u16 = 64;

/// An append that was let in and is not durable yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Admitted {
    shard: u16,
    slot: u32,
    before: u64,
    created: bool,
}

/// What is in memory.
#[derive(Debug)]
pub(super) struct Fresh {
    shards: Vec<Mutex<Shard>>,
    /// Streams without appends in memory that a shard remembers.
    heads_max: usize,
}

#[derive(Debug, Default)]
struct Shard {
    slots: HashMap<StreamId, u32, RandomState>,
    streams: Vec<Stream>,
    free: Vec<u32>,
    keys: HashMap<u128, Place, RandomState>,
    /// Streams of which nothing is in memory but the newest version.
    heads: usize,
    /// How often streams were forgotten.
    forgotten: u64,
    /// Counts up: when a stream was last written or loaded.
    clock: u64,
}

#[derive(Debug, Default)]
struct Stream {
    /// Newest version, durable or about to be.
    admitted: u64,
    /// Appends that were let in and are not durable yet.
    pending: u32,
    /// Durable appends in segments without a run.
    appends: Vec<AppendEntry>,
    used: u64,
}

impl Stream {
    fn is_head(&self) -> bool {
        self.appends.is_empty() && self.pending == 0
    }
}

/// A stream as it is in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InMemory {
    /// Its newest durable version, where that is known without a run.
    pub(super) newest: Option<u64>,
    /// Appends in memory.
    pub(super) appends: usize,
}

impl Fresh {
    pub(super) fn new(heads_max: usize) -> Self {
        let heads_max = heads_max / usize::from(SHARDS);
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), heads_max }
    }

    fn shard(&self, shard: u16) -> MutexGuard<'_, Shard> {
        self.shards[usize::from(shard)].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, stream: &StreamId) -> MutexGuard<'_, Shard> {
        self.shard(stream.slice().get() % SHARDS)
    }

    /// Lets an append in if the stream's newest version is the expected one; else gives the newest. `base` is that of
    /// a stream that is not in memory; without it such a stream gives `None`: it is looked up without the lock.
    pub(super) fn admit(
        &self,
        stream: &StreamId,
        expected: u64,
        events: u64,
        base: Option<u64>,
    ) -> Option<Result<Admitted, Version>> {
        let number = stream.slice().get() % SHARDS;
        let mut shard = self.shard(number);
        let (slot, created) = match shard.slots.get(stream) {
            Some(slot) => (*slot, false),
            None => {
                let newest = base?;
                if newest != expected {
                    return Some(Err(Version::new(newest)));
                }
                (shard.insert(stream.clone(), newest), true)
            }
        };
        shard.clock += 1;
        let clock = shard.clock;
        let entry = &mut shard.streams[slot as usize];
        if entry.admitted != expected {
            return Some(Err(Version::new(entry.admitted)));
        }
        let before = entry.admitted;
        let was_head = entry.is_head();
        entry.admitted += events;
        entry.pending += 1;
        entry.used = clock;
        shard.heads -= usize::from(was_head);
        Some(Ok(Admitted { shard: number, slot, before, created }))
    }

    /// Takes the last admission back that was not taken back yet.
    pub(super) fn withdraw(&self, stream: &StreamId, admitted: Admitted) {
        let mut shard = self.shard(admitted.shard);
        let entry = &mut shard.streams[admitted.slot as usize];
        entry.admitted = admitted.before;
        entry.pending -= 1;
        let is_head = entry.is_head();
        shard.heads += usize::from(is_head);
        if admitted.created && is_head {
            shard.remove(stream);
        }
    }

    /// An admitted append is durable.
    pub(super) fn record(&self, admitted: Admitted, entry: AppendEntry, key: Option<u128>) {
        let mut shard = self.shard(admitted.shard);
        let stream = &mut shard.streams[admitted.slot as usize];
        stream.pending -= 1;
        stream.appends.push(entry);
        if let Some(key) = key {
            shard.keys.insert(key, entry.place);
        }
    }

    /// A stream's state, without those appends that a run up to this segment holds; and how often its shard forgot
    /// streams, for [`Fresh::remember`].
    pub(super) fn stream(&self, stream: &StreamId, covered: u32) -> (InMemory, u64) {
        let shard = self.of(stream);
        let found = shard.slots.get(stream).map(|slot| &shard.streams[*slot as usize]);
        let in_memory = found.map_or(InMemory { newest: None, appends: 0 }, |stream| {
            let appends = stream.behind(covered);
            let newest = match (appends.last(), stream.pending) {
                (Some(last), _) => Some(last.end()),
                (None, 0) => Some(stream.admitted),
                (None, _) => None,
            };
            InMemory { newest, appends: appends.len() }
        });
        (in_memory, shard.forgotten)
    }

    /// Some of a stream's appends that no run up to a segment holds; fewer at their end.
    pub(super) fn appends(
        &self,
        stream: &StreamId,
        covered: u32,
        first: usize,
        count: usize,
    ) -> Vec<AppendEntry> {
        let shard = self.of(stream);
        let found = shard.slots.get(stream).map(|slot| &shard.streams[*slot as usize]);
        let appends = found.map_or(&[][..], |stream| stream.behind(covered));
        appends.iter().skip(first).take(count).copied().collect()
    }

    /// The place of the newest append in memory that may have this key.
    pub(super) fn key(&self, stream: &StreamId, hash: u128) -> Option<Place> {
        self.of(stream).keys.get(&hash).copied()
    }

    /// Remembers the newest version of a stream that was looked up, unless its shard forgot any since then: it may
    /// have been written and forgotten.
    pub(super) fn remember(&self, stream: &StreamId, newest: u64, forgotten: u64) {
        let mut shard = self.of(stream);
        if shard.forgotten == forgotten && !shard.slots.contains_key(stream) {
            shard.insert(stream.clone(), newest);
            shard.forget(self.heads_max);
        }
    }

    /// Drops what runs up to a segment hold.
    pub(super) fn retire(&self, covered: u32) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let mut heads = 0;
            for stream in &mut shard.streams {
                let (was_empty, held) = (stream.appends.is_empty(), stream.held(covered));
                if held == stream.appends.len() {
                    stream.appends = Vec::new();
                } else {
                    stream.appends.drain(..held);
                }
                heads += usize::from(!was_empty && stream.is_head());
            }
            shard.heads += heads;
            shard.keys.retain(|_, place| place.segment() > covered);
            shard.forget(self.heads_max);
        }
    }

    /// Streams in memory.
    pub(super) fn streams(&self) -> usize {
        let count =
            |shard: &Mutex<Shard>| shard.lock().unwrap_or_else(PoisonError::into_inner).slots.len();
        self.shards.iter().map(count).sum()
    }
}

impl Stream {
    /// How many of its appends runs up to a segment hold.
    fn held(&self, covered: u32) -> usize {
        self.appends.partition_point(|append| append.place.segment() <= covered)
    }

    fn behind(&self, covered: u32) -> &[AppendEntry] {
        &self.appends[self.held(covered)..]
    }
}

impl Shard {
    /// A new stream of which only the newest version is known.
    fn insert(&mut self, stream: StreamId, newest: u64) -> u32 {
        self.clock += 1;
        let (admitted, used) = (newest, self.clock);
        let new = Stream { admitted, pending: 0, appends: Vec::new(), used };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.streams[slot as usize] = new;
                slot
            }
            None => {
                self.streams.push(new);
                u32::try_from(self.streams.len() - 1).expect("a shard has less than 2^32 streams")
            }
        };
        self.slots.insert(stream, slot);
        self.heads += 1;
        slot
    }

    fn remove(&mut self, stream: &StreamId) {
        if let Some(slot) = self.slots.remove(stream) {
            self.streams[slot as usize] = Stream::default();
            self.free.push(slot);
            self.heads -= 1;
        }
    }

    /// Forgets heads, the least lately used first, down to three quarters of the bound, if there are more.
    fn forget(&mut self, heads_max: usize) {
        if self.heads <= heads_max {
            return;
        }
        let heads = self.slots.values().map(|slot| &self.streams[*slot as usize]);
        let mut used =
            heads.filter(|head| head.is_head()).map(|head| head.used).collect::<Vec<_>>();
        let kept = heads_max - heads_max / 4;
        let at = used.len() - kept.min(used.len());
        if at == 0 {
            return;
        }
        let (_, newest_forgotten, _) = used.select_nth_unstable(at - 1);
        let newest_forgotten = *newest_forgotten;
        self.forgotten += 1;
        let Self { slots, streams, free, heads, .. } = self;
        slots.retain(|_, slot| {
            let stream = &mut streams[*slot as usize];
            let forget = stream.is_head() && stream.used <= newest_forgotten;
            if forget {
                *stream = Stream::default();
                free.push(*slot);
                *heads -= 1;
            }
            !forget
        });
    }
}
