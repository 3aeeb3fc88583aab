//! Applying migrations: each in a transaction of its own, together with the record of it.

use super::{
    SqliteSession,
    end::End,
    error::{MigrationError, SessionError},
    gate::Gate,
    migration::{Applied, Migration, next},
    transaction::transact,
};
use rusqlite::{
    Batch, Connection, Error, ErrorCode, OptionalExtension, fallible_iterator::FallibleIterator,
    params,
};
use std::{path::Path, time::Duration};

/// Characters of a statement that an error shows.
const SHOWN: usize = 160;

/// What came of migrating.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// Steps that were applied by this call.
    pub applied: usize,
    /// The newest step that the file has; 0 if it has none.
    pub newest: u32,
}

/// What a look at the file led to.
enum Step {
    Applied,
    None(u32),
}

impl SqliteSession {
    /// Brings the tables to their newest shape: applies the steps that the file has not, in order, each in one
    /// transaction with the record of it in the table `kronika_migrations`. To be awaited before the session
    /// is used otherwise.
    ///
    /// Where several processes start at once, each step is applied by one of them, and the others wait for it,
    /// at most [`super::SessionSettings::migration_time`].
    ///
    /// # Errors
    /// What does not fit what was applied is refused before anything is applied. A step that fails leaves
    /// nothing; those before it stay, and the next call goes on from there.
    pub async fn migrate(&self, migrations: &[Migration]) -> Result<Migrated, MigrationError> {
        let (inner, given) = (self.inner.clone(), migrations.to_vec());
        let time = self.inner.settings.migration_time;
        self.write(time, move |connection, end| {
            // A table cannot be rebuilt while what refers to it is enforced. Has no effect in a transaction.
            let enforce = |enforced: bool| {
                connection.pragma_update(None, "foreign_keys", enforced).map_err(SessionError::from)
            };
            enforce(false)?;
            let migrated = apply_all(connection, &inner.gate, end, time, &given, &inner.path);
            enforce(true)?;
            migrated
        })
        .await
    }
}

fn apply_all(
    connection: &Connection,
    gate: &Gate,
    end: &End,
    time: Duration,
    given: &[Migration],
    path: &Path,
) -> Result<Migrated, MigrationError> {
    let mut applied = 0;
    loop {
        // Asked anew within each transaction: another process may have applied the step meanwhile.
        let step = transact(connection, gate, end, time, |transaction| {
            let recorded = recorded(transaction).map_err(SessionError::from)?;
            let Some(migration) = next(given, &recorded, path)? else {
                return Ok(Step::None(recorded.last().map_or(0, |last| last.number)));
            };
            apply(transaction, migration)?;
            gate.opened(|| record(transaction, migration)).map_err(SessionError::from)?;
            Ok::<_, MigrationError>(Step::Applied)
        })?;
        match step {
            Step::Applied => applied += 1,
            Step::None(newest) => return Ok(Migrated { applied, newest }),
        }
    }
}

fn recorded(connection: &Connection) -> rusqlite::Result<Vec<Applied>> {
    let mut select = connection
        .prepare("SELECT number, name, checksum FROM kronika_migrations ORDER BY number")?;
    let rows = select.query_map([], |row| {
        Ok(Applied { number: row.get(0)?, name: row.get(1)?, checksum: row.get(2)? })
    })?;
    rows.collect()
}

fn record(connection: &Connection, migration: &Migration) -> rusqlite::Result<usize> {
    connection.execute(
        "INSERT INTO kronika_migrations (number, name, checksum, applied)
         VALUES (?1, ?2, ?3, CAST(unixepoch('subsec') * 1000000 AS INTEGER))",
        params![migration.number(), migration.name(), migration.checksum()],
    )
}

/// Runs the statements of a step.
fn apply(connection: &Connection, migration: &Migration) -> Result<(), MigrationError> {
    let mut statements = Batch::new(connection, migration.sql());
    // What SQLite has not read yet: of a statement that cannot be prepared it does not always give the text.
    let mut unread = migration.sql();
    loop {
        let unprepared = |error| failed(migration, shown(unread), error);
        let Some(mut statement) = statements.next().map_err(unprepared)? else { break };
        let text = statement.expanded_sql().unwrap_or_default();
        if let Some(begin) = unread.find(&text) {
            unread = &unread[begin + text.len()..];
        }
        let text = shown(&text);
        let mut rows = statement.raw_query();
        while rows.next().map_err(|error| failed(migration, text.clone(), error))?.is_some() {}
        if connection.is_autocommit() {
            return Err(SessionError::RolledBack.into());
        }
    }
    let refers_to_nothing: Option<String> = connection
        .query_row("SELECT \"table\" FROM pragma_foreign_key_check LIMIT 1", [], |row| row.get(0))
        .optional()
        .map_err(SessionError::from)?;
    match refers_to_nothing {
        Some(table) => {
            let (number, name) = (migration.number(), migration.name().to_owned());
            Err(MigrationError::ForeignKeys { number, name, table })
        }
        None => Ok(()),
    }
}

fn failed(migration: &Migration, statement: String, error: Error) -> MigrationError {
    let (number, name) = (migration.number(), migration.name().to_owned());
    // The statement is shown once, and shortened.
    let error = match error {
        Error::SqlInputError { error, msg, .. } => Error::SqliteFailure(error, Some(msg)),
        error => error,
    };
    match (error.sqlite_error_code(), SessionError::from(error)) {
        (Some(ErrorCode::AuthorizationForStatementDenied), _) => {
            MigrationError::Forbidden { number, name, statement }
        }
        (_, SessionError::Sql(source)) => {
            MigrationError::Failed { number, name, statement, source }
        }
        // A full disk is not the statement's fault.
        (_, other) => other.into(),
    }
}

/// The first statement of some SQL on one line, without comments before it, not too long. A semicolon at the
/// end of a line is taken for its end: where SQLite could not read it, nobody knows better.
fn shown(sql: &str) -> String {
    let mut text = String::new();
    let lines = sql.trim_start_matches([';', ' ']).lines().map(str::trim);
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with("--")) {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(line);
        if text.ends_with(';') {
            text.pop();
            break;
        }
    }
    if let Some((end, _)) = text.char_indices().nth(SHOWN) {
        text.truncate(end);
        text.push('…');
    }
    text
}
