//! A life of the service in a process of its own: commands under load, acts by chance, and every result told on
//! standard output before the next one is asked for. It ends by being killed, or, the last one of a directory,
//! once everything is caught up.

use crate::{
    acts,
    service::{
        Add, Audits, Close, Counts, Hear, Lines, Mended, Noise, POISON, Streams, Tally, Texts,
    },
};
use kronika::{
    Commands, Embedded, Kronika, LogSettings, ProjectionSettings, ProjectionState,
    RegisteredProjection, SqliteSettings, Waited,
};
use kronika_core::{Act, Journal, ParkedRequest, PartitionId, Token};
use kronika_sqlite::PlantedFaults;
use serde::{Deserialize, Serialize};
use std::{
    io::Write,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;

/// Projections, by name.
pub const NAMES: [&str; 5] = ["audits", "counts", "lines", "streams", "texts"];
/// Code that a life ends with in which something went wrong.
pub const WRONG: i32 = 3;
const SENDERS: u64 = 6;
const TALLIES: u64 = 24;
pub const BUCKETS: i64 = 7;
/// How long a reader waits for his own write: a projection may be paused.
const READ_TIME_MAX: Duration = Duration::from_millis(20);
/// How long the last life may take to catch up.
const CATCH_UP_TIME_MAX: Duration = Duration::from_secs(120);

/// What a process is told to do.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct Life {
    pub directory: PathBuf,
    pub seed: u64,
    /// Before the first number of this life.
    pub numbers: u64,
    pub ends: Ending,
    /// Whether folds can handle what is poisoned.
    pub mended: bool,
    /// Generations of `texts` that this build has.
    pub generations: Vec<u32>,
    pub batch_events_max: usize,
    /// Whether parked events are left out now and then.
    pub leaves_out: bool,
    /// Whether the checkpoint is outside the transaction, and the commit that fails before it.
    pub planted: Option<(bool, u64)>,
}

/// How a life ends.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    Killed,
    /// It resumes everything, catches up, and stops.
    CaughtUp,
}

/// Tells the parent one line, in one piece.
pub fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).expect("the parent reads on");
    out.flush().expect("the parent reads on");
}

impl Life {
    pub fn live(self) {
        // Every panic but those of poisoned folds ends the process: nobody would hear of it otherwise.
        std::panic::set_hook(Box::new(|panic| {
            if panic.payload_as_str() != Some(POISON) {
                eprintln!("{panic}");
                std::process::exit(WRONG);
            }
        }));
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).enable_all().build().unwrap().block_on(async move {
            // The line before may have no end.
            tell("\nopening");
            let (store, service) = self.start().await;
            tell("started");
            let life = Arc::new(Serving { life: self, service, told: watch::channel(0).0 });
            match life.life.ends {
                Ending::Killed => life.serve().await,
                Ending::CaughtUp => life.catch_up(&store).await,
            }
        });
    }

    async fn start(&self) -> (Embedded, Kronika) {
        let journal = LogSettings { recent_bytes: 64 << 10, ..LogSettings::small() };
        let (outside, number) = self.planted.unwrap_or_default();
        let planted = PlantedFaults {
            checkpoint_outside_transaction: outside,
            fails_before_checkpoint: self.planted.map(|_| number),
        };
        let sqlite = SqliteSettings { planted, ..SqliteSettings::default() };
        let store = Embedded::open_with(&self.directory, journal, sqlite).unwrap();
        tell("opened");
        let (handlers, mended) = (store.sqlite().clone(), Mended(self.mended));
        let mut builder = Kronika::builder()
            .store(store.clone())
            .aggregate(Commands::<Tally>::default().on::<Add>().on::<Close>())
            .aggregate(Commands::<Noise>::default().on::<Hear>())
            .projection(Counts(mended))
            .projection(Streams(mended))
            .registered(RegisteredProjection::batches(handlers.handler(Lines).unwrap()))
            .registered(RegisteredProjection::batches(handlers.handler(Audits(mended)).unwrap()))
            .projection_settings(self.settings());
        for generation in &self.generations {
            builder = match generation {
                1 => builder.projection(Texts::<1>(mended)),
                _ => builder.projection(Texts::<2>(mended)),
            };
        }
        let service = builder.start().await.unwrap();
        (store, service)
    }

    fn settings(&self) -> ProjectionSettings {
        let settings = ProjectionSettings {
            batch_events_max: self.batch_events_max,
            unsaved_events_max: 20,
            unsaved_time_max: Duration::from_millis(20),
            parked_retry_after: Duration::from_millis(30),
            report_every: Duration::from_millis(20),
            ..ProjectionSettings::default()
        };
        // Between the failure and the next try there is time for a kill.
        let forever = Duration::from_secs(3600);
        match self.planted {
            Some(_) => ProjectionSettings {
                retry_after_min: forever,
                retry_after_max: forever,
                ..settings
            },
            None => settings,
        }
    }
}

/// A service at work.
struct Serving {
    life: Life,
    service: Kronika,
    /// Commands that were acknowledged.
    told: watch::Sender<u64>,
}

impl Serving {
    /// Until it is killed.
    async fn serve(self: Arc<Self>) {
        let mut random = fastrand::Rng::with_seed(self.life.seed);
        let numbers = Arc::new(AtomicU64::new(self.life.numbers));
        for _ in 0..SENDERS {
            tokio::spawn(self.clone().send_for_ever(random.fork(), numbers.clone()));
        }
        let acts = acts::Acting {
            projections: self.service.projections().clone(),
            random: random.fork(),
            leaves_out: self.life.leaves_out,
        };
        acts.act_for_ever(self.told.subscribe()).await;
    }

    async fn send_for_ever(self: Arc<Self>, mut random: fastrand::Rng, numbers: Arc<AtomicU64>) {
        let projections = self.service.projections();
        loop {
            let number = numbers.fetch_add(1, Ordering::Relaxed) + 1;
            let token = self.send(&mut random, number).await;
            tell(&format!("acknowledged {number}"));
            self.told.send_modify(|told| *told += 1);
            if random.u32(..8) == 0 {
                let name = NAMES[random.usize(..NAMES.len())];
                if projections.wait_for(&[name], &token, READ_TIME_MAX).await == Waited::There {
                    let position = token.mark(PartitionId::new(0)).position;
                    tell(&format!("seen {name} {position}"));
                }
                let failed =
                    |status: &kronika::ProjectionStatus| status.state == ProjectionState::Failed;
                let failed = projections.status_of_all().into_iter().find(failed);
                assert!(failed.is_none(), "a projection failed: {failed:?}");
            }
        }
    }

    async fn send(&self, random: &mut fastrand::Rng, number: u64) -> Token {
        let id = format!("t{}", random.u64(..TALLIES));
        let (tallies, noises) =
            (self.service.aggregates::<Tally>(), self.service.aggregates::<Noise>());
        let receipt = match random.u32(..40) {
            0 => tallies.send(&id, Close { number }).receipt().await,
            1..5 => noises.send(&id, Hear { number }).receipt().await,
            _ => {
                let other = (random.u32(..4) == 0).then(|| format!("t{}", random.u64(..TALLIES)));
                let poisons = ["own", "other", "texts", "streams", "shared", "audits"];
                let poisons = (random.u32(..100) == 0).then(|| poisons[random.usize(..6)].into());
                let (cents, bucket) = (random.i64(1..1000), random.i64(0..BUCKETS));
                let add = Add { number, cents, bucket, other, poisons };
                tallies.send(&id, add).receipt().await
            }
        };
        receipt.unwrap().token
    }

    /// Everything goes on, nothing stays parked, and all read models see the head.
    async fn catch_up(self: Arc<Self>, store: &Embedded) {
        let projections = self.service.projections();
        let mark = Journal::head(store.log(), PartitionId::new(0)).await.unwrap();
        let head = Token::of(Journal::incarnation(store.log()), mark);
        let caught_up = async {
            for read_model in projections.read_models().await.unwrap() {
                let id = read_model.id;
                for act in [
                    Act::Resume(id.clone()),
                    Act::Throttle(id.clone(), None),
                    Act::AllParked(id.clone(), ParkedRequest::Retry),
                ] {
                    acts::act(projections, act).await.unwrap();
                }
                let mut watch = projections.watch_read_model(&id).unwrap();
                let there = watch.wait_for(|status| {
                    assert!(!status.state.is_over(), "it does not go on: {status:?}");
                    status.has(&head) && status.parked.is_empty()
                });
                there.await.unwrap();
            }
        };
        if tokio::time::timeout(CATCH_UP_TIME_MAX, caught_up).await.is_err() {
            panic!("not caught up to {head}: {:#?}", projections.status_of_all());
        }
        self.service.stop().await;
        tell("caught up");
    }
}
