//! Transactions of a session: all or nothing, one after another, durable when acknowledged.

use super::{SqliteSession, end::End, error::SessionError, gate::Gate};
use crate::{open::is_busy, query::panic_message, values::Bound};
use kronika_core::Value;
use rusqlite::{Connection, Transaction, TransactionBehavior, params_from_iter};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

/// SQLite waits for a lock so long without looking whether anybody still waits for it.
const LOOK: Duration = Duration::from_millis(25);

impl SqliteSession {
    /// Runs code in a transaction. It is committed, and durable, when this gives `Ok`; it is rolled back when
    /// the code gives an error or panics, or when the whole takes longer than
    /// [`super::SessionSettings::transaction_time`]. A refusal of the code's own is an error type that is made
    /// from [`SessionError`]; to use `?` on what SQLite says, also from `rusqlite::Error`.
    ///
    /// If this future is dropped, the transaction is rolled back, or has been committed already.
    ///
    /// The code cannot end the transaction, attach files, change settings, or touch names that begin with
    /// `kronika_`; it waits for nothing, since all transactions share its thread. Time that it spends outside
    /// SQLite is not interrupted.
    ///
    /// # Errors
    /// After every one but [`SessionError::UnknownOutcome`], nothing was changed.
    pub async fn transaction<T, E>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<SessionError> + Send + 'static,
    {
        let (gate, patience) = (self.inner.gate.clone(), self.inner.settings.busy_timeout);
        let job = move |connection: &mut Connection, end: &End| {
            transact(connection, &gate, end, patience, work)
        };
        self.write(self.inner.settings.transaction_time, job).await
    }

    /// One statement as a transaction; gives how many rows it changed. The parameters are bound to `?1` and so
    /// on.
    pub async fn execute(
        &self,
        sql: impl Into<String>,
        parameters: Vec<Value>,
    ) -> Result<usize, SessionError> {
        let sql = sql.into();
        self.transaction(move |transaction| {
            let mut statement = transaction.prepare_cached(&sql)?;
            Ok(statement.execute(params_from_iter(parameters.iter().map(Bound)))?)
        })
        .await
    }
}

/// Runs code of users in a transaction, which is committed or leaves nothing.
pub(super) fn transact<T, E: From<SessionError>>(
    connection: &Connection,
    gate: &Gate,
    end: &End,
    patience: Duration,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let transaction = begin(connection, end, patience)?;
    let done = gate.closed(end, || catch_unwind(AssertUnwindSafe(|| work(&transaction))));
    let value = match done {
        Err(panic) => {
            transaction.finish().map_err(SessionError::from)?;
            return Err(SessionError::Panicked(panic_message(&*panic)).into());
        }
        Ok(Err(error)) => {
            transaction.finish().map_err(SessionError::from)?;
            // What was interrupted fails in whatever way its code makes of it.
            end.check()?;
            return Err(error);
        }
        Ok(Ok(value)) => value,
    };
    end.check()?;
    if transaction.is_autocommit() {
        return Err(SessionError::RolledBack.into());
    }
    end.settled(|| transaction.commit()).map_err(SessionError::of_commit)?;
    Ok(value)
}

/// Begins to write, as soon as nobody else does.
pub(super) fn begin<'a>(
    connection: &'a Connection,
    end: &End,
    patience: Duration,
) -> Result<Transaction<'a>, SessionError> {
    connection.busy_timeout(LOOK.min(patience))?;
    let began = Instant::now();
    loop {
        match Transaction::new_unchecked(connection, TransactionBehavior::Immediate) {
            Err(error) if is_busy(&error) && began.elapsed() < patience && !end.is_over() => {}
            result => return Ok(result?),
        }
    }
}
