//! Tools on journals: sound ones, damaged ones, and such as grow meanwhile.
#![allow(clippy::unwrap_used)]

mod backups;
mod checks;
#[path = "../common/mod.rs"]
mod common;
mod damage;
mod lines;
mod restores;
mod scanning;
mod support;
