//! Footers and runs that are made anew while a log is opened: they are kept, a disk that fails meanwhile is not taken
//! for damage, and nothing is left that tells of a segment as it was once.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use kronika_core::Journal;
use kronika_log::{Fault, FaultKind, Log, OpenError, Settings, SimulatedDisk, Step, Stepper};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

const PATH: &str = "/data/journal";

fn settings() -> Settings {
    Settings {
        segment_bytes: 16 << 10,
        first_segment_bytes: 8 << 10,
        recent_bytes: 0,
        streams_remembered_max: 0,
        seed: Some(1),
        ..Settings::small()
    }
}

fn open(disk: &SimulatedDisk) -> Result<(Log, Stepper), OpenError> {
    Log::open_stepped(Arc::new(disk.clone()), Path::new(PATH), settings())
}

/// Writes so many appends of one event to one stream, and seals what is full.
fn write(log: &Log, stepper: &mut Stepper, versions: std::ops::Range<u64>) {
    for version in versions {
        let answer = log.append(vec![append("a", version, 1)]);
        while stepper.step(Step::Commit) {}
        block_on(answer).remove(0).unwrap();
    }
    while stepper.step(Step::Seal) {}
}

/// A log of some segments, all sealed but the last one.
fn filled(appends: u64) -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    let (log, mut stepper) = open(&disk).unwrap();
    write(&log, &mut stepper, 0..appends);
    assert!(log.stats().sealed_segments > 4, "{:?}", log.stats());
    stepper.finish();
    disk
}

fn files(disk: &SimulatedDisk, extension: &str) -> Vec<PathBuf> {
    let files = disk.files();
    files.into_iter().filter(|path| path.extension() == Some(extension.as_ref())).collect()
}

/// Each sealed segment has its footer, and is covered by one run.
fn check_files(disk: &SimulatedDisk, log: &Log, what: &str) {
    let stats = log.stats();
    for segment in 1..=stats.sealed_segments {
        let footer = Path::new(PATH).join(format!("{segment:08}.footer"));
        assert!(disk.files().contains(&footer), "{what}: no footer of segment {segment}");
    }
    assert_eq!(files(disk, "run").len(), stats.runs, "{what}");
}

type Change = fn(&SimulatedDisk);

#[test]
fn what_is_made_anew_at_opening_is_kept() {
    let filled = filled(900);
    let changes: [(&str, Change); 3] = [
        ("as it was", |_| {}),
        ("without runs", |disk| files(disk, "run").iter().for_each(|path| disk.lose(path))),
        ("with wrong runs", |disk| {
            for path in files(disk, "run") {
                let mut bytes = disk.contents(&path);
                bytes[100] ^= 1;
                disk.replace(&path, &bytes);
            }
        }),
    ];
    for (what, change) in changes {
        let disk = filled.copy(2);
        change(&disk);
        let (log, stepper) = open(&disk).unwrap();
        let stats = log.stats();
        assert!(stats.sealed_segments > 16, "{what}: {stats:?}");
        // Each is an open file, so they are merged at once.
        assert!(stats.runs < 16, "{what}: {stats:?}");
        check_files(&disk, &log, what);
        stepper.finish();
    }
}

#[test]
fn a_call_that_fails_while_segments_are_sealed_at_opening_is_no_damage() {
    let filled = filled(400);
    let (log, _) = open(&filled.copy(3)).unwrap();
    let expected = all_events(&log);
    let mut failed = 0;
    for kind in [FaultKind::Directory, FaultKind::Read, FaultKind::Write, FaultKind::Sync] {
        let step = if kind == FaultKind::Directory { 1 } else { 9 };
        for nth in (1..150).step_by(step) {
            let disk = filled.copy(nth);
            files(&disk, "run").iter().for_each(|path| disk.lose(path));
            disk.fail(Fault { kind, nth, forever: false });
            let what = format!("{kind:?} {nth}");
            match open(&disk) {
                Err(OpenError::Damaged(damage)) => panic!("{what}: {damage}"),
                Err(_) => failed += 1,
                Ok((log, mut stepper)) => {
                    disk.heal();
                    while stepper.step(Step::Seal) {}
                    assert_eq!(log.stats().sealing_failure, None, "{what}");
                    write(&log, &mut stepper, 400..402);
                    assert_eq!(all_events(&log).len(), expected.len() + 2, "{what}");
                    stepper.finish();
                    let (log, _) = open(&disk).unwrap();
                    check_files(&disk, &log, &what);
                }
            }
        }
    }
    assert!(failed > 10, "{failed}");
}

/// A segment that was sealed and is the last one again, since the first commit behind it was lost with the power: what
/// was made of it must be gone before more is written into it.
#[test]
fn a_removal_that_fails_leaves_nothing_that_tells_of_a_segment_as_it_was() {
    let filled = SimulatedDisk::new(4);
    let (log, mut stepper) = open(&filled).unwrap();
    let mut version = 0;
    // Appends so large that a small one fits in behind the last of them.
    while log.stats().sealed_segments < 6 {
        let answer = log.append(vec![append("a", version, 40)]);
        version += 40;
        while stepper.step(Step::Commit) || stepper.step(Step::Seal) {}
        block_on(answer).remove(0).unwrap();
    }
    stepper.finish();
    drop(log);
    for lost in ["00000007.segment", "00000008.segment", "head", "00000005-00000005.run"] {
        filled.lose(&Path::new(PATH).join(lost));
    }
    let mut opened = 0;
    for nth in 1..100 {
        let disk = filled.copy(nth);
        let fault = Fault { kind: FaultKind::Directory, nth, forever: false };
        disk.fail(fault);
        disk.fail(Fault { nth: nth + 1, ..fault });
        let Ok((log, mut stepper)) = open(&disk) else { continue };
        disk.heal();
        opened += 1;
        let events = all_events(&log).len();
        while stepper.step(Step::Seal) {}
        let before = disk.contents(&Path::new(PATH).join("00000006.segment"));
        let answer = log.append(vec![append("b", 0, 1)]);
        while stepper.step(Step::Commit) {}
        block_on(answer).remove(0).unwrap();
        let after = disk.contents(&Path::new(PATH).join("00000006.segment"));
        assert_ne!(before, after, "{nth}: it goes into the last segment");
        stepper.finish();
        drop(log);
        let (log, _) = open(&disk).unwrap_or_else(|error| panic!("{nth}: {error}"));
        assert_eq!(all_events(&log).len(), events + 1, "{nth}");
    }
    assert!(opened > 10, "{opened}");
}
