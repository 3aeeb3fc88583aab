//! `rebuild`, `rebuild-many`, `rebuild-three` and `parked`: read models built from a whole log, in files of their own.

use super::{
    Bench, Fault,
    filled::Filled,
    ledger::{Balances, Branches, Largest, balances, three},
    limit::{Limit, Writes, raw},
};
use crate::{
    harness::cpu_time,
    report::{Row, median, median_ratio},
};
use kronika::{
    Environment, Projections, RegisteredProjection, SqliteReadModels, SqliteSettings, Waited,
};
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// A read model that is not built in this time never is.
const PATIENCE: Duration = Duration::from_secs(600);

/// One table of so many keys, against its raw upserts and its raw rows.
pub async fn one(
    bench: &Bench<'_>,
    directory: &Path,
    name: &'static str,
    accounts: u32,
) -> Result<(), Fault> {
    let filled = Filled::with(directory, bench.options.events, accounts).await?;
    let writes = [Writes::of(&Balances::default(), &filled, &bench.options.settings).await?];
    measure(bench, directory, name, &filled, &writes, || vec![balances(false)]).await
}

/// Three tables in one pass, against the raw upserts and rows of all three on one thread. Deliveries are counted.
pub async fn all_three(bench: &Bench<'_>, directory: &Path) -> Result<(), Fault> {
    let filled = Filled::with(directory, bench.options.events, bench.options.accounts).await?;
    let writes = [
        Writes::of(&Balances::default(), &filled, &bench.options.settings).await?,
        Writes::of(&Largest, &filled, &bench.options.settings).await?,
        Writes::of(&Branches, &filled, &bench.options.settings).await?,
    ];
    measure(bench, directory, "rebuild-three", &filled, &writes, three).await
}

async fn measure(
    bench: &Bench<'_>,
    directory: &Path,
    name: &'static str,
    filled: &Filled,
    writes: &[Writes],
    registered: impl Fn() -> Vec<RegisteredProjection>,
) -> Result<(), Fault> {
    let deliveries = filled.events as f64 * writes.len() as f64;
    let [mut ours, mut upserts, mut rows] = [const { Figures::new() }; 3];
    for _ in 0..bench.options.slices {
        let own = tempfile::tempdir_in(directory)?;
        upserts.add(deliveries, raw(&own.path().join("upserts"), writes, Limit::Upserts)?);
        ours.add(deliveries, build(bench, filled, own.path(), registered(), false).await?);
        rows.add(deliveries, raw(&own.path().join("rows"), writes, Limit::Rows)?);
    }
    for (against, limit) in [("raw upserts", upserts), ("raw rows", rows)] {
        let ratio = median_ratio(&ours.rates, &limit.rates);
        let row = Row::new(name, writes.len(), median(ours.rates.clone()), "events/s");
        bench.report.row(&Row {
            cpu_us: Some(median(ours.cpu_us.clone())),
            against_cpu_us: Some(median(limit.cpu_us)),
            events: Some(filled.events),
            ..row.against(against, median(limit.rates), ratio)
        })?;
    }
    Ok(())
}

/// One key of all is poisoned from its first event on, against none.
pub async fn parked(bench: &Bench<'_>, directory: &Path) -> Result<(), Fault> {
    let filled = Filled::with(directory, bench.options.events, bench.options.accounts).await?;
    let events = filled.events as f64;
    let [mut poisoned, mut sound] = [const { Figures::new() }; 2];
    for _ in 0..bench.options.slices {
        let own = tempfile::tempdir_in(directory)?;
        for (name, is_poisoned, figures) in
            [("sound", false, &mut sound), ("poisoned", true, &mut poisoned)]
        {
            let file = own.path().join(name);
            std::fs::create_dir(&file)?;
            let registered = vec![balances(is_poisoned)];
            figures.add(events, build(bench, &filled, &file, registered, is_poisoned).await?);
        }
    }
    let ratio = median_ratio(&poisoned.rates, &sound.rates);
    let row = Row::new("parked", 1, median(poisoned.rates), "events/s");
    bench.report.row(&Row {
        cpu_us: Some(median(poisoned.cpu_us)),
        against_cpu_us: Some(median(sound.cpu_us)),
        events: Some(filled.events),
        ..row.against("none parked", median(sound.rates), ratio)
    })?;
    Ok(())
}

/// Builds read models in a new file until all have the whole log. Gives time and processor time.
async fn build(
    bench: &Bench<'_>,
    filled: &Filled,
    directory: &Path,
    registered: Vec<RegisteredProjection>,
    is_poisoned: bool,
) -> Result<(Duration, Duration), Fault> {
    let file = directory.join("read-models.sqlite");
    let read_models = SqliteReadModels::open(file, SqliteSettings::default())?;
    let (began, cpu) = (Instant::now(), cpu_time());
    let projections = Projections::start(
        Arc::new(filled.log.clone()),
        Some(Arc::new(read_models.clone())),
        registered,
        bench.options.settings.clone(),
        Environment::real(),
    )?;
    let waited = projections.wait_for(&[], &filled.head, PATIENCE).await;
    let took = (began.elapsed(), cpu_time() - cpu);
    if waited != Waited::There {
        return Err(format!("the read models were not built: {waited:?}").into());
    }
    let parked = projections.status().iter().map(|status| status.parked.len()).sum::<usize>();
    projections.stop().await;
    let sql = "SELECT sum(deposits) FROM balances";
    let folded = read_models.query(|it| it.query_row(sql, [], |row| row.get::<_, u64>(0))).await?;
    // What was not folded was not measured.
    if parked != usize::from(is_poisoned) || (folded == filled.events) == is_poisoned {
        let events = filled.events;
        return Err(format!("{folded} of {events} events were folded, {parked} keys parked").into());
    }
    read_models.close();
    Ok(took)
}

struct Figures {
    rates: Vec<f64>,
    cpu_us: Vec<f64>,
}

impl Figures {
    const fn new() -> Self {
        Self { rates: Vec::new(), cpu_us: Vec::new() }
    }

    fn add(&mut self, events: f64, (time, cpu): (Duration, Duration)) {
        self.rates.push(events / time.as_secs_f64());
        self.cpu_us.push(cpu.as_secs_f64() * 1e6 / events);
    }
}
