//! One run of the simulation from a seed: a journal, a service, callers, and what befalls them.

use crate::callers::{Caller, Door, clock};
use kronika_core::{Event, NewEvent};
use kronika_runtime::{Commands, Environment, Kronika, Limits, Standing, Stats};
use kronika_testkit::{
    Account, AccountEvent, Deposit, DepositInParts, Evidence, History, MemoryJournal,
    MemorySettings, MemorySnapshots, Operation, Plan, PlantedFault, Violations, Withdraw,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{runtime::Runtime, task::JoinSet, time::sleep};

/// What may happen in a run.
#[derive(Debug, Clone, Default)]
pub struct Setting {
    /// The journal injects conflicts, failures and unknown outcomes.
    pub storms: bool,
    /// Queues, residents and key memory are so small that they overflow.
    pub small: bool,
    /// The process crashes and starts anew.
    pub crashes: bool,
    /// Another process claims the journal while the first goes on.
    pub rivals: bool,
    /// Snapshots are taken by a random policy, and their store loses, mixes up and invents.
    pub snapshots: bool,
    /// The runtime saves snapshots before their version is durable.
    pub early_snapshot: bool,
    /// The runtime does not check of which history a snapshot is.
    pub trusted_snapshot: bool,
    /// A breach of the journal's contract.
    pub planted: Option<PlantedFault>,
    /// The runtime tells rejections before what they saw is durable.
    pub early_rejection: bool,
}

/// Runs a seed and checks what callers saw.
pub fn simulate(seed: u64, setting: &Setting) -> Result<(), Violations> {
    let (history, evidence, _) = run(seed, setting);
    history.check(&evidence)
}

/// What the last service of a run counted.
pub fn counted(seed: u64, setting: &Setting) -> Stats {
    run(seed, setting).2
}

/// The way that a seed takes, as text: everything that was sent and told, in order.
pub fn way(seed: u64, setting: &Setting) -> String {
    format!("{:#?}", run(seed, setting).0.invoked())
}

fn run(seed: u64, setting: &Setting) -> (History, Evidence, Stats) {
    let runtime: Runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread starts");
    runtime.block_on(run_inside(seed, setting))
}

async fn run_inside(seed: u64, setting: &Setting) -> (History, Evidence, Stats) {
    let mut random = fastrand::Rng::with_seed(seed);
    let plan = if setting.storms { Plan::stormy() } else { Plan::calm() };
    // An exclusive lease is a lock that no rival can take.
    let leased = random.bool() || setting.rivals;
    let lease = leased.then(|| Duration::from_millis(random.u64(5..200)));
    let finds_keys = random.bool();
    let settings = MemorySettings { seed, plan, lease, finds_keys };
    let mut journal = MemoryJournal::open(settings);
    strangers(&journal);
    if let Some(planted) = setting.planted {
        journal.plant(planted);
    }
    let history = History::new(seed, journal.moments());
    let mut limits = limits(setting, &mut random);
    let snapshots = setting.snapshots.then(|| snapshots(&mut random, &mut limits));
    // Each process has its own randomness, and all have one clock.
    let (mut processes, clock) = (fastrand::Rng::with_seed(!seed), clock());
    let environment =
        |random: &mut fastrand::Rng| Environment::seeded(random.u64(..), clock.clone());
    let mut service =
        start(&journal, &snapshots, &limits, setting, environment(&mut processes)).await;
    let door = Arc::new(Door::new(service.aggregates()));
    let mut callers = JoinSet::new();
    let accounts = random.usize(1..4);
    for _ in 0..random.usize(2..7) {
        let caller = Caller {
            history: history.clone(),
            random: random.fork(),
            accounts,
            operations: random.usize(5..25),
        };
        let door = door.clone();
        callers.spawn(async move { caller.call(&door).await });
    }
    let mut befalls = if setting.crashes || setting.rivals { random.u32(1..4) } else { 0 };
    let mut retired = Vec::new();
    while !callers.is_empty() {
        let pause = sleep(Duration::from_millis(random.u64(20..200)));
        tokio::select! { biased;
            done = callers.join_next() => {
                done.expect("there are callers").expect("a caller does not panic");
                continue;
            }
            () = pause, if befalls > 0 => befalls -= 1,
        }
        if setting.crashes {
            // The process that goes on without its journal must tell nobody what it cannot know.
            journal.crash();
            journal = journal.reopen();
        } else {
            // The first goes on, as one that was only paused would, and must learn that it is fenced.
            journal.end_leases();
            journal = journal.another_process();
            retired.push(service.clone());
        }
        service = start(&journal, &snapshots, &limits, setting, environment(&mut processes)).await;
        door.change(service.aggregates());
    }
    journal.set_plan(Plan::calm());
    if !setting.rivals && setting.planted.is_none() {
        assert_eq!(
            *service.standing().borrow(),
            Standing::Owner,
            "seed {seed}: nobody else claimed"
        );
    }
    service.stop().await;
    journal.settled().await;
    let mut evidence = Evidence::of_memory(&journal);
    evidence.snapshots = snapshots.map(|it| it.saved()).unwrap_or_default();
    (history, evidence, service.aggregates::<Account>().stats())
}

/// A store of snapshots for all processes of a run, and how often they are taken.
fn snapshots(random: &mut fastrand::Rng, limits: &mut Limits) -> MemorySnapshots {
    limits.snapshot_every = Some([1, 1, 2, 3, 5, 9][random.usize(..6)]);
    limits.snapshots = random.usize(1..4);
    // A resident that goes comes back by way of its snapshot.
    if random.bool() {
        limits.resident_bytes = random.usize(1..3_000);
        limits.idle = Duration::from_millis(random.u64(1..50));
    }
    let chance = if random.bool() { 0.0 } else { 0.3 };
    let within = Duration::from_micros(random.u64(..30_000));
    MemorySnapshots::faulty(random.u64(..), chance, within)
}

/// What a stranger writes is an operation of its own, which no caller misses.
fn strangers(journal: &MemoryJournal) {
    let number = AtomicU64::new(Operation::STRANGERS_FROM);
    journal.strangers_write(move |_| {
        let operation = number.fetch_add(1, Ordering::Relaxed);
        let deposited = AccountEvent::Deposited { operation, cents: 7 };
        let mut body = Vec::new();
        deposited.encode(&mut body).expect("events of the simulation encode");
        let kind = deposited.kind();
        let (name, schema) = (kind.name.into(), kind.schema);
        vec![NewEvent { name, schema, body: body.into(), ..NewEvent::default() }]
    });
}

fn limits(setting: &Setting, random: &mut fastrand::Rng) -> Limits {
    let mut limits = Limits::default();
    limits.shards = random.usize(1..3);
    if setting.small {
        limits.mailbox_commands = random.usize(1..4);
        limits.pending_commands = random.usize(1..5);
        limits.in_flight_appends = random.usize(1..4);
        limits.resident_bytes = random.usize(1..2_000);
        limits.key_bytes = random.usize(48..500);
        limits.loadings = 1;
        limits.idle = Duration::from_millis(random.u64(1..50));
        limits.decisions = random.u32(2..8);
        limits.recovery_attempts = random.u32(1..6);
    }
    limits
}

async fn start(
    journal: &MemoryJournal,
    snapshots: &Option<MemorySnapshots>,
    limits: &Limits,
    setting: &Setting,
    environment: Environment,
) -> Kronika {
    #[cfg_attr(not(feature = "planted-faults"), allow(unused_mut))]
    let mut limits = limits.clone();
    #[cfg(feature = "planted-faults")]
    {
        limits.early_rejection = setting.early_rejection;
        limits.early_snapshot = setting.early_snapshot;
        limits.trusted_snapshot = setting.trusted_snapshot;
    }
    #[cfg(not(feature = "planted-faults"))]
    {
        let Setting { early_rejection, early_snapshot, trusted_snapshot, .. } = setting;
        let planted = *early_rejection || *early_snapshot || *trusted_snapshot;
        assert!(!planted, "only planted where the feature is on");
    }
    loop {
        let commands = Commands::<Account>::default().on::<Deposit>().on::<DepositInParts>();
        let mut builder = Kronika::builder().journal(Arc::new(journal.clone()));
        if let Some(snapshots) = snapshots {
            builder = builder.snapshots(Arc::new(snapshots.clone()));
        }
        let started = builder
            .aggregate(commands.on::<Withdraw>())
            .limits(limits.clone())
            .environment(environment.clone())
            .start()
            .await;
        match started {
            Ok(service) => return service,
            // A claim may fail in a storm, and wait for another's lease.
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}
