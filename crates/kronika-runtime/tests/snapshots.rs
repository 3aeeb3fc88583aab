//! Snapshots: loading begins from them where they fit, and nothing depends on them.
#![allow(clippy::unwrap_used)]

use kronika_core::{
    Aggregate, Context, Handle, Journal, Never, Outcome, Position, SnapshotStore, StreamId,
    Timestamp, Version, decode_json,
};
use kronika_runtime::{Aggregates, Commands, Environment, Kronika, Limits, Stats};
use kronika_testkit::{
    Account, AccountEvent, Deposit, Fault, MemoryJournal, MemorySettings, MemorySnapshots, Plan,
    SnapshotFault, Withdraw,
};
use serde::{Deserialize, Serialize, Serializer};
use std::{future::IntoFuture, sync::Arc, time::Duration};

fn limits(every: u32) -> Limits {
    let mut limits = Limits::default();
    limits.shards = 1;
    limits.snapshot_every = Some(every);
    limits
}

async fn start<A: Aggregate>(
    journal: &MemoryJournal,
    snapshots: &MemorySnapshots,
    limits: Limits,
    commands: Commands<A>,
) -> (Kronika, Aggregates<A>) {
    let began = tokio::time::Instant::now();
    let clock = move || Timestamp::new(1_700_000_000_000_000).plus(began.elapsed());
    let builder = Kronika::builder()
        .journal(Arc::new(journal.clone()))
        .snapshots(Arc::new(snapshots.clone()))
        .aggregate(commands)
        .limits(limits)
        .environment(Environment::seeded(7, clock));
    let service = builder.start().await.expect("nobody else owns the journal");
    let aggregates = service.aggregates::<A>();
    (service, aggregates)
}

async fn accounts(
    journal: &MemoryJournal,
    snapshots: &MemorySnapshots,
    limits: Limits,
) -> (Kronika, Aggregates<Account>) {
    start(journal, snapshots, limits, Commands::default().on::<Deposit>().on::<Withdraw>()).await
}

fn id() -> String {
    "a".to_owned()
}

fn stream() -> StreamId {
    StreamId::new("account", "a").unwrap()
}

async fn deposit(accounts: &Aggregates<Account>, times: u64) {
    for operation in 0..times {
        accounts.send(&id(), Deposit { operation, cents: 10 }).await.unwrap();
    }
}

async fn cents(accounts: &Aggregates<Account>) -> i64 {
    accounts.look(&id(), Account::cents).await.unwrap().reply
}

/// Lets what was handed to the store be saved.
async fn settled() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

fn used(stats: Stats) -> (u64, u64) {
    (stats.snapshots_used, stats.snapshots_ignored)
}

/// A stream of 30 events, with snapshots after every 4.
async fn filled() -> (MemoryJournal, MemorySnapshots) {
    let (journal, snapshots) = (MemoryJournal::new(1), MemorySnapshots::new());
    let (service, accounts) = accounts(&journal, &snapshots, limits(4)).await;
    deposit(&accounts, 30).await;
    settled().await;
    service.stop().await;
    (journal, snapshots)
}

#[tokio::test(start_paused = true)]
async fn snapshots_are_taken_of_durable_states_and_loading_begins_from_the_newest() {
    let (journal, snapshots) = filled().await;
    let versions: Vec<_> = snapshots.saved().iter().map(|it| it.version.get()).collect();
    assert_eq!(versions, [4, 8, 12, 16, 20, 24, 28]);
    for saved in snapshots.saved() {
        let state: Account = decode_json(&saved.state).unwrap();
        assert_eq!(state.cents() as u64, saved.version.get() * 10);
        assert_eq!((saved.incarnation, saved.keyed), (Journal::incarnation(&journal), false));
    }
    let (_service, accounts) = accounts(&journal, &snapshots, limits(4)).await;
    assert_eq!(cents(&accounts).await, 300);
    assert_eq!(used(accounts.stats()), (1, 0));
    deposit(&accounts, 1).await;
    assert_eq!(cents(&accounts).await, 310);
}

#[tokio::test(start_paused = true)]
async fn whatever_is_wrong_with_a_snapshot_it_is_ignored_and_the_events_are_read() {
    for fault in SnapshotFault::ALL {
        let (journal, snapshots) = filled().await;
        snapshots.fail_loads(Some(fault));
        let (_service, accounts) = accounts(&journal, &snapshots, limits(4)).await;
        assert_eq!(cents(&accounts).await, 300, "{fault:?}");
        let (used, ignored) = used(accounts.stats());
        match fault {
            SnapshotFault::Lost => assert_eq!((used, ignored), (0, 0)),
            SnapshotFault::Stale => assert_eq!((used, ignored), (1, 0)),
            _ => assert_eq!((used, ignored), (0, 1), "{fault:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_of_a_history_that_was_turned_back_is_ignored() {
    // Once the snapshot's event is gone, and once it is there and only the history is another.
    for position in [20, 29] {
        let (journal, snapshots) = filled().await;
        let restored = journal.restore_to(Position::new(position));
        let (_service, accounts) = accounts(&restored, &snapshots, limits(4)).await;
        assert_eq!(cents(&accounts).await as u64, 10 * position);
        assert_eq!(used(accounts.stats()), (0, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn history_at_a_version_never_comes_from_a_later_snapshot() {
    let (journal, snapshots) = filled().await;
    let (_service, accounts) = accounts(&journal, &snapshots, limits(4)).await;
    for version in [0, 1, 5, 16, 27, 28, 29, 30] {
        let state = accounts.at_version(&id(), Version::new(version)).await.unwrap().unwrap();
        assert_eq!(state.cents() as u64, version * 10);
    }
    // From version 28 on the snapshot serves.
    assert_eq!(used(accounts.stats()), (3, 0));
    assert!(accounts.at_version(&id(), Version::new(31)).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn keys_from_before_a_snapshot_are_looked_up_in_the_journal() {
    let (journal, snapshots) = (MemoryJournal::new(1), MemorySnapshots::new());
    let (first, before) = accounts(&journal, &snapshots, limits(4)).await;
    let send = |accounts: &Aggregates<Account>, operation: u64| {
        let key = format!("key-{operation}");
        accounts.send(&id(), Deposit { operation, cents: 10 }).idempotency_key(key).receipt()
    };
    let nothing = |accounts: &Aggregates<Account>| {
        let nothing = accounts.send(&id(), Deposit { operation: 99, cents: 0 });
        nothing.idempotency_key("nothing").receipt()
    };
    let mut receipts = Vec::new();
    for operation in 0..20 {
        receipts.push(send(&before, operation).await.unwrap());
    }
    // It stands on the newest snapshot's version, and holds no event.
    let told = nothing(&before).await.unwrap();
    settled().await;
    first.stop().await;
    assert_eq!(snapshots.saved().last().unwrap().version, told.version);
    let (_second, accounts) = accounts(&journal, &snapshots, limits(4)).await;
    for (operation, receipt) in receipts.into_iter().enumerate() {
        let again = send(&accounts, operation as u64).await.unwrap();
        assert!(again.replayed);
        assert_eq!((again.reply, again.version), (receipt.reply, receipt.version));
    }
    assert!(nothing(&accounts).await.unwrap().replayed);
    assert!(!send(&accounts, 20).await.unwrap().replayed);
    assert_eq!(accounts.stats().snapshots_used, 1);
    assert_eq!(journal.everything().len(), 22);
}

#[tokio::test(start_paused = true)]
async fn where_the_journal_finds_no_keys_an_aggregate_with_keys_is_read_whole() {
    let settings = MemorySettings { finds_keys: false, ..MemorySettings::default() };
    let (journal, snapshots) = (MemoryJournal::open(settings), MemorySnapshots::new());
    let (first, before) = accounts(&journal, &snapshots, limits(4)).await;
    deposit(&before, 20).await;
    let keyed = |accounts: &Aggregates<Account>| {
        accounts.send(&id(), Deposit { operation: 7, cents: 1 }).idempotency_key("k").receipt()
    };
    keyed(&before).await.unwrap();
    deposit(&before, 20).await;
    settled().await;
    first.stop().await;
    let saved = snapshots.saved();
    assert!(!saved.is_empty() && saved.iter().all(|it| !it.keyed && it.version.get() <= 20));
    let (_second, accounts) = accounts(&journal, &snapshots, limits(4)).await;
    assert!(keyed(&accounts).await.unwrap().replayed);
    // The snapshot from before the key serves: all keys are after it.
    assert_eq!((cents(&accounts).await, used(accounts.stats())), (401, (1, 0)));
    let new = accounts.send(&id(), Deposit { operation: 8, cents: 1 }).idempotency_key("new");
    assert!(new.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_is_let_go_leaves_a_snapshot_behind() {
    let (journal, snapshots) = (MemoryJournal::new(1), MemorySnapshots::new());
    let mut limits = limits(100);
    limits.idle = Duration::from_secs(60);
    let (_service, accounts) = accounts(&journal, &snapshots, limits).await;
    deposit(&accounts, 40).await;
    assert!(snapshots.saved().is_empty());
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(accounts.stats().residents, 0);
    assert_eq!(snapshots.saved().last().unwrap().version, Version::new(40));
    assert_eq!((cents(&accounts).await, used(accounts.stats())), (400, (1, 0)));
}

#[tokio::test(start_paused = true)]
async fn an_aggregate_that_never_rests_gets_its_snapshots() {
    let plan = Plan { effect_within: Duration::from_millis(50), ..Plan::calm() };
    let settings = MemorySettings { seed: 3, plan, ..MemorySettings::default() };
    let (journal, snapshots) = (MemoryJournal::open(settings), MemorySnapshots::new());
    let (_service, accounts) = accounts(&journal, &snapshots, limits(4)).await;
    let mut callers = tokio::task::JoinSet::new();
    for operation in 0..8 {
        let accounts = accounts.clone();
        callers.spawn(async move {
            for _ in 0..20 {
                accounts.send(&id(), Deposit { operation, cents: 10 }).await.unwrap();
            }
        });
    }
    callers.join_all().await;
    settled().await;
    let saved = snapshots.saved();
    assert!(saved.len() >= 10, "{} snapshots of 160 events", saved.len());
    for saved in saved {
        let state: Account = decode_json(&saved.state).unwrap();
        assert_eq!(state.cents() as u64, saved.version.get() * 10);
    }
}

/// The state is encoded before its events are durable. If they never are, it must not be saved.
#[tokio::test(start_paused = true)]
async fn a_snapshot_of_events_that_are_not_recorded_is_dropped() {
    let (journal, snapshots) = (MemoryJournal::new(1), MemorySnapshots::new());
    let (_service, accounts) = accounts(&journal, &snapshots, limits(4)).await;
    deposit(&accounts, 3).await;
    journal.fail_append(1, Fault::Unavailable);
    let failed = accounts.send(&id(), Deposit { operation: 9, cents: 1_000 }).await;
    assert!(failed.is_err());
    settled().await;
    assert!(snapshots.saved().is_empty());
    deposit(&accounts, 1).await;
    settled().await;
    let saved = snapshots.saved();
    let state: Account = decode_json(&saved.last().unwrap().state).unwrap();
    assert_eq!((saved.len(), saved[0].version.get(), state.cents()), (1, 4, 40));
}

#[tokio::test(start_paused = true)]
async fn with_no_events_between_snapshots_none_is_taken_or_used() {
    let (journal, snapshots) = filled().await;
    let before = snapshots.saved().len();
    let (_service, accounts) = accounts(&journal, &snapshots, limits(0)).await;
    deposit(&accounts, 30).await;
    settled().await;
    assert_eq!((cents(&accounts).await, used(accounts.stats())), (600, (0, 0)));
    assert_eq!((snapshots.saved().len(), snapshots.given()), (before, 0));
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_resolved_by_way_of_the_snapshot_and_the_keys_stay_known() {
    let (journal, snapshots) = filled().await;
    let (_service, accounts) = accounts(&journal, &snapshots, limits(4)).await;
    let keyed = |operation| {
        let send = accounts.send(&id(), Deposit { operation, cents: 10 });
        send.idempotency_key(format!("key-{operation}")).receipt()
    };
    keyed(40).await.unwrap();
    deposit(&accounts, 9).await;
    settled().await;
    journal.fail_append_of(&stream(), Fault::Conflict);
    keyed(41).await.unwrap();
    assert_eq!(used(accounts.stats()), (2, 0));
    assert!(keyed(40).await.unwrap().replayed && keyed(41).await.unwrap().replayed);
}

/// An account of a later build: the same events, another state.
#[derive(Default, Serialize, Deserialize)]
struct Later {
    cents: i64,
    deposits: u64,
}

impl Aggregate for Later {
    const TYPE: &'static str = Account::TYPE;
    const STATE_SCHEMA: u32 = 2;
    type Id = String;
    type Event = AccountEvent;
    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Deposited { cents, .. } => {
                self.cents += i64::from(*cents);
                self.deposits += 1;
            }
            AccountEvent::Withdrawn { cents, .. } => self.cents -= i64::from(*cents),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_of_another_state_schema_is_ignored_and_replaced() {
    let (journal, snapshots) = filled().await;
    for expected in [(0, 1), (1, 0)] {
        let commands = Commands::<Later>::default();
        let (service, later) = start(&journal, &snapshots, limits(4), commands).await;
        let look = later.look(&id(), |later| (later.cents, later.deposits)).await.unwrap();
        assert_eq!((look.reply, used(later.stats())), ((300, 30), expected));
        settled().await;
        service.stop().await;
    }
    assert_eq!(snapshots.load(&stream()).await.unwrap().unwrap().schema, 2);
}

/// Serde does as it likes with this one.
#[derive(Default, Deserialize)]
struct Awkward {
    cents: i64,
}

impl Serialize for Awkward {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.cents {
            100.. => panic!("no state like this was foreseen"),
            60.. => Err(serde::ser::Error::custom("not writable")),
            30.. => serializer.serialize_str(&"x".repeat(5_000)),
            cents => serializer.serialize_i64(cents),
        }
    }
}

impl Aggregate for Awkward {
    const TYPE: &'static str = "awkward";
    const SNAPSHOT_EVERY: u32 = 1;
    type Id = String;
    type Event = AccountEvent;
    fn apply(&mut self, event: &AccountEvent) {
        if let AccountEvent::Deposited { cents, .. } = event {
            self.cents += i64::from(*cents);
        }
    }
}

impl Handle<Deposit> for Awkward {
    type Reply = i64;
    type Rejection = Never;
    fn handle(&self, deposit: &Deposit, context: &Context<Self>) -> Outcome<Self, Deposit> {
        let &Deposit { operation, cents } = deposit;
        let deposited = AccountEvent::Deposited { operation, cents };
        Ok(context.record(deposited).reply_from(|awkward: &Self| awkward.cents))
    }
}

#[tokio::test(start_paused = true)]
async fn a_state_that_cannot_be_saved_costs_its_snapshot_and_nothing_else() {
    for first in [10, 30, 60, 100] {
        let (journal, snapshots) = (MemoryJournal::new(1), MemorySnapshots::new());
        let mut limits = limits(1);
        limits.snapshot_bytes = 4_000;
        let commands = Commands::<Awkward>::default().on::<Deposit>();
        let (service, awkward) = start(&journal, &snapshots, limits.clone(), commands).await;
        for operation in 0..40 {
            let cents = if operation == 0 { first } else { 0 };
            awkward.send(&id(), Deposit { operation, cents }).await.unwrap();
        }
        settled().await;
        service.stop().await;
        assert_eq!(snapshots.saved().is_empty(), first > 10, "{first}");
        let commands = Commands::<Awkward>::default().on::<Deposit>();
        let (_service, awkward) = start(&journal, &snapshots, limits, commands).await;
        // A number is no struct: what was saved cannot be read, and all events are.
        let look = awkward.look(&id(), |awkward| awkward.cents).await.unwrap();
        assert_eq!(look.reply, i64::from(first));
        assert_eq!(awkward.stats().snapshots_used, 0);
    }
}

/// Saving never ends: commands go on, and no more snapshots wait than may.
#[tokio::test(start_paused = true)]
async fn a_store_that_is_stuck_holds_nobody_up() {
    let (journal, snapshots) = (MemoryJournal::new(1), MemorySnapshots::faulty(1, 0.0, HOURS));
    let mut limits = limits(1);
    limits.snapshots = 2;
    let (first, before) = accounts(&journal, &snapshots, limits.clone()).await;
    let began = tokio::time::Instant::now();
    deposit(&before, 40).await;
    assert_eq!(snapshots.saved().len(), 2);
    first.stop().await;
    let (_second, accounts) = accounts(&journal, &snapshots, limits).await;
    let sent = accounts.send(&id(), Withdraw { operation: 50, cents: 400 }).into_future();
    assert_eq!(sent.await.unwrap(), 0);
    // The loading waits a second for the store, then reads all events.
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(accounts.stats().snapshots_ignored, 1);
}

const HOURS: Duration = Duration::from_secs(100_000);
