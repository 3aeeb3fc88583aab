//! The format is frozen: these bytes are read by every later release. A change here is a change of format.

use super::*;
use kronika_core::{
    Append, AppendId, Epoch, EventId, Incarnation, Loading, NewEvent, Position, SliceRange,
    StreamId, Timestamp, Version,
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn segment() -> SegmentHeader {
    SegmentHeader { incarnation: Incarnation::new(7 << 64 | 9), segment: 3, bytes: 8192, salt: 11 }
}

fn append() -> Append {
    let event = NewEvent {
        name: "deposited".into(),
        schema: 2,
        body: "{}".into(),
        tags: vec!["red".to_owned()],
        id: Some(EventId::new(5)),
        ..NewEvent::default()
    };
    Append {
        id: AppendId::new(1 << 80 | 1 << 16),
        stream: StreamId::new("account", "a").unwrap(),
        expected: Version::new(4),
        epoch: Epoch::new(6),
        loading: Loading::new(1),
        events: vec![event],
        command: "deposit".into(),
        more: None,
    }
}

fn commit(records: u32, body: impl FnOnce(&mut Vec<u8>)) -> (CommitHeader, Vec<u8>) {
    let mut bytes = vec![0; COMMIT_HEADER_BYTES];
    body(&mut bytes);
    let (sparse_sectors, body_check) = seal_body(&mut bytes, records, segment().seal(), 4096);
    let header = CommitHeader {
        kind: CommitKind::Appends,
        extended: false,
        sparse_sectors,
        body_bytes: (bytes.len() - COMMIT_HEADER_BYTES) as u32,
        first_position: 21,
        time: 1_700_000_000_000_000,
        records,
        events: records,
        number: 8,
        previous: 0x0102_0304,
        body_check,
    };
    let (head, _) = header.encode(segment().seal(), 4096);
    bytes[..COMMIT_HEADER_BYTES].copy_from_slice(&head);
    (header, bytes)
}

#[test]
fn a_segment_header_is_frozen() {
    let bytes = segment().encode();
    assert_eq!(
        hex(&bytes[..64]),
        "6b726f6e696c6f67010000000100000009000000000000000700000000000000\
         030000000000000000200000000000000b000000000000000000000000000000"
    );
    assert!(bytes[64..508].iter().all(|byte| *byte == 0));
    assert_eq!(hex(&bytes[508..]), "7be6930b");
    assert_eq!(SegmentHeader::decode(&bytes), Ok(segment()));
}

#[test]
fn a_segment_of_an_impossible_length_is_refused() {
    // Fuzzing found that healing a torn commit at the end of one that is no multiple of 64 made the file longer than
    // its header says, so that the next opening refused it. None is ever made so.
    let check = |bytes: u64, possible: bool| {
        let header = SegmentHeader { bytes, ..segment() };
        let wrong = SegmentFault::Wrong("the segment's length is not possible");
        let expected = if possible { Ok(header) } else { Err(wrong) };
        assert_eq!(SegmentHeader::decode(&header.encode()), expected, "{bytes}");
    };
    check(8192, true);
    check(1 << 31, true);
    check(0, false);
    check(4096, false);
    check(8192 + 32, false);
    check(8192 + 64, false);
    check((1 << 31) + 4096, false);
}

#[test]
fn a_commit_is_frozen() {
    let time = Timestamp::new(1_700_000_000_000_000);
    let (header, bytes) = commit(1, |out| {
        encode_append(out, &append(), Position::new(21), time).unwrap();
    });
    assert_eq!(
        hex(&bytes[..64]),
        "01000000c0000000150000000000000000401e18240a06000100000001000000\
         08000000000000000403020103000000400000005f14246a00000000de484712"
    );
    assert_eq!(
        hex(&bytes[64..]),
        "8e000000a73403ce010101000900070000000100000000000000010000000000\
         04000000000000000600000000000000150000000000000000401e18240a0600\
         000000006163636f756e742f616465706f736974020000000200000009000000\
         1f0000006465706f736974656401000300000072656403001000000005000000\
         0000000000000000000000007b7dffffffffffffffffffffffffffffffffffff\
         ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
    );
    let first = bytes.first_chunk().unwrap();
    assert_eq!(CommitHeader::decode(first, segment().seal(), 4096).unwrap().0, header);
    // It is a commit of this segment, at this offset, and of no other.
    let elsewhere = SegmentHeader { salt: 12, ..segment() };
    assert!(CommitHeader::decode(first, elsewhere.seal(), 4096).is_err());
    assert!(CommitHeader::decode(first, segment().seal(), 4160).is_err());
}

#[test]
fn a_claim_is_frozen() {
    let claim = Claim { slices: SliceRange::new(3, 700).unwrap(), epoch: Epoch::new(6) };
    let mut bytes = Vec::new();
    encode_claim(&mut bytes, &claim);
    assert_eq!(hex(&bytes), "1800000000000000020000000300bc020600000000000000");
    assert_eq!(decode_control(&bytes[8..]), Ok(Some(claim)));
    assert_eq!(decode_control(&[0x80, 1, 2]), Ok(None));
    let unknown = Malformed::Unknown("control record 3".to_owned());
    assert_eq!(decode_control(&[3]), Err(unknown));
}

#[test]
fn a_published_head_is_frozen() {
    let end = crate::place::Place::new(3, 4288);
    let head = PublishedHead { incarnation: 9, end, number: 8, position: 21, previous: 5 };
    assert_eq!(
        hex(&head.encode()),
        "6b726f6e69686564090000000000000000000000000000000300000005000000\
         c01000000000000008000000000000001500000000000000000000000ab02de8"
    );
    assert_eq!(PublishedHead::decode(&head.encode()), Some(head));
}

#[test]
fn what_must_be_understood_is_refused_by_its_number_and_the_rest_is_skipped() {
    let mut bytes = Vec::new();
    encode_append(&mut bytes, &append(), Position::new(21), Timestamp::new(0)).unwrap();
    let check = |at: usize, value: u8, expected: &str| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        let unknown = Malformed::Unknown(expected.to_owned());
        assert_eq!(decode_append(&bytes.into(), None).unwrap_err(), unknown);
    };
    check(8, 9, "record 9");
    check(9, 2, "append of 2 streams");
    check(15, 2, "append flags 0x02");
    let event = 68 + "account/a".len() + "deposit".len();
    check(event + 9, 4, "codec 4");
    let field = event + 16 + "deposited".len();
    check(field, 99, "field 99 of an event");
    // The upper half of the numbers may be skipped.
    bytes[field + 1] = 0x80;
    assert!(decode_append(&bytes.into(), None).unwrap().events[0].tags.is_empty());
}

#[test]
fn no_length_is_believed() {
    let mut whole = Vec::new();
    encode_append(&mut whole, &append(), Position::new(21), Timestamp::new(0)).unwrap();
    for at in 8..whole.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            let _ = decode_append(&bytes.into(), None);
        }
        let _ = decode_append(&whole[..at].to_vec().into(), None);
    }
}

#[test]
fn numbers_that_cannot_be_are_refused() {
    // Fuzzing found the first two: they overflowed where an append with a check that fits was decoded. The third made
    // room for 65,535 events before one was read; the last were passed over without being understood.
    let mut whole = Vec::new();
    encode_append(&mut whole, &append(), Position::new(21), Timestamp::new(0)).unwrap();
    let check = |at: usize, value: &[u8], expected: &'static str| {
        let mut bytes = whole.clone();
        bytes[at..at + value.len()].copy_from_slice(value);
        let wrong = Malformed::Wrong(expected);
        assert_eq!(RecordHead::of(&bytes).unwrap_err(), wrong);
        assert_eq!(decode_append(&bytes.into(), None).unwrap_err(), wrong);
    };
    check(32, &[0xff; 8], "an append's version or position is not possible");
    check(48, &[0xff; 8], "an append's version or position is not possible");
    check(10, &4097u16.to_le_bytes(), "an append has more events than are possible");
    check(64, &[6], "an append has fields without their flag");
}

#[test]
fn sparse_sectors_are_those_of_the_file() {
    let check = |offset: u64, set: &[usize], expected: (u16, u16)| {
        let mut commit = vec![0; 1600];
        commit[..COMMIT_HEADER_BYTES].fill(0xff);
        set.iter().for_each(|at| commit[*at] |= 1);
        let found = (commit::sparse_sectors(&commit, offset), zero_sectors(&commit, offset));
        assert_eq!(found, expected, "{offset} {set:?}");
    };
    check(4096, &[], (3, 3));
    check(4096, &[512], (3, 2));
    check(4096, &[512, 1023], (2, 2));
    check(4096 + 448, &[], (3, 3));
    check(4096 + 448, &[64, 575, 576], (2, 1));
}
