//! Given / when / then: what passes, and what it finds that a test did not ask for.

use kronika_core::{
    About, Aggregate, Command, Context, EventKind, Folded, Handle, Never, On, Outcome, Projection,
    Rejection, Timer, Timestamp,
};
use kronika_macros::{Command, Event, Rejection, Row};
use kronika_testkit::{
    Account, AccountEvent, Deposit, DepositInParts, Overdrawn, Read, Withdraw, given, projected,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

fn deposited(operation: u64, cents: u32) -> AccountEvent {
    AccountEvent::Deposited { operation, cents }
}

fn withdrawn(operation: u64, cents: u32) -> AccountEvent {
    AccountEvent::Withdrawn { operation, cents }
}

/// What a test says when it fails.
fn message<T>(test: impl FnOnce() -> T) -> String {
    let panic = catch_unwind(AssertUnwindSafe(test)).err().expect("the test should fail");
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => (*other.downcast::<&str>().expect("a panic has a text")).to_owned(),
    }
}

#[test]
fn commands_chain_and_each_stands_on_the_state_that_the_last_one_left() {
    given::<Account>([deposited(1, 300), withdrawn(2, 100)])
        .then_state(|account| assert_eq!(account.cents(), 200))
        .when(Withdraw { operation: 3, cents: 500 })
        .then_rejection(Overdrawn { cents: 200 })
        .when(DepositInParts { operation: 4, cents: 10, parts: 2 })
        .then_events([deposited(4, 10), deposited(4, 10)])
        .then_reply(220)
        .when(Deposit { operation: 5, cents: 0 })
        .then_nothing()
        .when(Read {})
        .then_nothing()
        .then_reply(220);
}

#[test]
fn what_was_expected_and_what_came_is_said_as_json() {
    let account = || given::<Account>([deposited(1, 300)]);
    let events = message(|| {
        account().when(Withdraw { operation: 2, cents: 100 }).then_events([withdrawn(2, 101)]);
    });
    assert_eq!(
        events,
        r#"withdraw {"operation":2,"cents":100} came to something else
    expected: withdrawn {"operation":2,"cents":101}
        came: withdrawn {"operation":2,"cents":100}, the reply 200
  state after: {"cents":200}"#
    );
    let rejected = message(|| {
        account().when(Withdraw { operation: 2, cents: 500 }).then_nothing();
    });
    assert_eq!(
        rejected,
        r#"withdraw {"operation":2,"cents":500} came to something else
    expected: no events
        came: the rejection {"cents":300} (only 300 cents are left)
  state after: {"cents":300}"#
    );
    let reply = message(|| {
        account().when(Read {}).then_reply(301);
    });
    assert!(reply.contains("expected: the reply 301\n        came: no events, the reply 300"));
    let rejection = message(|| {
        account()
            .when(Withdraw { operation: 2, cents: 5 })
            .then_rejection(Overdrawn { cents: 300 });
    });
    assert!(rejection.contains("expected: the rejection {\"cents\":300}"), "{rejection}");
}

/// An aggregate with every mistake that serde lets pass.
#[derive(Default, Serialize, Deserialize)]
struct Careless {
    count: u32,
    #[serde(skip)]
    hidden: u32,
    #[serde(skip_serializing)]
    #[serde(default)]
    lost: Option<u32>,
}

#[derive(Event, Serialize, Deserialize)]
enum CarelessEvent {
    Counted,
    Hidden,
    CountedByHidden,
    Skipped {
        #[serde(skip)]
        by: u32,
    },
    Renamed {
        #[serde(rename(serialize = "one", deserialize = "other"))]
        field: u32,
    },
    Tagged {
        #[event(tag)]
        tag: String,
    },
}

impl Aggregate for Careless {
    const TYPE: &'static str = "careless";
    type Id = u64;
    type Event = CarelessEvent;

    fn apply(&mut self, event: &CarelessEvent) {
        match event {
            CarelessEvent::Counted => self.count += 1,
            CarelessEvent::Hidden => self.hidden += 1,
            CarelessEvent::CountedByHidden => self.count += self.hidden,
            CarelessEvent::Skipped { by } => self.count += by,
            CarelessEvent::Renamed { field } => self.lost = Some(*field),
            CarelessEvent::Tagged { .. } => {}
        }
    }
}

#[derive(Command, Serialize, Deserialize, JsonSchema)]
struct Ask {
    #[serde(skip)]
    secret: u32,
    what: What,
}

#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy)]
enum What {
    Hidden,
    Secret,
    Chance,
    Timer,
    Reply,
    Now,
}

thread_local! {
    static CHANCE: Cell<u32> = const { Cell::new(0) };
}

#[derive(Rejection, thiserror::Error, Serialize, Deserialize, JsonSchema, Debug)]
#[error("no, {0}")]
struct No(u32);

impl Handle<Ask> for Careless {
    type Reply = u32;
    type Rejection = No;

    fn handle(&self, ask: &Ask, context: &Context<Self>) -> Outcome<Self, Ask> {
        let nothing = context.nothing();
        Ok(match ask.what {
            What::Hidden if self.hidden > 0 => return Err(No(self.hidden)),
            What::Secret if ask.secret > 0 => return Err(No(ask.secret)),
            What::Hidden | What::Secret => nothing.reply(0),
            What::Chance => {
                CHANCE.set(CHANCE.get() + 1);
                context.record_all((0..CHANCE.get()).map(|_| CarelessEvent::Counted)).reply(0)
            }
            What::Timer => {
                let due = context.now().plus(Duration::from_secs(60));
                nothing.at(due, &Ask { secret: 0, what: What::Hidden }).reply(0)
            }
            What::Reply => nothing.reply_from(|careless| careless.hidden),
            What::Now => {
                let due = context.now().plus(Duration::from_secs(60));
                let event = context.record(CarelessEvent::Counted);
                event.at(due, &Ask { secret: 0, what: What::Now }).reply(*context.id() as u32)
            }
        })
    }
}

fn ask(what: What) -> Ask {
    Ask { secret: 7, what }
}

fn check<T>(test: impl FnOnce() -> T, found: &str) {
    let message = message(test);
    assert!(message.contains(found), "{message}");
}

#[test]
fn what_serde_does_not_keep_is_found() {
    use CarelessEvent::*;
    check(|| given::<Careless>([Hidden, CountedByHidden]), "read from a snapshot on the way");
    check(|| given::<Careless>([Skipped { by: 3 }]), "serde does not keep all of it");
    check(|| given::<Careless>([Renamed { field: 3 }]), "renamed was written as {\"one\":3}");
    check(
        || given::<Careless>([Hidden]).when(ask(What::Hidden)),
        "the command as read again, on the state as read from its snapshot",
    );
    check(|| given::<Careless>([]).when(ask(What::Secret)), "is decided in another way");
    check(|| given::<Careless>([Hidden]).when(ask(What::Reply)), "the reply is another one");
    given::<Careless>([Counted, Hidden, Tagged { tag: "red".into() }])
        .then_state(|careless| assert_eq!((careless.count, careless.hidden), (1, 1)));
}

#[test]
fn what_is_not_pure_or_would_be_refused_is_found() {
    let careless = || given::<Careless>([]);
    check(|| careless().when(ask(What::Chance)), "the same command on the same state");
    check(|| careless().when(ask(What::Timer)), "records an event beside it");
    let long = CarelessEvent::Tagged { tag: "x".repeat(300) };
    check(|| given::<Careless>([]).when(Tag(long)), "the journal would refuse the decision");
}

/// Records a tagged event, whatever it is.
#[derive(Serialize, Deserialize)]
struct Tag(CarelessEvent);

impl JsonSchema for Tag {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Tag".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::Schema::default()
    }
}

impl Command for Tag {
    const NAME: &'static str = "tag";
}

impl Handle<Tag> for Careless {
    type Reply = ();
    type Rejection = Never;

    fn handle(&self, Tag(event): &Tag, context: &Context<Self>) -> Outcome<Self, Tag> {
        let CarelessEvent::Tagged { tag } = event else { return Ok(context.nothing()) };
        Ok(context.record(CarelessEvent::Tagged { tag: tag.clone() }))
    }
}

#[test]
fn id_and_time_are_settable_and_timers_can_be_asked() {
    let timer = |due| Timer {
        due: Timestamp::new(due),
        command: Ask::NAME.into(),
        body: br#"{"what":"Now"}"#.to_vec(),
    };
    let asked = || Ask { secret: 0, what: What::Now };
    let then = given::<Careless>([])
        .id(17_u64)
        .at(Timestamp::new(5))
        .when(asked())
        .then_reply(17)
        .then_timers([timer(60_000_005)])
        .at(Timestamp::new(6))
        .when(asked())
        .then_timers([timer(60_000_006)]);
    check(|| then.then_timers([]), "expected: the timers []");
    assert_eq!(
        <AccountEvent as kronika_core::Event>::KINDS[0],
        EventKind { name: "deposited", schema: 1 }
    );
    assert_eq!(No(1).kind(), kronika_core::RejectionKind::Conflict);
}

struct Balances;

#[derive(Row, Debug)]
struct Balance {
    cents: i64,
    newest: Option<Timestamp>,
}

impl Projection for Balances {
    const NAME: &'static str = "balances";
    type Key = String;
    type Row = Balance;
    type Follows = (Account,);
}

impl On<Account> for Balances {
    fn keys(&self, event: &AccountEvent, about: &About<'_>) -> impl IntoIterator<Item = String> {
        let everybody = (event.operation() > 100).then(|| "everybody".to_owned());
        [about.id().to_owned()].into_iter().chain(everybody)
    }

    fn on(
        &self,
        row: &mut Option<Balance>,
        _: &String,
        event: &AccountEvent,
        about: &About<'_>,
    ) -> Folded {
        match event {
            AccountEvent::Withdrawn { cents: 0, .. } => *row = None,
            AccountEvent::Withdrawn { cents: 13, .. } => {
                *row = None;
                return Err("thirteen".into());
            }
            AccountEvent::Deposited { cents, .. } => {
                let balance = row.get_or_insert(Balance { cents: 0, newest: None });
                balance.cents += i64::from(*cents);
                balance.newest = Some(about.time);
            }
            AccountEvent::Withdrawn { cents, .. } => {
                row.as_mut().ok_or("no row")?.cents -= i64::from(*cents);
            }
        }
        Ok(())
    }
}

fn row(key: &str, cents: i64) -> (String, Balance) {
    (key.to_owned(), Balance { cents, newest: Some(Timestamp::new(9)) })
}

#[test]
fn projections_fold_by_key() {
    projected(Balances)
        .at(Timestamp::new(9))
        .event::<Account>("ann", deposited(1, 300))
        .event::<Account>("bob", deposited(2, 50))
        .event::<Account>("ann", deposited(101, 5))
        .then_rows([row("everybody", 5), row("ann", 305), row("bob", 50)])
        .event::<Account>("bob", withdrawn(3, 0))
        .then_rows([row("ann", 305), row("everybody", 5)])
        .then_parked([]);
}

#[test]
fn a_failed_fold_parks_its_key_only_and_leaves_its_row() {
    let parked = projected(Balances)
        .at(Timestamp::new(9))
        .event::<Account>("ann", deposited(1, 300))
        .event::<Account>("ann", withdrawn(2, 13))
        .event::<Account>("ann", deposited(3, 7))
        .event::<Account>("bob", deposited(4, 7))
        .then_parked(["ann".to_owned()])
        .then_rows([row("ann", 300), row("bob", 7)]);
    let message = message(|| parked.then_rows([row("ann", 307)]));
    assert_eq!(
        message,
        r#"balances has other rows
expected:
  {key: "ann"} {cents: 307, newest: 9 us}
came:
  {key: "ann"} {cents: 300, newest: 9 us}
  {key: "bob"} {cents: 7, newest: 9 us}
parked: {key: "ann"} by: thirteen"#
    );
}
