//! The vocabulary of Kronika: aggregates, commands, events, the journal and projection traits.
//!
//! No I/O, no asynchronous runtime, no driver and no HTTP type: what needs those stands on this crate.
//! Users depend on the facade `kronika`, which names all of this again.

mod aggregate;
mod append;
mod batch;
mod chains;
mod codec;
mod command;
mod decision;
mod dyn_journal;
mod effects;
mod event;
mod ids;
mod journal;
mod operating;
mod parking;
mod projection;
mod read_model;
mod read_model_store;
mod recorded;
mod snapshot;
mod stream;
mod token;
mod upcast;

pub use aggregate::{Aggregate, AggregateId, Handle, Outcome};
pub use append::{
    APPEND_BYTES_MAX, Append, AppendError, AppendMore, Appended, Codec, Committed,
    EVENT_BODY_BYTES_MAX, EVENTS_PER_APPEND_MAX, Keyed, Mark, Metadata, NAME_BYTES_MAX, NewEvent,
    Origin, TAGS_MAX, check_limits,
};
pub use batch::{
    Batch, BatchError, BatchProjection, DecodeAhead, Decoded, Effort, EventFailure, Written,
};
pub use chains::Chains;
pub use codec::{CodecError, decode_json, decode_variant, encode_json, encode_variant};
pub use command::{Command, Never, Rejection, RejectionKind, Shape, canonical_json, ensure};
pub use decision::{Context, Decision, Effect, Timer};
pub use dyn_journal::{BoxFuture, DynJournal, SharedJournal};
pub use effects::{Begins, EffectError, EffectKey, Effects, EffectsOf, Occasion, Perform};
pub use event::{Event, EventKind};
pub use ids::{
    AppendId, Epoch, EventId, Incarnation, Loading, PartitionId, Position, SLICES, Slice,
    SliceRange, Timestamp, Version,
};
pub use journal::{
    AppendBy, Capabilities, ClaimError, Direction, EventFilter, Journal, Lease, Ownership,
    PartitionPage, ReadError, ReadPartition, ReadStream, StreamCursor, StreamPage,
};
pub use operating::{
    Act, ActError, ActRecord, BY_BYTES_MAX, By, LiveHistory, ReadModel, Report, Stage, SwitchError,
    WORKERS_MAX, Wanted,
};
pub use parking::{
    KEY_TEXT_BYTES_MAX, KeyText, KeyTextError, Letter, Order, ParkedChange, ParkedKey,
    ParkedRequest,
};
pub use projection::{
    About, Column, ColumnValue, Folded, Followed, Follows, Key, Kind, On, Projection, Row, Value,
};
pub use read_model::{
    Checkpoint, Commit, CommitError, Generation, OpenReadModelError, PROJECTION_NAME_BYTES_MAX,
    ProjectionName, ReadModelId, ReadModelSpec, SpecError, StoreFault, Tables, Takeover,
};
pub use read_model_store::{DynReadModelStore, Opened, ReadModelStore, SharedReadModelStore};
pub use recorded::{AppendHeader, RecordedAppend, RecordedEvent};
pub use snapshot::{DynSnapshotStore, SharedSnapshotStore, Snapshot, SnapshotError, SnapshotStore};
pub use stream::{ID_BYTES_MAX, StreamId, StreamIdError, TYPE_BYTES_MAX, check_id, check_type};
pub use token::{HistoryDiverged, Token, TokenError};
pub use upcast::{Lifted, Upcast, decode_lifted, lifts_to};
