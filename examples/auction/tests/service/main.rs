//! The binary as its users meet it: started, asked, ended, killed and fed with what it should refuse.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod bids;
mod directories;
mod kills;
mod operators;
mod own_writes;
mod replays;
mod requests;
mod serving;
mod simulates;
mod support;
mod usage;
