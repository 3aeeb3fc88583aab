//! Letting residents go, by bytes and by idleness.

use super::Shard;
use crate::{residency::worth, resident::Resident, stats::Counters};
use kronika_core::Aggregate;

impl<A: Aggregate> Shard<A> {
    pub(super) fn vacate(&mut self, slot: usize) -> Box<Resident<A>> {
        let resident = self.slots[slot].take().expect("a slot that is spoken of is occupied");
        assert!(resident.in_flight == 0, "nothing in flight is ever let go");
        self.index.remove(&resident.id);
        self.free.push(slot);
        self.resident_bytes = self.resident_bytes.saturating_sub(resident.weight);
        self.key_bytes -= resident.keys.bytes();
        resident
    }

    /// Bounded by bytes: of a sample of idle residents the one that is worth least goes first.
    pub(super) fn make_room(&mut self) {
        let limit = self.common.limits.resident_bytes / self.common.limits.shards.max(1);
        let mut attempts = 0;
        while self.resident_bytes + self.key_bytes > limit && attempts < 32 {
            attempts += 1;
            let Some(victim) = self.least_valuable() else { return };
            self.take_leave(victim);
            self.vacate(victim);
            Counters::add(&self.common.counters.passivations, 1);
        }
    }

    pub(super) fn least_valuable(&mut self) -> Option<usize> {
        const LOOKS: usize = 64;
        const SAMPLE: usize = 12;
        let start = self.random.usize(..self.slots.len().max(1));
        let looks = (0..LOOKS.min(self.slots.len())).map(|step| (start + step) % self.slots.len());
        let idle = looks.filter_map(|slot| {
            let resident = self.slots[slot].as_ref().filter(|resident| resident.is_idle())?;
            let frequency = self.frequency.estimate(resident.hash);
            Some((worth(frequency, resident.weight + resident.keys.bytes()), slot))
        });
        idle.take(SAMPLE).min().map(|(_, slot)| slot)
    }

    /// Lets go what nobody asked for in a long time: some slots at each tick.
    pub(super) fn let_idle_go(&mut self) {
        const SLOTS_PER_TICK: usize = 20_000;
        self.tell_time();
        for _ in 0..SLOTS_PER_TICK.min(self.slots.len()) {
            self.sweep_at = (self.sweep_at + 1) % self.slots.len();
            let (instant, idle) = (self.instant, self.common.limits.idle);
            let over = |it: &Resident<A>| it.is_idle() && instant.duration_since(it.used) >= idle;
            if self.slots[self.sweep_at].as_deref().is_some_and(over) {
                self.take_leave(self.sweep_at);
                self.vacate(self.sweep_at);
                Counters::add(&self.common.counters.passivations, 1);
            }
        }
    }
}
