//! The process is killed with `kill -9` while it migrates and while transactions are on their way.

use crate::common::*;
use kronika_sqlite::{Migrated, Migration, SessionError, SessionSettings, SqliteSession};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
};

/// Names the file to the process that is to be killed.
const FILE: &str = "KRONIKA_TEST_KILLED_TABLES";
const STEPS: u32 = 4;
const ROWS: u64 = 20_000;

/// So little memory that what is not committed reaches the disk as well.
fn small() -> SessionSettings {
    SessionSettings { cache_bytes: 64 << 10, busy_timeout: LONG, ..settings() }
}

/// Each makes a table of many rows and, last, a mark that it is whole.
fn migrations() -> Vec<Migration> {
    let step = |number| {
        let sql = format!(
            "CREATE TABLE t{number} (a INTEGER PRIMARY KEY, b TEXT) STRICT;
             WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < {ROWS})
             INSERT INTO t{number} SELECT x, printf('%064d', x) FROM n;
             CREATE TABLE whole{number} (a);"
        );
        Migration::owned(number, format!("step {number}"), sql)
    };
    (1..=STEPS).map(step).collect()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().build().unwrap()
}

fn say(line: std::fmt::Arguments<'_>) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

#[test]
fn killed_while_it_migrates() {
    let Some(path) = std::env::var_os(FILE) else { return };
    runtime().block_on(async {
        let session = SqliteSession::open(path, small()).unwrap();
        say(format_args!("begins"));
        session.migrate(&migrations()).await.unwrap();
        say(format_args!("done"));
    });
}

/// Pairs of rows with one number, by several callers, each told when it is acknowledged.
#[test]
fn killed_while_it_writes() {
    let Some(path) = std::env::var_os(FILE) else { return };
    runtime().block_on(async {
        let session = SqliteSession::open(path, small()).unwrap();
        let tables = "CREATE TABLE a (n INTEGER PRIMARY KEY, c INTEGER) STRICT;
            CREATE TABLE b (n INTEGER PRIMARY KEY, c INTEGER) STRICT";
        session.migrate(&[Migration::new(1, "pairs", tables)]).await.unwrap();
        let mut callers = tokio::task::JoinSet::<()>::new();
        for caller in 0..4_i64 {
            let session = session.clone();
            callers.spawn(async move {
                loop {
                    let pair = session.transaction::<_, SessionError>(move |transaction| {
                        let insert = "INSERT INTO a (c) VALUES (?1) RETURNING n";
                        let n: i64 = transaction.query_row(insert, [caller], |row| row.get(0))?;
                        transaction.execute("INSERT INTO b VALUES (?1, ?2)", [n, caller])?;
                        Ok(n)
                    });
                    say(format_args!("acknowledged {}", pair.await.unwrap()));
                }
            });
        }
        callers.join_next().await.unwrap().unwrap();
    });
}

fn spawn(test: &str, path: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([&format!("kills::{test}"), "--exact", "--nocapture"]).env(FILE, path);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_killed_process_leaves_whole_steps_only() {
    let mut midway = 0;
    for round in 1..=6_u64 {
        let (_directory, path) = place();
        let mut child = spawn("killed_while_it_migrates", &path);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = lines.find_map(|line| line.ok().filter(|line| line == "begins"));
        assert!(line.is_some(), "it begins");
        // Each step writes some 2 MiB to the log.
        let log = path.with_extension("sqlite-wal");
        until("the log has grown", || {
            std::fs::metadata(&log).is_ok_and(|log| log.len() >= round * (700 << 10))
                || child.try_wait().unwrap().is_some()
        });
        child.kill().unwrap();
        child.wait().unwrap();

        let session = SqliteSession::open(&path, small()).unwrap();
        let of = |what: &str| {
            format!(
                "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name GLOB '{what}'"
            )
        };
        let counts =
            ["SELECT count(*) FROM kronika_migrations".to_owned(), of("t[0-9]"), of("whole[0-9]")];
        let counts = runtime().block_on(session.query(move |connection| {
            counts.iter().map(|sql| number(connection, sql)).collect::<Result<Vec<_>, _>>()
        }));
        let counts = counts.unwrap();
        assert!(counts.iter().all(|count| *count == counts[0]), "round {round}: {counts:?}");
        midway += u32::from(counts[0] < u64::from(STEPS));
        let migrated = runtime().block_on(session.migrate(&migrations())).unwrap();
        let applied = (u64::from(STEPS) - counts[0]) as usize;
        assert_eq!(migrated, Migrated { applied, newest: STEPS });
        let rows = runtime().block_on(session.query(|connection| {
            let rows = |n| number(connection, &format!("SELECT count(*) FROM t{n}"));
            (1..=STEPS).map(rows).collect::<Result<Vec<_>, _>>()
        }));
        assert_eq!(rows.unwrap(), [ROWS; STEPS as usize]);
    }
    assert!(midway > 0, "no kill came midway");
}

#[test]
fn acknowledged_transactions_survive_and_no_half_does() {
    let (_directory, path) = place();
    let mut acknowledged = 0;
    for kill_after in [1, 7, 50, 200] {
        let mut child = spawn("killed_while_it_writes", &path);
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut numbers = lines
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<u64>().ok());
        let told = numbers.by_ref().take(kill_after).collect::<Vec<_>>();
        assert_eq!(told.len(), kill_after, "it goes on until it is killed");
        child.kill().unwrap();
        // Also what was told between the last look and the kill.
        let told = told.into_iter().chain(numbers).max().unwrap();
        child.wait().unwrap();
        acknowledged = told.max(acknowledged);

        let session = SqliteSession::open(&path, small()).unwrap();
        let counts = runtime().block_on(session.query(|connection| {
            Ok([
                number(connection, "SELECT count(*) FROM a")?,
                number(connection, "SELECT max(n) FROM a")?,
                number(connection, "SELECT count(*) FROM b")?,
                number(connection, "SELECT count(*) FROM a JOIN b USING (n, c)")?,
            ])
        }));
        let [a, newest, b, pairs] = counts.unwrap();
        assert!(a == newest && a == b && a == pairs, "{a} {newest} {b} {pairs}");
        assert!(newest >= acknowledged, "{newest} of {acknowledged}");
    }
}
