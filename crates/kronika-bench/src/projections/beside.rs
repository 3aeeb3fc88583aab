//! `beside-throttled` and `beside-full`: commands while a read model is rebuilt from a long log, against the same
//! without, on one service, in turns. The live read model follows the commands in all of them.

use super::{
    Bench, Fault,
    filled::Filled,
    ledger::{Deposit, account},
    service::{Figures, Ledger},
};
use crate::{
    harness::histogram,
    report::{Row, median, median_ratio},
};
use hdrhistogram::Histogram;
use kronika::ProjectionStatus;
use kronika_core::{Act, By, ProjectionName, Stage};
use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// Callers, each with one command under way.
const CALLERS: u32 = 64;
/// Accounts that are commanded, beyond those of the log.
const COMMANDED: u32 = 1_000;
/// How long the service may take to do what it was told.
const PATIENCE: Duration = Duration::from_secs(600);

/// How often is looked at the rebuild.
const LOOK: Duration = Duration::from_millis(5);
/// A rebuild that is so few events behind has caught up.
const CAUGHT_UP: u64 = 2_000;

/// What goes on beside the commands.
#[derive(Clone, Copy)]
enum Beside {
    Nothing,
    Throttled(u64),
    Full,
}

/// Both rows.
pub async fn run(bench: &Bench<'_>, directory: &Path) -> Result<(), Fault> {
    let filled = Filled::with(directory, bench.options.events, bench.options.accounts).await?;
    let ledger = Ledger::start(&filled.log, directory, false).await?;
    let first = bench.options.accounts;
    ledger.load((first..first + COMMANDED).map(account)).await?;
    let kinds = [Beside::Nothing, Beside::Throttled(bench.options.throttle), Beside::Full];
    let mut figures = [const { Figures::new() }; 3];
    for _ in 0..bench.options.slices {
        for (beside, figures) in kinds.into_iter().zip(&mut figures) {
            let (rate, latencies) = match beside {
                Beside::Nothing => command(bench, &ledger, first).await?,
                Beside::Throttled(rate) => beside_rebuild(bench, &ledger, Some(rate)).await?,
                Beside::Full => beside_rebuild(bench, &ledger, None).await?,
            };
            figures.add(rate, &latencies);
        }
    }
    ledger.stop().await;
    let [without, throttled, full] = figures;
    for (name, figures) in [("beside-throttled", throttled), ("beside-full", full)] {
        let ratio = median_ratio(&figures.rate, &without.rate);
        let row = Row::new(name, CALLERS as usize, median(figures.rate), "events/s")
            .latencies(median(figures.p50), median(figures.p99))
            .against("no rebuild", median(without.rate.iter().copied()), ratio);
        bench.report.row(&Row {
            against_p50_us: Some(median(without.p50.iter().copied())),
            against_p99_us: Some(median(without.p99.iter().copied())),
            ..row
        })?;
    }
    Ok(())
}

fn by() -> By {
    By::new("kronika-bench", "to see what it costs")
}

fn building(ledger: &Ledger) -> Option<ProjectionStatus> {
    let all = ledger.service.projections().status_of_all();
    all.into_iter().find(|status| status.stage == Stage::Building)
}

/// Commands while a rebuild goes on that is never switched to.
async fn beside_rebuild(
    bench: &Bench<'_>,
    ledger: &Ledger,
    rate: Option<u64>,
) -> Result<(f64, Histogram<u64>), Fault> {
    let before = rebuild(ledger, rate).await?;
    let is_over = AtomicBool::new(false);
    let commands = async {
        let done = command(bench, ledger, bench.options.accounts).await;
        is_over.store(true, Ordering::Relaxed);
        done
    };
    let (done, kept) = tokio::join!(commands, keep_rebuilding(ledger, rate, &is_over));
    let done = done?;
    kept?;
    let now = building(ledger).ok_or("the rebuild is gone")?;
    if now.run == before.run && now.events <= before.events {
        return Err("the rebuild did not move: nothing was measured".into());
    }
    drop_it(ledger, &now).await?;
    Ok(done)
}

/// Begins a rebuild, and gives how it stands once it moves.
async fn rebuild(ledger: &Ledger, rate: Option<u64>) -> Result<ProjectionStatus, Fault> {
    let name = ProjectionName::new("balances")?;
    let (generation, hold, events_per_second) = (None, true, rate);
    let act = Act::Rebuild { name, generation, hold, events_per_second };
    ledger.service.projections().act(act, by()).await?;
    let until = Instant::now() + PATIENCE;
    loop {
        match building(ledger) {
            Some(status) if status.events > 0 => return Ok(status),
            _ if Instant::now() > until => return Err("the rebuild does not begin".into()),
            _ => tokio::time::sleep(LOOK).await,
        }
    }
}

/// Begins another one whenever one has caught up, until it is over.
async fn keep_rebuilding(
    ledger: &Ledger,
    rate: Option<u64>,
    is_over: &AtomicBool,
) -> Result<(), Fault> {
    while !is_over.load(Ordering::Relaxed) {
        tokio::time::sleep(LOOK).await;
        if let Some(status) = building(ledger).filter(|status| status.lag_events < CAUGHT_UP) {
            drop_it(ledger, &status).await?;
            rebuild(ledger, rate).await?;
        }
    }
    Ok(())
}

async fn drop_it(ledger: &Ledger, status: &ProjectionStatus) -> Result<(), Fault> {
    Ok(ledger.service.projections().act(Act::Drop(status.id()), by()).await?)
}

/// Commands in a closed loop for a slice; gives their rate and latencies.
async fn command(
    bench: &Bench<'_>,
    ledger: &Ledger,
    first: u32,
) -> Result<(f64, Histogram<u64>), Fault> {
    let began = Instant::now();
    let until = began + bench.options.slice;
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let accounts = ledger.accounts.clone();
        callers.spawn(async move {
            let (mut random, mut latencies) = (fastrand::Rng::new(), histogram());
            let mut now = Instant::now();
            while now < until {
                let to = account(random.u32(first..first + COMMANDED));
                let deposit = Deposit::some(&mut random);
                accounts.send(&to, deposit).receipt().await?;
                let answered = Instant::now();
                latencies.saturating_record((answered - now).as_nanos() as u64);
                now = answered;
            }
            Ok::<_, Fault>(latencies)
        });
    }
    let mut all = histogram();
    while let Some(latencies) = callers.join_next().await {
        all.add(&latencies??)?;
    }
    Ok((all.len() as f64 / began.elapsed().as_secs_f64(), all))
}
