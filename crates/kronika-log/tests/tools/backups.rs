//! Backups: of journals that grow meanwhile, made again and again, interrupted anywhere, and refused where they would
//! mix two histories.

use crate::{
    checks::{self, late},
    common::*,
    support::*,
};
use kronika_core::Journal;
use kronika_log::{
    Fault, FaultKind, JournalFiles, Log, OpenError, Settings, SimulatedDisk, ToolError, backup,
};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

fn back_up(
    from: &SimulatedDisk,
    to: &SimulatedDisk,
) -> Result<kronika_log::BackupReport, ToolError> {
    backup(&files(from), &files(to), &mut |_| {})
}

/// Backed up as it is: the same appends, sound, and it opens as the same history.
#[track_caller]
fn same(from: &SimulatedDisk, to: &SimulatedDisk) {
    assert_eq!(appends(&files(from)), appends(&files(to)));
    let report = verified(&files(to));
    assert!(report.is_sound(), "{:?}", report.findings);
    let copy = to.copy(5);
    let log = open(&copy);
    assert_eq!(log.incarnation(), report.incarnation);
    assert_eq!(all_events(&log).len() as u64, report.events);
    // It goes on from there.
    send_one(&log, late("after", 0, 3)).unwrap();
}

#[test]
fn a_backup_is_the_same_journal_and_made_again_it_copies_what_is_new() {
    let (disk, to) = (filled(8), SimulatedDisk::new(2));
    let first = back_up(&disk, &to).unwrap();
    same(&disk, &to);
    assert_eq!(first.segments_kept, 0);
    assert_eq!(first.head.get(), 8 * EVENTS_A_ROUND);
    let again = back_up(&disk, &to).unwrap();
    assert_eq!((again.segments_copied, again.commits), (1, first.commits));
    assert_eq!(again.segments_kept + 1, first.segments_copied);
    let log = open(&disk);
    for version in 0..60 {
        send_one(&log, late("e", version * 4, 4)).unwrap();
    }
    drop(log);
    let grown = back_up(&disk, &to).unwrap();
    assert_eq!(grown.segments_kept, again.segments_kept);
    assert!(grown.segments_copied > 2 && grown.bytes_copied > again.bytes_copied);
    same(&disk, &to);
}

#[test]
fn a_journal_without_events_is_backed_up_too_and_grows_later() {
    let (disk, to) = (SimulatedDisk::new(1), SimulatedDisk::new(2));
    assert!(matches!(back_up(&disk, &to), Err(ToolError::NoJournal { .. })));
    drop(open(&disk));
    for _ in 0..2 {
        assert_eq!(back_up(&disk, &to).unwrap().commits, 0);
        same(&disk, &to);
    }
    // The first segment stays empty.
    let log = open(&disk);
    send_one(&log, late("e", 0, 300)).unwrap();
    drop(log);
    assert_eq!(back_up(&disk, &to).unwrap().commits, 1);
    same(&disk, &to);
}

#[test]
fn what_would_mix_histories_is_refused_and_left_alone() {
    let (disk, to) = (filled(4), SimulatedDisk::new(2));
    let check = |to: &SimulatedDisk, expected: fn(&ToolError) -> bool| {
        let before = to.files().iter().map(|file| to.contents(file)).collect::<Vec<_>>();
        let error = back_up(&disk, to).unwrap_err();
        assert!(expected(&error), "{error}");
        let after = to.files().iter().map(|file| to.contents(file)).collect::<Vec<_>>();
        assert!(before == after, "something was changed: {error}");
    };
    let settings = Settings { seed: Some(8), ..tiny() };
    let other = Log::open_on(Arc::new(to.clone()), Path::new(JOURNAL), settings).unwrap();
    send_one(&other, append("a", 0, 1)).unwrap();
    drop(other);
    check(&to, |error| matches!(error, ToolError::AnotherHistory { .. }));

    // A backup that was written to is ahead, and then has gone its own way.
    let to = SimulatedDisk::new(2);
    back_up(&disk, &to).unwrap();
    let log = open(&to);
    send_one(&log, late("own", 0, 1)).unwrap();
    drop(log);
    check(&to, |error| matches!(error, ToolError::Ahead { .. }));
    let log = open(&disk);
    send_one(&log, late("other", 0, 1)).unwrap();
    drop(log);
    check(&to, |error| matches!(error, ToolError::Diverged { .. }));
    let log = open(&disk);
    for version in 1..100 {
        send_one(&log, late("other", version, 1)).unwrap();
    }
    drop(log);
    check(&to, |error| matches!(error, ToolError::Diverged { .. }));

    // One that is damaged is not built upon.
    let to = SimulatedDisk::new(2);
    back_up(&disk, &to).unwrap();
    to.lose(&segment(2));
    check(&to, |error| matches!(error, ToolError::Journal(OpenError::Damaged(_))));
}

#[test]
fn damage_is_not_backed_up() {
    checks::damage_is_not_backed_up(&|disk| files(disk));
}

/// At every call to the destination's disk the power fails: what is there then is sound, a part of the journal, and
/// the next backup completes it.
#[test]
fn an_interrupted_backup_is_made_again() {
    let disk = filled(3);
    let all = appends(&files(&disk));
    let earlier = SimulatedDisk::new(2);
    back_up(&disk, &earlier).unwrap();
    let log = open(&disk);
    for version in 0..40 {
        send_one(&log, late("e", version * 4, 4)).unwrap();
    }
    drop(log);
    let newer = appends(&files(&disk));
    for (start, before) in [(SimulatedDisk::new(3), 0), (earlier, all.len())] {
        let mut interrupted = 0;
        for call in 1.. {
            let to = start.copy(call);
            to.power_fails_at(call);
            let done = back_up(&disk, &to).is_ok();
            to.crash();
            match kronika_log::verify(&files(&to), &mut |_| {}) {
                Ok(report) => {
                    assert!(report.is_sound(), "call {call}: {:?}", report.findings);
                    let found = appends(&files(&to));
                    assert!(newer.starts_with(&found) && found.len() >= before, "call {call}");
                }
                Err(ToolError::NoJournal { .. }) if before == 0 => {}
                Err(error) => panic!("call {call}: {error}"),
            }
            if done {
                break;
            }
            interrupted += 1;
            back_up(&disk, &to).unwrap();
            same(&disk, &to);
        }
        assert!(interrupted > 20, "{interrupted}");
    }
}

#[test]
fn a_full_disk_and_a_failing_one_are_told_and_leave_no_half_segment() {
    let disk = filled(6);
    let to = SimulatedDisk::new(2);
    to.limit(Some(20 << 10));
    let error = back_up(&disk, &to).unwrap_err();
    assert!(matches!(error, ToolError::Journal(OpenError::Full { .. })), "{error}");
    assert!(to.files().iter().all(|file| !file.to_string_lossy().ends_with(".making")));
    to.limit(None);
    for kind in [FaultKind::Write, FaultKind::Sync, FaultKind::Directory] {
        to.fail(Fault { kind, nth: 1, forever: false });
        let error = back_up(&disk, &to).unwrap_err();
        assert!(error.to_string().contains("injected"), "{error}");
    }
    back_up(&disk, &to).unwrap();
    same(&disk, &to);
}

/// A thread appends as fast as it can; backups are made again and again, and each is a cut between two groups.
#[test]
fn a_backup_beside_a_writer_is_a_consistent_cut() {
    let directory = tempfile::tempdir().unwrap();
    let (path, copy) = (directory.path().join("journal"), directory.path().join("copy/journal"));
    let log = Log::open(&path, Settings::small()).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let stop = Arc::clone(&stop);
        let log = log.clone();
        move || {
            let mut version = 0;
            while !stop.load(Ordering::SeqCst) {
                let group = (0..5).map(|n| append("a", version + n, 1)).collect();
                assert!(send(&log, group).iter().all(Result::is_ok));
                version += 5;
            }
        }
    });
    let mut seen = 0;
    while seen < 3_000 {
        let (from, to) = (JournalFiles::new(&path), JournalFiles::new(&copy));
        let report = backup(&from, &to, &mut |_| {}).unwrap();
        assert!(report.head.get() >= seen && report.head.get().is_multiple_of(5), "{report:?}");
        seen = report.head.get();
        let report = verified(&to);
        assert!(report.is_sound(), "{:?}", report.findings);
        assert_eq!(report.head.get(), seen);
    }
    stop.store(true, Ordering::SeqCst);
    writer.join().unwrap();
    let original = all_events(&log);
    let copied = all_events(&Log::open(&copy, Settings::small()).unwrap());
    assert_eq!(copied.len() as u64, seen);
    assert!(original.starts_with(&copied));
}
