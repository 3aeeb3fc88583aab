//! Kronika's log, by its public interface, as a store to be measured.

use super::{Bodies, Caller, Store};
use bytes::Bytes;
use kronika_core::{
    Append, AppendId, Epoch, Journal, Loading, NewEvent, PartitionId, Position, ReadPartition,
    ReadStream, StreamId, Version,
};
use kronika_log::{Log, Settings};
use std::path::Path;
use tokio::runtime::Handle;

/// Kronika's log with its default settings; to be read, without the newest commits in memory.
#[derive(Debug, Clone)]
pub struct LogStore {
    /// The log.
    pub log: Log,
    runtime: Handle,
}

impl LogStore {
    /// Opens it with other settings.
    pub fn open_with(directory: &Path, settings: Settings) -> Result<Self, String> {
        let log = Log::open(&directory.join("journal"), settings);
        let log = log.map_err(|error| error.to_string())?;
        Ok(Self { log, runtime: Handle::current() })
    }
}

/// One caller, who knows the version of its stream.
#[derive(Debug)]
pub struct LogCaller {
    log: Log,
    stream: StreamId,
    version: Version,
    random: fastrand::Rng,
}

impl LogCaller {
    /// The next append of this caller, as if the one before it had succeeded.
    pub fn next(&mut self, body: &[u8]) -> Append {
        let expected = self.version;
        self.version = expected.plus(1);
        append(self.stream.clone(), expected, body, self.random.u128(..))
    }
}

impl Caller for LogCaller {
    async fn append(&mut self, body: &[u8]) -> Result<(), String> {
        let group = vec![self.next(body)];
        let appended = self.log.append(group).await;
        appended.into_iter().try_for_each(|one| one.map(drop)).map_err(|error| error.to_string())
    }
}

fn append(stream: StreamId, expected: Version, body: &[u8], id: u128) -> Append {
    let event = NewEvent {
        name: "appended".into(),
        schema: 1,
        body: Bytes::copy_from_slice(body),
        ..NewEvent::default()
    };
    Append {
        id: AppendId::new(id),
        stream,
        expected,
        epoch: Epoch::default(),
        loading: Loading::new(1),
        events: vec![event],
        command: "append".into(),
        more: None,
    }
}

fn stream(kind: &str, number: u32) -> StreamId {
    StreamId::new(kind, &number.to_string()).expect("a number is a valid id")
}

/// A group with an event for each stream, which has so many events before it.
pub fn group_of(streams: impl Iterator<Item = (u32, u64)>, bodies: &mut Bodies) -> Vec<Append> {
    let mut id = fastrand::u128(..);
    let append = streams.map(|(number, version)| {
        id = id.wrapping_add(1);
        append(stream("filled", number), Version::new(version), bodies.next(), id)
    });
    append.collect()
}

impl Store for LogStore {
    type Caller = LogCaller;

    fn open(directory: &Path) -> Result<Self, String> {
        Self::open_with(directory, Settings::default())
    }

    fn open_to_read(directory: &Path) -> Result<Self, String> {
        Self::open_with(directory, Settings { recent_bytes: 0, ..Settings::default() })
    }

    fn caller(&self, number: u32) -> LogCaller {
        LogCaller {
            log: self.log.clone(),
            stream: stream("caller", number),
            version: Version::ZERO,
            random: fastrand::Rng::new(),
        }
    }

    fn append_round(
        &self,
        streams: &[u32],
        version: u64,
        bodies: &mut Bodies,
    ) -> Result<(), String> {
        let group = group_of(streams.iter().map(|stream| (*stream, version)), bodies);
        let appended = self.runtime.block_on(self.log.append(group));
        appended.into_iter().try_for_each(|one| one.map(drop)).map_err(|error| error.to_string())
    }

    fn read_stream(&self, number: u32) -> Result<(u64, u64), String> {
        let mut read = ReadStream::forwards(stream("filled", number));
        let (mut events, mut bytes) = (0, 0);
        loop {
            let page = self.runtime.block_on(self.log.read_stream(read.clone()));
            let page = page.map_err(|error| error.to_string())?;
            for event in page.appends.iter().flat_map(|append| &append.events) {
                events += 1;
                bytes += event.body.len() as u64;
            }
            match page.next {
                Some(next) => read = read.from(next),
                None => return Ok((events, bytes)),
            }
        }
    }

    fn read_all(&self) -> Result<(u64, u64), String> {
        let partition = PartitionId::default();
        let (mut events, mut bytes, mut after) = (0, 0, Position::ZERO);
        loop {
            let read = ReadPartition::after(partition, after).limit_events(4096);
            let page = self.runtime.block_on(self.log.read_partition(read));
            let page = page.map_err(|error| error.to_string())?;
            events += page.events.len() as u64;
            bytes += page.events.iter().map(|event| event.body.len() as u64).sum::<u64>();
            after = page.scanned.position;
            if page.at_head {
                return Ok((events, bytes));
            }
        }
    }

    fn close(self) -> Result<(), String> {
        Ok(())
    }
}
