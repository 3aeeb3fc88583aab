//! Commits whose checks are all right and which no log writes: forged, to see that each invariant is looked at.

use super::{files::JournalFiles, verify::verify};
use crate::{
    SimulatedDisk,
    disk::Disk,
    format::{COMMIT_HEADER_BYTES, CommitHeader, FIRST_COMMIT, SegmentHeader, seal_body},
    log::Log,
    settings::Settings,
};
use kronika_core::{
    Append, AppendId, Epoch, Journal, Loading, NewEvent, SliceRange, StreamId, Timestamp, Version,
};
use std::{path::Path, sync::Arc};

const DIRECTORY: &str = "/data/journal";
const SEGMENT: &str = "/data/journal/00000001.segment";

fn append(version: u64, epoch: Epoch) -> Append {
    let event = NewEvent { name: "said".into(), body: "{}".into(), ..NewEvent::default() };
    Append {
        id: AppendId::from_parts(Timestamp::new(1_700_000_000_000_000), version + 1),
        stream: StreamId::new("talk", "a").unwrap(),
        expected: Version::new(version),
        epoch,
        loading: Loading::new(1),
        events: vec![event],
        command: "say".into(),
        more: None,
    }
}

/// A claim, two commits of one append each, and another claim where that is to be the last commit.
fn image(claim_last: bool) -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    let settings =
        Settings { clock: || Timestamp::new(1_700_000_000_000_000), ..Settings::small() };
    let log = Log::open_on(Arc::new(disk.clone()), Path::new(DIRECTORY), settings).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut epoch = runtime.block_on(log.claim(SliceRange::ALL, None)).unwrap().epoch;
    for version in 0..2 {
        if version == 1 {
            epoch = runtime.block_on(log.claim(SliceRange::ALL, None)).unwrap().epoch;
        }
        runtime.block_on(log.append(vec![append(version, epoch)]))[0].as_ref().unwrap();
    }
    if claim_last {
        runtime.block_on(log.claim(SliceRange::ALL, None)).unwrap();
    }
    drop(log);
    disk.remove(&Path::new(DIRECTORY).join("head")).unwrap();
    disk
}

/// What is found when the last commit is forged: its header, and the bytes of its one record.
fn forged(claim_last: bool, forge: impl FnOnce(&mut CommitHeader, &mut [u8])) -> Vec<String> {
    let disk = image(claim_last);
    let mut bytes = disk.contents(Path::new(SEGMENT));
    let seal = SegmentHeader::decode(bytes.first_chunk().unwrap()).unwrap().seal();
    let mut offset = FIRST_COMMIT;
    let mut last = None;
    while let Ok((header, _)) =
        CommitHeader::decode(bytes[offset as usize..].first_chunk().unwrap(), seal, offset)
    {
        last = Some((offset, header));
        offset += header.bytes();
    }
    let (offset, mut header) = last.unwrap();
    let start = offset as usize;
    let mut commit = bytes[start..start + header.bytes() as usize].to_vec();
    let record_bytes = u32::from_le_bytes(*commit[COMMIT_HEADER_BYTES..].first_chunk().unwrap());
    commit.truncate(COMMIT_HEADER_BYTES + record_bytes as usize);
    forge(&mut header, &mut commit[COMMIT_HEADER_BYTES..]);
    (header.sparse_sectors, header.body_check) = seal_body(&mut commit, 1, seal, offset);
    let (head, _) = header.encode(seal, offset);
    commit[..COMMIT_HEADER_BYTES].copy_from_slice(&head);
    bytes[start..start + commit.len()].copy_from_slice(&commit);
    disk.replace(Path::new(SEGMENT), &bytes);
    let files = JournalFiles::on(Arc::new(disk), Path::new(DIRECTORY));
    let report = verify(&files, &mut |_| {}).unwrap();
    report.findings.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_not_forged_is_sound() {
    assert_eq!(forged(false, |_, _| {}), [""; 0]);
    assert_eq!(forged(true, |_, _| {}), [""; 0]);
}

#[test]
fn each_invariant_is_looked_at() {
    let check = |forge: fn(&mut CommitHeader, &mut [u8]), expected: &str| {
        let found = forged(false, forge);
        assert!(found.iter().any(|found| found.contains(expected)), "{expected}: {found:?}");
    };
    check(|_, record| record[32] = 7, "stands on version 7, its stream has 1; streams talk/a");
    check(|_, record| record[32] = 0, "stands on version 0, its stream has 1");
    check(|_, record| record[40] = 1, "an append of epoch 1 stands behind a claim of 2");
    check(|_, record| record[48] += 1, "an append's position is not the next one");
    check(|_, record| record[56] ^= 1, "an append's time is not its commit's");
    check(|_, record| record[9] = 2, "append of 2 streams is not known");
    check(|_, record| record[68] = b'T', "the name of a stream is not valid");
    check(|header, _| header.number += 1, "does not continue");
    check(|header, _| header.previous ^= 1, "does not continue");
    check(|header, _| header.events += 1, "number of events");
    check(|header, record| (header.events, record[10]) = (9, 9), "length goes beyond its record");
    check(|header, _| header.time -= 1, "time goes back");
    check(|header, _| header.first_position += 1, "position is not the next one");
    check(|header, _| header.records = 2, "record");
}

#[test]
fn a_claim_that_does_not_raise_the_epoch_is_found() {
    let found = forged(true, |_, record| record[16] = 2);
    assert!(found[0].contains("a claim of epoch 2 does not raise it"), "{found:?}");
    let found = forged(true, |_, record| record[8] = 77);
    assert!(found[0].contains("control record 77"), "{found:?}");
}
