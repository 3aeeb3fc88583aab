//! tephra, embedded, through its public interface: a tag for each stream, no condition.

use crate::harness::{Bodies, Caller, Store};
use std::path::Path;
use tephra::{
    Event, EventType, Position, Query, QueryItem, SegmentConfig, SegmentSet, Tag, Tags,
    WriteCoordinator, WriteHandle, WriterConfig,
};

/// What its server has by default.
const SEGMENT_BYTES: usize = 256 << 20;

/// How it is set.
pub const SETTINGS: &str = "crate tephra 0.4, embedded; segments of 256 MiB and WriterConfig::default(), which are its \
     server's defaults; append_async by tasks; event type `appended`, one tag for each stream, no append condition; \
     reads by a query for the tag, on the caller's thread";

/// An open tephra.
pub struct Tephra {
    coordinator: WriteCoordinator,
    handle: WriteHandle,
}

fn event(kind: &str, stream: u32, body: &[u8]) -> Result<Event, String> {
    let name = EventType::new("appended").map_err(told)?;
    let tags = Tags::new([tag(kind, stream)?]).map_err(told)?;
    Event::new(&name, &tags, body).map_err(told)
}

fn tag(kind: &str, stream: u32) -> Result<Tag, String> {
    Tag::new(format!("{kind}/{stream}")).map_err(told)
}

fn told(error: impl std::fmt::Display) -> String {
    format!("tephra: {error}")
}

/// One caller.
pub struct TephraCaller {
    handle: WriteHandle,
    number: u32,
}

impl Caller for TephraCaller {
    async fn append(&mut self, body: &[u8]) -> Result<(), String> {
        let event = event("caller", self.number, body)?;
        self.handle.append_async(vec![event], None).await.map(drop).map_err(told)
    }
}

impl Store for Tephra {
    type Caller = TephraCaller;

    fn open(directory: &Path) -> Result<Self, String> {
        let set = SegmentSet::open(directory, SegmentConfig::new(SEGMENT_BYTES)).map_err(told)?;
        let (coordinator, handle) =
            WriteCoordinator::start(set, WriterConfig::default()).map_err(told)?;
        Ok(Self { coordinator, handle })
    }

    fn caller(&self, number: u32) -> TephraCaller {
        TephraCaller { handle: self.handle.clone(), number }
    }

    fn append_round(&self, streams: &[u32], _: u64, bodies: &mut Bodies) -> Result<(), String> {
        let events = streams.iter().map(|stream| event("filled", *stream, bodies.next()));
        let events = events.collect::<Result<Vec<_>, _>>()?;
        self.handle.append(events, None).map(drop).map_err(told)
    }

    fn read_stream(&self, stream: u32) -> Result<(u64, u64), String> {
        let tags = Tags::new([tag("filled", stream)?]).map_err(told)?;
        self.count(&Query::item(QueryItem::with_tags(tags)))
    }

    fn read_all(&self) -> Result<(u64, u64), String> {
        self.count(&Query::all())
    }

    fn close(self) -> Result<(), String> {
        drop(self.handle);
        drop(self.coordinator.shutdown());
        Ok(())
    }
}

impl Tephra {
    fn count(&self, query: &Query) -> Result<(u64, u64), String> {
        let mut reads = self.handle.read(query, Position::ZERO, None);
        let (mut events, mut bytes) = (0, 0);
        while let Some(read) = reads.next() {
            events += 1;
            bytes += read.map_err(told)?.event.data().len() as u64;
        }
        Ok((events, bytes))
    }
}
