//! Everything that one journal in memory holds, behind one lock: what is recorded, what is on its way, what
//! is to fail. It neither waits nor wakes: that is done by the handle.

use super::{
    account::Sent,
    settings::{Fault, MemorySettings, PlantedFault, ReadFault},
    store::Store,
};
use crate::moment::Moments;
use kronika_core::{
    Append, AppendError, AppendId, Appended, Chains, ClaimError, Epoch, Incarnation, NewEvent,
    Ownership, SLICES, SliceRange, StreamId, Timestamp,
};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::oneshot, time::Instant};

/// Where the wall clock of every journal in memory begins: 2023-11-14T22:13:20Z.
const CLOCK_BEGINS: Timestamp = Timestamp::new(1_700_000_000_000_000);

/// A process that uses the journal, with chains of its own, and its opening, which a crash ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Connection {
    pub process: u32,
    pub opening: u64,
}

/// Something that takes effect when those before it have.
pub(super) enum Entry {
    Group(Group),
    Claim(Claim),
}

pub(super) struct Group {
    pub process: u32,
    pub appends: Vec<Flying>,
    pub answer: oneshot::Sender<(Vec<Appended>, Duration)>,
}

pub(super) struct Claim {
    pub slices: SliceRange,
    pub held: Option<Epoch>,
    pub answer: oneshot::Sender<Result<Ownership, ClaimError>>,
}

/// One append on its way.
pub(super) struct Flying {
    pub append: Append,
    pub fault: Option<Fault>,
    /// Its line in the account.
    pub line: usize,
    /// Whether its epoch was the present one at the call. Looked at only by a planted fault.
    pub epoch_held_at_call: bool,
}

/// Told as unknown, and recorded at `due` unless that has become impossible.
pub(super) struct Late {
    pub number: u64,
    pub append: Append,
}

/// Which appends a scripted fault waits for.
pub(super) enum Awaited {
    Nth(usize),
    Of(StreamId),
}

pub(super) type StrangerEvents = Arc<dyn Fn(&StreamId) -> Vec<NewEvent> + Send + Sync>;

pub(super) struct State {
    pub settings: MemorySettings,
    pub random: fastrand::Rng,
    pub moments: Moments,
    pub store: Store,
    pub chains: HashMap<u32, Chains>,
    pub processes: u32,
    pub opening: u64,
    pub failed: Option<String>,
    pub queue: VecDeque<(u64, Entry)>,
    pub late: Vec<Late>,
    /// Of a write that failed: whether they are recorded shows when the journal is opened anew.
    pub doubtful: Vec<Append>,
    /// Of groups and late effects.
    pub numbers: u64,
    /// When the newest entry of the queue takes effect.
    pub newest_due: Instant,
    pub scripted: Vec<(Awaited, Fault)>,
    pub scripted_reads: Vec<(usize, ReadFault)>,
    pub planted: Vec<PlantedFault>,
    pub sent: Vec<Sent>,
    pub leased_until: Vec<Option<Instant>>,
    pub stranger: Option<StrangerEvents>,
    pub turned_back: Duration,
    pub began: Instant,
    /// Appends that survive a crash; all, but for a planted fault.
    pub durable: usize,
}

impl State {
    pub fn new(settings: MemorySettings) -> Self {
        let mut random = fastrand::Rng::with_seed(settings.seed);
        let incarnation = Incarnation::new(random.u128(1..));
        Self {
            settings,
            random,
            moments: Moments::default(),
            store: Store::new(incarnation),
            chains: HashMap::new(),
            processes: 1,
            opening: 1,
            failed: None,
            queue: VecDeque::new(),
            late: Vec::new(),
            doubtful: Vec::new(),
            numbers: 0,
            newest_due: Instant::now(),
            scripted: Vec::new(),
            scripted_reads: Vec::new(),
            planted: Vec::new(),
            sent: Vec::new(),
            leased_until: vec![None; usize::from(SLICES)],
            stranger: None,
            turned_back: Duration::ZERO,
            began: Instant::now(),
            durable: 0,
        }
    }

    pub fn is_planted(&self, fault: PlantedFault) -> bool {
        self.planted.contains(&fault)
    }

    pub fn is_closed(&self, connection: Connection) -> bool {
        connection.opening != self.opening
    }

    /// The wall clock, which may be turned back.
    pub fn clock(&self) -> Timestamp {
        let elapsed = self.began.elapsed();
        let micros = CLOCK_BEGINS.get() - self.turned_back.as_micros() as i64;
        Timestamp::new(micros).plus(elapsed)
    }

    pub fn new_id(&mut self) -> AppendId {
        AppendId::from_parts(self.clock(), self.random.u64(..))
    }

    pub fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub fn chance(&mut self, chance: f64) -> bool {
        chance > 0.0 && self.random.f64() < chance
    }

    pub fn within(&mut self, at_most: Duration) -> Duration {
        match at_most.as_micros() as u64 {
            0 => Duration::ZERO,
            micros => Duration::from_micros(self.random.u64(..=micros)),
        }
    }

    /// When what is sent now takes effect: after all that was sent before.
    pub fn due(&mut self) -> Instant {
        let due = Instant::now() + self.within(self.settings.plan.effect_within);
        self.newest_due = self.newest_due.max(due);
        self.newest_due
    }

    /// The fault that strikes an append, drawn when it is called, so that it follows from the seed.
    pub fn fault_of(&mut self, append: &Append) -> Option<Fault> {
        if let Some(scripted) = self.scripted_fault(&append.stream) {
            return Some(scripted);
        }
        let plan = self.settings.plan.clone();
        let leased = self.leased_until[usize::from(append.stream.slice().get())];
        let leased = leased.is_some_and(|until| Instant::now() < until);
        let faults = [
            (plan.conflict, Fault::Conflict),
            (if leased { 0.0 } else { plan.fenced }, Fault::Fenced),
            (plan.unavailable, Fault::Unavailable),
            (plan.unknown_before, Fault::UnknownBefore),
            (plan.unknown_after, Fault::UnknownAfter),
            (plan.unknown_later, Fault::UnknownLater(self.within(plan.later_within))),
        ];
        faults.into_iter().find(|(chance, _)| self.chance(*chance)).map(|(_, fault)| fault)
    }

    fn scripted_fault(&mut self, stream: &StreamId) -> Option<Fault> {
        for (awaited, _) in &mut self.scripted {
            if let Awaited::Nth(left) = awaited {
                *left = left.saturating_sub(1);
            }
        }
        let strikes = self.scripted.iter().position(|(awaited, _)| match awaited {
            Awaited::Nth(left) => *left == 0,
            Awaited::Of(of) => of == stream,
        });
        strikes.map(|index| self.scripted.remove(index).1)
    }

    /// How long a read takes, and whether it fails at its end.
    pub fn read_fate(&mut self) -> (Duration, bool) {
        self.scripted_reads.iter_mut().for_each(|(left, _)| *left = left.saturating_sub(1));
        let strikes = self.scripted_reads.iter().position(|(left, _)| *left == 0);
        let delay = self.within(self.settings.plan.read_within);
        match strikes.map(|index| self.scripted_reads.remove(index).1) {
            Some(ReadFault::Unavailable) => (delay, true),
            Some(ReadFault::Slow(delay)) => (delay, false),
            None => (delay, self.chance(self.settings.plan.read_unavailable)),
        }
    }

    /// Ends the present opening. What was on its way took effect up to some append, by chance, and nobody
    /// is told; what was not durable is gone.
    pub fn crash(&mut self) {
        if self.is_planted(PlantedFault::ReplyBeforeDurable) {
            self.queue.clear();
            self.store.truncate(self.durable);
        }
        let mut goes_on = true;
        for (_, entry) in std::mem::take(&mut self.queue) {
            let Entry::Group(group) = entry else { continue };
            for flying in group.appends {
                goes_on = goes_on && self.random.bool();
                if goes_on && self.failed.is_none() {
                    self.admit_or_break(flying, group.process);
                }
            }
            let _ = group.answer.send((Vec::new(), Duration::ZERO)); // the caller may have gone
        }
        for late in std::mem::take(&mut self.late) {
            if self.random.bool() {
                self.record_late(late.append);
            }
        }
        self.opening += 1;
        self.chains.clear();
    }

    /// Begins a new opening.
    pub fn reopen(&mut self) -> Connection {
        self.crash();
        for append in std::mem::take(&mut self.doubtful) {
            if self.random.bool() {
                self.record_late(append);
            }
        }
        self.failed = None;
        if self.is_planted(PlantedFault::EpochForgotten) {
            self.store.epochs.fill(Epoch::default());
        }
        self.processes += 1;
        Connection { process: self.processes, opening: self.opening }
    }

    pub fn unavailable() -> String {
        "injected: the store is away".into()
    }

    pub fn failed_error(why: &str) -> AppendError {
        AppendError::Failed(why.to_owned())
    }
}
