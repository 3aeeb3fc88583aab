//! What a journal gives back: facts as written.

use crate::{
    append::{AppendMore, Codec, Mark, Metadata},
    ids::{AppendId, Epoch, EventId, PartitionId, Position, Timestamp, Version},
    stream::StreamId,
};
use bytes::Bytes;
use std::{borrow::Cow, sync::Arc};

/// A fact as written. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Place in the journal partition.
    pub position: Position,
    /// Place in the stream.
    pub version: Version,
    /// Identity.
    pub id: EventId,
    /// Stable name.
    pub name: Arc<str>,
    /// Schema number of the body.
    pub schema: u32,
    /// How the body is encoded.
    pub codec: Codec,
    /// The encoded fields.
    pub body: Bytes,
    /// Labels.
    pub tags: Vec<String>,
    /// When it happened in the domain, where that is not when it was recorded.
    pub occurred: Option<Timestamp>,
    /// Free metadata.
    pub metadata: Option<Box<Metadata>>,
    /// The append that it came with.
    pub append: Arc<AppendHeader>,
}

impl RecordedEvent {
    /// The stream it belongs to.
    pub fn stream(&self) -> &StreamId {
        &self.append.stream
    }
    /// When it was recorded; never going back within a partition.
    pub fn time(&self) -> Timestamp {
        self.append.time
    }
    /// Its place and a check of it.
    pub fn mark(&self) -> Mark {
        Mark::at(self.append.partition, self.position, self.id)
    }
}

/// What the events of one append have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendHeader {
    /// Identity of the append.
    pub id: AppendId,
    /// The stream.
    pub stream: StreamId,
    /// Journal partition.
    pub partition: PartitionId,
    /// Version that it stands on; its first event has the next one.
    pub expected: Version,
    /// Epoch of the writer.
    pub epoch: Epoch,
    /// When it was recorded.
    pub time: Timestamp,
    /// Name of the command.
    pub command: Cow<'static, str>,
    /// Key, origin, timers and the like.
    pub more: Option<Box<AppendMore>>,
}

/// One append as written, with its events, possibly none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedAppend {
    /// What the events have in common.
    pub header: Arc<AppendHeader>,
    /// In order.
    pub events: Vec<RecordedEvent>,
}

impl RecordedAppend {
    /// The stream's version after it.
    pub fn version(&self) -> Version {
        self.header.expected.plus(self.events.len() as u64)
    }
    /// Its last event's place; `None` without events.
    pub fn mark(&self) -> Option<Mark> {
        self.events.last().map(RecordedEvent::mark)
    }
}
