//! Read models in SQLite: plain tables, one file, rows and checkpoint in one transaction.
//!
//! One thread writes; a few others answer queries on connections that can only read. Nothing here blocks an
//! asynchronous worker, and nothing here keeps events: the file can be deleted and is then built anew.
//!
//! Apart from them, [`SqliteSession`] is the same way to SQLite for plain tables that follow from nothing: in
//! a file of its own, durable when acknowledged, with migrations.

mod checkpoints;
mod error;
mod handler;
mod open;
mod pool;
mod query;
mod rows;
mod schema;
mod session;
mod settings;
mod store;
mod table;
mod values;

pub use error::{QueryError, SqliteOpenError};
pub use handler::{BatchHandler, Handled, SqliteHandler};
pub use query::QueryLimits;
/// The driver, as queries and batch handlers meet it.
pub use rusqlite;
pub use session::{
    Migrated, Migration, MigrationError, SessionError, SessionOpenError, SessionSettings,
    SessionStats, SqliteSession,
};
#[cfg(feature = "planted-faults")]
pub use settings::PlantedFaults;
pub use settings::SqliteSettings;
pub use store::SqliteReadModels;
