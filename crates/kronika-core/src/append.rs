//! What is sent to a journal to be recorded, and what comes of it.

use crate::{
    decision::Timer,
    ids::{AppendId, Epoch, EventId, Loading, PartitionId, Position, Timestamp, Version},
    stream::StreamId,
};
use bytes::Bytes;
use std::{borrow::Cow, collections::BTreeMap};

/// Events in one append, at most.
pub const EVENTS_PER_APPEND_MAX: usize = 4096;
/// Body of one event in bytes, at most.
pub const EVENT_BODY_BYTES_MAX: usize = 1 << 20;
/// All of an append in bytes, at most: bodies, names, tags, metadata and the recorded reply.
pub const APPEND_BYTES_MAX: usize = 8 << 20;
/// Bytes of an event's or a command's name, at most.
pub const NAME_BYTES_MAX: usize = 255;
/// Tags on one event, at most; each of at most [`NAME_BYTES_MAX`] bytes.
pub const TAGS_MAX: usize = 16;

/// How a body is encoded. More may come; a reader refuses those that it does not know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// JSON, codec number 0.
    #[default]
    Json,
}

/// Free metadata of one event: names and texts.
pub type Metadata = BTreeMap<String, String>;

/// A fact about to be written. Names are owned or static: importers and other nodes know them only at
/// run time.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct NewEvent {
    /// Stable name.
    pub name: Cow<'static, str>,
    /// Schema number of the body.
    pub schema: u32,
    /// How the body is encoded.
    pub codec: Codec,
    /// The encoded fields.
    pub body: Bytes,
    /// Labels for reads across streams.
    pub tags: Vec<String>,
    /// When it happened in the domain, where that is not when it was recorded (imports).
    pub occurred: Option<Timestamp>,
    /// Its identity, where it brings one (imports); else it follows from the append's id.
    pub id: Option<EventId>,
    /// Free metadata.
    pub metadata: Option<Box<Metadata>>,
}

/// Who sent a command, and what it belongs to. All optional.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Origin {
    /// Who sent it, as authentication named them.
    pub principal: Option<String>,
    /// Whose data it is, from the credential.
    pub tenant: Option<String>,
    /// What conversation it belongs to; passed on unchanged.
    pub correlation: Option<String>,
    /// What caused it: an event's or a command's id.
    pub causation: Option<String>,
    /// W3C trace context, `traceparent`.
    pub trace: Option<String>,
}

/// A command to be recorded at most once, and what it is recognized by when it comes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyed {
    /// The client's key: 1 to 255 visible ASCII characters. Its scope is the aggregate and the principal.
    pub key: String,
    /// Hash of the command's name and body: another command under the same key is refused.
    pub fingerprint: u128,
    /// The reply as JSON, given again to a repeat.
    pub reply: Bytes,
}

/// One atomic unit: all its events are recorded, or none.
///
/// It may hold no events: then it takes no position and stands on `expected`, and keeps key and reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// Chosen before it is sent, kept when it is sent again.
    pub id: AppendId,
    /// The aggregate's stream.
    pub stream: StreamId,
    /// The version that the decision stands on.
    pub expected: Version,
    /// The epoch under which the decision's base was loaded, not the newest one.
    pub epoch: Epoch,
    /// The loading that the decision stands on.
    pub loading: Loading,
    /// What to record, in order.
    pub events: Vec<NewEvent>,
    /// Name of the command that was decided.
    pub command: Cow<'static, str>,
    /// The rest, which most appends do without.
    pub more: Option<Box<AppendMore>>,
}

/// What an append carries beside its events.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AppendMore {
    /// The command's body as JSON, where the service records it.
    pub command_body: Option<Bytes>,
    /// Idempotency key, fingerprint and reply.
    pub keyed: Option<Keyed>,
    /// Who sent the command.
    pub origin: Origin,
    /// Timers that it sets.
    pub timers: Vec<Timer>,
    /// Which key its bodies are encrypted under.
    pub encryption_key: Option<String>,
}

/// An event's place and a check of it, by which another history is noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default)]
pub struct Mark {
    /// Journal partition.
    pub partition: PartitionId,
    /// Position in it; 0 before the first event.
    pub position: Position,
    /// Check of the event at that position, see [`Mark::at`]; 0 before the first event.
    pub check: u32,
}

impl Mark {
    /// The mark of an event: its check is the lower half of xxh3-64 over the id, little-endian. Frozen.
    pub fn at(partition: PartitionId, position: Position, event: EventId) -> Self {
        let check = xxhash_rust::xxh3::xxh3_64(&event.get().to_le_bytes()) as u32;
        Self { partition, position, check }
    }
}

/// An append that is durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Committed {
    /// The stream's version after it.
    pub version: Version,
    /// When it was recorded.
    pub time: Timestamp,
    /// Its last event's place; `None` for an append without events.
    pub mark: Option<Mark>,
}

/// What came of one append. Variants by what the sender should do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// Nothing was recorded: load the newest events and decide again.
    #[error("{stream}: the decision stands on version {expected}, the newest is {found}")]
    Conflict {
        /// The stream.
        stream: StreamId,
        /// Version that the decision stands on.
        expected: Version,
        /// The stream's newest version.
        found: Version,
    },
    /// Nothing was recorded: an earlier append of the same loading failed. Load and decide again.
    #[error("an earlier append of the same loading of this stream failed")]
    Predecessor,
    /// Nothing was recorded: another writer has claimed the slice. Pass the command on to it.
    #[error("epoch {held} is over, the present one is {now}")]
    Fenced {
        /// The append's epoch.
        held: Epoch,
        /// The present epoch.
        now: Epoch,
    },
    /// It may have been recorded: claim, then read back by the append's id.
    #[error("whether the append was recorded is not known")]
    UnknownOutcome,
    /// Nothing was recorded, and the sender must change the append: a limit is exceeded.
    #[error("the append is beyond a limit: {0}")]
    TooLarge(String),
    /// Nothing was recorded, and trying again later may help: the disk is full, the store is away.
    #[error("the journal takes no writes now: {0}")]
    Unavailable(String),
    /// Nothing of this append was recorded, and nothing will be until the journal is opened anew, because a
    /// write or sync failed before it.
    #[error("the journal has failed and must be opened anew: {0}")]
    Failed(String),
}

/// What came of one append.
pub type Appended = Result<Committed, AppendError>;

/// Refuses an append that is beyond a limit, before anything is done for it.
pub fn check_limits(append: &Append) -> Result<(), AppendError> {
    let refuse = |what: String| Err(AppendError::TooLarge(what));
    if append.events.len() > EVENTS_PER_APPEND_MAX {
        return refuse(format!("{} events, at most {EVENTS_PER_APPEND_MAX}", append.events.len()));
    }
    if append.command.len() > NAME_BYTES_MAX {
        return refuse(format!("a command name of {} bytes", append.command.len()));
    }
    let mut bytes = 0;
    for event in &append.events {
        if event.name.is_empty() || event.name.len() > NAME_BYTES_MAX {
            return refuse(format!("an event name of {} bytes", event.name.len()));
        }
        if event.body.len() > EVENT_BODY_BYTES_MAX {
            let (length, name) = (event.body.len(), &event.name);
            return refuse(format!(
                "event {name} of {length} bytes, at most {EVENT_BODY_BYTES_MAX}"
            ));
        }
        if event.tags.len() > TAGS_MAX || event.tags.iter().any(|tag| tag.len() > NAME_BYTES_MAX) {
            return refuse(format!("event {} has too many or too long tags", event.name));
        }
        let tags = event.tags.iter().map(String::len).sum::<usize>();
        let metadata = event.metadata.iter().flat_map(|metadata| metadata.iter());
        let metadata = metadata.map(|(name, text)| name.len() + text.len()).sum::<usize>();
        bytes += event.name.len() + event.body.len() + tags + metadata + 64;
    }
    if let Some(more) = &append.more {
        bytes += more.keyed.as_ref().map_or(0, |keyed| keyed.key.len() + keyed.reply.len());
        bytes += more.command_body.as_ref().map_or(0, Bytes::len);
        bytes += more
            .timers
            .iter()
            .map(|timer| timer.command.len() + timer.body.len() + 16)
            .sum::<usize>();
        let Origin { principal, tenant, correlation, causation, trace } = &more.origin;
        let texts = [principal, tenant, correlation, causation, trace, &more.encryption_key];
        bytes += texts.into_iter().flatten().map(String::len).sum::<usize>();
    }
    if bytes > APPEND_BYTES_MAX {
        return refuse(format!("{bytes} bytes, at most {APPEND_BYTES_MAX}"));
    }
    Ok(())
}
