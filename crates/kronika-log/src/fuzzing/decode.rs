//! Any bytes through every decoder: none of them panics, believes a length, or gives what would not be written the
//! same way again.

use super::Input;
use crate::{
    format::{
        COMMIT_HEADER_BYTES, CommitHeader, FIRST_COMMIT, Fields, HEAD_BYTES, PublishedHead,
        RecordHead, SEGMENT_HEADER_BYTES, Seal, SegmentHeader, decode_append, decode_control,
        encode_append, encode_claim, keyed_by, record_is_whole,
    },
    replay::streams_damaged,
    tail::{Verdict, judge},
};
use bytes::Bytes;
use kronika_core::{Append, Loading, NewEvent, Position, RecordedAppend};

/// Decodes any bytes as each thing that is read from a disk.
///
/// # Errors
/// Says which promise was broken.
pub fn decode(input: &[u8]) -> Result<(), String> {
    let Some((kind, rest)) = input.split_first() else { return Ok(()) };
    match kind % 6 {
        0 => segment_header(rest),
        1 => commit_header(rest),
        2 => published_head(rest),
        3 => append(rest),
        4 => control(rest),
        _ => tail(rest),
    }
}

/// So many bytes, the rest of them zero, with the check that belongs at their end.
fn checked<const N: usize>(bytes: &[u8], check: impl Fn(&[u8]) -> u32) -> [u8; N] {
    let mut all: [u8; N] = Input(bytes).bytes();
    let check = check(&all[..N - 4]);
    all[N - 4..].copy_from_slice(&check.to_le_bytes());
    all
}

fn segment_header(bytes: &[u8]) -> Result<(), String> {
    let _ = SegmentHeader::decode(&Input(bytes).bytes());
    let mut named = checked::<SEGMENT_HEADER_BYTES>(bytes, crc32c::crc32c);
    named[..8].copy_from_slice(b"kronilog");
    let named = checked::<SEGMENT_HEADER_BYTES>(&named, crc32c::crc32c);
    let Ok(header) = SegmentHeader::decode(&named) else { return Ok(()) };
    same("a segment's header", &SegmentHeader::decode(&header.encode()), &Ok(header))
}

fn seal() -> Seal {
    Seal::new(11, 3, 7)
}

fn commit_header(bytes: &[u8]) -> Result<(), String> {
    let _ = CommitHeader::decode(&Input(bytes).bytes(), seal(), FIRST_COMMIT);
    let mut placed: [u8; COMMIT_HEADER_BYTES] = Input(bytes).bytes();
    placed[44..48].copy_from_slice(&3u32.to_le_bytes());
    placed[48..52].copy_from_slice(&64u32.to_le_bytes());
    let placed = checked(&placed, |bytes| seal().check(bytes));
    let Ok((header, _)) = CommitHeader::decode(&placed, seal(), FIRST_COMMIT) else {
        return Ok(());
    };
    same("a commit's header", &header.encode(seal(), FIRST_COMMIT).0, &placed)
}

fn published_head(bytes: &[u8]) -> Result<(), String> {
    let _ = PublishedHead::decode(&Input(bytes).bytes());
    let mut named = checked::<HEAD_BYTES>(bytes, crc32c::crc32c);
    named[..8].copy_from_slice(b"kronihed");
    let named = checked::<HEAD_BYTES>(&named, crc32c::crc32c);
    let Some(head) = PublishedHead::decode(&named) else { return Ok(()) };
    same("a published head", &PublishedHead::decode(&head.encode()), &Some(head))
}

fn append(bytes: &[u8]) -> Result<(), String> {
    record_is_whole(bytes, seal(), FIRST_COMMIT);
    // What comes before the kind is not decoded, and a kind that is not known ends it at once.
    let record = Bytes::from([&[0; 8][..], &[1, 1], bytes].concat());
    if let Ok(head) = RecordHead::of(&record) {
        let _ = (head.last_event(), head.end(), keyed_by(head.fields));
    }
    let Ok(decoded) = decode_append(&record, None) else { return Ok(()) };
    let written = to_be_written(&decoded);
    let mut again = Vec::new();
    let first = decoded.events.first().map_or(Position::ZERO, |event| event.position);
    encode_append(&mut again, &written, first, decoded.header.time)
        .map_err(|error| format!("an append that was decoded cannot be encoded: {error}"))?;
    same("an append", &decode_append(&again.into(), None), &Ok(decoded))
}

/// The append that is recorded as this one.
fn to_be_written(recorded: &RecordedAppend) -> Append {
    let header = &recorded.header;
    let events = recorded.events.iter().map(|event| NewEvent {
        name: event.name.to_string().into(),
        schema: event.schema,
        codec: event.codec,
        body: event.body.clone(),
        tags: event.tags.clone(),
        occurred: event.occurred,
        id: Some(event.id),
        metadata: event.metadata.clone(),
    });
    Append {
        id: header.id,
        stream: header.stream.clone(),
        expected: header.expected,
        epoch: header.epoch,
        loading: Loading::new(1),
        events: events.collect(),
        command: header.command.clone(),
        more: header.more.clone(),
    }
}

fn control(bytes: &[u8]) -> Result<(), String> {
    Fields(bytes).for_each(drop);
    let _ = decode_control(bytes);
    let claim = [&[2], bytes].concat();
    let Ok(Some(claim)) = decode_control(&claim) else { return Ok(()) };
    let mut again = Vec::new();
    encode_claim(&mut again, &claim);
    same("a claim", &decode_control(&again[8..]), &Ok(Some(claim)))
}

/// A tail as it is, and the same with a header whose checks fit.
fn tail(bytes: &[u8]) -> Result<(), String> {
    let mut input = Input(bytes);
    let offset = FIRST_COMMIT + 64 * u64::from(input.u8());
    let mut rest = input.0.to_vec();
    streams_damaged(&rest, seal(), offset);
    let as_it_is = judge(&rest, seal(), offset);
    if matches!(as_it_is, Verdict::Torn(bytes) if bytes > rest.len().next_multiple_of(64) as u64) {
        return Err("more is torn than is there".to_owned());
    }
    if rest.len() <= COMMIT_HEADER_BYTES {
        return Ok(());
    }
    rest[44..48].copy_from_slice(&3u32.to_le_bytes());
    rest[48..52].copy_from_slice(&((offset / 64) as u32).to_le_bytes());
    let body_bytes = u32::from_le_bytes(*rest[4..].first_chunk().expect("a header is there"));
    if let Some(body) = rest.get(64..64 + body_bytes as usize) {
        let check = seal().check(body);
        rest[52..56].copy_from_slice(&check.to_le_bytes());
    }
    let header = checked::<COMMIT_HEADER_BYTES>(&rest, |bytes| seal().check(bytes));
    rest[..64].copy_from_slice(&header);
    streams_damaged(&rest, seal(), offset);
    match judge(&rest, seal(), offset) {
        Verdict::Sound(header, _) if header.bytes() > rest.len() as u64 => {
            Err("a commit is longer than what is there".to_owned())
        }
        _ => Ok(()),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, again: &T, first: &T) -> Result<(), String> {
    if again == first { Ok(()) } else { Err(format!("{what} changes: {first:?}, then {again:?}")) }
}
