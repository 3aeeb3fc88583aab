//! Handlers of batches with a transaction at hand, for what does not fit one row for each key.

mod projection;
mod running;

use crate::{own_tables::HandlerTables, store::SqliteReadModels};
use kronika_core::{
    Generation, Order, ProjectionName, ReadModelSpec, RecordedEvent, SpecError, Tables,
};
pub use projection::SqliteHandler;
use rusqlite::Transaction;
use std::error::Error;

/// What came of a batch.
pub type Handled = Result<(), Box<dyn Error + Send + Sync>>;

/// A projection that handles batches of events with SQL of its own: its tables and its checkpoint are written
/// in one transaction.
///
/// # Contract
///
/// `handle` keeps what it knows in its tables, not in itself: a batch that fails is rolled back and handled
/// again, by halves, until the event that fails is known. Where a read model is built beside another, the
/// same handler handles the events of both, each with its own tables. It does not end the transaction, and
/// waits for nothing: all projections of the file share its thread. It takes at most
/// [`crate::SqliteSettings::handler_time_max`] for a batch.
///
/// Its tables belong to it alone. Each building of its read model has tables of its own, whose names it asks
/// for by [`HandlerTables::name`]; queries find those of the live one by the plain names.
///
/// ```
/// use kronika_core::RecordedEvent;
/// use kronika_sqlite::{BatchHandler, Handled, HandlerTables, rusqlite::Transaction};
///
/// /// Every event by its hour, over all auctions.
/// struct Hours;
///
/// impl BatchHandler for Hours {
///     const NAME: &'static str = "hours";
///     const FOLLOWS: &'static [&'static str] = &["auction"];
///     const TABLES: &'static [&'static str] = &["hour"];
///
///     fn create(&mut self, tables: &HandlerTables, transaction: &Transaction<'_>) -> Handled {
///         let hour = tables.name("hour");
///         let table =
///             format!("CREATE TABLE {hour} (hour INTEGER PRIMARY KEY, events INTEGER NOT NULL)");
///         Ok(transaction.execute_batch(&table)?)
///     }
///
///     fn handle(
///         &mut self,
///         events: &[RecordedEvent],
///         tables: &HandlerTables,
///         transaction: &Transaction<'_>,
///     ) -> Handled {
///         let hour = tables.name("hour");
///         let mut add = transaction.prepare_cached(&format!(
///             "INSERT INTO {hour} VALUES (?1, 1) ON CONFLICT DO UPDATE SET events = events + 1",
///         ))?;
///         for event in events {
///             add.execute([event.time().get() / 3_600_000_000])?;
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait BatchHandler: Send + 'static {
    /// Stable name: `a-z`, `0-9` and `_`, beginning with a letter.
    const NAME: &'static str;
    /// Raise when the handler or its tables change: its read model is then built anew, beside the live one.
    const GENERATION: u32 = 1;
    /// What order it keeps: all events in order, or those of a stream, of which one that cannot be handled
    /// keeps only its stream waiting. Not by key: what the keys are, only a fold knows.
    const ORDER: Order = Order::Total;
    /// The aggregate types whose events it handles; all if empty.
    const FOLLOWS: &'static [&'static str];
    /// The tables that it makes, by the plain names under which queries find them. There may be none.
    const TABLES: &'static [&'static str];

    /// Makes its tables, each by the name that `tables` gives it, and nothing else.
    ///
    /// # Errors
    /// The projection does not start.
    fn create(&mut self, tables: &HandlerTables, transaction: &Transaction<'_>) -> Handled;

    /// Handles events in the journal's order; never none.
    ///
    /// # Errors
    /// The batch is rolled back, and the projection stops before the event that fails, or, by stream, lets
    /// its stream wait.
    fn handle(
        &mut self,
        events: &[RecordedEvent],
        tables: &HandlerTables,
        transaction: &Transaction<'_>,
    ) -> Handled;
}

/// Why a handler cannot be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandlerError {
    /// Its name, or a table's, is none.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// Two of its tables have one name.
    #[error("the handler {handler} has two tables {table}")]
    TwoTables {
        /// Which one.
        handler: &'static str,
        /// The table.
        table: &'static str,
    },
    /// It has no keys.
    #[error(
        "the handler {0} cannot keep order by key, since it has none: \
         let its ORDER be Order::Stream or Order::Total"
    )]
    OrderByKey(&'static str),
}

impl SqliteReadModels {
    /// Lets a handler keep its tables in this file.
    ///
    /// # Errors
    /// If it is declared wrongly.
    pub fn handler<H: BatchHandler>(&self, handler: H) -> Result<SqliteHandler<H>, HandlerError> {
        let spec = ReadModelSpec {
            name: ProjectionName::new(H::NAME)?,
            generation: Generation::new(H::GENERATION),
            types: H::FOLLOWS.iter().map(|&name| name.to_owned()).collect(),
            order: H::ORDER,
            tables: Tables::Own(H::TABLES.to_vec()),
        };
        spec.check()?;
        if H::ORDER == Order::Key {
            return Err(HandlerError::OrderByKey(H::NAME));
        }
        let twice = |(place, table): (usize, &&'static str)| H::TABLES[..place].contains(table);
        match H::TABLES.iter().enumerate().find(|&(place, table)| twice((place, table))) {
            Some((_, table)) => Err(HandlerError::TwoTables { handler: H::NAME, table }),
            None => Ok(SqliteHandler::new(handler, spec, self.clone())),
        }
    }
}
