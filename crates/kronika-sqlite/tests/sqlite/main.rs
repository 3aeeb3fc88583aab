//! Read models in SQLite, driven by the runner of projections over a journal in memory.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;
mod effects;
mod failures;
mod following;
mod generations;
mod handlers;
mod kills;
mod opening;
#[cfg(feature = "planted-faults")]
mod planted;
mod queries;
mod tables;
