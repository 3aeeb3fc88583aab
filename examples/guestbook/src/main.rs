//! A guest book on plain tables: what a service looks like that has no aggregates and keeps no events.
//!
//! The session is the same asynchronous way to SQLite that read models have: bounded, with time limits,
//! transactions and migrations.
#![allow(missing_docs, reason = "a binary has no public interface")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "results are its output")]

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    routing::get,
};
use clap::Parser;
use kronika::{
    Migration, Row, ServeLimits, SessionError, SessionSettings, SqliteSession, Value, serve,
};
use serde::{Deserialize, Serialize};
use std::{error::Error, io::Write, net::SocketAddr, path::PathBuf, process::ExitCode};
use tokio::signal::unix::{SignalKind, signal};

/// A guest book: POST /entries with {"guest": …, "text": …}, GET /entries[?after=ID&limit=N].
#[derive(Parser)]
#[command(name = "guestbook", version)]
struct Arguments {
    /// Where the tables are kept; made if it is not there.
    #[arg(long, default_value = "guestbook-data", env = "KRONIKA_DATA")]
    data: PathBuf,
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8080", env = "KRONIKA_LISTEN")]
    listen: SocketAddr,
}

/// Once released, a step is never changed: what is to be different is a new one behind it.
const MIGRATIONS: &[Migration] = &[
    Migration::new(
        1,
        "entries",
        "CREATE TABLE entries (id INTEGER PRIMARY KEY, guest TEXT NOT NULL, text TEXT NOT NULL) STRICT",
    ),
    Migration::new(
        2,
        "guests",
        "CREATE TABLE guests (name TEXT PRIMARY KEY, entries INTEGER NOT NULL) STRICT;
         INSERT INTO guests SELECT guest, count(*) FROM entries GROUP BY guest",
    ),
];

/// Bytes of a guest's name and of a text, at most.
const GUEST_BYTES_MAX: usize = 100;
const TEXT_BYTES_MAX: usize = 10_000;
const ENTRIES_MAX: i64 = 1000;

#[derive(Row, Serialize)]
struct Entry {
    id: i64,
    guest: String,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewEntry {
    guest: String,
    text: String,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    after: i64,
    limit: Option<i64>,
}

type Refused = (StatusCode, String);

async fn sign(
    State(session): State<SqliteSession>,
    Json(NewEntry { guest, text }): Json<NewEntry>,
) -> Result<(StatusCode, Json<Entry>), Refused> {
    let fits = |text: &str, max| !text.trim().is_empty() && text.len() <= max;
    if !fits(&guest, GUEST_BYTES_MAX) || !fits(&text, TEXT_BYTES_MAX) {
        let why = format!("guest has 1 to {GUEST_BYTES_MAX} bytes, text 1 to {TEXT_BYTES_MAX}");
        return Err((StatusCode::UNPROCESSABLE_ENTITY, why));
    }
    // Both tables change or neither does, and both are on the disk before anybody is told.
    let signed = session.transaction(move |transaction| {
        let count =
            "INSERT INTO guests VALUES (?1, 1) ON CONFLICT DO UPDATE SET entries = entries + 1";
        transaction.execute(count, [&guest])?;
        let entry = "INSERT INTO entries (guest, text) VALUES (?1, ?2)";
        transaction.execute(entry, [&guest, &text])?;
        Ok(Entry { id: transaction.last_insert_rowid(), guest, text })
    });
    Ok((StatusCode::CREATED, Json(signed.await.map_err(refused)?)))
}

async fn entries(
    State(session): State<SqliteSession>,
    Query(Page { after, limit }): Query<Page>,
) -> Result<Json<Vec<Entry>>, Refused> {
    let sql = "SELECT id, guest, text FROM entries WHERE id > ?1 ORDER BY id LIMIT ?2";
    let limit = limit.unwrap_or(100).clamp(1, ENTRIES_MAX);
    let entries = session.rows(sql, vec![Value::Integer(after), Value::Integer(limit)]).await;
    entries.map(Json).map_err(refused)
}

fn refused(error: SessionError) -> Refused {
    let status = match error {
        SessionError::Overloaded => StatusCode::TOO_MANY_REQUESTS,
        SessionError::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
        SessionError::Unavailable(_) | SessionError::TookTooLong(_) | SessionError::Closed => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, error.to_string())
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let Arguments { data, listen } = arguments;
    std::fs::create_dir_all(&data).map_err(|error| format!("{}: {error}", data.display()))?;
    let session = SqliteSession::open(data.join("tables.sqlite"), SessionSettings::default())?;
    session.migrate(MIGRATIONS).await?;
    let router =
        Router::new().route("/entries", get(entries).post(sign)).with_state(session.clone());
    let bound = tokio::net::TcpListener::bind(listen).await;
    let listener = bound.map_err(|error| format!("cannot listen on {listen}: {error}"))?;
    // Before the address is told: who knows it may ask for the end at once.
    let (mut interrupted, mut terminated) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    println!("listening on http://{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    let end = async {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    };
    serve(listener, router, ServeLimits::default(), end).await;
    session.close();
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("guestbook: {error}");
            ExitCode::FAILURE
        }
    }
}
