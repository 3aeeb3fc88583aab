//! The checks of histories: a true one passes, and each way to break it is found and told.
//!
//! Histories are written by hand, in the order of moments, so that each test shows what its check means.

use bytes::Bytes;
use kronika_core::{
    AppendHeader, AppendId, AppendMore, Codec, Epoch, Event, EventId, Keyed, Mark, Origin,
    PartitionId, Position, RecordedAppend, RecordedEvent, StreamId, Timestamp, Version,
};
use kronika_testkit::{
    AccountEvent, Action, Broken, Evidence, History, Moments, Operation, Violations,
};
use std::sync::Arc;

/// A journal and its callers, written down by a test.
struct Tale {
    moments: Moments,
    history: History,
    evidence: Evidence,
    position: u64,
}

const DEPOSIT: Action = Action::Deposit { cents: 100, parts: 1 };

fn account() -> StreamId {
    StreamId::new("account", "a").expect("a stream id")
}

fn deposited(operation: Operation, cents: u32) -> AccountEvent {
    AccountEvent::Deposited { operation: operation.0, cents }
}

impl Tale {
    fn new() -> Self {
        let moments = Moments::default();
        let history = History::new(7, moments.clone());
        let evidence = Evidence { partitions: vec![Vec::new()], ..Evidence::default() };
        Self { moments, history, evidence, position: 0 }
    }

    fn version(&self) -> u64 {
        let newest = self.evidence.streams.get(&account()).and_then(|appends| appends.last());
        newest.map_or(0, |append| append.version().get())
    }

    /// Records events at the present version, and gives their mark.
    fn record(&mut self, events: &[AccountEvent]) -> Option<Mark> {
        self.record_with(events, Epoch::new(1), None)
    }

    fn record_with(
        &mut self,
        events: &[AccountEvent],
        epoch: Epoch,
        more: Option<AppendMore>,
    ) -> Option<Mark> {
        let id = AppendId::from_parts(Timestamp::new(0), self.position * 100 + self.version() + 1);
        let expected = Version::new(self.version());
        let header = Arc::new(AppendHeader {
            id,
            stream: account(),
            partition: PartitionId::default(),
            expected,
            epoch,
            time: Timestamp::new(self.position as i64),
            command: "test".into(),
            more: more.map(Box::new),
        });
        let events = events.iter().enumerate().map(|(index, event)| {
            let mut body = Vec::new();
            event.encode(&mut body).expect("an event can be written");
            self.position += 1;
            RecordedEvent {
                position: Position::new(self.position),
                version: expected.plus(index as u64 + 1),
                id: id.event(index),
                name: event.kind().name.into(),
                schema: event.kind().schema,
                codec: Codec::Json,
                body: body.into(),
                tags: Vec::new(),
                occurred: None,
                metadata: None,
                append: header.clone(),
            }
        });
        let append = RecordedAppend { events: events.collect(), header: header.clone() };
        let mark = append.mark();
        self.evidence.recorded_at.insert(id, self.moments.now());
        self.evidence.partitions[0].extend(append.events.iter().cloned());
        self.evidence.streams.entry(account()).or_default().push(append);
        mark
    }

    /// A deposit of 100 cents that goes as it should.
    fn deposit(&mut self) -> Operation {
        let operation = self.history.new_operation();
        let sent = self.history.invoke(&account(), operation, DEPOSIT);
        let mark = self.record(&[deposited(operation, 100)]);
        sent.answered(self.version() as i64 * 100, Version::new(self.version()), mark);
        operation
    }

    fn check(&self) -> Result<(), Violations> {
        self.history.check(&self.evidence)
    }

    #[track_caller]
    fn finds(&self, broken: Broken) {
        let violations = self.check().expect_err(&format!("nothing was found, but {broken}"));
        assert!(violations.any(|found| *found == broken), "{broken}\nis not among\n{violations}");
    }
}

#[test]
fn a_true_history_passes() {
    let mut tale = Tale::new();
    let (history, a) = (tale.history.clone(), account());
    tale.deposit();
    let unknown = history.new_operation();
    let sent = history.invoke(&a, unknown, Action::Withdraw { cents: 30 });
    sent.unknown();
    let parts = history.new_operation();
    let sent = history.invoke(&a, parts, Action::Deposit { cents: 5, parts: 2 });
    tale.record(&[AccountEvent::Withdrawn { operation: unknown.0, cents: 30 }]);
    tale.record(&[deposited(parts, 5), deposited(parts, 5)]);
    sent.answered(80, Version::new(4), None);
    history.invoke(&a, history.new_operation(), Action::Read).answered(80, Version::new(4), None);
    let withdraw = Action::Withdraw { cents: 81 };
    history.invoke(&a, history.new_operation(), withdraw).rejected(80);
    history.invoke(&a, history.new_operation(), DEPOSIT).failed();
    let stranger = Operation(Operation::STRANGERS_FROM);
    tale.record(&[deposited(stranger, 1)]);
    let _waits = history.invoke(&a, history.new_operation(), DEPOSIT);
    history.crashed();
    tale.check().expect("the history is true");
}

#[test]
fn a_rejection_or_read_may_see_any_state_that_existed_while_it_waited() {
    for (balance, version) in [(100, 1), (200, 2), (300, 3)] {
        let mut tale = Tale::new();
        tale.deposit();
        let read = tale.history.invoke(&account(), tale.history.new_operation(), Action::Read);
        let withdraw = Action::Withdraw { cents: 1000 };
        let refused = tale.history.invoke(&account(), tale.history.new_operation(), withdraw);
        tale.deposit();
        tale.deposit();
        read.answered(balance, Version::new(version), None);
        refused.rejected(balance);
        tale.check().expect("each of the three states existed");
    }
}

#[test]
fn what_was_acknowledged_and_is_not_there_is_found() {
    let tale = Tale::new();
    let operation = tale.history.new_operation();
    tale.history.invoke(&account(), operation, DEPOSIT).answered(100, Version::new(1), None);
    tale.finds(Broken::Lost(operation));
}

#[test]
fn what_was_told_as_not_recorded_and_is_there_is_found() {
    let mut tale = Tale::new();
    let operation = tale.history.new_operation();
    tale.history.invoke(&account(), operation, DEPOSIT).failed();
    tale.record(&[deposited(operation, 100)]);
    tale.finds(Broken::RecordedAfterAll(operation, "failed"));
    let mut tale = Tale::new();
    let operation = tale.history.new_operation();
    tale.history.invoke(&account(), operation, Action::Withdraw { cents: 5 }).rejected(0);
    tale.record(&[AccountEvent::Withdrawn { operation: operation.0, cents: 5 }]);
    tale.finds(Broken::RecordedAfterAll(operation, "rejected"));
}

#[test]
fn what_is_there_twice_or_was_never_sent_or_is_not_what_was_sent_is_found() {
    let mut tale = Tale::new();
    let operation = tale.history.new_operation();
    tale.history.invoke(&account(), operation, DEPOSIT).unknown();
    tale.record(&[deposited(operation, 100)]);
    tale.record(&[deposited(operation, 100)]);
    tale.finds(Broken::RecordedTwice(operation, 2));
    tale.record(&[deposited(Operation(99), 100)]);
    tale.finds(Broken::NeverSent(Operation(99)));
    for events in [vec![], vec![100, 100], vec![101]] {
        let mut tale = Tale::new();
        let operation = tale.history.new_operation();
        tale.history
            .invoke(&account(), operation, Action::Deposit { cents: 100, parts: 3 })
            .unknown();
        tale.record(&events.iter().map(|cents| deposited(operation, *cents)).collect::<Vec<_>>());
        match events.as_slice() {
            [] => tale.check().expect("an append without events says nothing"),
            _ => {
                let violations = tale.check().expect_err("part of a command is recorded");
                assert!(
                    violations.any(|broken| matches!(broken, Broken::RecordedOtherwise(..))),
                    "{violations}"
                );
            }
        }
    }
}

#[test]
fn receipts_that_are_not_true_are_found() {
    let told = |cents, version, mark_position: u64| {
        let mut tale = Tale::new();
        tale.deposit();
        let operation = tale.history.new_operation();
        let sent = tale.history.invoke(&account(), operation, DEPOSIT);
        tale.record(&[deposited(operation, 100)]);
        let position = Position::new(mark_position);
        let event = tale.evidence.partitions[0][1].id;
        let mark = Mark::at(PartitionId::default(), position, event);
        sent.answered(cents, Version::new(version), Some(mark));
        (tale, operation)
    };
    told(200, 2, 2).0.check().expect("this receipt is true");
    let (tale, operation) = told(100, 1, 2);
    tale.finds(Broken::WrongVersion(operation, Version::new(1), Version::new(2)));
    let (tale, operation) = told(199, 2, 2);
    tale.finds(Broken::WrongReply(operation, 199, Version::new(2), 200));
    let (tale, operation) = told(200, 2, 1);
    tale.finds(Broken::WrongToken(operation));
    let (tale, operation) = told(300, 3, 2);
    tale.finds(Broken::NotThere(operation, Version::new(3), Version::new(2)));
}

#[test]
fn what_was_told_before_it_was_durable_is_found() {
    let mut tale = Tale::new();
    let operation = tale.history.new_operation();
    tale.history.invoke(&account(), operation, DEPOSIT).answered(100, Version::new(1), None);
    let read = tale.history.new_operation();
    tale.history.invoke(&account(), read, Action::Read).answered(100, Version::new(1), None);
    tale.record(&[deposited(operation, 100)]);
    tale.finds(Broken::ToldTooEarly(operation));
    tale.finds(Broken::NotThere(read, Version::new(1), Version::ZERO));
}

#[test]
fn what_does_not_see_what_had_been_told_is_found() {
    let mut tale = Tale::new();
    tale.deposit();
    let early = tale.history.new_operation();
    tale.history.invoke(&account(), early, DEPOSIT).unknown();
    tale.deposit();
    let read = tale.history.new_operation();
    tale.history.invoke(&account(), read, Action::Read).answered(100, Version::new(1), None);
    tale.finds(Broken::Stale(read, Version::new(1), Version::new(2)));
    // What is recorded behind may have been sent before, but not the other way round.
    tale.record(&[deposited(early, 100)]);
    let late = tale.history.new_operation();
    let mut tale = Tale { evidence: Evidence::default(), position: 0, ..tale };
    tale.evidence.partitions.push(Vec::new());
    tale.history.invoke(&account(), late, DEPOSIT).unknown();
    tale.record(&[deposited(late, 100)]);
    tale.finds(Broken::Stale(late, Version::ZERO, Version::new(2)));
}

#[test]
fn rejections_that_no_state_explains_are_found() {
    let mut tale = Tale::new();
    tale.deposit();
    tale.deposit();
    let withdraw = Action::Withdraw { cents: 1000 };
    let refuse = |tale: &Tale, action, cents| {
        let operation = tale.history.new_operation();
        tale.history.invoke(&account(), operation, action).rejected(cents);
        operation
    };
    let stale = refuse(&tale, withdraw, 100);
    let two = Version::new(2);
    tale.finds(Broken::ImpossibleRejection(stale, 100, two, two));
    let never = refuse(&tale, withdraw, 17);
    tale.finds(Broken::ImpossibleRejection(never, 17, two, two));
    let needless = refuse(&tale, Action::Withdraw { cents: 150 }, 200);
    tale.finds(Broken::NeedlessRejection(needless, 200));
}

fn keyed(key: &str) -> AppendMore {
    let (key, reply) = (key.to_owned(), Bytes::from_static(b"100"));
    let keyed = Some(Keyed { key, fingerprint: 1, reply });
    let origin = Origin { principal: Some("ann".into()), ..Origin::default() };
    AppendMore { keyed, origin, ..AppendMore::default() }
}

#[test]
fn keys_are_recorded_once_and_repeats_get_the_same_receipt() {
    let mut tale = Tale::new();
    let history = tale.history.clone();
    let operation = history.new_operation();
    let send = || history.invoke_keyed(&account(), operation, DEPOSIT, Some("ann"), "k");
    send().failed();
    let first = send();
    let mark = tale.record_with(&[deposited(operation, 100)], Epoch::new(1), Some(keyed("k")));
    first.answered(100, Version::new(1), mark);
    tale.deposit();
    send().answered(100, Version::new(1), mark);
    tale.check().expect("a repeat gives the old receipt, whatever came since");
    send().answered(200, Version::new(2), None);
    tale.finds(Broken::ReceiptsDiffer(operation));
    tale.record_with(&[], Epoch::new(1), Some(keyed("k")));
    tale.finds(Broken::KeyRecordedTwice("k".into(), 2));
}

#[test]
fn who_was_never_answered_is_found_unless_the_process_crashed() {
    let tale = Tale::new();
    let operation = tale.history.new_operation();
    drop(tale.history.invoke(&account(), operation, DEPOSIT));
    tale.finds(Broken::Unanswered(operation));
    tale.history.crashed();
    tale.check().expect("nobody is left to be answered");
}

#[test]
fn a_journal_that_is_broken_in_itself_is_found() {
    let mut tale = Tale::new();
    tale.deposit();
    tale.deposit();
    let whole = tale.evidence.clone();
    let break_event = |tale: &mut Tale, change: &dyn Fn(&mut RecordedEvent)| {
        tale.evidence = whole.clone();
        change(&mut tale.evidence.partitions[0][1]);
    };
    break_event(&mut tale, &|event| event.position = Position::new(3));
    let before = Position::new(1);
    let found = Position::new(3);
    tale.finds(Broken::Positions { partition: PartitionId::default(), before, found });
    break_event(&mut tale, &|event| event.id = EventId::new(5));
    tale.finds(Broken::Disagreement);
    break_event(&mut tale, &|event| Arc::make_mut(&mut event.append).time = Timestamp::new(-1));
    tale.finds(Broken::Time(Position::new(2)));
    break_event(&mut tale, &|event| Arc::make_mut(&mut event.append).epoch = Epoch::new(0));
    tale.finds(Broken::Epochs { before: Epoch::new(1), found: Epoch::new(0) });
    tale.evidence = whole.clone();
    tale.evidence.streams.values_mut().for_each(|appends| drop(appends.remove(0)));
    tale.finds(Broken::Versions { expected: Version::new(1), found: Version::ZERO });
}

#[test]
fn a_violation_tells_seed_stream_and_story() {
    let mut tale = Tale::new();
    tale.deposit();
    let lost = tale.history.new_operation();
    tale.history.invoke(&account(), lost, DEPOSIT).answered(200, Version::new(2), None);
    let text = tale.check().expect_err("an operation is lost").to_string();
    let expected = "\
seed 7, account/a: operation 2 was acknowledged and is not recorded
the first of them:
seed 7, account/a: operation 2 was acknowledged and is not recorded
      #1 sent      operation 1: Deposit { cents: 100, parts: 1 }
      #3 told      operation 1: balance 100 at version 1
      #4 sent      operation 2: Deposit { cents: 100, parts: 1 }
      #5 told      operation 2: balance 200 at version 2
 recorded up to version 1 under epoch 1: operation 1 [100] [";
    assert!(text.starts_with(expected), "{text}");
}
