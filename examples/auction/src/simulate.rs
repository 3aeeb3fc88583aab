//! The load: callers that bid at random in a closed loop, then a check that the read models equal an
//! independent fold over the journal.

use crate::{
    check::Model,
    output::print,
    progress::Progress,
    service::{READ_MODELS, Running},
    traffic::{Came, Traffic},
};
use hdrhistogram::Histogram;
use kronika::{PartitionId, Position, ReadPartition, Token};
use serde::Serialize;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// How long the read models may take at the end.
const WAIT: Duration = Duration::from_secs(600);

#[derive(Clone, Copy)]
pub struct Load {
    pub auctions: u32,
    pub commands: u64,
    pub callers: u32,
    pub seed: u64,
}

#[derive(Serialize)]
struct Figures {
    commands: u64,
    accepted: u64,
    refused: u64,
    events: u64,
    seconds: f64,
    commands_per_second: f64,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
    read_models_equal_the_journal: bool,
}

struct Caller {
    accepted: u64,
    refused: u64,
    latencies: Histogram<u64>,
    token: Token,
}

/// Runs the load in the data directory, or in a temporary one, and prints what came of it.
pub async fn run(load: Load, data: Option<&Path>, json: bool) -> Result<(), String> {
    let temporary =
        tempfile::tempdir().map_err(|error| format!("no temporary directory: {error}"))?;
    let running = Running::start(data.unwrap_or(temporary.path())).await?;
    let done = simulate(load, &running).await;
    running.stop().await?;
    let figures = done?;
    match json {
        true => print(&serde_json::to_string(&figures).expect("figures are plain numbers")),
        false => print(&figures),
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { commands, accepted, refused, events, commands_per_second, .. } = self;
        let Self { p50_us, p99_us, p999_us, .. } = self;
        writeln!(
            f,
            "{commands} commands: {accepted} accepted, {refused} refused; {events} events"
        )?;
        writeln!(
            f,
            "{commands_per_second:.0} commands/s, p50 {p50_us:.0} µs, p99 {p99_us:.0} µs, p99.9 {p999_us:.0} µs"
        )?;
        write!(f, "the read models equal a fold over the journal")
    }
}

async fn simulate(load: Load, running: &Running) -> Result<Figures, String> {
    // Names of their own for each run in the same directory.
    let name = format!("simulated-{}-{}", load.seed, running.events().await?);
    let commands = running.service.aggregates();
    let traffic = Traffic::new(commands, name, load.auctions, load.seed);
    let progress = Arc::new(Progress::new("bidding", load.commands, "commands"));
    let left = Arc::new(AtomicU64::new(load.commands));
    let started = Instant::now();
    let mut callers = JoinSet::new();
    for number in 0..load.callers {
        let (load, left, progress) = (load, left.clone(), progress.clone());
        let empty = running.service.empty_token();
        let seed = load.seed.wrapping_mul(1_000_003).wrapping_add(u64::from(number));
        let traffic = traffic.for_caller(seed);
        callers.spawn(call(number, load, traffic, left, progress, empty));
    }
    let (mut accepted, mut refused, mut latencies) = (0, 0, histogram());
    let mut token = running.service.empty_token();
    while let Some(caller) = callers.join_next().await {
        let caller = caller.map_err(|error| format!("a caller ended: {error}"))??;
        accepted += caller.accepted;
        refused += caller.refused;
        latencies.add(&caller.latencies).expect("all histograms have the same bounds");
        token.merge(&caller.token).map_err(|error| error.to_string())?;
    }
    let seconds = started.elapsed().as_secs_f64();
    progress.finish();
    running.wait(&READ_MODELS, &token, WAIT).await?;
    compare(running).await?;
    let percentile = |percent| latencies.value_at_quantile(percent) as f64 / 1_000.0;
    Ok(Figures {
        commands: accepted + refused,
        accepted,
        refused,
        events: running.events().await?,
        seconds,
        commands_per_second: (accepted + refused) as f64 / seconds,
        p50_us: percentile(0.5),
        p99_us: percentile(0.99),
        p999_us: percentile(0.999),
        read_models_equal_the_journal: true,
    })
}

/// One caller: opens its share of the auctions, then bids until the commands are used up.
async fn call(
    number: u32,
    load: Load,
    mut traffic: Traffic,
    left: Arc<AtomicU64>,
    progress: Arc<Progress>,
    token: Token,
) -> Result<Caller, String> {
    let mut caller = Caller { accepted: 0, refused: 0, latencies: histogram(), token };
    let take =
        |_| left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
    let mut opening = (number..load.auctions).step_by(load.callers as usize);
    while take(()).is_ok() {
        let sent = Instant::now();
        let came = match opening.next() {
            Some(auction) => traffic.open(auction).await?,
            None => traffic.bid().await?,
        };
        caller.latencies.saturating_record(sent.elapsed().as_nanos() as u64);
        progress.advance();
        match came {
            Came::Accepted(seen) => {
                caller.accepted += 1;
                caller.token.merge(&seen).map_err(|error| error.to_string())?;
            }
            Came::Refused => caller.refused += 1,
        }
    }
    Ok(caller)
}

/// The read models against a fold over the whole journal.
async fn compare(running: &Running) -> Result<(), String> {
    let (mut model, mut after) = (Model::default(), Position::ZERO);
    let journal = running.service.journal();
    loop {
        let read = ReadPartition::after(PartitionId::default(), after);
        let page = journal.read_partition(read).await.map_err(|error| error.to_string())?;
        for event in &page.events {
            let folded = model.fold(event.stream().id(), &event.name, &event.body);
            folded.map_err(|error| format!("event {}: {error}", event.position))?;
        }
        after = page.scanned.position;
        if page.at_head {
            break;
        }
    }
    let found = running.model().await?;
    if found == model { Ok(()) } else { Err("the read models differ from the journal".to_owned()) }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 60_000_000_000, 3).expect("the bounds are valid")
}
