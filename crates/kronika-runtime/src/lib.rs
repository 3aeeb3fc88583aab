//! The runtime.
mod projections;
