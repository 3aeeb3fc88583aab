//! Plain tables through a session, on real files.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;
mod files;
mod kills;
mod limits;
mod migrations;
mod transactions;
