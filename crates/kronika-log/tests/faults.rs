//! Every call to the disk fails, once and for ever; the disk fills up; files come from elsewhere: each time a typed
//! error, no panic, and what was acknowledged is still there.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use kronika_core::{
    Append, AppendError, Appended, ClaimError, Journal, Loading, PartitionId, Position, ReadError,
    ReadPartition, ReadStream, SliceRange, Version,
};
use kronika_log::{Fault, FaultKind, Log, OpenError, PlantedFault, Settings, SimulatedDisk};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

fn settings() -> Settings {
    Settings {
        segment_bytes: 16 << 10,
        first_segment_bytes: 8 << 10,
        recent_bytes: 1 << 10,
        ..Settings::default()
    }
}

fn open(disk: &SimulatedDisk) -> Result<Log, OpenError> {
    open_with(disk, settings())
}

fn open_with(disk: &SimulatedDisk, settings: Settings) -> Result<Log, OpenError> {
    Log::open_on(Arc::new(disk.clone()), Path::new("/data/journal"), settings)
}

fn segment(number: u32) -> PathBuf {
    PathBuf::from(format!("/data/journal/{number:08}.segment"))
}

/// Appends until something fails or enough is there; gives what was acknowledged.
fn fill(log: &Log, from: u64, to: u64) -> (u64, Option<AppendError>) {
    for version in from..to {
        if let Err(error) = send_one(log, append("a", version, 1)) {
            return (version, Some(error));
        }
    }
    (to, None)
}

#[test]
fn every_call_may_fail_once_or_for_ever() {
    for kind in [FaultKind::Write, FaultKind::Sync, FaultKind::Read, FaultKind::Directory] {
        for nth in 1..40 {
            for forever in [false, true] {
                let disk = SimulatedDisk::new(nth);
                disk.fail(Fault { kind, nth, forever });
                let mut acknowledged = 0;
                if let Ok(log) = open(&disk) {
                    let (filled, error) = fill(&log, 0, 40);
                    acknowledged = filled;
                    if error.is_some() {
                        // What is durable can still be read, unless reading is what fails.
                        let head = block_on(log.head(PartitionId::default())).unwrap();
                        assert_eq!(head.position, Position::new(filled));
                        if matches!(kind, FaultKind::Write | FaultKind::Sync) {
                            assert_eq!(all_events(&log).len() as u64, filled);
                        }
                    }
                }
                disk.crash();
                disk.heal();
                let log = open(&disk).unwrap_or_else(|error| panic!("{kind:?} {nth}: {error}"));
                let found = all_events(&log).len() as u64;
                // The one whose outcome is not known may be there.
                let fits = found == acknowledged || found == acknowledged + 1;
                assert!(fits, "{kind:?} {nth} {forever}: {found} of {acknowledged}");
            }
        }
    }
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_and_reading_goes_on() {
    for kind in [FaultKind::Sync, FaultKind::Write] {
        let disk = SimulatedDisk::new(3);
        let log = open(&disk).unwrap();
        assert_eq!(fill(&log, 0, 3), (3, None));
        // The next segment is made by another thread, which is not to be struck instead.
        while !disk.files().contains(&segment(2)) {
            std::thread::yield_now();
        }
        disk.fail(Fault { kind, nth: 1, forever: false });
        let mut other = append("b", 0, 1);
        other.loading = Loading::new(7);
        let stale = append("c", 5, 1);
        let failing = send(&log, vec![append("a", 3, 1), other.clone(), stale]);
        assert_eq!(
            failing[..2],
            [Err(AppendError::UnknownOutcome), Err(AppendError::UnknownOutcome)]
        );
        assert!(matches!(failing[2], Err(AppendError::Failed(_))), "{failing:?}");
        other.loading = Loading::new(8);
        let later: Vec<Appended> = send(&log, vec![other, append("d", 0, 1)]);
        assert!(
            later.iter().all(|result| matches!(result, Err(AppendError::Failed(_)))),
            "{later:?}"
        );
        let claimed = block_on(log.claim(SliceRange::ALL, None));
        assert!(matches!(claimed, Err(ClaimError::Failed(_))), "{claimed:?}");
        assert_eq!(block_on(log.head(PartitionId::default())).unwrap().position, Position::new(3));
        assert_eq!(all_events(&log).len(), 3);
        let waited = block_on(log.wait_beyond(PartitionId::default(), Position::new(3)));
        assert!(matches!(waited, Err(ReadError::Closed(_))), "{waited:?}");
    }
}

#[test]
fn a_full_disk_refuses_appends_and_takes_them_again_by_itself() {
    let disk = SimulatedDisk::new(4);
    let log = open(&disk).unwrap();
    disk.limit(Some(30 << 10));
    let (filled, error) = fill(&log, 0, 1000);
    assert!(matches!(error, Some(AppendError::Unavailable(_))), "{error:?}");
    assert!(filled > 10);
    assert_eq!(all_events(&log).len() as u64, filled);
    // The chain of what was refused is broken: it is decided again on a new loading.
    let mut again = append("a", filled, 1);
    assert_eq!(send_one(&log, again.clone()), Err(AppendError::Predecessor));
    again.loading = Loading::new(2);
    disk.limit(None);
    let begun = Instant::now();
    loop {
        match send_one(&log, again.clone()) {
            Ok(committed) => break assert_eq!(committed.version, Version::new(filled + 1)),
            Err(AppendError::Unavailable(_)) => {
                again.loading = Loading::new(again.loading.get() + 1)
            }
            Err(other) => panic!("{other}"),
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "writes did not come back");
        std::thread::yield_now();
    }
    drop(log);
    assert_eq!(all_events(&open(&disk).unwrap()).len() as u64, filled + 1);
}

#[test]
fn a_newer_format_and_an_unknown_feature_are_refused_by_number() {
    let check = |at: usize, value: u8, expected: &str| {
        let disk = SimulatedDisk::new(5);
        drop(open(&disk).unwrap());
        let mut bytes = disk.contents(&segment(1));
        bytes[at] = value;
        let check = crc32c::crc32c(&bytes[..508]).to_le_bytes();
        bytes[508..512].copy_from_slice(&check);
        disk.replace(&segment(1), &bytes);
        assert_eq!(open(&disk).unwrap_err().to_string(), expected);
    };
    check(12, 9, "segment 1 is of format 9, this release reads up to format 1");
    check(36, 2, "segment feature 0x2 in segment 1 at offset 0 is not known to this release");
    check(56, 1, "a partition other than 0 in segment 1 at offset 0 is not known to this release");
}

fn everything() -> ReadPartition {
    ReadPartition {
        limit_events: 10_000,
        ..ReadPartition::after(PartitionId::default(), Position::ZERO)
    }
}

fn all_of_a() -> ReadStream {
    ReadStream::forwards(stream("a"))
}

#[test]
fn segments_that_are_missing_swapped_or_of_another_history_are_damage() {
    let disk = SimulatedDisk::new(6);
    let log = open(&disk).unwrap();
    assert_eq!(fill(&log, 0, 300), (300, None));
    while log.stats().sealed_segments < 2 {
        std::thread::yield_now();
    }
    drop(log);
    assert!(disk.files().contains(&segment(3)));
    let refused = |change: &dyn Fn(&SimulatedDisk)| {
        let disk = disk.copy(1);
        change(&disk);
        let refused = open(&disk);
        assert!(matches!(refused, Err(OpenError::Damaged(_))), "{refused:?}");
    };
    refused(&|disk| disk.lose(&segment(2)));
    refused(&|disk| disk.lose(&segment(1)));
    refused(&|disk| disk.replace(&segment(2), &disk.contents(&segment(3))));
    refused(&|disk| disk.replace(&segment(1), &disk.contents(&segment(1))[..8000]));
    let other = SimulatedDisk::new(7);
    drop(open(&other).unwrap());
    refused(&|disk| disk.replace(&segment(1), &other.contents(&segment(1))));
    // Damage in the middle names the streams, when it is opened or, in a sealed segment, when it is read.
    let mut bytes = disk.contents(&segment(2));
    bytes[4096 + 64 + 100] ^= 1;
    disk.replace(&segment(2), &bytes);
    let derived =
        disk.files().into_iter().filter(|path| path.extension() != Some("segment".as_ref()));
    let unsealed = disk.copy(2);
    derived.filter(|path| !path.ends_with("head")).for_each(|path| unsealed.lose(&path));
    let messages = [
        open(&unsealed).unwrap_err().to_string(),
        block_on(open(&disk).unwrap().read_partition(everything())).unwrap_err().to_string(),
        block_on(open(&disk).unwrap().read_stream(all_of_a())).unwrap_err().to_string(),
    ];
    for message in messages {
        assert!(message.contains("segment 2 at offset"), "{message}");
        assert!(message.contains("account/a"), "{message}");
    }
}

#[test]
fn damage_below_an_open_log_is_found_by_reading() {
    let disk = SimulatedDisk::new(8);
    let log = open(&disk).unwrap();
    assert_eq!(fill(&log, 0, 100), (100, None));
    let mut bytes = disk.contents(&segment(1));
    bytes[4096 + 64 + 80] ^= 1;
    disk.replace(&segment(1), &bytes);
    let page = block_on(log.read_partition(everything()));
    assert!(matches!(page, Err(ReadError::Corrupt(_))));
    let page = block_on(log.read_stream(all_of_a()));
    assert!(matches!(page, Err(ReadError::Corrupt(_))));
}

/// An append without events fails, and the next one of its loading stands on the same version, so that it fits.
fn next_of_a_failed_one(settings: Settings) -> Appended {
    let log = open_with(&SimulatedDisk::new(9), settings).unwrap();
    let refused = Append { command: "x".repeat(300).into(), ..append("a", 0, 0) };
    let results = send(&log, vec![refused]);
    assert!(matches!(results[0], Err(AppendError::TooLarge(_))), "{results:?}");
    send_one(&log, append("a", 0, 1))
}

#[test]
fn nothing_is_accepted_on_a_base_that_failed() {
    assert_eq!(next_of_a_failed_one(settings()), Err(AppendError::Predecessor));
    let planted = Settings { planted_fault: Some(PlantedFault::ChainLeftOut), ..settings() };
    assert!(next_of_a_failed_one(planted).is_ok(), "the check finds a chain that is left out");
}
