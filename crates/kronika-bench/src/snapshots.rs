//! `snapshots`: loading a long stream with a snapshot against reading all its events, and commands to many
//! aggregates while snapshots, small and large, are taken beside them, against the same without.

use crate::{
    commands::Effort,
    report::{Report, Row, median},
    workload::{Measured, Record, Recorder, RecorderEvent, run},
};
use kronika::{
    Aggregate, CommandError, Commands, Context, DirectoryLock, Handle, Kronika, Limits, Log,
    LogSettings, Never, Outcome, SnapshotSettings, Snapshots,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::VecDeque,
    error::Error,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// Events of the long stream, and of the state that is large.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Events of the stream that is loaded.
    pub long: u64,
    /// Events that each large state has at the start, each of 256 bytes.
    pub kept: u64,
    /// Small aggregates that are commanded.
    pub many: u32,
}

/// Keeps what was recorded last: its state is large.
#[derive(Default, Serialize, Deserialize)]
struct Keeper {
    payloads: VecDeque<String>,
}

/// Events whose payloads a keeper keeps.
const KEPT: usize = 4_000;

impl Aggregate for Keeper {
    const TYPE: &'static str = "keeper";
    type Id = u32;
    type Event = RecorderEvent;

    fn apply(&mut self, RecorderEvent::Recorded { payload }: &RecorderEvent) {
        if self.payloads.len() >= KEPT {
            self.payloads.pop_front();
        }
        self.payloads.push_back(payload.clone());
    }
    fn weight_bytes(&self) -> Option<usize> {
        Some(self.payloads.len() * 256)
    }
}

impl Handle<Record> for Keeper {
    type Reply = usize;
    type Rejection = Never;

    fn handle(&self, record: &Record, context: &Context<Self>) -> Outcome<Self, Record> {
        let recorded = RecorderEvent::Recorded { payload: record.payload.clone() };
        Ok(context.record(recorded).reply_from(|keeper: &Self| keeper.payloads.len()))
    }
}

/// The stream that is loaded; those of the other rows are below it.
const LONG: u32 = u32::MAX;
/// Aggregates with large states, and callers of each.
const KEEPERS: u32 = 4;
const KEEPER_CALLERS: usize = 16;

/// Runs all rows.
pub async fn bench(
    directory: &Path,
    effort: &Effort,
    sizes: Sizes,
    report: Report,
) -> Result<(), Box<dyn Error>> {
    let lock = Arc::new(DirectoryLock::acquire(directory)?);
    let log = Log::open_locked(&directory.join("journal"), lock.clone(), LogSettings::default())?;
    let file = directory.join("snapshots.redb");
    let snapshots = Snapshots::open_locked(&file, lock, SnapshotSettings::default())?;
    let start = async |every: u32| {
        let mut limits = Limits::default();
        limits.snapshot_every = Some(every);
        Kronika::builder()
            .journal(Arc::new(log.clone()))
            .snapshots(Arc::new(snapshots.clone()))
            .aggregate(Commands::<Recorder>::default().on::<Record>())
            .aggregate(Commands::<Keeper>::default().on::<Record>())
            .limits(limits)
            .start()
            .await
    };
    let service = start(256).await?;
    fill(&service, LONG, sizes.long, 256).await?;
    let keepers = service.aggregates::<Keeper>();
    for keeper in 0..KEEPERS {
        for _ in 0..sizes.kept / KEEPER_CALLERS as u64 {
            let sent = (0..KEEPER_CALLERS).map(|_| keepers.send(&keeper, Record::sized()));
            let sent: Vec<_> = sent.map(|sent| tokio::spawn(sent.receipt())).collect();
            for sent in sent {
                sent.await??;
            }
        }
    }
    service.stop().await;
    snapshots.sync().await?;
    report.row(&loading(&start, effort, sizes).await?)?;
    for row in beside(&start, effort, sizes.many).await? {
        report.row(&row)?;
    }
    Ok(())
}

/// Records so many events on one aggregate.
async fn fill(service: &Kronika, id: u32, events: u64, callers: u64) -> Result<(), Box<dyn Error>> {
    let recorders = service.aggregates::<Recorder>();
    let callers = (0..callers).map(|caller| {
        let recorders = recorders.clone();
        let commands = events / callers + u64::from(caller < events % callers);
        tokio::spawn(async move {
            for _ in 0..commands {
                recorders.send(&id, Record::sized()).receipt().await?;
            }
            Ok::<(), CommandError<Never>>(())
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await??;
    }
    Ok(())
}

/// The long stream, loaded by a service that has just started.
async fn loading(
    start: &impl AsyncFn(u32) -> Result<Kronika, kronika::StartError>,
    effort: &Effort,
    sizes: Sizes,
) -> Result<Row, Box<dyn Error>> {
    let (mut with, mut without, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..effort.slices {
        let mut took = [0.0; 2];
        for (every, took) in [256, 0].into_iter().zip(&mut took) {
            let service = start(every).await?;
            let recorders = service.aggregates::<Recorder>();
            let began = Instant::now();
            let look = recorders.look(&LONG, Recorder::recorded).await?;
            *took = began.elapsed().as_secs_f64();
            let used = recorders.stats().snapshots_used;
            if look.reply != sizes.long || used != u64::from(every > 0) {
                return Err(format!("{} events, {used} snapshots used", look.reply).into());
            }
            service.stop().await;
        }
        let [snapshot, all] = took;
        with.push(snapshot);
        without.push(all);
        ratios.push(all / snapshot);
    }
    let figure = median(with);
    let row =
        Row { p50_us: Some(figure * 1e6), ..Row::new("load long", 1, 1.0 / figure, "loads/s") };
    Ok(row.against("all events", 1.0 / median(without), median(ratios)))
}

/// Commands to many small aggregates, every one with a snapshot after 16 events, beside large ones.
async fn beside(
    start: &impl AsyncFn(u32) -> Result<Kronika, kronika::StartError>,
    effort: &Effort,
    many: u32,
) -> Result<[Row; 2], Box<dyn Error>> {
    let callers = effort.callers.last().copied().unwrap_or(16);
    let mut figures = [const { Figures::new() }; 2];
    let mut ratios = [Vec::new(), Vec::new()];
    for slice in 0..effort.slices as u32 {
        for (every, figures) in [16, 0].into_iter().zip(&mut figures) {
            let service = start(every).await?;
            for keeper in 0..KEEPERS {
                service.aggregates::<Keeper>().look(&keeper, |_| ()).await?;
            }
            let until = Instant::now() + effort.slice + effort.slice / 4;
            let keepers = keep(&service, until);
            // New ones, so that both sides load nothing: without snapshots that would take longer.
            let first = (2 * slice + u32::from(every > 0)) * many;
            let recorders = first..first + many;
            run(&service, callers, recorders.clone(), effort.slice / 4).await?;
            figures.add(run(&service, callers, recorders, effort.slice).await?);
            for keeper in keepers {
                keeper.await??;
            }
            let taken = service.aggregates::<Recorder>().stats().snapshots;
            let large = service.aggregates::<Keeper>().stats().snapshots;
            if every > 0 && (taken == 0 || large == 0) {
                return Err("no snapshots were taken: nothing was measured".into());
            }
            service.stop().await;
        }
        let last = |numbers: fn(&Figures) -> &Vec<f64>| -> f64 {
            let [with, without] = &figures;
            let of = |figures: &Figures| numbers(figures).last().copied().unwrap_or(f64::NAN);
            of(with) / of(without)
        };
        ratios[0].push(last(|it| &it.rate));
        ratios[1].push(last(|it| &it.longest));
    }
    let [with, without] = figures;
    let [rates, longest] = ratios;
    let commands = Row::new("beside", callers, median(with.rate), "events/s")
        .latencies(median(with.p50), median(with.p99))
        .against("without", median(without.rate), median(rates));
    let longest = Row::new("longest", callers, median(with.longest), "us")
        .latencies(median(without.p50), median(without.p99))
        .against("without", median(without.longest), median(longest));
    Ok([commands, longest])
}

type Keeping = tokio::task::JoinHandle<Result<(), CommandError<Never>>>;

/// Commands the large ones until then.
fn keep(service: &Kronika, until: Instant) -> Vec<Keeping> {
    let keepers = service.aggregates::<Keeper>();
    let callers = (0..KEEPERS).flat_map(|keeper| [keeper; KEEPER_CALLERS]);
    let keep = callers.map(|keeper| {
        let keepers = keepers.clone();
        tokio::spawn(async move {
            while Instant::now() < until {
                keepers.send(&keeper, Record::sized()).receipt().await?;
                // They are to be there, not to take the machine.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Ok(())
        })
    });
    keep.collect()
}

struct Figures {
    rate: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    longest: Vec<f64>,
}

impl Figures {
    const fn new() -> Self {
        Self { rate: Vec::new(), p50: Vec::new(), p99: Vec::new(), longest: Vec::new() }
    }

    fn add(&mut self, measured: Measured) {
        let Measured { commands, time, latencies } = measured;
        self.rate.push(commands as f64 / time.as_secs_f64());
        self.p50.push(latencies.value_at_quantile(0.5) as f64 / 1_000.0);
        self.p99.push(latencies.value_at_quantile(0.99) as f64 / 1_000.0);
        self.longest.push(latencies.max() as f64 / 1_000.0);
    }
}
