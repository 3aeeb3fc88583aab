//! The binary as operators meet it: asked, piped, killed, and given what it should refuse.
#![allow(clippy::unwrap_used)]

mod beside;
mod read_models;
mod refusals;
mod served;
mod service;
mod support;
mod usage;
mod work;
