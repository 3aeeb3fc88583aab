//! Tools on journals: sound ones, damaged ones, and such as grow meanwhile.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod damage;
mod scanning;
mod support;
