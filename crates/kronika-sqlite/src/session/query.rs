//! Queries of a session: on connections that cannot write, each on one consistent state.

use super::{SqliteSession, error::SessionError};
use crate::{
    error::QueryError,
    query::{QueryLimits, in_transaction, typed_rows},
};
use kronika_core::{Row, Value};
use rusqlite::Connection;

impl SqliteSession {
    /// Runs code on a connection that can only read, within one read transaction: all its statements see the
    /// same state, with everything that was committed before. Within [`super::SessionSettings::query_limits`].
    ///
    /// Time that the code spends outside SQLite is not interrupted.
    pub async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, SessionError> {
        self.query_within(self.inner.settings.query_limits, query).await
    }

    /// The same, within bounds of its own.
    pub async fn query_within<T: Send + 'static>(
        &self,
        limits: QueryLimits,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, SessionError> {
        let query = move |connection: &Connection| query(connection).map_err(QueryError::Sql);
        self.run_query(limits, query).await
    }

    /// Rows of a query in SQL, whose columns have the names of the row's fields, in any order. The parameters
    /// are bound to `?1` and so on. More rows than the limit are refused, not cut.
    pub async fn rows<R: Row>(
        &self,
        sql: impl Into<String>,
        parameters: Vec<Value>,
    ) -> Result<Vec<R>, SessionError> {
        let (sql, limits) = (sql.into(), self.inner.settings.query_limits);
        let query = move |connection: &Connection| {
            let typed = |mut values: Vec<Vec<Value>>| R::from_values(values.remove(0));
            typed_rows(connection, &sql, &parameters, &[R::COLUMNS], limits.rows, typed)
        };
        self.run_query(limits, query).await
    }

    async fn run_query<T: Send + 'static>(
        &self,
        limits: QueryLimits,
        query: impl FnOnce(&Connection) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, SessionError> {
        self.read(limits.time, move |connection, end| {
            match in_transaction(connection, query) {
                Ok(answer) => Ok(answer),
                // What was interrupted fails in whatever way its code makes of it.
                Err(error) => end.check().and(Err(error.into())),
            }
        })
        .await
    }
}
