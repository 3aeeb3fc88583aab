//! Queries: on connections that cannot write, each in bounded time, each on one consistent state.

use crate::{
    error::QueryError,
    open::is_busy,
    pool::Refused,
    store::SqliteReadModels,
    values::{Bound, read},
};
use kronika_core::{
    CodecError, Column, Generation, Key, Projection, ProjectionName, ReadModelSpec, Row, Tables,
    Value,
};
use rusqlite::{Connection, ErrorCode, Statement, params_from_iter};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Steps of SQLite's machine between two looks at the clock: some ten microseconds.
pub(crate) const STEPS: i32 = 1000;

/// Bounds of one query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryLimits {
    /// From the call to the answer. A query that takes longer is interrupted.
    pub time: Duration,
    /// Rows that a typed query may have; more are refused, not cut.
    pub rows: usize,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self { time: Duration::from_secs(5), rows: 10_000 }
    }
}

/// Sets its flag when nobody waits for the answer any more.
pub(crate) struct Waiting(pub Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl SqliteReadModels {
    /// Runs code on a connection that can only read, within one read transaction: all its statements see the
    /// same batches. Within [`crate::SqliteSettings::query_limits`].
    ///
    /// A query whose future is dropped is interrupted.
    pub async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, QueryError> {
        self.query_within(self.inner.settings.query_limits, query).await
    }

    /// The same, within bounds of its own.
    pub async fn query_within<T: Send + 'static>(
        &self,
        limits: QueryLimits,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, QueryError> {
        let query = move |connection: &Connection| query(connection).map_err(QueryError::Sql);
        self.run(limits, query).await
    }

    /// Rows of a query in SQL, whose columns have the names of the row's fields, in any order. The parameters
    /// are bound to `?1` and so on.
    pub async fn rows<R: Row>(
        &self,
        sql: impl Into<String>,
        parameters: Vec<Value>,
    ) -> Result<Vec<R>, QueryError> {
        let read = |mut values: Vec<Vec<Value>>| R::from_values(values.remove(0));
        self.typed(sql.into(), parameters, vec![R::COLUMNS], read).await
    }

    /// Keys and rows of a query in SQL, as [`SqliteReadModels::rows`].
    pub async fn entries<K: Key, R: Row>(
        &self,
        sql: impl Into<String>,
        parameters: Vec<Value>,
    ) -> Result<Vec<(K, R)>, QueryError> {
        let read = |mut values: Vec<Vec<Value>>| {
            let row = R::from_values(values.remove(1))?;
            Ok((K::from_values(values.remove(0))?, row))
        };
        self.typed(sql.into(), parameters, vec![K::COLUMNS, R::COLUMNS], read).await
    }

    /// A projection's row for a key, if there is one: of its live read model.
    pub async fn row<P: Projection>(&self, key: &P::Key) -> Result<Option<P::Row>, QueryError> {
        let spec = ReadModelSpec {
            name: ProjectionName::new(P::NAME)?,
            generation: Generation::new(P::GENERATION),
            types: Vec::new(),
            order: P::ORDER,
            tables: Tables::Keyed { key: P::Key::COLUMNS.to_vec(), row: P::Row::COLUMNS.to_vec() },
        };
        spec.check()?;
        let column = |column: &Column| format!("\"{}\" = ?", column.name);
        let columns: Vec<_> = P::Key::COLUMNS.iter().map(column).collect();
        let sql = format!("SELECT * FROM \"{}\" WHERE {}", P::NAME, columns.join(" AND "));
        Ok(self.rows(sql, key.values()).await?.pop())
    }

    async fn typed<T: Send + 'static>(
        &self,
        sql: String,
        parameters: Vec<Value>,
        columns: Vec<&'static [Column]>,
        typed: impl Fn(Vec<Vec<Value>>) -> Result<T, CodecError> + Send + 'static,
    ) -> Result<Vec<T>, QueryError> {
        let limits = self.inner.settings.query_limits;
        let query = move |connection: &Connection| {
            typed_rows(connection, &sql, &parameters, &columns, limits.rows, typed)
        };
        self.run(limits, query).await
    }

    async fn run<T: Send + 'static>(
        &self,
        limits: QueryLimits,
        query: impl FnOnce(&Connection) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, QueryError> {
        let until = Instant::now().checked_add(limits.time);
        let gone = Arc::new(AtomicBool::new(false));
        let _waiting = Waiting(gone.clone());
        let closing = self.inner.closing.clone();
        let over = move || {
            until.is_some_and(|until| Instant::now() >= until)
                || gone.load(Ordering::Relaxed)
                || closing.load(Ordering::Relaxed)
        };
        let job = move |connection: &mut Connection| {
            if over() {
                return Err(QueryError::TookTooLong(limits.time));
            }
            connection.progress_handler(STEPS, Some(over)).map_err(QueryError::Sql)?;
            let result = in_transaction(connection, query);
            connection.progress_handler(0, None::<fn() -> bool>).map_err(QueryError::Sql)?;
            result.map_err(|error| sorted(error, limits))
        };
        match self.inner.readers.run(job).await {
            Ok(result) => result,
            Err(Refused::Overloaded) => Err(QueryError::Overloaded),
            Err(Refused::Closed) => Err(QueryError::Closed),
            Err(Refused::Panicked) => Err(QueryError::Panicked("outside its code".to_owned())),
        }
    }
}

/// The rows of a query as typed values: one list of values for each list of columns.
pub(crate) fn typed_rows<T>(
    connection: &Connection,
    sql: &str,
    parameters: &[Value],
    columns: &[&'static [Column]],
    rows_max: usize,
    typed: impl Fn(Vec<Vec<Value>>) -> Result<T, CodecError>,
) -> Result<Vec<T>, QueryError> {
    let mut statement = connection.prepare_cached(sql).map_err(QueryError::Sql)?;
    let parameters = params_from_iter(parameters.iter().map(Bound));
    let mut rows = statement.query(parameters).map_err(QueryError::Sql)?;
    let (mut places, mut answer) = (None, Vec::new());
    while let Some(row) = rows.next().map_err(QueryError::Sql)? {
        let places = match &mut places {
            Some(places) => places,
            None => places.insert(columns_of(row.as_ref(), columns)?),
        };
        if answer.len() == rows_max {
            return Err(QueryError::TooManyRows(rows_max));
        }
        let value = |(index, column): &(usize, &'static Column)| {
            let value = row.get_ref(*index).map_err(QueryError::Sql)?;
            read(column, value).map_err(QueryError::Shape)
        };
        let values = places.iter().map(|places| places.iter().map(value).collect());
        let values = values.collect::<Result<Vec<Vec<Value>>, _>>()?;
        answer.push(typed(values).map_err(QueryError::Shape)?);
    }
    Ok(answer)
}

/// Where each column stands in the answer. To be asked at the first row: until then a statement that was
/// prepared before a table changed has the columns of then.
fn columns_of(
    statement: &Statement<'_>,
    columns: &[&'static [Column]],
) -> Result<Vec<Vec<(usize, &'static Column)>>, QueryError> {
    let place = |column: &'static Column| {
        let place = statement.column_index(column.name).map_err(QueryError::Sql)?;
        Ok((place, column))
    };
    columns.iter().map(|columns| columns.iter().map(place).collect()).collect()
}

/// Runs a query on one state; nothing of it stays, also if it panics.
pub(crate) fn in_transaction<T>(
    connection: &Connection,
    query: impl FnOnce(&Connection) -> Result<T, QueryError>,
) -> Result<T, QueryError> {
    let transaction = connection.unchecked_transaction().map_err(QueryError::Sql)?;
    let result = catch_unwind(AssertUnwindSafe(|| query(&transaction)));
    transaction.rollback().map_err(QueryError::Sql)?;
    result.unwrap_or_else(|panic| Err(QueryError::Panicked(panic_message(&*panic))))
}

/// SQLite's errors by what the caller should do.
fn sorted(error: QueryError, limits: QueryLimits) -> QueryError {
    match error {
        QueryError::Sql(error) if is_busy(&error) => QueryError::Unavailable(error),
        QueryError::Sql(error)
            if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) =>
        {
            QueryError::TookTooLong(limits.time)
        }
        error => error,
    }
}

/// What a panic said, where it said anything.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no message".to_owned())
}
