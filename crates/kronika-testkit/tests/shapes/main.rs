//! The lock file of shapes: each kind of change between two builds of one service, and what is said of it.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
#![allow(dead_code, reason = "types are declared for their shapes")]

#[macro_use]
mod builds;
mod compatible;
mod file;
mod incompatible;
mod kept;
