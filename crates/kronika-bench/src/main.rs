//! Benchmarks.
mod raw;
mod report;
fn main() {}
