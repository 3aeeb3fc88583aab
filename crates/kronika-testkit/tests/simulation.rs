//! A simulation in small: a plain writer on the journal in memory, under storms and crashes. It shows that the
//! checks accept what is true for every seed, and that they find each planted fault for some seed.

use bytes::Bytes;
use kronika_core::{
    Aggregate, Append, AppendBy, AppendError, AppendId, AppendMore, ClaimError, Codec, Context,
    Epoch, Event, Handle, Journal, Keyed, Loading, NewEvent, Origin, PartitionId, Position,
    ReadError, ReadStream, RecordedAppend, SliceRange, StreamId, Timestamp, Version,
};
use kronika_testkit::{
    Account, AccountEvent, Action, Broken, DepositInParts, Evidence, History, Invocation,
    MemoryJournal, MemorySettings, Operation, Overdrawn, Plan, PlantedFault, Read, Violations,
    Withdraw,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use tokio::task::JoinSet;

/// Decides one command at a time for each account, as plainly as can be; nothing is kept in memory.
struct Writer {
    journal: MemoryJournal,
    epoch: Mutex<Epoch>,
    claiming: tokio::sync::Mutex<()>,
    accounts: BTreeMap<StreamId, tokio::sync::Mutex<()>>,
    random: Mutex<fastrand::Rng>,
    loadings: Mutex<u64>,
}

/// What a command came to, before it is recorded.
enum Decided {
    Accepted { events: Vec<AccountEvent>, cents: i64 },
    Rejected(Overdrawn),
}

fn decide(
    account: &mut Account,
    version: Version,
    action: Action,
    operation: Operation,
) -> Decided {
    fn accept<C: kronika_core::Command>(
        account: &mut Account,
        outcome: kronika_core::Outcome<Account, C>,
    ) -> Result<Decided, <Account as Handle<C>>::Rejection>
    where
        Account: Handle<C, Reply = i64>,
    {
        let effect = outcome?.take_effect(account);
        Ok(Decided::Accepted { events: effect.events, cents: effect.reply })
    }
    let (id, operation) = ("a".to_owned(), operation.0);
    let context = Context::new(&id, version, Timestamp::new(0));
    match action {
        Action::Deposit { cents, parts } => {
            let outcome = account.handle(&DepositInParts { operation, cents, parts }, &context);
            accept::<DepositInParts>(account, outcome).unwrap_or_else(|never| match never {})
        }
        Action::Withdraw { cents } => {
            let outcome = account.handle(&Withdraw { operation, cents }, &context);
            accept::<Withdraw>(account, outcome).unwrap_or_else(Decided::Rejected)
        }
        Action::Read => {
            let outcome = account.handle(&Read {}, &context);
            accept::<Read>(account, outcome).unwrap_or_else(|never| match never {})
        }
    }
}

fn new_event(event: &AccountEvent) -> NewEvent {
    let mut body = Vec::new();
    event.encode(&mut body).expect("an event can be written");
    let (name, schema) = (event.kind().name.into(), event.kind().schema);
    NewEvent { name, schema, codec: Codec::Json, body: body.into(), ..NewEvent::default() }
}

impl Writer {
    async fn new(journal: MemoryJournal, accounts: &[StreamId], seed: u64, held: Epoch) -> Self {
        let claimed = loop {
            match journal.claim(SliceRange::ALL, Some(held)).await {
                Ok(claimed) => break claimed,
                Err(ClaimError::Unavailable(_)) => {}
                Err(other) => panic!("{other}"),
            }
        };
        let locks = accounts.iter().map(|account| (account.clone(), tokio::sync::Mutex::default()));
        Self {
            journal,
            epoch: Mutex::new(claimed.epoch),
            claiming: tokio::sync::Mutex::default(),
            accounts: locks.collect(),
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            loadings: Mutex::default(),
        }
    }

    fn epoch(&self) -> Epoch {
        *self.epoch.lock().expect("not poisoned")
    }

    /// Claims over an epoch, unless somebody did meanwhile.
    async fn fence(&self, held: Epoch) -> Result<(), ()> {
        let _one = self.claiming.lock().await;
        while self.epoch() == held {
            match self.journal.claim(SliceRange::ALL, Some(held)).await {
                Ok(claimed) => *self.epoch.lock().expect("not poisoned") = claimed.epoch,
                Err(ClaimError::Unavailable(_)) => {}
                Err(_) => return Err(()),
            }
        }
        Ok(())
    }

    async fn load(&self, stream: &StreamId) -> Result<Vec<RecordedAppend>, ReadError> {
        let mut read = ReadStream::forwards(stream.clone()).limit_appends(5);
        let mut appends = Vec::new();
        loop {
            let page = match self.journal.read_stream(read.clone()).await {
                Ok(page) => page,
                Err(ReadError::Unavailable(_)) => continue,
                Err(error) => return Err(error),
            };
            appends.extend(page.appends);
            match page.next {
                Some(next) => read = read.from(next),
                None => return Ok(appends),
            }
        }
    }

    /// Runs one command and tells its sender; a crash leaves it untold.
    async fn run(
        &self,
        stream: &StreamId,
        operation: Operation,
        action: Action,
        key: Option<&str>,
        sent: Invocation,
    ) {
        let _one_at_a_time = self.accounts[stream].lock().await;
        let random = self.random.lock().expect("not poisoned").u64(..);
        let id = AppendId::from_parts(Timestamp::new(operation.0 as i64), random);
        let mut sent_before = false;
        loop {
            let epoch = self.epoch();
            let Ok(appends) = self.load(stream).await else { return };
            let (mut account, mut cents_at) = (Account::default(), None);
            for append in &appends {
                for event in &append.events {
                    let event = AccountEvent::decode(&event.name, event.schema, &event.body);
                    account.apply(&event.expect("an event can be read"));
                }
                let more = append.header.more.as_ref().and_then(|more| more.keyed.as_ref());
                let repeated = key.is_some() && more.map(|keyed| keyed.key.as_str()) == key;
                if repeated || sent_before && append.header.id == id {
                    cents_at = Some((account.cents(), append.version(), append.mark()));
                }
            }
            if let Some((cents, version, mark)) = cents_at {
                return sent.answered(cents, version, mark);
            }
            let version = appends.last().map_or(Version::ZERO, RecordedAppend::version);
            let (events, cents) = match decide(&mut account, version, action, operation) {
                Decided::Rejected(Overdrawn { cents }) => return sent.rejected(cents),
                Decided::Accepted { events, cents } if events.is_empty() && key.is_none() => {
                    return sent.answered(cents, version, None);
                }
                Decided::Accepted { events, cents } => (events, cents),
            };
            let keyed = key.map(|key| {
                let reply = Bytes::from(cents.to_string());
                let keyed = Some(Keyed { key: key.into(), fingerprint: 0, reply });
                let origin = Origin { principal: Some("ann".into()), ..Origin::default() };
                Box::new(AppendMore { keyed, origin, ..AppendMore::default() })
            });
            let loading = {
                let mut loadings = self.loadings.lock().expect("not poisoned");
                *loadings += 1;
                Loading::new(*loadings)
            };
            let append = Append {
                id,
                stream: stream.clone(),
                expected: version,
                epoch,
                loading,
                events: events.iter().map(new_event).collect(),
                command: "test".into(),
                more: keyed,
            };
            sent_before = true;
            match self.journal.append(vec![append]).await.remove(0) {
                Ok(done) => return sent.answered(cents, done.version, done.mark),
                Err(AppendError::UnknownOutcome) => {
                    if self.fence(epoch).await.is_err() {
                        return;
                    }
                    // After the claim its absence is final, and half of the senders give up; the rest, and
                    // what is there, is met by the next loading.
                    let found = self.journal.read_append(stream, AppendBy::Id(id)).await;
                    if found == Ok(None) && operation.0.is_multiple_of(2) {
                        return sent.failed();
                    }
                }
                Err(AppendError::Failed(_)) => return,
                Err(AppendError::Unavailable(_)) if operation.0.is_multiple_of(2) => {
                    return sent.failed();
                }
                Err(_) => {}
            }
        }
    }
}

/// Several clients on few accounts, with two crashes; then the checks.
async fn simulate(seed: u64, plan: Plan, planted: Option<PlantedFault>) -> Result<(), Violations> {
    let settings = MemorySettings { seed, plan, ..MemorySettings::default() };
    let mut journal = MemoryJournal::open(settings);
    planted.into_iter().for_each(|fault| journal.plant(fault));
    let strangers = Mutex::new(Operation::STRANGERS_FROM);
    journal.strangers_write(move |_| {
        let mut strangers = strangers.lock().expect("not poisoned");
        *strangers += 1;
        vec![new_event(&AccountEvent::Deposited { operation: *strangers, cents: 1 })]
    });
    let history = History::new(seed, journal.moments());
    let accounts = ["a", "b", "c"].map(|id| StreamId::new("account", id).expect("a stream id"));
    let mut random = fastrand::Rng::with_seed(seed);
    let mut held = Epoch::default();
    for _ in 0..3 {
        let writer = Writer::new(journal.clone(), &accounts, random.u64(..), held).await;
        let writer = Arc::new(writer);
        let mut clients = JoinSet::new();
        for _ in 0..4 {
            clients.spawn(client(writer.clone(), history.clone(), random.u64(..)));
        }
        let events = journal.everything().iter().map(|append| append.events.len()).sum::<usize>();
        let crash_after = Position::new(events as u64 + random.u64(5..60));
        tokio::select! {
            () = beyond(&journal, crash_after) => clients.abort_all(),
            () = ended(&mut clients) => {}
        }
        journal.crash();
        ended(&mut clients).await;
        history.crashed();
        held = writer.epoch();
        journal = journal.reopen();
        if let Ok(epoch) = journal.epoch(accounts[0].slice()).await {
            held = epoch;
        }
    }
    let checked = history.check(&Evidence::of_memory(&journal));
    if planted.is_none() {
        journal.set_plan(Plan::default());
        let read = Evidence::read(&journal, accounts).await.expect("the journal can be read");
        history.check(&read)?;
        assert!(history.invoked().len() > 20, "something happened");
    }
    checked
}

/// Waits until the journal holds an event beyond a position.
async fn beyond(journal: &MemoryJournal, position: Position) {
    while journal.wait_beyond(PartitionId::default(), position).await.is_err() {}
}

/// Waits until every client has ended or was aborted.
async fn ended(clients: &mut JoinSet<()>) {
    while let Some(client) = clients.join_next().await {
        if let Err(error) = client {
            assert!(error.is_cancelled(), "a client panicked: {error}");
        }
    }
}

async fn client(writer: Arc<Writer>, history: History, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    for number in 0..40 {
        let accounts = writer.accounts.keys().collect::<Vec<_>>();
        let stream = accounts[random.usize(0..accounts.len())];
        let action = match random.u8(0..10) {
            0..=3 => Action::Deposit { cents: random.u32(0..50), parts: random.u32(1..4) },
            4..=7 => Action::Withdraw { cents: random.u32(1..80) },
            _ => Action::Read,
        };
        let operation = history.new_operation();
        let key = (random.u8(0..3) == 0).then(|| format!("{seed}-{number}"));
        let times = if key.is_some() { random.usize(1..4) } else { 1 };
        for _ in 0..times {
            let sent = match &key {
                Some(key) => history.invoke_keyed(stream, operation, action, Some("ann"), key),
                None => history.invoke(stream, operation, action),
            };
            writer.run(stream, operation, action, key.as_deref(), sent).await;
        }
    }
}

fn with_paused_clock<T>(test: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build();
    runtime.expect("a runtime can be made").block_on(test)
}

fn run(seed: u64, plan: Plan, planted: Option<PlantedFault>) -> Result<(), Violations> {
    with_paused_clock(simulate(seed, plan, planted))
}

#[test]
fn what_is_true_passes_for_every_seed() {
    for seed in 0..150 {
        for plan in [Plan::calm(), Plan::stormy()] {
            if let Err(violations) = run(seed, plan, None) {
                panic!("{violations}");
            }
        }
    }
}

#[test]
fn each_planted_fault_is_found_for_some_seed() {
    use PlantedFault::*;
    type Like = fn(&Broken) -> bool;
    let faults: [(PlantedFault, Like); 6] = [
        (ReplyBeforeDurable, |broken| matches!(broken, Broken::Lost(_))),
        (RecordedAfterClaim, |broken| matches!(broken, Broken::RecordedAfterAll(..))),
        (VersionNotChecked, |broken| matches!(broken, Broken::Versions { .. })),
        (HoleInPositions, |broken| matches!(broken, Broken::Positions { .. })),
        (TimeGoesBack, |broken| matches!(broken, Broken::Time(_))),
        (DropsDetails, |broken| matches!(broken, Broken::RecordedTwice(..))),
    ];
    for (fault, like) in faults {
        let found = (0..100).find(|seed| {
            run(*seed, Plan::stormy(), Some(fault)).is_err_and(|violations| violations.any(like))
        });
        assert!(found.is_some(), "no seed finds {fault:?}");
    }
}

#[test]
fn one_seed_is_one_history() {
    let histories = [0, 0].map(|_| {
        with_paused_clock(async {
            let plan = Plan::stormy();
            let journal =
                MemoryJournal::open(MemorySettings { seed: 5, plan, ..Default::default() });
            let history = History::new(5, journal.moments());
            let accounts = [StreamId::new("account", "a").expect("a stream id")];
            let writer = Writer::new(journal.clone(), &accounts, 5, Epoch::default()).await;
            client(Arc::new(writer), history.clone(), 5).await;
            (history.invoked(), journal.everything())
        })
    });
    assert_eq!(histories[0].0, histories[1].0);
    assert_eq!(histories[0].1, histories[1].1);
}
