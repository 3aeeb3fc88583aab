//! Migrations: in order, once, all or nothing, and refused by name where they do not fit.

use crate::common::*;
use kronika_sqlite::{
    Migrated, Migration, MigrationError, SessionError, SessionSettings, SqliteSession,
    rusqlite::Connection,
};
use std::{path::Path, thread, time::Duration};

const CARDS: Migration = Migration::new(
    2,
    "cards",
    "-- Each account has any number of cards.
     CREATE TABLE cards (number TEXT PRIMARY KEY, owner TEXT NOT NULL REFERENCES accounts) STRICT;
     CREATE INDEX cards_by_owner ON cards (owner);
     INSERT INTO accounts VALUES ('house', 0);
     INSERT INTO cards VALUES ('0', 'house');",
);

async fn refused(session: &SqliteSession, migrations: &[Migration]) -> String {
    let before = shape(session.path());
    let error = session.migrate(migrations).await.unwrap_err();
    assert_eq!(shape(session.path()), before, "nothing is applied: {error}");
    let line = error.to_string();
    assert!(!line.contains('\n'), "{line}");
    line
}

/// Everything that the file is made of.
fn shape(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).unwrap();
    let sql = "SELECT coalesce(sql, name) FROM sqlite_schema
        UNION ALL SELECT number || name || checksum FROM kronika_migrations";
    let mut select = connection.prepare(sql).unwrap();
    let rows = select.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn steps_are_applied_in_order_and_once() {
    let (_directory, path) = place();
    let session = open(&path);
    let migrated = session.migrate(&[]).await.unwrap();
    assert_eq!(migrated, Migrated { applied: 0, newest: 0 });
    let migrated = session.migrate(&[ACCOUNTS]).await.unwrap();
    assert_eq!(migrated, Migrated { applied: 1, newest: 1 });
    let last = Migration::owned(3, "more".to_owned(), "UPDATE accounts SET cents = cents + 7");
    let migrations = [ACCOUNTS, CARDS, last];
    let migrated = session.migrate(&migrations).await.unwrap();
    assert_eq!(migrated, Migrated { applied: 2, newest: 3 });
    drop(session);
    let session = open(&path);
    let migrated = session.migrate(&migrations).await.unwrap();
    assert_eq!(migrated, Migrated { applied: 0, newest: 3 });
    let cents = session.query(|connection| number(connection, "SELECT cents FROM accounts"));
    assert_eq!(cents.await.unwrap(), 7);
    let recorded = "SELECT count(*) FROM kronika_migrations
        WHERE abs(applied / 1000000 - unixepoch()) < 3600 AND length(checksum) = 32";
    assert_eq!(session.query(|connection| number(connection, recorded)).await.unwrap(), 3);
}

#[tokio::test]
async fn steps_that_do_not_fit_the_file_are_refused_by_name() {
    let (_directory, path) = place();
    let session = open(&path);
    let check = async |given: &[Migration], expected: &str| {
        let line = refused(&session, given).await;
        assert!(line.contains(expected), "{line}");
    };
    check(&[CARDS], "migration 2 \"cards\" stands where 1 is expected").await;
    session.migrate(&[ACCOUNTS, CARDS]).await.unwrap();
    let changed = Migration::new(2, "cards", "CREATE TABLE cards (number TEXT)");
    let more = || Migration::new(3, "more", "CREATE TABLE more (a TEXT)");
    check(&[ACCOUNTS, changed, more()], "migration 2 \"cards\" was changed after it was").await;
    let renamed = Migration::owned(2, "passes", CARDS.sql());
    check(&[ACCOUNTS, renamed], "migration 2 is \"passes\" here, but \"cards\" was applied").await;
    check(&[ACCOUNTS, more()], "migration 2 \"cards\" was applied, and is missing here").await;
    let gap = Migration::new(4, "gap", "CREATE TABLE gap (a TEXT)");
    check(&[ACCOUNTS, CARDS, gap], "migration 4 \"gap\" stands where 3 is expected").await;
    check(&[ACCOUNTS], "has migrations up to 2, this build knows up to 1 and not 2 \"cards\"")
        .await;
    check(&[], "has migrations up to 2, this build knows up to 0 and not 1 \"accounts\"").await;
    let by_hand = Connection::open(&path).unwrap();
    by_hand.execute("DELETE FROM kronika_migrations WHERE number = 1", []).unwrap();
    check(&[ACCOUNTS, CARDS], "has no record of migration 1, but of later ones").await;
}

#[tokio::test]
async fn a_step_that_fails_names_its_statement_and_leaves_nothing() {
    let (_directory, path) = place();
    let session = open(&path);
    session.migrate(&[ACCOUNTS]).await.unwrap();
    let check = async |sql: &str, expected: &[&str]| {
        let sql = format!("CREATE TABLE half (a TEXT);\n-- Not this.\n{sql};\nSELECT 1");
        let line = refused(&session, &[ACCOUNTS, Migration::owned(2, "bad", sql)]).await;
        for part in expected.iter().chain(&["migration 2 \"bad\""]) {
            assert!(line.contains(part), "{part:?} is not in {line:?}");
        }
        assert!(!line.contains("Not this") && !line.contains("half (a"), "{line}");
    };
    check("INSERT INTO nowhere VALUES (1)", &["no such table: nowhere", "in: INSERT INTO nowhere"])
        .await;
    check("CREAT TABLE x (a)", &["syntax error", "in: CREAT TABLE x (a)"]).await;
    let broken = "INSERT INTO accounts\n VALUES ('a', -1)";
    check(broken, &["CHECK constraint", "in: INSERT INTO accounts VALUES ('a', -1)"]).await;
    let forbidden = "leave out: ";
    check("COMMIT", &["leave out: COMMIT"]).await;
    check("BEGIN", &[forbidden]).await;
    check("UPDATE kronika_migrations SET name = 'x'", &["leave out: UPDATE kronika_migrations"])
        .await;
    check("ATTACH 'x' AS x", &[forbidden]).await;
    check("PRAGMA foreign_keys = on", &[forbidden]).await;
    check("SELECT ?1; INSERT INTO nowhere VALUES (2)", &["in: ", "INSERT INTO nowhere"]).await;
    let long = format!("INSERT INTO accounts VALUE ('{}')", "x".repeat(1000));
    check(&long, &["…"]).await;
    // Those before it stay, and the next call goes on from there.
    let bad = Migration::new(3, "bad", "CREATE TABLE cards (a)");
    let error = session.migrate(&[ACCOUNTS, CARDS, bad]).await.unwrap_err();
    assert!(matches!(error, MigrationError::Failed { number: 3, .. }), "{error}");
    let good = Migration::new(3, "good", "CREATE TABLE more (a)");
    let migrated = session.migrate(&[ACCOUNTS, CARDS, good]).await.unwrap();
    assert_eq!(migrated, Migrated { applied: 1, newest: 3 });
}

#[tokio::test]
async fn a_table_that_others_refer_to_can_be_rebuilt() {
    let (_directory, path) = place();
    let session = open(&path);
    let cascade = Migration::new(
        2,
        "cards",
        "CREATE TABLE cards (owner TEXT REFERENCES accounts ON DELETE CASCADE) STRICT;
         INSERT INTO accounts VALUES ('ada', 5);
         INSERT INTO cards VALUES ('ada');",
    );
    let rebuild = |rows: &str| {
        let sql = format!(
            "CREATE TABLE accounts_new (name TEXT PRIMARY KEY, cents INTEGER, note TEXT) STRICT;
             INSERT INTO accounts_new SELECT name, cents, NULL FROM accounts WHERE {rows};
             DROP TABLE accounts;
             ALTER TABLE accounts_new RENAME TO accounts;"
        );
        Migration::owned(3, "notes", sql)
    };
    session.migrate(&[ACCOUNTS, cascade.clone()]).await.unwrap();
    let line = refused(&session, &[ACCOUNTS, cascade.clone(), rebuild("false")]).await;
    assert!(line.contains("would leave rows of cards that refer to nothing"), "{line}");
    session.migrate(&[ACCOUNTS, cascade, rebuild("true")]).await.unwrap();
    let cards = "SELECT count(*) FROM cards";
    assert_eq!(session.query(|connection| number(connection, cards)).await.unwrap(), 1);
    let nobody = session.execute("INSERT INTO cards VALUES ('nobody')", vec![]).await;
    assert!(matches!(nobody, Err(SessionError::Sql(_))), "they are enforced again");
}

/// Each step would fail if it were applied twice.
#[test]
fn starters_side_by_side_apply_each_step_once() {
    let (_directory, path) = place();
    let steps = |number: u32| {
        let sql = format!("CREATE TABLE t{number} (a); INSERT INTO t{number} VALUES (1)");
        Migration::owned(number, format!("step {number}"), sql)
    };
    let migrations: Vec<_> = (1..=20).map(steps).collect();
    let patient = SessionSettings { busy_timeout: LONG, readers: 1, ..settings() };
    let starters = (0..6).map(|_| {
        let (path, migrations, settings) = (path.clone(), migrations.clone(), patient.clone());
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let session = SqliteSession::open(path, settings).unwrap();
            runtime.block_on(session.migrate(&migrations)).unwrap()
        })
    });
    let starters: Vec<_> = starters.collect();
    let migrated: Vec<_> = starters.into_iter().map(|one| one.join().unwrap()).collect();
    assert!(migrated.iter().all(|one| one.newest == 20), "{migrated:?}");
    assert_eq!(migrated.iter().map(|one| one.applied).sum::<usize>(), 20, "{migrated:?}");
}

#[tokio::test]
async fn a_step_without_end_is_interrupted() {
    let (_directory, path) = place();
    let time = Duration::from_millis(50);
    let settings = SessionSettings { migration_time: time, ..settings() };
    let session = SqliteSession::open(&path, settings).unwrap();
    let endless = Migration::owned(2, "endless", format!("CREATE TABLE half (a); {ENDLESS}"));
    let error = session.migrate(&[ACCOUNTS, endless]).await.unwrap_err();
    let is_late =
        matches!(&error, MigrationError::Session(SessionError::TookTooLong(of)) if *of == time);
    assert!(is_late, "{error:?}");
    let migrated = session.migrate(&[ACCOUNTS]).await.unwrap();
    assert_eq!(migrated, Migrated { applied: 0, newest: 1 });
    put(&session, "a").await.unwrap();
}

#[tokio::test]
async fn a_full_file_stops_a_step_without_a_trace() {
    let (_directory, path) = place();
    let bounded = SessionSettings { file_bytes_max: Some(60_000), ..settings() };
    let session = SqliteSession::open(&path, bounded).unwrap();
    session.migrate(&[ACCOUNTS]).await.unwrap();
    let large = Migration::new(
        2,
        "large",
        "CREATE TABLE large (a); INSERT INTO large VALUES (zeroblob(100000))",
    );
    let error = session.migrate(&[ACCOUNTS, large.clone()]).await.unwrap_err();
    assert!(matches!(error, MigrationError::Session(SessionError::Full(_))), "{error:?}");
    assert!(!shape(&path).iter().any(|sql| sql.contains("large")));
    session.close();
    let migrated = open(&path).migrate(&[ACCOUNTS, large]).await.unwrap();
    assert_eq!(migrated, Migrated { applied: 1, newest: 2 });
}
