//! The store by itself, sentence by sentence of its contract; nothing runs projections here.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod acts;
mod commits;
mod common;
mod handlers;
mod looking;
mod migration;
mod opening;
mod parked;
mod stages;
mod switching;
mod turns;
