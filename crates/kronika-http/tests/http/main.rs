//! A service asked as a client would ask it, on a journal in memory, without a socket.

#![allow(clippy::unwrap_used)] // tests, outside of which clippy takes a test's helpers to be

mod anything;
mod bodies;
mod building;
mod commands;
mod creating;
mod described;
mod domain;
mod events;
mod failures;
mod feed;
mod identity;
mod live;
mod operating;
mod operators;
mod queries;
mod serving;
mod states;
mod support;
