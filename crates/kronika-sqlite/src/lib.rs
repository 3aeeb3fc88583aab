//! Read models in SQLite: plain tables, one file, rows and checkpoint in one transaction.
//!
//! One thread writes; a few others answer queries on connections that can only read. Nothing here blocks an
//! asynchronous worker, and nothing here keeps events: the file can be deleted and is then built anew. Several
//! read models of one projection stand beside each other, and plain names show the live one; what is wished
//! for them is in the file too, so that [`SqliteLook`] and a later start see it.
//!
//! Apart from them, [`SqliteSession`] is the same way to SQLite for plain tables that follow from nothing: in
//! a file of its own, durable when acknowledged, with migrations.

mod acts;
mod checkpoints;
mod error;
mod fingerprint;
mod handler;
mod look;
mod open;
mod opening;
mod own_tables;
mod parked;
mod pool;
mod query;
mod rows;
mod schema;
mod session;
mod settings;
mod stages;
mod store;
mod switching;
mod table;
mod tables;
mod values;
mod views;

pub use error::{QueryError, SqliteOpenError};
pub use handler::{BatchHandler, Handled, HandlerError, SqliteHandler};
pub use look::SqliteLook;
pub use own_tables::HandlerTables;
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
