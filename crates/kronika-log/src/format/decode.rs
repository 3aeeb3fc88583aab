//! Bytes to appends, without copying bodies: they are slices of what was read.

use super::{
    Malformed, Seal, Taker,
    encode::{APPEND, EVENT_HEAD_BYTES, HAS_MORE, RECORD_HEAD_BYTES, WRITES},
    fields::{Fields, of_append, of_event, skip_unknown},
};
use bytes::Bytes;
use kronika_core::{
    AppendHeader, AppendId, AppendMore, Codec, EVENTS_PER_APPEND_MAX, Epoch, EventId, Keyed,
    Metadata, PartitionId, Position, RecordedAppend, RecordedEvent, StreamId, Timer, Timestamp,
    Version,
};
use std::{borrow::Cow, cell::RefCell, sync::Arc};

/// Whether a record's check fits; it begins at an offset of the segment and was cut to its length.
pub(crate) fn record_is_whole(record: &[u8], seal: Seal, offset: u64) -> bool {
    record.len() >= 8 && record[4..8] == seal.check_at(offset, &record[8..]).to_le_bytes()
}

/// The fixed part of an append's record, with what stands behind it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordHead<'a> {
    pub(crate) events: u16,
    pub(crate) id: AppendId,
    pub(crate) expected: Version,
    pub(crate) epoch: Epoch,
    pub(crate) first: Position,
    pub(crate) time: Timestamp,
    pub(crate) stream: &'a str,
    command: &'a str,
    has_more: bool,
    pub(crate) fields: Fields<'a>,
    rest: &'a [u8],
}

impl<'a> RecordHead<'a> {
    /// Of a whole record.
    pub(crate) fn of(record: &'a [u8]) -> Result<Self, Malformed> {
        if record.len() < RECORD_HEAD_BYTES {
            return Err(Malformed::Wrong("a record is shorter than its head"));
        }
        let mut taker = Taker(&record[8..]);
        match (taker.u8()?, taker.u8()?) {
            (APPEND, WRITES) => {}
            (APPEND, writes) => {
                return Err(Malformed::Unknown(format!("append of {writes} streams")));
            }
            (kind, _) => return Err(Malformed::Unknown(format!("record {kind}"))),
        }
        let events = taker.u16()?;
        let (stream_bytes, command_bytes) = (taker.u16()?, taker.u8()?);
        let has_more = match taker.u8()? {
            flags @ 0..=HAS_MORE => flags == HAS_MORE,
            flags => return Err(Malformed::Unknown(format!("append flags {flags:#04x}"))),
        };
        let id = AppendId::new(taker.u128()?);
        let (expected, epoch) = (Version::new(taker.u64()?), Epoch::new(taker.u64()?));
        let (first, time) = (Position::new(taker.u64()?), Timestamp::new(taker.i64()?));
        let field_bytes = taker.u32()? as usize;
        if usize::from(events) > EVENTS_PER_APPEND_MAX {
            return Err(Malformed::Wrong("an append has more events than are possible"));
        }
        let possible = |number: u64| number.checked_add(u64::from(events) + 1).is_some();
        if !possible(expected.get()) || !possible(first.get()) {
            return Err(Malformed::Wrong("an append's version or position is not possible"));
        }
        if !has_more && field_bytes > 0 {
            return Err(Malformed::Wrong("an append has fields without their flag"));
        }
        Ok(Self {
            events,
            id,
            expected,
            epoch,
            first,
            time,
            stream: taker.text(usize::from(stream_bytes))?,
            command: taker.text(usize::from(command_bytes))?,
            has_more,
            fields: Fields(taker.bytes(field_bytes)?),
            rest: taker.0,
        })
    }

    /// The stream's version after it.
    pub(crate) fn end(&self) -> Version {
        self.expected.plus(u64::from(self.events))
    }

    /// Hands on the tags of its events, one after the other.
    pub(crate) fn tags(&self, mut tag: impl FnMut(&'a str)) -> Result<(), Malformed> {
        let mut rest = Taker(self.rest);
        for _ in 0..self.events {
            for field in EventView::take(&mut rest)?.fields {
                if let (of_event::TAG, bytes) = field? {
                    tag(text(bytes)?);
                }
            }
        }
        Ok(())
    }

    /// The id of its last event, if it has any.
    pub(crate) fn last_event(&self) -> Result<Option<EventId>, Malformed> {
        let mut rest = Taker(self.rest);
        let mut last = None;
        for index in 0..usize::from(self.events) {
            last = Some(EventView::take(&mut rest)?.id(self.id, index)?);
        }
        Ok(last)
    }
}

/// Principal and key of an append that has a key.
pub(crate) fn keyed_by<'a>(
    fields: Fields<'a>,
) -> Result<Option<(Option<&'a str>, &'a str)>, Malformed> {
    let (mut principal, mut key) = (None, None);
    for field in fields {
        match field? {
            (of_append::KEYED, bytes) => key = Some(Taker(bytes).keyed()?.1),
            (of_append::PRINCIPAL, bytes) => principal = Some(text(bytes)?),
            _ => {}
        }
    }
    Ok(key.map(|key| (principal, key)))
}

impl<'a> Taker<'a> {
    fn keyed(mut self) -> Result<(u128, &'a str, &'a [u8]), Malformed> {
        let fingerprint = self.u128()?;
        let key_bytes = self.u32()? as usize;
        Ok((fingerprint, self.text(key_bytes)?, self.0))
    }
}

fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    Taker(bytes).text(bytes.len())
}

/// An append as it was recorded. `known` is its stream, where the caller has it already.
pub(crate) fn decode_append(
    record: &Bytes,
    known: Option<&StreamId>,
) -> Result<RecordedAppend, Malformed> {
    decode_append_of(&RecordHead::of(record)?, record, known)
}

/// The same, where the record's head was taken apart already.
pub(crate) fn decode_append_of(
    head: &RecordHead<'_>,
    record: &Bytes,
    known: Option<&StreamId>,
) -> Result<RecordedAppend, Malformed> {
    let stream = match known {
        Some(known) if known.name() == head.stream => known.clone(),
        _ => StreamId::parse(head.stream)
            .map_err(|_| Malformed::Wrong("the name of a stream is not valid"))?,
    };
    let header = Arc::new(AppendHeader {
        id: head.id,
        stream,
        partition: PartitionId::default(),
        expected: head.expected,
        epoch: head.epoch,
        time: head.time,
        command: Cow::Owned(head.command.to_owned()),
        more: decode_more(head, record)?,
    });
    let room = usize::from(head.events).min(head.rest.len() / EVENT_HEAD_BYTES);
    let mut events: Vec<RecordedEvent> = Vec::with_capacity(room);
    let mut rest = Taker(head.rest);
    for index in 0..usize::from(head.events) {
        let view = EventView::take(&mut rest)?;
        let name = match events.last() {
            Some(last) if *last.name == *view.name => Arc::clone(&last.name),
            _ => shared(view.name),
        };
        let mut event = RecordedEvent {
            position: head.first.plus(index as u64),
            version: head.expected.plus(index as u64 + 1),
            id: head.id.event(index),
            name,
            schema: view.schema,
            codec: view.codec,
            body: record.slice_ref(view.body),
            tags: Vec::new(),
            occurred: None,
            metadata: None,
            append: Arc::clone(&header),
        };
        view.fill(&mut event)?;
        events.push(event);
    }
    if !rest.0.is_empty() {
        return Err(Malformed::Wrong("bytes stand behind the last event of an append"));
    }
    Ok(RecordedAppend { header, events })
}

/// Names recur: the last one that was decoded on this thread is shared.
fn shared(name: &str) -> Arc<str> {
    thread_local! {
        static LAST: RefCell<Arc<str>> = RefCell::new("".into());
    }
    LAST.with_borrow_mut(|last| {
        if **last != *name {
            *last = name.into();
        }
        Arc::clone(last)
    })
}

struct EventView<'a> {
    schema: u32,
    codec: Codec,
    name: &'a str,
    fields: Fields<'a>,
    body: &'a [u8],
}

impl<'a> EventView<'a> {
    fn take(taker: &mut Taker<'a>) -> Result<Self, Malformed> {
        let body_bytes = taker.u32()? as usize;
        let schema = taker.u32()?;
        let name_bytes = usize::from(taker.u8()?);
        let codec = match taker.u8()? {
            0 => Codec::Json,
            codec => return Err(Malformed::Unknown(format!("codec {codec}"))),
        };
        if taker.u16()? != 0 {
            return Err(Malformed::Unknown("event flags".to_owned()));
        }
        let field_bytes = taker.u32()? as usize;
        Ok(Self {
            schema,
            codec,
            name: taker.text(name_bytes)?,
            fields: Fields(taker.bytes(field_bytes)?),
            body: taker.bytes(body_bytes)?,
        })
    }

    fn id(&self, append: AppendId, index: usize) -> Result<EventId, Malformed> {
        for field in self.fields {
            if let (of_event::ID, bytes) = field? {
                return Ok(EventId::new(Taker(bytes).u128()?));
            }
        }
        Ok(append.event(index))
    }

    fn fill(&self, event: &mut RecordedEvent) -> Result<(), Malformed> {
        for field in self.fields {
            let (number, bytes) = field?;
            match number {
                of_event::TAG => event.tags.push(text(bytes)?.to_owned()),
                of_event::OCCURRED => {
                    event.occurred = Some(Timestamp::new(Taker(bytes).i64()?));
                }
                of_event::ID => event.id = EventId::new(Taker(bytes).u128()?),
                of_event::METADATA => event.metadata = Some(Box::new(decode_metadata(bytes)?)),
                _ => skip_unknown("an event", number)?,
            }
        }
        Ok(())
    }
}

fn decode_metadata(bytes: &[u8]) -> Result<Metadata, Malformed> {
    let mut metadata = Metadata::new();
    let mut taker = Taker(bytes);
    while !taker.0.is_empty() {
        let name_bytes = taker.u32()? as usize;
        let name = taker.text(name_bytes)?.to_owned();
        let text_bytes = taker.u32()? as usize;
        metadata.insert(name, taker.text(text_bytes)?.to_owned());
    }
    Ok(metadata)
}

fn decode_more(
    head: &RecordHead<'_>,
    record: &Bytes,
) -> Result<Option<Box<AppendMore>>, Malformed> {
    if !head.has_more {
        return Ok(None);
    }
    let mut more = Box::<AppendMore>::default();
    for field in head.fields {
        let (number, bytes) = field?;
        let owned = || text(bytes).map(|text| Some(text.to_owned()));
        match number {
            of_append::KEYED => {
                let (fingerprint, key, reply) = Taker(bytes).keyed()?;
                let reply = record.slice_ref(reply);
                more.keyed = Some(Keyed { key: key.to_owned(), fingerprint, reply });
            }
            of_append::PRINCIPAL => more.origin.principal = owned()?,
            of_append::TENANT => more.origin.tenant = owned()?,
            of_append::CORRELATION => more.origin.correlation = owned()?,
            of_append::CAUSATION => more.origin.causation = owned()?,
            of_append::TRACE => more.origin.trace = owned()?,
            of_append::ENCRYPTION_KEY => more.encryption_key = owned()?,
            of_append::COMMAND_BODY => more.command_body = Some(record.slice_ref(bytes)),
            of_append::TIMER => {
                let mut taker = Taker(bytes);
                let due = Timestamp::new(taker.i64()?);
                let command_bytes = taker.u32()? as usize;
                let command = Cow::Owned(taker.text(command_bytes)?.to_owned());
                more.timers.push(Timer { due, command, body: taker.0.to_vec() });
            }
            _ => skip_unknown("an append", number)?,
        }
    }
    Ok(Some(more))
}
