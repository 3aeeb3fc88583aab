//! What a review with fresh eyes found: user code that panics, bounds that did not hold, repeats that were told
//! the wrong thing. Each was seen to fail once.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;
use common::{Add, Cart, Count, add, id, service, small};
use kronika_core::*;
use kronika_macros::{Command, Event};
use kronika_runtime::{Aggregates, CommandError, Commands, Kronika, Standing};
use kronika_testkit::{Fault, MemoryJournal, MemorySettings, Plan, ReadFault};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;

fn slow(finds_keys: bool) -> MemoryJournal {
    let plan = Plan { effect_within: Duration::from_millis(50), ..Plan::calm() };
    MemoryJournal::open(MemorySettings { seed: 3, plan, finds_keys, ..MemorySettings::default() })
}

#[tokio::test(start_paused = true)]
async fn a_remembered_key_is_replayed_where_the_journal_finds_no_keys() {
    let journal = slow(false);
    let (_service, carts) = service(&journal, small()).await;
    let send = || carts.send(&id("a"), add(&["x"])).idempotency_key("k").receipt();
    send().await.unwrap();
    let again = send().await;
    assert!(again.as_ref().is_ok_and(|it| it.replayed), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn keyed_repeat_past_its_deadline_is_not_told_nothing_was_recorded() {
    let plan = Plan { answer_within: Duration::from_secs(10), ..Plan::default() };
    let journal =
        MemoryJournal::open(MemorySettings { seed: 3, plan, ..MemorySettings::default() });
    let (_service, carts) = service(&journal, small()).await;
    let send = || {
        carts
            .send(&id("a"), add(&["x"]))
            .idempotency_key("k")
            .within(Duration::from_millis(100))
            .receipt()
    };
    let _first = send().await;
    let second = send().await;
    assert!(
        !matches!(second, Err(CommandError::DeadlinePassed)),
        "{second:?}, recorded: {}",
        journal.everything().len()
    );
}
#[tokio::test(start_paused = true)]
async fn a_slow_repeat_past_its_deadline_is_in_doubt() {
    let journal = MemoryJournal::new(1);
    let (_service, carts) = service(&journal, small()).await;
    let send = || {
        carts
            .send(&id("a"), add(&["x"]))
            .idempotency_key("k")
            .within(Duration::from_millis(100))
            .receipt()
    };
    send().await.unwrap();
    journal.fail_read(1, ReadFault::Slow(Duration::from_secs(1)));
    let second = send().await;
    assert!(
        !matches!(second, Err(CommandError::DeadlinePassed)),
        "{second:?}, recorded: {}",
        journal.everything().len()
    );
}

// ------------- user panics
#[derive(Default, Deserialize)]
struct Touchy {
    n: u32,
}
impl Serialize for Touchy {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        assert!(self.n != 13, "state serialize panics");
        s.serialize_u32(self.n)
    }
}
#[derive(Event, Serialize, Deserialize)]
enum TouchyEvent {
    Set { n: Num },
}
#[derive(Serialize, Clone, Copy, JsonSchema)]
struct Num(u32);
impl<'de> Deserialize<'de> for Num {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let n = u32::deserialize(d)?;
        assert!(n != 77, "deserialize panics");
        Ok(Num(n))
    }
}
impl Aggregate for Touchy {
    const TYPE: &'static str = "touchy";
    type Id = String;
    type Event = TouchyEvent;
    fn apply(&mut self, TouchyEvent::Set { n }: &TouchyEvent) {
        self.n = n.0
    }
}
#[derive(Command, Serialize, Deserialize, JsonSchema)]
struct Set {
    n: u32,
}
#[derive(Deserialize, JsonSchema, Debug)]
struct BadReply(u32);
impl Serialize for BadReply {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        assert!(self.0 != 5, "reply serialize panics");
        if self.0 == 6 {
            return Err(serde::ser::Error::custom("cannot be encoded"));
        }
        s.serialize_u32(self.0)
    }
}
impl Handle<Set> for Touchy {
    type Reply = BadReply;
    type Rejection = Never;
    fn handle(&self, set: &Set, context: &Context<Self>) -> Outcome<Self, Set> {
        let n = set.n;
        Ok(context.record(TouchyEvent::Set { n: Num(n) }).reply(BadReply(n)))
    }
}
async fn touchy(journal: &MemoryJournal) -> (Kronika, Aggregates<Touchy>) {
    let service = Kronika::builder()
        .journal(Arc::new(journal.clone()))
        .aggregate(Commands::<Touchy>::default().on::<Set>())
        .limits(small())
        .start()
        .await
        .unwrap();
    let it = service.aggregates();
    (service, it)
}
#[tokio::test(start_paused = true)]
async fn a_reply_that_panics_while_encoded_costs_one_command() {
    let journal = MemoryJournal::new(1);
    let (_s, t) = touchy(&journal).await;
    let first = t.send(&id("a"), Set { n: 5 }).idempotency_key("k").await;
    let other = t.send(&id("b"), Set { n: 1 }).await;
    assert!(other.is_ok(), "first {first:?} other {other:?}");
}
#[tokio::test(start_paused = true)]
async fn a_reply_that_cannot_be_encoded_costs_one_command_by_name() {
    let journal = MemoryJournal::new(1);
    let (s, t) = touchy(&journal).await;
    let first = s.registered()[0].send("a", "set", br#"{"n":6}"#, Default::default()).await;
    let other = t.send(&id("b"), Set { n: 1 }).await;
    assert!(other.is_ok(), "first {first:?} other {other:?} standing {:?}", *s.standing().borrow());
}
#[tokio::test(start_paused = true)]
async fn a_state_that_panics_while_weighed_costs_nothing() {
    let journal = MemoryJournal::new(1);
    let (s, t) = touchy(&journal).await;
    t.send(&id("a"), Set { n: 13 }).await.unwrap();
    s.stop().await;
    let (s, t) = touchy(&journal).await;
    let first = t.send(&id("a"), Set { n: 1 }).await;
    let other = t.send(&id("b"), Set { n: 1 }).await;
    let stop = timeout(Duration::from_secs(3600), s.stop()).await;
    assert!(
        other.is_ok(),
        "first {first:?} other {other:?} standing {:?} stop {stop:?}",
        *s.standing().borrow()
    );
}
#[tokio::test(start_paused = true)]
async fn an_event_that_panics_while_decoded_makes_its_aggregate_unloadable() {
    let journal = MemoryJournal::new(1);
    let (s, t) = touchy(&journal).await;
    t.send(&id("a"), Set { n: 77 }).await.unwrap();
    s.stop().await;
    let (s, t) = touchy(&journal).await;
    let first =
        timeout(Duration::from_secs(3600), t.send(&id("a"), Set { n: 1 }).into_future()).await;
    let stop = timeout(Duration::from_secs(3600), s.stop()).await;
    assert!(
        first.is_ok() && stop.is_ok(),
        "load: answered {:?}, stop: ended {:?}",
        first.is_ok(),
        stop.is_ok()
    );
}

// ------------- wrapper journal
struct Wrapped {
    inner: MemoryJournal,
    claim_answer: Duration,
    delay_claim: AtomicBool,
    key_reads: AtomicUsize,
    loads: AtomicUsize,
    loads_max: AtomicUsize,
    load_time: std::sync::Mutex<Duration>,
}
impl Wrapped {
    fn new(inner: MemoryJournal) -> Self {
        Self {
            inner,
            claim_answer: Duration::from_millis(50),
            delay_claim: AtomicBool::new(false),
            key_reads: 0.into(),
            loads: 0.into(),
            loads_max: 0.into(),
            load_time: Default::default(),
        }
    }
}
impl Journal for Wrapped {
    fn capabilities(&self) -> Capabilities {
        Journal::capabilities(&self.inner)
    }
    fn incarnation(&self) -> Incarnation {
        Journal::incarnation(&self.inner)
    }
    fn append(&self, group: Vec<Append>) -> impl Future<Output = Vec<Appended>> + Send + use<> {
        Journal::append(&self.inner, group)
    }
    async fn claim(&self, s: SliceRange, held: Option<Epoch>) -> Result<Ownership, ClaimError> {
        let it = Journal::claim(&self.inner, s, held).await;
        if self.delay_claim.load(Ordering::SeqCst) {
            tokio::time::sleep(self.claim_answer).await;
        }
        it
    }
    async fn epoch(&self, s: Slice) -> Result<Epoch, ReadError> {
        Journal::epoch(&self.inner, s).await
    }
    async fn read_stream(&self, r: ReadStream) -> Result<StreamPage, ReadError> {
        let n = self.loads.fetch_add(1, Ordering::SeqCst) + 1;
        self.loads_max.fetch_max(n, Ordering::SeqCst);
        let d = *self.load_time.lock().unwrap();
        tokio::time::sleep(d).await;
        let it = Journal::read_stream(&self.inner, r).await;
        self.loads.fetch_sub(1, Ordering::SeqCst);
        it
    }
    async fn read_partition(&self, r: ReadPartition) -> Result<PartitionPage, ReadError> {
        Journal::read_partition(&self.inner, r).await
    }
    async fn read_append(
        &self,
        s: &StreamId,
        by: AppendBy,
    ) -> Result<Option<RecordedAppend>, ReadError> {
        self.key_reads.fetch_add(1, Ordering::SeqCst);
        Journal::read_append(&self.inner, s, by).await
    }
    async fn head(&self, p: PartitionId) -> Result<Mark, ReadError> {
        Journal::head(&self.inner, p).await
    }
    async fn wait_beyond(&self, p: PartitionId, q: Position) -> Result<Mark, ReadError> {
        Journal::wait_beyond(&self.inner, p, q).await
    }
}
async fn wrapped(
    journal: Arc<Wrapped>,
    limits: kronika_runtime::Limits,
) -> (Kronika, Aggregates<Cart>) {
    let service = Kronika::builder()
        .journal(journal)
        .aggregate(Commands::<Cart>::default().on::<Add>().on::<Count>())
        .limits(limits)
        .start()
        .await
        .unwrap();
    let carts = service.aggregates();
    (service, carts)
}

#[tokio::test(start_paused = true)]
async fn own_claim_on_its_way_is_not_taken_for_anothers() {
    let memory = MemoryJournal::open(MemorySettings {
        seed: 3,
        lease: Some(Duration::from_millis(10)),
        ..MemorySettings::default()
    });
    let journal = Arc::new(Wrapped::new(memory.clone()));
    let (service, carts) = wrapped(journal.clone(), small()).await;
    carts.send(&id("a"), add(&["x"])).await.unwrap();
    carts.send(&id("b"), add(&["x"])).await.unwrap();
    // The lease is over.
    tokio::time::sleep(Duration::from_secs(1)).await;
    journal.delay_claim.store(true, Ordering::SeqCst);
    memory.fail_append(1, Fault::UnknownAfter);
    let doubt = tokio::spawn(carts.send(&id("a"), add(&["y"])).into_future());
    tokio::time::sleep(Duration::from_millis(10)).await;
    let look = carts.look(&id("b"), |_| ()).await;
    let doubt = doubt.await.unwrap();
    let after = carts.send(&id("b"), add(&["z"])).await;
    assert_eq!(
        *service.standing().borrow(),
        Standing::Owner,
        "look {look:?} doubt {doubt:?} after {after:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn waiting_for_loading_is_bounded() {
    let journal = Arc::new(Wrapped::new(MemoryJournal::new(1)));
    let mut limits = small();
    limits.mailbox_commands = 16;
    limits.loadings = 2;
    limits.resident_bytes = 20_000;
    let (_service, carts) = wrapped(journal.clone(), limits).await;
    *journal.load_time.lock().unwrap() = Duration::from_secs(3600);
    let mut over = 0;
    let mut tasks = Vec::new();
    for n in 0..20_000 {
        let t = tokio::spawn(carts.send(&format!("c{n}"), add(&["x"])).into_future());
        tokio::task::yield_now().await;
        if t.is_finished() { over += 1 } else { tasks.push(t) }
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    let over = over + tasks.iter().filter(|t| t.is_finished()).count();
    assert!(over > 0, "overloaded {over}, {:?}", carts.stats());
}

#[tokio::test(start_paused = true)]
async fn replays_are_bounded() {
    let journal = MemoryJournal::open(MemorySettings { seed: 1, ..Default::default() });
    let mut limits = small();
    limits.mailbox_commands = 16;
    limits.pending_commands = 4;
    let (_service, carts) = service(&journal, limits).await;
    carts.send(&id("a"), add(&["x"])).idempotency_key("k").await.unwrap();
    let plan = Plan { read_within: Duration::from_secs(36_000), ..Plan::default() };
    journal.set_plan(plan);
    let before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let mut tasks = Vec::new();
    for _ in 0..20_000 {
        tasks.push(tokio::spawn(
            carts.send(&id("a"), add(&["x"])).idempotency_key("k").into_future(),
        ));
        tokio::task::yield_now().await;
    }
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    let over = tasks.iter().filter(|t| t.is_finished()).count();
    let alive = tokio::runtime::Handle::current().metrics().num_alive_tasks() - before;
    assert!(over > 0, "overloaded {over}, tasks alive {alive}");
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_journal_new_commands_are_refused() {
    let journal = MemoryJournal::new(1);
    let (service, carts) = service(&journal, small()).await;
    carts.send(&id("a"), add(&["x"])).await.unwrap();
    journal.poison("disk");
    let first = carts.send(&id("a"), add(&["x"])).await;
    let rejected = carts.send(&id("a"), add(&["x"; 10])).await;
    let nothing = carts.send(&id("a"), add(&[])).await;
    assert!(
        matches!(rejected, Err(CommandError::JournalFailed(_))),
        "first {first:?} rejected {rejected:?} nothing {nothing:?} {:?}",
        *service.standing().borrow()
    );
}

#[tokio::test(start_paused = true)]
async fn recoveries_are_bounded_like_loadings() {
    let plan = Plan { effect_within: Duration::from_millis(20), ..Plan::default() };
    let memory = MemoryJournal::open(MemorySettings { seed: 3, plan, ..MemorySettings::default() });
    let journal = Arc::new(Wrapped::new(memory.clone()));
    let mut limits = small();
    limits.loadings = 4;
    let (_service, carts) = wrapped(journal.clone(), limits).await;
    for n in 0..500 {
        carts.send(&format!("c{n}"), add(&["x"])).await.unwrap();
    }
    *journal.load_time.lock().unwrap() = Duration::from_millis(100);
    journal.loads_max.store(0, Ordering::SeqCst);
    memory.set_plan(Plan { unavailable: 1.0, ..Plan::default() });
    let t: Vec<_> = (0..500)
        .map(|n| tokio::spawn(carts.send(&format!("c{n}"), add(&["x"])).into_future()))
        .collect();
    for t in t {
        let _ = t.await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let max = journal.loads_max.load(Ordering::SeqCst);
    assert!(max <= 4, "{max} loads at a time");
}

#[derive(Command, Serialize, Deserialize, JsonSchema)]
struct Big {
    n: u128,
}
#[tokio::test(start_paused = true)]
async fn a_number_beyond_64_bits_may_stand_in_a_keyed_command() {
    assert!(
        canonical_json(&Big { n: u128::MAX }).is_ok(),
        "{:?}",
        canonical_json(&Big { n: u128::MAX })
    );
}
#[tokio::test(start_paused = true)]
async fn a_deadline_beyond_the_clock_is_none() {
    let journal = MemoryJournal::new(1);
    let (_service, carts) = service(&journal, small()).await;
    carts.send(&id("a"), add(&["x"])).within(Duration::MAX).await.unwrap();
}
#[tokio::test(start_paused = true)]
async fn stop_waits_for_replays() {
    let journal = MemoryJournal::new(1);
    let (service, carts) = service(&journal, small()).await;
    carts.send(&id("a"), add(&["x"])).idempotency_key("k").await.unwrap();
    journal.fail_read(1, ReadFault::Slow(Duration::from_secs(1)));
    let again = tokio::spawn(carts.send(&id("a"), add(&["x"])).idempotency_key("k").receipt());
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    service.stop().await;
    for _ in 0..5 {
        tokio::task::yield_now().await;
    }
    assert!(again.is_finished(), "stop ended before what was taken was answered");
}
#[tokio::test(start_paused = true)]
async fn twin_of_a_command_in_doubt_is_in_doubt_too() {
    let plan = Plan { effect_within: Duration::from_millis(20), ..Plan::default() };
    let memory = MemoryJournal::open(MemorySettings { seed: 3, plan, ..MemorySettings::default() });
    let mut limits = small();
    limits.recovery_attempts = 2;
    let (_service, carts) = service(&memory, limits).await;
    carts.send(&id("a"), add(&["x"])).await.unwrap();
    memory.fail_append(1, Fault::UnknownAfter);
    memory.set_plan(Plan {
        effect_within: Duration::from_millis(20),
        claim_unavailable: 1.0,
        ..Plan::default()
    });
    let send = || tokio::spawn(carts.send(&id("a"), add(&["y"])).idempotency_key("k").receipt());
    let (a, b) = (send(), send());
    let (a, b) = (a.await.unwrap(), b.await.unwrap());
    assert!(
        matches!(b, Err(CommandError::UnknownOutcome)),
        "first {a:?}, twin {b:?}, recorded {}",
        memory.everything().len()
    );
}
#[tokio::test(start_paused = true)]
async fn twins_count_as_waiting() {
    let plan = Plan { effect_within: Duration::from_secs(3600), ..Plan::default() };
    let journal = MemoryJournal::new(1);
    let mut limits = small();
    limits.pending_commands = 32;
    let (_service, carts) = service(&journal, limits).await;
    carts.send(&id("a"), add(&[])).await.unwrap();
    journal.set_plan(plan);
    let mut tasks = Vec::new();
    for k in 0..30 {
        for _ in 0..32 {
            tasks.push(tokio::spawn(
                carts.send(&id("a"), add(&[])).idempotency_key(format!("k{k}")).receipt(),
            ));
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        }
    }
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    let over = tasks.iter().filter(|t| t.is_finished()).count();
    assert!(
        tasks.len() - over <= 64,
        "{} wait for one aggregate whose bound is 32",
        tasks.len() - over
    );
}
#[tokio::test(start_paused = true)]
async fn key_that_another_writer_recorded_is_seen_when_decided_again() {
    let journal = slow(true);
    let (_service, carts) = service(&journal, small()).await;
    carts.send(&id("a"), add(&["first"])).await.unwrap();
    let stream = StreamId::new("cart", "a").unwrap();
    let header = journal.everything()[0].header.clone();
    let more = AppendMore {
        keyed: Some(Keyed {
            key: "k".into(),
            fingerprint: kronika_runtime::fingerprint(
                "add",
                &canonical_json(&add(&["x"])).unwrap(),
            ),
            reply: "2".into(),
        }),
        ..Default::default()
    };
    let events = vec![NewEvent {
        name: "added".into(),
        schema: 1,
        body: br#"{"item":"x"}"#.as_slice().into(),
        ..Default::default()
    }];
    let other = Journal::append(
        &journal,
        vec![Append {
            id: AppendId::new(99 << 20),
            stream,
            expected: header.expected.plus(1),
            epoch: header.epoch,
            loading: Loading::new(u64::MAX - 1),
            events,
            command: "add".into(),
            more: Some(Box::new(more)),
        }],
    );
    let ours = carts.send(&id("a"), add(&["x"])).idempotency_key("k").receipt();
    let (other, ours) = tokio::join!(other, ours);
    assert!(
        ours.as_ref().is_ok_and(|it| it.replayed),
        "{other:?} {ours:?} recorded {}",
        journal.everything().len()
    );
}
#[tokio::test(start_paused = true)]
async fn weight_follows_fat_events() {
    let journal = MemoryJournal::new(1);
    let mut limits = small();
    limits.resident_bytes = 1 << 20;
    let (_service, carts) = service(&journal, limits).await;
    let fat = "x".repeat(100_000);
    for n in 0..200 {
        carts.send(&format!("c{n}"), add(&[&fat])).await.unwrap();
    }
    let stats = carts.stats();
    assert!(
        stats.residents < 20,
        "{} residents of 100 kB, counted as {} bytes",
        stats.residents,
        stats.resident_bytes
    );
}
#[tokio::test(start_paused = true)]
async fn panics_are_counted() {
    let journal = MemoryJournal::new(1);
    let (_s, carts) = service(&journal, small()).await;
    let it = carts.send(&id("a"), add(&["panic"])).await;
    assert!(carts.stats().panics == 1, "{it:?} {:?}", carts.stats());
}
#[tokio::test(start_paused = true)]
async fn keys_of_a_loading_are_bounded_too() {
    // a hot resident alone above the key budget after a reload
    let journal = MemoryJournal::new(1);
    let (s, carts) = service(&journal, small()).await;
    for n in 0..2000 {
        carts.send(&id("a"), add(&[])).idempotency_key(format!("{n}")).await.unwrap();
    }
    s.stop().await;
    let mut limits = small();
    limits.key_bytes = 480;
    let (_s, carts) = service(&journal, limits).await;
    carts.send(&id("a"), add(&[])).await.unwrap();
    let b = carts.stats().resident_bytes;
    assert!(b < 3000, "{b} bytes though keys may take 480");
}
#[tokio::test(start_paused = true)]
async fn what_if_panics_in_the_caller() {
    let journal = MemoryJournal::new(1);
    let (_s, carts) = service(&journal, small()).await;
    let it =
        tokio::spawn(async move { carts.what_if(&id("a"), add(&["panic"])).await.map(|_| ()) })
            .await;
    assert!(it.is_ok(), "{it:?}");
}
