//! A shard: one loop that serves a part of an aggregate type's residents.
//!
//! It decides commands on the newest state, durable or not, hands the events to the journal in groups, and
//! tells answers in order once what they saw is durable. Whatever is waiting when the journal has room joins
//! the next group: no fixed delay, no fixed batch. Nothing here blocks: loading, recovering and asking for
//! keys are tasks of their own.

mod decide;
mod keyed;
mod passivation;
mod snapshots;
mod tally;
mod way_back;

use crate::{
    environment::Environment,
    error::{CommandError, Failure, overloaded},
    keys::KeyMemory,
    limits::Limits,
    load::{Loaded, load},
    ownership::Ownership,
    recovery::{Recovery, unfenced},
    residency::Frequency,
    resident::{Phase, Released, Resident},
    snapshots::Snapshots,
    stats::Counters,
    work::{Work, panic_message},
};
use futures_util::FutureExt;
use keyed::Found;
use kronika_core::{
    Aggregate, Append, AppendError, Appended, BoxFuture, Epoch, Incarnation, SharedJournal,
    StreamId, Timestamp, Token, Version,
};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::BuildHasher,
    mem,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tally::Tally;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, Interval, MissedTickBehavior},
};

/// What a caller sends to a shard.
pub(crate) struct Mail<A: Aggregate> {
    pub id: A::Id,
    pub work: Box<dyn Work<A>>,
}

/// What a shard's own tasks report.
enum Report<A: Aggregate> {
    Loaded { slot: usize, epoch: Epoch, loaded: Result<Loaded<A>, Failure> },
    Recovered { slot: usize, epoch: Epoch, recovery: Recovery<A> },
    Asked { slot: usize, work: Box<dyn Work<A>>, found: Found },
}

/// What all shards of one aggregate type share.
pub(crate) struct Common {
    pub journal: SharedJournal,
    pub ownership: Arc<Ownership>,
    pub environment: Environment,
    pub limits: Limits,
    pub counters: Counters,
    /// Whether command bodies are recorded.
    pub records_bodies: bool,
    /// Ways back under way at a time.
    pub recoveries: Semaphore,
    pub snapshots: Snapshots,
}

/// A group on its way to the journal.
struct Group {
    results: BoxFuture<'static, Vec<Appended>>,
    /// Slot and number of the pending command of each append.
    sent: Vec<(usize, u64)>,
    bytes: usize,
}

/// What will be sent next.
#[derive(Default)]
struct Outgoing {
    appends: Vec<Append>,
    sent: Vec<(usize, u64)>,
    bytes: usize,
}

pub(crate) struct Shard<A: Aggregate> {
    common: Arc<Common>,
    incarnation: Incarnation,
    mailbox: mpsc::Receiver<Mail<A>>,
    reports: mpsc::UnboundedReceiver<Report<A>>,
    /// Bounded by the tasks that are under way: one for each slot at most.
    reporter: mpsc::UnboundedSender<Report<A>>,
    slots: Vec<Option<Box<Resident<A>>>>,
    free: Vec<usize>,
    index: HashMap<A::Id, usize, foldhash::fast::RandomState>,
    loadings: usize,
    load_queue: VecDeque<usize>,
    outgoing: Outgoing,
    in_flight: VecDeque<Group>,
    in_flight_appends: usize,
    in_flight_bytes: usize,
    resident_bytes: usize,
    key_bytes: usize,
    frequency: Frequency,
    random: fastrand::Rng,
    now: Timestamp,
    instant: Instant,
    /// When the last handler ended, or the turn began.
    handled: std::time::Instant,
    /// When a slow handler was last named in the log.
    named_slow: Option<std::time::Instant>,
    sweep: Interval,
    sweep_at: usize,
    tally: Tally,
    /// Events between two snapshots; 0 is never.
    snapshot_every: u32,
    /// Residents whose snapshot is due.
    due: VecDeque<usize>,
    /// Commands that were taken and wait undecided: in backlogs and as twins.
    waiting: usize,
    /// Places for tasks that answer a command by themselves: repeats, questions, proofs.
    tasks: Arc<Semaphore>,
    /// Residents and bytes that the shared counters know of.
    published: (usize, usize),
    closing: bool,
}

/// Commands taken from the mailbox in one turn.
const TURN: usize = 512;
/// Tasks that answer a command by themselves, at a time.
const TASKS: usize = 1024;
/// How often a turn lets other tasks run to gather more commands, while the journal is idle.
const GATHERINGS: usize = 4;

impl<A: Aggregate> Shard<A> {
    pub fn new(common: Arc<Common>, mailbox: mpsc::Receiver<Mail<A>>) -> Self {
        let (reporter, reports) = mpsc::unbounded_channel();
        let period =
            (common.limits.idle / 8).clamp(Duration::from_secs(1), Duration::from_secs(60));
        let mut sweep = tokio::time::interval(period);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            incarnation: common.journal.incarnation(),
            mailbox,
            reports,
            reporter,
            slots: Vec::new(),
            free: Vec::new(),
            index: HashMap::default(),
            loadings: 0,
            load_queue: VecDeque::new(),
            outgoing: Outgoing::default(),
            in_flight: VecDeque::new(),
            in_flight_appends: 0,
            in_flight_bytes: 0,
            resident_bytes: 0,
            key_bytes: 0,
            frequency: Frequency::new(),
            random: common.environment.random(),
            now: common.environment.now(),
            instant: Instant::now(),
            handled: std::time::Instant::now(),
            named_slow: None,
            sweep,
            sweep_at: 0,
            tally: Tally::default(),
            snapshot_every: common.snapshots.every::<A>(),
            due: VecDeque::new(),
            waiting: 0,
            tasks: Arc::new(Semaphore::new(TASKS)),
            published: (0, 0),
            closing: false,
            common,
        }
    }

    /// Serves until the mailbox is closed and everything that was taken is answered.
    pub async fn run(mut self) {
        let mut mail = Vec::with_capacity(TURN);
        while !(self.closing && self.is_done()) {
            let limits = &self.common.limits;
            let room = self.in_flight_appends < limits.in_flight_appends
                && self.in_flight_bytes < limits.in_flight_bytes;
            tokio::select! { biased;
                results = results(&mut self.in_flight), if !self.in_flight.is_empty() => {
                    self.tell_time();
                    self.results(results);
                }
                report = self.reports.recv() => {
                    self.tell_time();
                    self.report(report.expect("the shard holds a sender itself"));
                }
                count = self.mailbox.recv_many(&mut mail, TURN), if room && !self.closing => {
                    self.closing = count == 0;
                    self.tell_time();
                    self.take(&mut mail);
                    self.gather(&mut mail).await;
                }
                _ = all_places(&self.tasks), if self.closing && self.tasks.available_permits() < TASKS => {}
                _ = self.sweep.tick() => self.let_idle_go(),
            }
            self.send();
            self.take_snapshots();
            self.make_room();
            self.publish();
        }
    }

    fn is_done(&self) -> bool {
        let busy = |slot: &Option<Box<Resident<A>>>| slot.as_ref().is_some_and(|it| !it.is_idle());
        let tasks = self.tasks.available_permits() < TASKS;
        self.in_flight.is_empty() && !tasks && !self.slots.iter().any(busy)
    }

    /// A place for a task that answers a command by itself.
    fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.tasks.clone().try_acquire_owned().ok()
    }

    /// Whether so many commands wait, for this aggregate or in all, that no more may.
    fn is_crowded(&mut self, slot: usize) -> bool {
        let limits = &self.common.limits;
        let (pending, all) = (limits.pending_commands, limits.mailbox_commands);
        self.waiting >= all || self.resident(slot).waiting() >= pending
    }

    fn tell_time(&mut self) {
        self.now = self.common.environment.now();
        self.instant = Instant::now();
        self.handled = std::time::Instant::now();
    }

    /// While the journal is idle and commands keep coming, one more look is worth more than an early write.
    async fn gather(&mut self, mail: &mut Vec<Mail<A>>) {
        for _ in 0..GATHERINGS {
            if !self.in_flight.is_empty() || self.outgoing.appends.is_empty() {
                return;
            }
            tokio::task::yield_now().await;
            while mail.len() < TURN
                && let Ok(more) = self.mailbox.try_recv()
            {
                mail.push(more);
            }
            if mail.is_empty() {
                return;
            }
            self.tell_time();
            self.take(mail);
        }
    }

    fn take(&mut self, mail: &mut Vec<Mail<A>>) {
        for Mail { id, work } in mail.drain(..) {
            let slot = match self.index.get(&id) {
                Some(slot) => *slot,
                None => match self.occupy(id) {
                    Ok(slot) => slot,
                    Err(failure) => {
                        self.tally.count(work.settle(Err(failure)));
                        continue;
                    }
                },
            };
            self.receive(slot, work);
        }
    }

    /// A slot for an aggregate that is not in memory, and its loading begun.
    fn occupy(&mut self, id: A::Id) -> Result<usize, Failure> {
        let stream = StreamId::new(A::TYPE, &id.to_string()).map_err(CommandError::BadId)?;
        let hash = self.index.hasher().hash_one(&id);
        let resident = Box::new(Resident::new(id.clone(), hash, stream, self.instant));
        self.resident_bytes += resident.weight;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot] = Some(resident);
                slot
            }
            None => {
                self.slots.push(Some(resident));
                self.slots.len() - 1
            }
        };
        self.index.insert(id, slot);
        self.load_queue.push_back(slot);
        self.load_next();
        Ok(slot)
    }

    fn load_next(&mut self) {
        while self.loadings < self.common.limits.loadings
            && let Some(slot) = self.load_queue.pop_front()
        {
            self.loadings += 1;
            let (common, stream) = (self.common.clone(), self.resident(slot).stream.clone());
            let reporter = self.reporter.clone();
            tokio::spawn(async move {
                let settled = common.ownership.settle_doubts().await.map_err(unfenced);
                let epoch = common.ownership.epoch();
                let loaded = match settled {
                    Ok(()) => {
                        let load = AssertUnwindSafe(load::<A>(&common, &stream, None));
                        load.catch_unwind().await.unwrap_or_else(|panic| {
                            let said = panic_message(&*panic);
                            Err(CommandError::Unavailable(format!("loading panicked: {said}")))
                        })
                    }
                    Err(failure) => Err(failure),
                };
                // A shard that is gone needs no report.
                let _ = reporter.send(Report::Loaded { slot, epoch, loaded });
            });
        }
    }

    fn resident(&mut self, slot: usize) -> &mut Resident<A> {
        self.slots[slot].as_mut().expect("a slot that is spoken of is occupied")
    }

    fn receive(&mut self, slot: usize, work: Box<dyn Work<A>>) {
        let (limit, instant) = (self.common.limits.pending_commands, self.instant);
        let resident = self.slots[slot].as_mut().expect("a slot that is spoken of is occupied");
        self.frequency.used(resident.hash);
        resident.used = instant;
        let waits = resident.phase != Phase::Live || !resident.backlog.is_empty();
        if resident.waiting() >= limit
            || (waits && self.waiting >= self.common.limits.mailbox_commands)
        {
            self.tally.count(work.settle(Err(overloaded("the queue of undecided commands"))));
        } else if waits {
            self.waiting += 1;
            self.resident(slot).backlog.push_back(work);
        } else {
            self.decide(slot, work);
        }
    }

    fn drain_backlog(&mut self, slot: usize) {
        while let Some(resident) = self.slots[slot].as_mut()
            && resident.phase == Phase::Live
            && let Some(work) = resident.backlog.pop_front()
        {
            self.waiting -= 1;
            self.decide(slot, work);
        }
    }

    /// Hands what was decided to the journal, as one group.
    fn send(&mut self) {
        if self.outgoing.appends.is_empty() {
            return;
        }
        let Outgoing { appends, sent, bytes } = mem::take(&mut self.outgoing);
        Counters::add(&self.common.counters.groups, 1);
        Counters::add(&self.common.counters.appends, appends.len() as u64);
        let results = self.common.journal.append(appends);
        self.in_flight.push_back(Group { results, sent, bytes });
    }

    /// The results of the oldest group.
    fn results(&mut self, results: Vec<Appended>) {
        let group = self.in_flight.pop_front().expect("results come of a group");
        assert_eq!(results.len(), group.sent.len(), "the journal gives a result for each append");
        self.in_flight_appends -= group.sent.len();
        self.in_flight_bytes -= group.bytes;
        for ((slot, number), result) in group.sent.into_iter().zip(results) {
            match &result {
                Err(AppendError::Failed(why)) => self.common.ownership.fail(why),
                Err(error) => tracing::debug!(%error, "an append failed"),
                Ok(_) => {}
            }
            let recorded = self.resident(slot).result(number, result);
            self.tally.events += recorded;
            self.save_durable(slot);
            self.release(slot);
            if self.resident(slot).phase == Phase::Broken {
                self.recover_if_settled(slot);
            }
        }
    }

    /// Tells every answer that may be told.
    fn release(&mut self, slot: usize) {
        let mut again = false;
        while let Some(released) = self.resident(slot).release() {
            again |= self.tell(slot, released);
        }
        if again {
            self.drain_backlog(slot);
        }
    }

    /// Tells one answer; whether commands with its key wait to be handled now.
    fn tell(&mut self, slot: usize, released: Released<A>) -> bool {
        let Released { mut work, version, mark, recorded } = released;
        let token = Token::of(self.incarnation, mark);
        let key = work.request().key;
        if let (Some(key), Some(id)) = (key, recorded) {
            self.remember(slot, key, id);
        }
        if recorded.is_none() && !self.common.ownership.lease_is_live() {
            self.prove(slot, work, version, token);
        } else {
            self.tally.count(work.settle(Ok((version, token))));
        }
        key.is_some_and(|key| self.free_key(slot, key))
    }

    /// An answer without an append from an owner whose lease is over needs the epoch to be read.
    fn prove(&mut self, slot: usize, work: Box<dyn Work<A>>, version: Version, token: Token) {
        let Some(place) = self.place() else {
            return self.tally.count(work.settle(Err(overloaded("proofs of ownership"))));
        };
        let (common, slice) = (self.common.clone(), self.resident(slot).stream.slice());
        tokio::spawn(async move {
            let durable = match common.ownership.prove(slice).await {
                Ok(true) => Ok((version, token)),
                Ok(false) => Err(CommandError::NotOwner),
                Err(why) => Err(CommandError::Unavailable(why)),
            };
            tally::count(&common.counters, work.settle(durable));
            drop(place);
        });
    }

    fn report(&mut self, report: Report<A>) {
        match report {
            Report::Loaded { slot, epoch, loaded } => self.loaded(slot, epoch, loaded),
            Report::Recovered { slot, epoch, recovery } => self.recovered(slot, epoch, recovery),
            Report::Asked { slot, work, found } => self.asked(slot, work, found),
        }
    }

    fn loaded(&mut self, slot: usize, epoch: Epoch, loaded: Result<Loaded<A>, Failure>) {
        self.loadings -= 1;
        self.load_next();
        Counters::add(&self.common.counters.loadings, 1);
        match loaded {
            Ok(loaded) => {
                self.install(slot, loaded, epoch);
                self.drain_backlog(slot);
            }
            Err(failure) => self.give_up(slot, &failure, &HashSet::new()),
        }
    }

    fn install(&mut self, slot: usize, mut loaded: Loaded<A>, epoch: Epoch) {
        let resident = self.slots[slot].as_mut().expect("a slot that is spoken of is occupied");
        self.key_bytes -= resident.keys.bytes();
        if loaded.progress.version <= resident.durable {
            let before = mem::replace(&mut resident.keys, KeyMemory::new());
            loaded.keys = loaded.keys.with_all_known_before(before);
        }
        self.key_bytes += loaded.keys.bytes();
        resident.install(loaded, epoch);
        if self.key_bytes > self.common.limits.key_bytes / self.common.limits.shards.max(1) {
            self.key_bytes -= resident.keys.bytes();
            resident.keys.forget();
        }
        self.weigh(slot);
        self.note_due(slot);
    }

    fn weigh(&mut self, slot: usize) {
        let change = self.resident(slot).weigh();
        self.resident_bytes = self.resident_bytes.saturating_add_signed(change);
    }

    /// Adds what this turn counted to the counters that all shards share.
    fn publish(&mut self) {
        let counters = &self.common.counters;
        mem::take(&mut self.tally).add_to(counters);
        let (residents, bytes) = (self.index.len(), self.resident_bytes + self.key_bytes);
        // Wrapping addition of the difference: other shards add theirs.
        let change = |counter: &AtomicU64, now: usize, before: usize| {
            if now != before {
                counter.fetch_add((now as u64).wrapping_sub(before as u64), Ordering::Relaxed);
            }
        };
        change(&counters.residents, residents, self.published.0);
        change(&counters.resident_bytes, bytes, self.published.1);
        self.published = (residents, bytes);
    }
}

/// Polls the oldest group; results are taken in the order in which groups were sent.
async fn results(in_flight: &mut VecDeque<Group>) -> Vec<Appended> {
    let group = in_flight.front_mut().expect("polled only while a group is in flight");
    (&mut group.results).await
}

/// Waits until no task holds a place any more.
async fn all_places(tasks: &Semaphore) {
    // The semaphore is never closed.
    drop(tasks.acquire_many(TASKS as u32).await);
}
