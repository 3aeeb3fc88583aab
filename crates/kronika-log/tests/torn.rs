//! Torn or damaged, enumerated on whole journals: synced sectors that come back as zeros, two crashes in a row at one
//! place, and a tear at the beginning of a segment. With the published head at hand nothing acknowledged goes unnoticed;
//! without it only a loss that looks exactly like a tear does.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use kronika_core::Append;
use kronika_log::{Damage, Log, OpenError, Settings, SimulatedDisk};
use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

const FIRST: &str = "/data/journal/00000001.segment";
const SECOND: &str = "/data/journal/00000002.segment";
const THIRD: &str = "/data/journal/00000003.segment";
const HEAD: &str = "/data/journal/head";
const SECTOR: usize = 512;

fn open(disk: &SimulatedDisk) -> Result<Log, OpenError> {
    let settings =
        Settings { segment_bytes: 8192, first_segment_bytes: 8192, ..Settings::default() };
    Log::open_on(Arc::new(disk.clone()), Path::new("/data/journal"), settings)
}

/// How many events there are, or that it is damaged.
fn events(disk: &SimulatedDisk) -> Result<usize, Damage> {
    match open(disk) {
        Ok(log) => Ok(all_events(&log).len()),
        Err(OpenError::Damaged(damage)) => Err(damage),
        Err(error) => panic!("neither sound nor damaged: {error}"),
    }
}

/// An append of one event with a body of so many bytes.
fn sized(stream: &str, version: u64, bytes: usize) -> Append {
    Append { events: vec![event("kronika ".repeat(bytes / 8))], ..append(stream, version, 0) }
}

/// Writes appends of these sizes, a commit each; gives the place of each commit in a segment's file.
fn write(log: &Log, disk: &SimulatedDisk, file: &str, sizes: &[usize]) -> Vec<Range<usize>> {
    let mut version = all_events(log).iter().filter(|event| event.stream().id() == "a").count();
    let mut end = end_of(&disk.contents(Path::new(file)));
    sizes
        .iter()
        .map(|size| {
            send_one(log, sized("a", version as u64, *size)).unwrap();
            version += 1;
            let start = end;
            end = end_of(&disk.contents(Path::new(file)));
            start..end
        })
        .collect()
}

fn end_of(bytes: &[u8]) -> usize {
    bytes[4096..].iter().rposition(|byte| *byte != 0).map_or(4096, |at| (4096 + at) / 64 * 64 + 64)
}

fn forget_head(disk: &SimulatedDisk) {
    disk.replace(Path::new(HEAD), &[0; 64]);
}

/// Zeros those of a range's sectors, counted from the one that it begins in, whose bits are set.
fn lose(bytes: &mut [u8], range: &Range<usize>, lost: u32) {
    let first = range.start / SECTOR;
    for sector in (0..32).filter(|sector| lost & 1 << sector != 0) {
        let start = (first + sector) * SECTOR;
        bytes[start.max(range.start)..(start + SECTOR).min(range.end)].fill(0);
    }
}

fn sectors(range: &Range<usize>) -> u32 {
    (range.end.div_ceil(SECTOR) - range.start / SECTOR) as u32
}

#[test]
fn synced_sectors_that_became_zero_are_damage_wherever_that_can_be_told() {
    let disk = SimulatedDisk::new(1);
    let log = open(&disk).unwrap();
    let commits = write(&log, &disk, FIRST, &[600, 24, 900, 24, 24, 1200]);
    drop(log);
    let whole = disk.contents(Path::new(FIRST));
    let used = commits[0].start..commits[commits.len() - 1].end;
    assert_eq!(sectors(&used), 8, "few enough to enumerate: {commits:?}");
    let (mut damaged, mut taken_for_torn) = (0, 0);
    for lost in 1..1 << sectors(&used) {
        let mut bytes = whole.clone();
        lose(&mut bytes, &used, lost);
        let with_head = disk.copy(1);
        with_head.replace(Path::new(FIRST), &bytes);
        assert!(events(&with_head).is_err(), "{lost:b} lost, and the head is there");
        assert!(with_head.contents(Path::new(FIRST)) == bytes, "damage is not touched");

        let without = disk.copy(1);
        without.replace(Path::new(FIRST), &bytes);
        forget_head(&without);
        // The first commit that is not what it was, and whether it looks like one that was being written: nothing is
        // behind it; or its header is lost, and no other one is left to tell that what is behind it was written later.
        let changed = commits.iter().position(|range| bytes[range.clone()] != whole[range.clone()]);
        let changed = changed.expect("something was lost");
        let headless =
            |range: &Range<usize>| bytes[range.start..][..64].iter().all(|byte| *byte == 0);
        let looks_torn = bytes[commits[changed].end..].iter().all(|byte| *byte == 0)
            || commits[changed..].iter().all(headless);
        match events(&without) {
            Ok(left) => {
                assert!(looks_torn && left == changed, "{lost:b} lost: {left} events");
                taken_for_torn += 1;
            }
            Err(damage) => {
                assert!(!looks_torn, "{lost:b} lost: {damage}");
                damaged += 1;
            }
        }
    }
    assert_eq!((damaged, taken_for_torn), (239, 16), "of all 255");
}

#[test]
fn two_crashes_in_a_row_at_one_place_leave_nothing_of_either() {
    let disk = SimulatedDisk::new(2);
    let log = open(&disk).unwrap();
    write(&log, &disk, FIRST, &[100, 300]);
    let clean = disk.copy(1);
    let before = clean.contents(Path::new(FIRST));
    let torn_first = write(&log, &disk, FIRST, &[2200]).remove(0);
    drop(log);
    forget_head(&disk);
    forget_head(&clean);
    let whole = disk.contents(Path::new(FIRST));
    for lost in 1..1 << sectors(&torn_first) {
        let disk = disk.copy(1);
        let mut bytes = whole.clone();
        lose(&mut bytes, &torn_first, lost);
        disk.replace(Path::new(FIRST), &bytes);
        let log = open(&disk).unwrap();
        // What is healed is durable before anything is appended.
        let healed = disk.copy(1);
        healed.crash();
        assert!(healed.contents(Path::new(FIRST)) == before, "{lost:b} lost");
        drop(log);
    }
    // So the second commit at that place finds it as the first did, and any part of that one may be lost too.
    let log = open(&clean).unwrap();
    let torn_second = write(&log, &clean, FIRST, &[1700]).remove(0);
    assert_eq!(torn_second.start, torn_first.start);
    drop(log);
    forget_head(&clean);
    let whole = clean.contents(Path::new(FIRST));
    for lost in 1..1 << sectors(&torn_second) {
        let disk = clean.copy(1);
        let mut bytes = whole.clone();
        lose(&mut bytes, &torn_second, lost);
        disk.replace(Path::new(FIRST), &bytes);
        assert_eq!(events(&disk), Ok(2), "{lost:b} lost");
        assert!(disk.contents(Path::new(FIRST)) == before, "{lost:b} lost");
    }
}

/// What of the first tear is left when healing is cut off too, at each of its calls and with any of its sectors.
#[test]
fn a_crash_in_the_midst_of_healing_heals_the_next_time() {
    let disk = SimulatedDisk::new(3);
    let log = open(&disk).unwrap();
    write(&log, &disk, FIRST, &[100, 300]);
    let before = disk.contents(Path::new(FIRST));
    let torn = write(&log, &disk, FIRST, &[2200]).remove(0);
    drop(log);
    forget_head(&disk);
    let whole = disk.contents(Path::new(FIRST));
    for lost in 1..1 << sectors(&torn) {
        for (call, seed) in (1..7).flat_map(|call| (0..4).map(move |seed| (call, seed))) {
            let disk = disk.copy(seed);
            let mut bytes = whole.clone();
            lose(&mut bytes, &torn, lost);
            disk.replace(Path::new(FIRST), &bytes);
            disk.power_fails_at(call);
            drop(open(&disk));
            disk.crash();
            assert_eq!(events(&disk), Ok(2), "{lost:b} lost, call {call}, seed {seed}");
            assert!(disk.contents(Path::new(FIRST)) == before, "{lost:b}, {call}, {seed}");
        }
    }
}

#[test]
fn the_first_commit_of_a_segment_is_torn_like_any_other() {
    let disk = SimulatedDisk::new(4);
    let log = open(&disk).unwrap();
    write(&log, &disk, FIRST, &[1200, 1200]);
    // It does not fit the rest of the first segment.
    send_one(&log, sized("b", 0, 2400)).unwrap();
    drop(log);
    forget_head(&disk);
    // The third is not made before a commit in the second is durable.
    if disk.files().iter().any(|path| path == Path::new(THIRD)) {
        disk.lose(Path::new(THIRD));
    }
    let whole = disk.contents(Path::new(SECOND));
    let torn = 4096..end_of(&whole);
    for lost in 1..1 << sectors(&torn) {
        let disk = disk.copy(1);
        let mut bytes = whole.clone();
        lose(&mut bytes, &torn, lost);
        disk.replace(Path::new(SECOND), &bytes);
        let log = open(&disk).unwrap_or_else(|error| panic!("{lost:b} lost: {error}"));
        assert_eq!(all_events(&log).len(), 2, "{lost:b} lost");
        assert!(end_of(&disk.contents(Path::new(SECOND))) == 4096, "{lost:b} lost");
        send_one(&log, sized("b", 0, 900)).unwrap();
        drop(log);
        assert_eq!(events(&disk), Ok(3), "{lost:b} lost");
    }
}

#[test]
fn a_tear_in_a_segment_that_another_one_follows_is_damage() {
    let disk = SimulatedDisk::new(5);
    let log = open(&disk).unwrap();
    let commits = write(&log, &disk, FIRST, &[1200, 1200]);
    send_one(&log, sized("b", 0, 2400)).unwrap();
    drop(log);
    forget_head(&disk);
    // It may have been sealed by now, and would not be read.
    let derived = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "footer" || extension == "run")
    };
    disk.files().iter().filter(|path| derived(path)).for_each(|path| disk.lose(path));
    let whole = disk.contents(Path::new(FIRST));
    for lost in 1..1 << sectors(&commits[1]) {
        let mut bytes = whole.clone();
        lose(&mut bytes, &commits[1], lost);
        disk.replace(Path::new(FIRST), &bytes);
        let damage = events(&disk).unwrap_err();
        // All of it lost looks as if the segment had ended before it.
        assert!(damage.segment == 1 || bytes[commits[1].clone()].iter().all(|byte| *byte == 0));
    }
}

#[test]
fn a_lost_sector_with_a_single_bit_is_refused_and_never_passes() {
    // What the format cannot tell apart, as its document says: the padding of zeros in a body takes it there.
    let disk = SimulatedDisk::new(6);
    let log = open(&disk).unwrap();
    let mut body = vec![0; 2048];
    (body[0], body[1000]) = (b'x', 1);
    send_one(&log, Append { events: vec![event(body)], ..append("a", 0, 0) }).unwrap();
    drop(log);
    forget_head(&disk);
    let whole = disk.contents(Path::new(FIRST));
    let single = |sector: &[u8]| sector.iter().map(|byte| byte.count_ones()).sum::<u32>() == 1;
    let at = (8..16).find(|at| single(&whole[at * SECTOR..][..SECTOR])).unwrap();
    let mut bytes = whole.clone();
    bytes[at * SECTOR..][..SECTOR].fill(0);
    disk.replace(Path::new(FIRST), &bytes);
    assert!(events(&disk).is_err());
    // The sectors that were zero when they were written are no loss.
    disk.replace(Path::new(FIRST), &whole);
    assert_eq!(events(&disk), Ok(1));
}
