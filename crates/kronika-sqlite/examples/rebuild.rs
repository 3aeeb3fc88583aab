//! How fast a keyed read model is built, against SQLite alone doing the same rows in the same batches.
//!
//! `cargo run --release -p kronika-sqlite --example rebuild [EVENTS [KEYS [ROUNDS]]]`; rounds alternate.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for the console")]

#[path = "support/vec_journal.rs"]
mod vec_journal;

use kronika_core::{About, Aggregate, Event, Folded, Mark, On, PartitionId, Projection, Token};
use kronika_macros::{Event, Row};
use kronika_runtime::{Environment, ProjectionSettings, Projections, RegisteredProjection, Waited};
use kronika_sqlite::{SqliteReadModels, SqliteSettings, rusqlite::Connection};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use vec_journal::VecJournal;

const BATCH: usize = 4096;

#[derive(Default, Serialize, Deserialize)]
struct Account {}

#[derive(Event, Serialize, Deserialize)]
enum AccountEvent {
    Deposited { cents: i64 },
}

impl Aggregate for Account {
    const TYPE: &'static str = "account";
    type Id = String;
    type Event = AccountEvent;
    fn apply(&mut self, _: &AccountEvent) {}
}

struct Balances;

#[derive(Row)]
struct Balance {
    cents: i64,
    deposits: u64,
    open: bool,
}

impl Projection for Balances {
    const NAME: &'static str = "balances";
    type Key = String;
    type Row = Balance;
    type Follows = (Account,);
}

impl On<Account> for Balances {
    fn keys(&self, _: &AccountEvent, about: &About<'_>) -> impl IntoIterator<Item = String> {
        [about.id().to_owned()]
    }
    fn on(
        &self,
        row: &mut Option<Balance>,
        _: &String,
        event: &AccountEvent,
        _: &About<'_>,
    ) -> Folded {
        let AccountEvent::Deposited { cents } = event;
        let row = row.get_or_insert(Balance { cents: 0, deposits: 0, open: true });
        row.cents += cents;
        row.deposits += 1;
        Ok(())
    }
}

#[derive(Clone)]
struct Deposit {
    key: String,
    cents: i64,
}

fn deposits(count: usize, keys: usize) -> Vec<Deposit> {
    let mut random = fastrand::Rng::with_seed(1);
    let deposit = |_| Deposit {
        key: format!("account-{:08}", random.usize(..keys)),
        cents: random.i64(1..1000),
    };
    (0..count).map(deposit).collect()
}

fn journal(deposits: &[Deposit]) -> VecJournal {
    let mut journal = VecJournal::default();
    for Deposit { key, cents } in deposits {
        let event = AccountEvent::Deposited { cents: *cents };
        let mut body = Vec::new();
        event.encode(&mut body).unwrap();
        journal.push("account", key, event.kind(), body);
    }
    journal
}

fn raw_file(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = wal; PRAGMA synchronous = normal; PRAGMA cache_size = -32768;
             PRAGMA wal_autocheckpoint = 4000;
             CREATE TABLE balances (key TEXT NOT NULL, cents INTEGER NOT NULL,
                 deposits INTEGER NOT NULL, open INTEGER NOT NULL, PRIMARY KEY (key))
             STRICT, WITHOUT ROWID;
             CREATE TABLE checkpoint (position INTEGER); INSERT INTO checkpoint VALUES (0);",
        )
        .unwrap();
    connection
}

/// One upsert for each event, counted by SQLite itself.
fn raw_upserts(path: &Path, deposits: &[Deposit]) -> Duration {
    let mut connection = raw_file(path);
    let began = Instant::now();
    for batch in deposits.chunks(BATCH) {
        let transaction = connection.transaction().unwrap();
        let sql = "INSERT INTO balances VALUES (?1, ?2, 1, 1) ON CONFLICT (key)
                   DO UPDATE SET cents = cents + excluded.cents, deposits = deposits + 1";
        let mut upsert = transaction.prepare_cached(sql).unwrap();
        for Deposit { key, cents } in batch {
            upsert.execute((key, cents)).unwrap();
        }
        drop(upsert);
        let sql = "UPDATE checkpoint SET position = position + ?1";
        transaction.prepare_cached(sql).unwrap().execute([batch.len()]).unwrap();
        transaction.commit().unwrap();
    }
    began.elapsed()
}

/// Rows loaded, folded and written once for each key of a batch, as a projection does it.
fn raw_rows(path: &Path, deposits: &[Deposit]) -> Duration {
    let mut connection = raw_file(path);
    let began = Instant::now();
    for batch in deposits.chunks(BATCH) {
        let transaction = connection.transaction().unwrap();
        let mut rows = BTreeMap::<&str, (i64, i64)>::new();
        for Deposit { key, .. } in batch {
            rows.insert(key, (0, 0));
        }
        let sql = "SELECT cents, deposits FROM balances WHERE key = ?1";
        let mut select = transaction.prepare_cached(sql).unwrap();
        for (key, row) in &mut rows {
            let found = select.query_row([key], |row| Ok((row.get(0)?, row.get(1)?)));
            *row = found.unwrap_or((0, 0));
        }
        for Deposit { key, cents } in batch {
            let row = rows.get_mut(&**key).unwrap();
            *row = (row.0 + cents, row.1 + 1);
        }
        let sql = "INSERT OR REPLACE INTO balances VALUES (?1, ?2, ?3, 1)";
        let mut upsert = transaction.prepare_cached(sql).unwrap();
        for (key, (cents, deposits)) in &rows {
            upsert.execute((key, cents, deposits)).unwrap();
        }
        drop((select, upsert));
        let sql = "UPDATE checkpoint SET position = position + ?1";
        transaction.prepare_cached(sql).unwrap().execute([batch.len()]).unwrap();
        transaction.commit().unwrap();
    }
    began.elapsed()
}

async fn ours(path: &Path, journal: &VecJournal) -> Duration {
    let read_models = SqliteReadModels::open(path, SqliteSettings::default()).unwrap();
    let settings = ProjectionSettings { batch_events_max: BATCH, ..ProjectionSettings::default() };
    let head: Mark = journal.last();
    let token = Token::of(kronika_core::Journal::incarnation(journal), head);
    let began = Instant::now();
    let projections = Projections::start(
        Arc::new(journal.clone()),
        Some(Arc::new(read_models)),
        vec![RegisteredProjection::keyed(Balances)],
        settings,
        Environment::real(),
    )
    .unwrap();
    let waited = projections.wait_for(&[], &token, Duration::from_secs(600)).await;
    assert_eq!((waited, head.partition), (Waited::There, PartitionId::new(0)));
    let took = began.elapsed();
    projections.stop().await;
    took
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>().unwrap());
    let mut argument = |default| arguments.next().unwrap_or(default);
    run(argument(200_000), argument(10_000), argument(5));
}

#[test]
fn runs() {
    run(10_000, 100, 1);
}

fn run(count: usize, keys: usize, rounds: usize) {
    let deposits = deposits(count, keys);
    let journal = journal(&deposits);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut rates = Vec::new();
    for _ in 0..rounds {
        let directory = tempfile::tempdir().unwrap();
        let upserts = raw_upserts(&directory.path().join("upserts"), &deposits);
        let rows = raw_rows(&directory.path().join("rows"), &deposits);
        let ours = runtime.block_on(ours(&directory.path().join("ours"), &journal));
        let rate = |took: Duration| count as f64 / took.as_secs_f64() / 1000.0;
        rates.push([rate(ours), rate(upserts), rate(rows)]);
        let [ours, upserts, rows] = rates[rates.len() - 1];
        println!(
            "projection {ours:5.0} k/s   raw upserts {upserts:5.0} k/s   raw rows {rows:5.0} k/s"
        );
    }
    let mut ratios: Vec<_> = rates.iter().map(|rates| rates[0] / rates[1]).collect();
    ratios.sort_by(f64::total_cmp);
    // On a machine with other work, the best of each says more than the median.
    let [ours, upserts, rows] =
        [0, 1, 2].map(|kind| rates.iter().map(|rates| rates[kind]).fold(0.0, f64::max));
    println!(
        "of raw upserts: median {:.2}, best of each {:.2}",
        ratios[rounds / 2],
        ours / upserts
    );
    println!("of raw rows: best of each {:.2}", ours / rows);
}
