//! The stores, each with the settings that it is measured with.

mod fjall;
mod redb;
mod sqlite;
mod tephra;
mod umadb;

use crate::{
    driver::{Driven, Running},
    grouped::Write,
    harness::{Bodies, LogStore},
};
use std::path::Path;

const LOG_SETTINGS: &str = "crate kronika-log by its public interface, default settings (segments of 64 MiB, the first of 1 MiB); \
     every append names the expected version of its stream";

/// A store by its name.
pub struct Peer {
    /// How it is called in commands and results.
    pub name: &'static str,
    /// How it is set.
    pub settings: &'static str,
    /// Makes it ready in a directory.
    pub start: fn(&Path) -> Box<dyn Driven>,
}

/// All of them.
pub const PEERS: &[Peer] = &[
    Peer { name: "kronika", settings: LOG_SETTINGS, start: Running::<LogStore>::boxed },
    Peer { name: "tephra", settings: tephra::SETTINGS, start: Running::<tephra::Tephra>::boxed },
    Peer { name: "umadb", settings: umadb::SETTINGS, start: Running::<umadb::Uma>::boxed },
    Peer { name: "fjall", settings: fjall::SETTINGS, start: Running::<fjall::Fjall>::boxed },
    Peer { name: "sqlite", settings: sqlite::SETTINGS, start: Running::<sqlite::Sqlite>::boxed },
    Peer { name: "redb", settings: redb::SETTINGS, start: Running::<redb::Redb>::boxed },
];

/// One event for each stream, after so many in each.
fn round(streams: &[u32], version: u64, bodies: &mut Bodies) -> Vec<Write> {
    let write = |stream: &u32| Write {
        stream: format!("filled/{stream}"),
        version: version + 1,
        body: bodies.next().to_vec(),
    };
    streams.iter().map(write).collect()
}
