//! The commands, one file each; those that act on read models share one.

pub mod act;
pub mod acts;
pub mod backup;
pub mod events;
pub mod export;
pub mod import;
pub mod parked;
pub mod projections;
pub mod rebuild;
pub mod replay;
pub mod restore;
pub mod stats;
pub mod verify;

use crate::failure::Failure;

/// What waits for sockets and for threads of stores.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::Words(format!("the system gives no means to wait: {error}")))
}
