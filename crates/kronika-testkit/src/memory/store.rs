//! What is recorded, with its indexes. It records what it is told to: whether an append is let in is decided
//! in `effect.rs`, and how it is read in `reads.rs`.

use crate::moment::Moment;
use kronika_core::{
    Append, AppendHeader, AppendId, Committed, Epoch, Incarnation, Mark, PartitionId, Position,
    RecordedAppend, RecordedEvent, SLICES, StreamId, Timestamp, Version,
};
use std::{collections::HashMap, sync::Arc};

/// The only partition.
pub(super) const PARTITION: PartitionId = PartitionId::new(0);

/// Who recorded an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// A caller of `append`.
    Caller,
    /// A fault, or `stranger_writes`.
    Stranger,
}

/// One append as recorded, with the circumstances.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// As readers see it.
    pub append: RecordedAppend,
    /// When it took effect: readers see it from then on.
    pub at: Moment,
    /// Who wrote it.
    pub by: Writer,
}

#[derive(Debug)]
pub(super) struct Store {
    pub incarnation: Incarnation,
    pub epochs: Vec<Epoch>,
    pub recorded: Vec<Recorded>,
    pub events: Vec<RecordedEvent>,
    pub streams: HashMap<StreamId, Vec<usize>>,
    pub head: Position,
}

/// How an append is recorded: as it should be, but for planted faults.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recording {
    pub time: Timestamp,
    pub at: Moment,
    pub by: Writer,
    pub drops_details: bool,
    pub leaves_hole: bool,
}

impl Store {
    pub fn new(incarnation: Incarnation) -> Self {
        Self {
            incarnation,
            epochs: vec![Epoch::default(); usize::from(SLICES)],
            recorded: Vec::new(),
            events: Vec::new(),
            streams: HashMap::new(),
            head: Position::ZERO,
        }
    }

    pub fn version(&self, stream: &StreamId) -> Version {
        let newest = self.streams.get(stream).and_then(|appends| appends.last());
        newest.map_or(Version::ZERO, |append| self.recorded[*append].append.version())
    }

    pub fn epoch(&self, stream: &StreamId) -> Epoch {
        self.epochs[usize::from(stream.slice().get())]
    }

    pub fn head(&self) -> Mark {
        let beginning = Mark { partition: PARTITION, ..Mark::default() };
        self.events.last().map_or(beginning, RecordedEvent::mark)
    }

    pub fn time(&self) -> Timestamp {
        let newest = self.recorded.last();
        newest.map_or(Timestamp::new(i64::MIN), |recorded| recorded.append.header.time)
    }

    pub fn record(&mut self, append: Append, recording: Recording) -> Committed {
        let Append { id, stream, expected, epoch, events, command, mut more, .. } = append;
        if recording.drops_details {
            more = None;
        }
        if recording.leaves_hole && !events.is_empty() {
            self.head = self.head.plus(1);
        }
        let time = recording.time;
        let partition = PARTITION;
        let header = AppendHeader { id, stream, partition, expected, epoch, time, command, more };
        let header = Arc::new(header);
        let first = self.events.len();
        for (index, event) in events.into_iter().enumerate() {
            self.head = self.head.plus(1);
            self.events.push(RecordedEvent {
                position: self.head,
                version: expected.plus(index as u64 + 1),
                id: event.id.unwrap_or(id.event(index)),
                name: event.name.into(),
                schema: event.schema,
                codec: event.codec,
                body: event.body,
                tags: if recording.drops_details { Vec::new() } else { event.tags },
                occurred: event.occurred,
                metadata: event.metadata.filter(|_| !recording.drops_details),
                append: header.clone(),
            });
        }
        let append = RecordedAppend { header, events: self.events[first..].to_vec() };
        let committed = Committed { version: append.version(), time, mark: append.mark() };
        self.index(Recorded { append, at: recording.at, by: recording.by });
        committed
    }

    fn index(&mut self, recorded: Recorded) {
        let stream = recorded.append.header.stream.clone();
        self.streams.entry(stream).or_default().push(self.recorded.len());
        self.recorded.push(recorded);
    }

    /// Keeps the first `appends` and forgets the rest.
    pub fn truncate(&mut self, appends: usize) {
        let kept = self.recorded.drain(..).take(appends).collect::<Vec<_>>();
        self.streams.clear();
        self.events = kept.iter().flat_map(|kept| kept.append.events.clone()).collect();
        self.head = self.events.last().map_or(Position::ZERO, |event| event.position);
        kept.into_iter().for_each(|kept| self.index(kept));
    }

    /// How many appends a backup has that ends at a position: whole ones only.
    pub fn appends_until(&self, position: Position) -> usize {
        let beyond = |recorded: &Recorded| {
            recorded.append.events.last().is_some_and(|event| event.position > position)
        };
        self.recorded.iter().position(beyond).unwrap_or(self.recorded.len())
    }

    pub fn has(&self, id: AppendId) -> bool {
        self.recorded.iter().any(|recorded| recorded.append.header.id == id)
    }
}
