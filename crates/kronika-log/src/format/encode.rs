//! Appends to bytes, straight into the commit's buffer.

use super::fields::{of_append, of_event, put_field, put_length};
use kronika_core::{Append, AppendError, AppendMore, Codec, NewEvent, Position, Timestamp};

/// Bytes of an append's record before its names.
pub(super) const RECORD_HEAD_BYTES: usize = 68;
/// Bytes of an event before its name.
pub(super) const EVENT_HEAD_BYTES: usize = 16;
/// The kind of record that an append is.
pub(super) const APPEND: u8 = 1;
/// Streams that an append writes to. Several are reserved for later.
pub(super) const WRITES: u8 = 1;
/// Flag: the append carries more than its events, be it empty.
pub(super) const HAS_MORE: u8 = 1;

/// How many bytes an append takes at most, and about how many; for queues and bounds, not for lengths.
pub(crate) fn bytes_estimate(append: &Append) -> usize {
    let events = append.events.iter().map(|event| {
        let metadata = event.metadata.iter().flat_map(|metadata| metadata.iter());
        let metadata = metadata.map(|(name, text)| name.len() + text.len() + 8).sum::<usize>();
        let tags = event.tags.iter().map(|tag| tag.len() + 6).sum::<usize>();
        EVENT_HEAD_BYTES + event.name.len() + event.body.len() + tags + metadata + 42
    });
    let more = append.more.as_ref().map_or(0, |more| {
        let keyed = more.keyed.as_ref().map_or(0, |keyed| keyed.key.len() + keyed.reply.len() + 26);
        let timers = more.timers.iter().map(|timer| timer.command.len() + timer.body.len() + 18);
        let origin = &more.origin;
        let texts = [
            &origin.principal,
            &origin.tenant,
            &origin.correlation,
            &origin.causation,
            &origin.trace,
            &more.encryption_key,
        ];
        let texts = texts.into_iter().flatten().map(|text| text.len() + 6).sum::<usize>();
        let body = more.command_body.as_ref().map_or(0, |body| body.len() + 6);
        keyed + timers.sum::<usize>() + texts + body
    });
    let names = append.stream.name().len() + append.command.len();
    RECORD_HEAD_BYTES + names + events.sum::<usize>() + more
}

/// Puts an append behind what is there; the check comes with the commit's. Limits were checked before.
pub(crate) fn encode_append(
    out: &mut Vec<u8>,
    append: &Append,
    first: Position,
    time: Timestamp,
) -> Result<(), AppendError> {
    let start = out.len();
    let stream = append.stream.name();
    let narrow = |length: usize| u8::try_from(length).expect("limits were checked");
    let events = u16::try_from(append.events.len()).expect("limits were checked");
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&[APPEND, WRITES]);
    out.extend_from_slice(&events.to_le_bytes());
    let stream_bytes = u16::try_from(stream.len()).expect("a stream's name is bounded by its type");
    out.extend_from_slice(&stream_bytes.to_le_bytes());
    out.extend_from_slice(&[narrow(append.command.len()), u8::from(append.more.is_some())]);
    out.extend_from_slice(&append.id.get().to_le_bytes());
    out.extend_from_slice(&append.expected.get().to_le_bytes());
    out.extend_from_slice(&append.epoch.get().to_le_bytes());
    out.extend_from_slice(&first.get().to_le_bytes());
    out.extend_from_slice(&time.get().to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(stream.as_bytes());
    out.extend_from_slice(append.command.as_bytes());
    let fields = out.len();
    if let Some(more) = &append.more {
        encode_more(out, more);
    }
    put_block_length(out, start + 64, fields);
    for event in &append.events {
        encode_event(out, event)?;
    }
    let bytes = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&bytes.to_le_bytes());
    Ok(())
}

fn encode_event(out: &mut Vec<u8>, event: &NewEvent) -> Result<(), AppendError> {
    let codec = match event.codec {
        Codec::Json => 0,
        other => return Err(AppendError::TooLarge(format!("codec {other:?} is not known"))),
    };
    put_length(out, event.body.len());
    out.extend_from_slice(&event.schema.to_le_bytes());
    let name_bytes = u8::try_from(event.name.len()).expect("limits were checked");
    out.extend_from_slice(&[name_bytes, codec, 0, 0]);
    let length = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(event.name.as_bytes());
    let fields = out.len();
    for tag in &event.tags {
        put_field(out, of_event::TAG, &[tag.as_bytes()]);
    }
    if let Some(occurred) = event.occurred {
        put_field(out, of_event::OCCURRED, &[&occurred.get().to_le_bytes()]);
    }
    if let Some(id) = event.id {
        put_field(out, of_event::ID, &[&id.get().to_le_bytes()]);
    }
    if let Some(metadata) = &event.metadata {
        put_field(out, of_event::METADATA, &[]);
        let start = out.len();
        for (name, text) in metadata.iter() {
            for part in [name, text] {
                put_length(out, part.len());
                out.extend_from_slice(part.as_bytes());
            }
        }
        put_block_length(out, start - 4, start);
    }
    put_block_length(out, length, fields);
    out.extend_from_slice(&event.body);
    Ok(())
}

fn encode_more(out: &mut Vec<u8>, more: &AppendMore) {
    if let Some(keyed) = &more.keyed {
        let key_bytes = u32::try_from(keyed.key.len()).unwrap_or(u32::MAX).to_le_bytes();
        let fingerprint = keyed.fingerprint.to_le_bytes();
        let parts = [&fingerprint[..], &key_bytes, keyed.key.as_bytes(), &keyed.reply];
        put_field(out, of_append::KEYED, &parts);
    }
    let texts = [
        (of_append::PRINCIPAL, &more.origin.principal),
        (of_append::TENANT, &more.origin.tenant),
        (of_append::CORRELATION, &more.origin.correlation),
        (of_append::CAUSATION, &more.origin.causation),
        (of_append::TRACE, &more.origin.trace),
        (of_append::ENCRYPTION_KEY, &more.encryption_key),
    ];
    for (number, text) in texts {
        if let Some(text) = text {
            put_field(out, number, &[text.as_bytes()]);
        }
    }
    if let Some(body) = &more.command_body {
        put_field(out, of_append::COMMAND_BODY, &[body]);
    }
    for timer in &more.timers {
        let due = timer.due.get().to_le_bytes();
        let command_bytes = u32::try_from(timer.command.len()).unwrap_or(u32::MAX).to_le_bytes();
        let parts = [&due[..], &command_bytes, timer.command.as_bytes(), &timer.body];
        put_field(out, of_append::TIMER, &parts);
    }
}

/// Writes the length of what stands from `start` to the end into the four bytes at `at`.
fn put_block_length(out: &mut [u8], at: usize, start: usize) {
    let bytes = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    out[at..at + 4].copy_from_slice(&bytes.to_le_bytes());
}
