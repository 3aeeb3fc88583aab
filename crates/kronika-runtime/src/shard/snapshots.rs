//! Taking snapshots: when a turn's groups are on their way, so that encoding costs no caller its write.
//!
//! A state is encoded at its version, durable or not, and saved when that version is durable. Should it never
//! be, the loading that it belongs to breaks, and the snapshot goes with it.

use super::Shard;
use crate::{
    load::leaving,
    resident::Phase,
    snapshots::{Held, Progress},
    stats::Counters,
};
use kronika_core::Aggregate;

/// Bytes of states that one turn encodes, but for the last one.
const TURN_BYTES: usize = 256 << 10;

impl<A: Aggregate> Shard<A> {
    /// Notes an aggregate whose next snapshot is due.
    pub(super) fn note_due(&mut self, slot: usize) {
        let every = self.snapshot_every;
        let resident = self.resident(slot);
        if !resident.progress.queued && resident.progress.is_due(resident.version, every) {
            resident.progress.queued = true;
            self.due.push_back(slot);
        }
    }

    /// Takes the snapshots that are due, as many as one turn may.
    pub(super) fn take_snapshots(&mut self) {
        let mut bytes = 0;
        while bytes < TURN_BYTES
            && let Some(slot) = self.due.pop_front()
        {
            if let Some(resident) = self.slots[slot].as_mut() {
                resident.progress.queued = false;
                bytes += self.take_snapshot(slot, self.snapshot_every);
            }
        }
    }

    /// Leaves a snapshot behind when an idle aggregate is let go, if that saves enough events.
    pub(super) fn take_leave(&mut self, slot: usize) {
        self.take_snapshot(slot, leaving(self.snapshot_every));
    }

    /// Gives the bytes that were encoded.
    fn take_snapshot(&mut self, slot: usize, every: u32) -> usize {
        let snapshots = &self.common.snapshots;
        let resident = self.slots[slot].as_mut().expect("a slot that is spoken of is occupied");
        let (version, progress) = (resident.version, &mut resident.progress);
        let decides = matches!(resident.phase, Phase::Live | Phase::Asking);
        if !decides || resident.held.is_some() || !progress.is_due(version, every) {
            return 0;
        }
        // One whose key is not settled yet counts, too.
        let keyed = !resident.keys.has_none() || !resident.twins.is_empty();
        let room = snapshots.room(progress.bytes.max(resident.weight));
        let Some(mut room) = room.filter(|_| snapshots.suits(keyed)) else {
            progress.not_before = version.plus(u64::from(every.div_ceil(8)));
            return 0;
        };
        // States grow: a quarter more saves copying it while it is written.
        match snapshots.encode(&resident.state, progress.bytes + progress.bytes / 4) {
            Ok(state) => {
                let bytes = state.len();
                *progress = Progress::taken(version, bytes);
                room.holds(bytes);
                resident.held = Some(Held { version, keyed, state, room });
                self.save_durable(slot);
                bytes
            }
            Err(why) => {
                // Not at every turn: it takes time, and the next one will hardly differ.
                progress.not_before = version.plus(u64::from(every) * 16);
                snapshots.warn(&resident.stream, &why, "no snapshot was taken");
                resident.weight
            }
        }
    }

    /// Saves the snapshot whose version is durable now.
    pub(super) fn save_durable(&mut self, slot: usize) {
        let resident = self.slots[slot].as_mut().expect("a slot that is spoken of is occupied");
        let (durable, early) = (resident.durable, self.common.snapshots.early());
        let ready = |held: &mut Held| held.version <= durable || early;
        let Some(held) = resident.held.take_if(ready) else { return };
        assert!(held.version == durable || early, "appends become durable one after the other");
        Counters::add(&self.common.counters.snapshots, 1);
        self.common.snapshots.save::<A>(resident.stream.clone(), resident.mark, held);
    }
}
