//! Event sourcing and CQRS: aggregates that record events in a durable journal, read models that follow it,
//! and an HTTP service made from both.
//!
//! This crate is the one to depend on: it names what the others hold, and back ends by feature.
//!
//! An aggregate with three events, three commands and typed refusals, a further command, and a service that uses
//! them:
//!
//! ```
#![doc = include_str!("../examples/account.rs")]
//! ```

extern crate self as kronika;

#[cfg(feature = "embedded")]
mod embedded;
/// What the document shows is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/schema-evolution.md")]
mod schema_evolution {}

#[cfg(feature = "embedded")]
pub use embedded::{Embedded, EmbeddedError};
pub use kronika_core::{
    About, Act, ActError, ActRecord, Aggregate, AggregateId, Append, AppendBy, AppendError,
    AppendHeader, AppendId, AppendMore, Appended, Begins, BoxFuture, By, Capabilities, ClaimError,
    Codec, CodecError, Column, ColumnValue, Command, Committed, Context, Decision, Direction,
    DynJournal, DynSnapshotStore, Effect, EffectError, EffectKey, Effects, EffectsOf, Epoch, Event,
    EventFilter, EventId, EventKind, Folded, Followed, Follows, Generation, Handle,
    HistoryDiverged, Incarnation, Journal, Key, KeyText, Keyed, Kind, Lease, Letter, Lifted,
    Loading, Mark, Metadata, Never, NewEvent, Occasion, On, Order, Origin, Outcome, Ownership,
    ParkedKey, ParkedRequest, PartitionId, PartitionPage, Perform, Position, Projection,
    ProjectionName, ReadError, ReadModel, ReadModelId, ReadModelStore, ReadPartition, ReadStream,
    RecordedAppend, RecordedEvent, Rejection, RejectionKind, Row, SLICES, Shape, SharedJournal,
    SharedReadModelStore, SharedSnapshotStore, Slice, SliceRange, Snapshot, SnapshotError,
    SnapshotStore, Stage, StreamCursor, StreamId, StreamIdError, StreamPage, Timer, Timestamp,
    Token, TokenError, Upcast, Value, Version, ensure,
};
#[doc(hidden)]
pub use kronika_core::{decode_lifted, decode_variant, encode_variant};
#[cfg(feature = "http")]
pub use kronika_http::{
    AdminSocket, AdminSocketError, HttpLimits, Problem, ProblemKind, Query, ServeLimits, Served,
    Service, ServiceError, admin, listen, serve,
};
#[cfg(feature = "embedded")]
pub use kronika_log::{
    DirectoryLock, Log, LogStats, OpenError, Settings as LogSettings, SnapshotSettings, Snapshots,
};
pub use kronika_macros::{Command, Event, Key, Rejection, Row};
pub use kronika_runtime::{
    Aggregates, Builder, CommandError, CommandInfo, CommandOptions, Commands, DynAggregates,
    EffectSettings, EncodedAnswer, EncodedRejection, EncodedState, Environment, ExpectedVersion,
    Failure, Kronika, Limits, MakeScratch, ProjectionError, ProjectionSettings, ProjectionState,
    ProjectionStatus, Projections, Receipt, RegisteredProjection, RegistrationError, Replay,
    ReplayError, ReplayStep, ReplayTold, ReplayUntil, Replayed, RowsChanged, SendCommand, Standing,
    StartError, Stats, Store, Waited,
};
#[cfg(feature = "embedded")]
pub use kronika_sqlite::{
    BatchHandler, Handled, HandlerError, HandlerTables, Migrated, Migration, MigrationError,
    QueryError, QueryLimits, SessionError, SessionOpenError, SessionSettings, SessionStats,
    SqliteHandler, SqliteLook, SqliteOpenError, SqliteReadModels, SqliteSession, SqliteSettings,
    rusqlite,
};
