//! `visible`, `visible-idle` and `parked-visible`: from a command's acknowledgement to its row in a query's answer.
//!
//! Commands arrive by themselves at a fixed rate, whatever the answers do. Of every tenth, the caller waits by the
//! receipt's token and asks for the row, which must have the deposit; timed is from the receipt to the answer.

use super::{
    Bench, Fault,
    filled::Filled,
    ledger::{Deposit, POISONED, account},
    service::{Figures, Ledger},
};
use crate::{
    arrivals::Arrivals,
    harness::Latencies,
    report::{Row, median, median_ratio},
};
use hdrhistogram::Histogram;
use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};
use tokio::{runtime::Handle, task::JoinSet};

/// Commands of which one is watched.
const WATCHED: usize = 10;

/// At the offered rate, and one command at a time.
pub async fn run(bench: &Bench<'_>, directory: &Path) -> Result<(), Fault> {
    let ledger = sound(bench, directory, "sound", false).await?;
    let mut offered = Figures::new();
    let (mut alone, mut queries) = (Figures::new(), Figures::new());
    for seed in 0..bench.options.slices {
        let (rate, latencies) = arrive(bench, &ledger, seed as u64).await?;
        offered.add(rate, &latencies);
        let (seen, asked) = idle(bench, &ledger).await?;
        alone.add(0.0, &seen);
        queries.add(0.0, &asked);
    }
    ledger.stop().await;
    let row = Row::new("visible", 0, median(offered.rate), "events/s");
    bench.report.row(&row.latencies(median(offered.p50), median(offered.p99)))?;
    let ratio = median_ratio(&alone.p50, &queries.p50);
    let row = Row::new("visible-idle", 1, median(alone.p50.iter().copied()), "us");
    let row = row.against("the query alone", median(queries.p50.iter().copied()), ratio);
    bench.report.row(&row.latencies(median(alone.p50), median(alone.p99)))?;
    Ok(())
}

/// At the offered rate with one key of all poisoned, against none.
pub async fn parked(bench: &Bench<'_>, directory: &Path) -> Result<(), Fault> {
    let ledgers = [
        sound(bench, directory, "poisoned", true).await?,
        sound(bench, directory, "sound", false).await?,
    ];
    let mut figures = [const { Figures::new() }; 2];
    for seed in 0..bench.options.slices {
        for (ledger, figures) in ledgers.iter().zip(&mut figures) {
            let (rate, latencies) = arrive(bench, ledger, seed as u64).await?;
            figures.add(rate, &latencies);
        }
    }
    let [poisoned, none] = figures;
    let ratio = median_ratio(&poisoned.p99, &none.p99);
    let row = Row::new("parked-visible", 0, median(poisoned.p99.iter().copied()), "us");
    let row = row.against("none parked", median(none.p99), ratio);
    bench.report.row(&row.latencies(median(poisoned.p50), median(poisoned.p99)))?;
    for ledger in ledgers {
        ledger.stop().await;
    }
    Ok(())
}

/// A service on a log of its own, whose accounts all have a row.
async fn sound(
    bench: &Bench<'_>,
    directory: &Path,
    name: &str,
    poisoned: bool,
) -> Result<Ledger, Fault> {
    let own = directory.join(name);
    std::fs::create_dir(&own)?;
    let log = Filled::with(&own, 0, 0).await?.log;
    let ledger = Ledger::start(&log, &own, poisoned).await?;
    ledger.load((0..bench.options.accounts).map(account)).await?;
    Ok(ledger)
}

/// Commands that arrive by themselves; gives how many were answered a second, and how long rows took.
async fn arrive(
    bench: &Bench<'_>,
    ledger: &Ledger,
    seed: u64,
) -> Result<(f64, Histogram<u64>), Fault> {
    let (latencies, runtime) = (Latencies::default(), Handle::current());
    let arrivals =
        Arrivals { rate: f64::from(bench.options.offered), time: bench.options.slice, seed };
    let (accounts, began) = (bench.options.accounts, Instant::now());
    let sending = {
        let (ledger, latencies) = (ledger.clone(), latencies.clone());
        thread::spawn(move || {
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut answers, mut count) = (JoinSet::new(), 0_usize);
            arrivals.run(|number, _| {
                // Not the poisoned one: its row never has the deposit.
                let to = account(random.u32(POISONED + 1..accounts));
                let to = if number % accounts as usize == 1 { account(POISONED) } else { to };
                let watched = (number % WATCHED == 0).then(|| latencies.clone());
                let deposit = Deposit::some(&mut random);
                answers.spawn_on(ledger.clone().deposit(to, deposit, number, watched), &runtime);
                while answers.try_join_next().is_some_and(|one| matches!(one, Ok(Ok(())))) {}
                count = number + 1;
            });
            (answers, count)
        })
    };
    let joined = tokio::task::spawn_blocking(|| sending.join()).await?;
    let (mut answers, count) = joined.map_err(|_| "the sending thread panicked")?;
    while let Some(answered) = answers.join_next().await {
        answered??;
    }
    Ok((count as f64 / began.elapsed().as_secs_f64(), latencies.sum()))
}

/// One command at a time; gives how long rows took, and how long the query alone takes.
async fn idle(
    bench: &Bench<'_>,
    ledger: &Ledger,
) -> Result<(Histogram<u64>, Histogram<u64>), Fault> {
    let (seen, asked) = (Latencies::default(), Latencies::default());
    let (mut random, until) = (fastrand::Rng::new(), Instant::now() + bench.options.slice);
    for number in 0.. {
        let to = account(random.u32(POISONED + 1..bench.options.accounts));
        let deposit = Deposit::some(&mut random);
        ledger.clone().deposit(to.clone(), deposit, number, Some(seen.clone())).await?;
        let began = Instant::now();
        ledger.deposits(to).await?;
        asked.record(number, began.elapsed().as_nanos() as u64);
        if Instant::now() > until {
            break;
        }
        // So that nothing of the one before goes on beside the next one.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok((seen.sum(), asked.sum()))
}
