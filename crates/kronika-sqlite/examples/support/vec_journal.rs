//! A journal that costs next to nothing, so that the read side is what is measured.

use bytes::Bytes;
use kronika_core::{
    Append, AppendBy, AppendHeader, AppendId, Appended, Capabilities, ClaimError, Codec, Epoch,
    EventKind, Incarnation, Journal, Mark, Ownership, PartitionId, PartitionPage, Position,
    ReadError, ReadPartition, ReadStream, RecordedAppend, RecordedEvent, Slice, SliceRange,
    StreamId, StreamPage, Timestamp, Version,
};
use std::{collections::HashMap, future::ready, sync::Arc};

/// Events are made when they are read, as a journal on a disk decodes them.
#[derive(Clone, Default)]
pub struct VecJournal {
    events: Arc<Vec<Stored>>,
    streams: HashMap<String, (StreamId, u64)>,
    names: HashMap<&'static str, Arc<str>>,
}

struct Stored {
    stream: StreamId,
    version: u64,
    name: Arc<str>,
    schema: u32,
    body: Vec<u8>,
}

impl VecJournal {
    /// Records one event.
    pub fn push(&mut self, aggregate_type: &str, id: &str, kind: &EventKind, body: Vec<u8>) {
        let fresh = || (StreamId::new(aggregate_type, id).unwrap(), 0);
        let (stream, version) = self.streams.entry(id.to_owned()).or_insert_with(fresh);
        *version += 1;
        let name = self.names.entry(kind.name).or_insert_with(|| kind.name.into()).clone();
        let (stream, version) = (stream.clone(), *version);
        let events = Arc::get_mut(&mut self.events).expect("made before it is shared");
        events.push(Stored { stream, version, name, schema: kind.schema, body });
    }

    /// The mark of the last event.
    pub fn last(&self) -> Mark {
        self.mark(self.events.len())
    }

    fn mark(&self, position: usize) -> Mark {
        let id = append_at(position as u64).event(0);
        match position {
            0 => Mark::default(),
            _ => Mark::at(PartitionId::new(0), Position::new(position as u64), id),
        }
    }

    fn event(&self, index: usize) -> RecordedEvent {
        let Stored { stream, version, name, schema, body } = &self.events[index];
        let number = index as u64 + 1;
        let id = append_at(number);
        RecordedEvent {
            position: Position::new(number),
            version: Version::new(*version),
            id: id.event(0),
            name: name.clone(),
            schema: *schema,
            codec: Codec::Json,
            body: Bytes::copy_from_slice(body),
            tags: Vec::new(),
            occurred: None,
            metadata: None,
            append: Arc::new(AppendHeader {
                id,
                stream: stream.clone(),
                partition: PartitionId::new(0),
                expected: Version::new(*version - 1),
                epoch: Epoch::new(1),
                time: Timestamp::new(number as i64),
                command: "deposit".into(),
                more: None,
            }),
        }
    }
}

fn append_at(number: u64) -> AppendId {
    AppendId::from_parts(Timestamp::new(0), number)
}

impl Journal for VecJournal {
    fn capabilities(&self) -> Capabilities {
        Capabilities { partitions: 1, finds_keys: false, durable: false, leases: false }
    }
    fn incarnation(&self) -> Incarnation {
        Incarnation::new(1)
    }
    fn append(&self, _: Vec<Append>) -> impl Future<Output = Vec<Appended>> + Send + use<> {
        std::future::pending()
    }
    async fn claim(&self, _: SliceRange, _: Option<Epoch>) -> Result<Ownership, ClaimError> {
        Err(ClaimError::Leased)
    }
    async fn epoch(&self, _: Slice) -> Result<Epoch, ReadError> {
        Ok(Epoch::new(1))
    }
    async fn read_stream(&self, _: ReadStream) -> Result<StreamPage, ReadError> {
        Err(ReadError::Closed("it is read by partition only".into()))
    }
    async fn read_partition(&self, read: ReadPartition) -> Result<PartitionPage, ReadError> {
        let first = read.after.get() as usize;
        let end = (first + read.limit_events).min(self.events.len());
        let events = (first..end).map(|index| self.event(index)).collect();
        Ok(PartitionPage { events, scanned: self.mark(end), at_head: end == self.events.len() })
    }
    async fn read_append(
        &self,
        _: &StreamId,
        _: AppendBy,
    ) -> Result<Option<RecordedAppend>, ReadError> {
        Ok(None)
    }
    async fn head(&self, _: PartitionId) -> Result<Mark, ReadError> {
        Ok(self.last())
    }
    async fn wait_beyond(&self, _: PartitionId, position: Position) -> Result<Mark, ReadError> {
        match self.last() {
            last if last.position > position => ready(Ok(last)).await,
            _ => std::future::pending().await,
        }
    }
}
