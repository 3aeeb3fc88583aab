//! What the tests of the log share: appends from few words, and a runtime for futures.
#![allow(dead_code)]

use bytes::Bytes;
use kronika_core::{
    Append, AppendId, Appended, Direction, Epoch, EventFilter, Journal, Loading, NewEvent,
    PartitionId, Position, ReadError, ReadPartition, ReadStream, RecordedAppend, RecordedEvent,
    StreamCursor, StreamId, Timestamp, Version,
};
use kronika_log::Log;
use std::sync::atomic::{AtomicU64, Ordering};

pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

pub fn stream(name: &str) -> StreamId {
    StreamId::new("account", name).unwrap()
}

static IDS: AtomicU64 = AtomicU64::new(1);

pub fn event(body: impl Into<Bytes>) -> NewEvent {
    NewEvent { name: "deposited".into(), schema: 1, body: body.into(), ..NewEvent::default() }
}

/// An append of `events` events of 24 bytes to a stream, on loading 1 and epoch 0.
pub fn append(name: &str, expected: u64, events: usize) -> Append {
    let random = IDS.fetch_add(1, Ordering::Relaxed);
    Append {
        id: AppendId::from_parts(Timestamp::new(1_700_000_000_000_000), random),
        stream: stream(name),
        expected: Version::new(expected),
        epoch: Epoch::default(),
        loading: Loading::new(1),
        events: (0..events)
            .map(|n| event(format!("{{\"cents\":{:014}}}", random * 10 + n as u64)))
            .collect(),
        command: "deposit".into(),
        more: None,
    }
}

pub fn send(log: &Log, group: Vec<Append>) -> Vec<Appended> {
    block_on(log.append(group))
}

pub fn send_one(log: &Log, append: Append) -> Appended {
    send(log, vec![append]).pop().unwrap()
}

/// All events of the log in order of position, read in small pages.
pub fn all_events(log: &Log) -> Vec<RecordedEvent> {
    try_all_events(log).unwrap()
}

pub fn try_all_events(log: &Log) -> Result<Vec<RecordedEvent>, ReadError> {
    let mut events = Vec::new();
    let mut after = Position::ZERO;
    loop {
        let read = ReadPartition::after(PartitionId::default(), after).limit_events(97);
        let page = block_on(log.read_partition(read))?;
        events.extend(page.events);
        after = page.scanned.position;
        if page.at_head {
            return Ok(events);
        }
    }
}

pub fn filtered(log: &Log, filter: EventFilter) -> Vec<RecordedEvent> {
    let mut events = Vec::new();
    let mut after = Position::ZERO;
    loop {
        let read = ReadPartition::after(PartitionId::default(), after)
            .filter(filter.clone())
            .limit_events(3);
        let page = block_on(log.read_partition(read)).unwrap();
        events.extend(page.events);
        after = page.scanned.position;
        if page.at_head {
            return events;
        }
    }
}

/// All appends of a stream, in pages of `limit`.
pub fn all_of(log: &Log, name: &str, direction: Direction, limit: usize) -> Vec<RecordedAppend> {
    let mut read = match direction {
        Direction::Forwards => ReadStream::forwards(stream(name)),
        Direction::Backwards => ReadStream::backwards(stream(name)),
    };
    let mut appends = Vec::new();
    loop {
        let page = block_on(log.read_stream(read.clone().limit_appends(limit))).unwrap();
        appends.extend(page.appends);
        let Some(next): Option<StreamCursor> = page.next else { return appends };
        read = read.from(next);
    }
}
