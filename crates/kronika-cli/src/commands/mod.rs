//! The commands, one file each.

pub mod backup;
pub mod events;
pub mod export;
pub mod import;
pub mod restore;
pub mod stats;
pub mod verify;
