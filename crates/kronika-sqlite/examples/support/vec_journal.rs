//! A journal that costs next to nothing, so that the read side is what is measured.

use kronika_core::{
    Append, AppendBy, AppendHeader, AppendId, Appended, Capabilities, ClaimError, Codec, Epoch,
    EventKind, Incarnation, Journal, Mark, Ownership, PartitionId, PartitionPage, Position,
    ReadError, ReadPartition, ReadStream, RecordedAppend, RecordedEvent, Slice, SliceRange,
    StreamId, StreamPage, Timestamp, Version,
};
use std::{collections::HashMap, future::ready, sync::Arc};

#[derive(Clone, Default)]
pub struct VecJournal {
    events: Arc<Vec<RecordedEvent>>,
    streams: HashMap<String, (StreamId, u64)>,
    names: HashMap<&'static str, Arc<str>>,
}

impl VecJournal {
    /// Records one event.
    pub fn push(&mut self, aggregate_type: &str, id: &str, kind: &EventKind, body: Vec<u8>) {
        let events = Arc::get_mut(&mut self.events).expect("made before it is shared");
        let number = events.len() as u64 + 1;
        let fresh = || (StreamId::new(aggregate_type, id).unwrap(), 0);
        let (stream, version) = self.streams.entry(id.to_owned()).or_insert_with(fresh);
        *version += 1;
        let append = AppendId::from_parts(Timestamp::new(0), number);
        let name = self.names.entry(kind.name).or_insert_with(|| kind.name.into());
        events.push(RecordedEvent {
            position: Position::new(number),
            version: Version::new(*version),
            id: append.event(0),
            name: name.clone(),
            schema: kind.schema,
            codec: Codec::Json,
            body: body.into(),
            tags: Vec::new(),
            occurred: None,
            metadata: None,
            append: Arc::new(AppendHeader {
                id: append,
                stream: stream.clone(),
                partition: PartitionId::new(0),
                expected: Version::new(*version - 1),
                epoch: Epoch::new(1),
                time: Timestamp::new(number as i64),
                command: "deposit".into(),
                more: None,
            }),
        });
    }

    /// The mark of the last event.
    pub fn last(&self) -> Mark {
        self.events.last().map(RecordedEvent::mark).unwrap_or_default()
    }
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
        let events = self.events[first..end].to_vec();
        let scanned = self.events[..end].last().map(RecordedEvent::mark).unwrap_or_default();
        Ok(PartitionPage { events, scanned, at_head: end == self.events.len() })
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
