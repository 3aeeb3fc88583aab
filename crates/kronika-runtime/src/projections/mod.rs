//! Running projections.
