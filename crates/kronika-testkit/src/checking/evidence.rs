//! What the journal holds, gathered for the checks.

use crate::{
    memory::MemoryJournal,
    moment::{Moment, Moments},
};
use kronika_core::{
    AppendId, DynJournal, PartitionId, Position, ReadError, ReadPartition, ReadStream,
    RecordedAppend, RecordedEvent, Snapshot, StreamId,
};
use std::collections::{BTreeMap, HashMap};

/// What a journal holds after a simulation.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// Appends of each stream, in order, also those without events.
    pub streams: BTreeMap<StreamId, Vec<RecordedAppend>>,
    /// Events of each partition, in order.
    pub partitions: Vec<Vec<RecordedEvent>>,
    /// When each append took effect, where that is known.
    pub recorded_at: HashMap<AppendId, Moment>,
    /// Snapshots that were saved, all of them, where there are any.
    pub snapshots: Vec<Snapshot>,
}

impl Evidence {
    /// From a journal in memory, which knows when each append took effect.
    pub fn of_memory(journal: &MemoryJournal) -> Self {
        let mut evidence = Self { partitions: vec![Vec::new()], ..Self::default() };
        for recorded in journal.recorded() {
            let append = recorded.append;
            evidence.recorded_at.insert(append.header.id, recorded.at);
            evidence.partitions[0].extend(append.events.iter().cloned());
            let stream = append.header.stream.clone();
            evidence.streams.entry(stream).or_default().push(append);
        }
        evidence
    }

    /// By reading any journal: its partitions, and every stream that is named or has events.
    pub async fn read(
        journal: &dyn DynJournal,
        streams: impl IntoIterator<Item = StreamId>,
    ) -> Result<Self, ReadError> {
        let mut evidence = Self::default();
        for partition in 0..journal.capabilities().partitions {
            let mut read = ReadPartition::after(PartitionId::new(partition), Position::ZERO);
            let mut events = Vec::new();
            loop {
                let page = journal.read_partition(read.clone()).await?;
                events.extend(page.events);
                read.after = page.scanned.position;
                if page.at_head {
                    break;
                }
            }
            evidence.partitions.push(events);
        }
        let events = evidence.partitions.iter().flatten();
        let with_events = events.map(|event| event.stream().clone()).collect::<Vec<_>>();
        for stream in streams.into_iter().chain(with_events) {
            if evidence.streams.contains_key(&stream) {
                continue;
            }
            let mut read = ReadStream::forwards(stream.clone());
            let mut appends = Vec::new();
            loop {
                let page = journal.read_stream(read.clone()).await?;
                appends.extend(page.appends);
                match page.next {
                    Some(next) => read = read.from(next),
                    None => break,
                }
            }
            evidence.streams.insert(stream, appends);
        }
        Ok(evidence)
    }

    /// From appends in the order of their commits, for tests of the checks.
    pub fn of(appends: impl IntoIterator<Item = RecordedAppend>, moments: &Moments) -> Self {
        let mut evidence = Self { partitions: vec![Vec::new()], ..Self::default() };
        for append in appends {
            evidence.recorded_at.insert(append.header.id, moments.now());
            evidence.partitions[0].extend(append.events.iter().cloned());
            let stream = append.header.stream.clone();
            evidence.streams.entry(stream).or_default().push(append);
        }
        evidence
    }
}
