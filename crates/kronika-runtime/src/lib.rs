//! The runtime of Kronika: residents that decide commands, group commit, and projections.
//!
//! It stands on the journal trait of `kronika-core` alone and knows no back end and no HTTP. It does no I/O
//! of its own: time and randomness come from an [`Environment`].

mod aggregates;
mod builder;
mod commands;
mod environment;
mod error;
mod keys;
mod limits;
mod load;
mod ownership;
mod projections;
mod receipt;
mod recovery;
mod request;
mod residency;
mod resident;
mod shard;
mod snapshots;
mod stats;
mod work;

pub use aggregates::{Aggregates, SendCommand};
pub use builder::{Builder, Kronika, MakeScratch, StartError, Store};
pub use commands::{
    CommandInfo, Commands, DynAggregates, EncodedAnswer, EncodedRejection, EncodedState,
};
pub use environment::Environment;
pub use error::{CommandError, Failure};
pub use limits::Limits;
pub use ownership::Standing;
pub use projections::{
    ChangedRow, EffectSettings, ProjectionError, ProjectionSettings, ProjectionState,
    ProjectionStatus, Projections, RegisteredProjection, RegistrationError, Replay, ReplayError,
    ReplayStep, ReplayTold, ReplayUntil, Replayed, RowsChanged, Waited,
};
pub use receipt::Receipt;
pub use request::{CommandOptions, ExpectedVersion, fingerprint, is_idempotency_key};
pub use stats::Stats;
