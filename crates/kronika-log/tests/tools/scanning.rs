//! What a scan gives, where it begins and ends, and what a sound journal's verification says.

use crate::{common::*, support::*};
use kronika_core::{Append, Epoch, Position};
use kronika_log::{JournalFiles, Log, Scanner, Settings, SimulatedDisk, ToolError, verify};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

#[test]
fn a_scan_gives_every_append_in_order_and_a_report_counts_them() {
    let rounds = 12;
    let disk = filled(rounds);
    let found = appends(&files(&disk));
    let log = open(&disk);
    let events = all_events(&log);
    let scanned = found.iter().flat_map(|append| append.events.clone()).collect::<Vec<_>>();
    assert_eq!(scanned, events);
    assert_eq!(found.len() as u64, rounds * 6);
    drop(log);
    let report = verified(&files(&disk));
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!(report.notes, [""; 0]);
    assert_eq!((report.claims, report.appends), (rounds, rounds * 6));
    assert_eq!(
        (report.events, report.head),
        (rounds * EVENTS_A_ROUND, events.last().unwrap().position)
    );
    assert_eq!((report.streams, report.torn_bytes), (4 + rounds, 0));
    assert!(report.segments > 2, "{report:?}");
    assert!(!report.in_use);
}

#[test]
fn a_scan_begins_at_any_position_and_segment() {
    let disk = filled(12);
    let all = appends(&files(&disk));
    for after in 0..=12 * EVENTS_A_ROUND + 1 {
        let scanner = Scanner::after(&files(&disk), Position::new(after)).unwrap();
        let commits = scanner.map(Result::unwrap);
        let found = commits
            .flat_map(|commit| commit.appends().unwrap().map(Result::unwrap).collect::<Vec<_>>())
            .collect::<Vec<_>>();
        assert!(all.ends_with(&found), "after {after}");
        let first = found.iter().find_map(|append| append.events.first());
        assert!(first.is_none_or(|first| first.position.get() <= after + 1), "after {after}");
    }
    let (last, ..) = *commits(&files(&disk)).last().unwrap();
    let from_last = Scanner::from_segment(&files(&disk), last).unwrap().map(Result::unwrap);
    assert!(from_last.map(|commit| commit.segment()).all(|segment| segment == last));
}

#[test]
fn an_empty_journal_is_sound_and_no_journal_is_told() {
    let disk = SimulatedDisk::new(1);
    assert!(matches!(verify(&files(&disk), &mut |_| {}), Err(ToolError::NoJournal { .. })));
    drop(open(&disk));
    let report = verified(&files(&disk));
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.commits, report.head, report.first_time), (0, Position::ZERO, None));
    let gone = JournalFiles::new(Path::new("/nowhere/journal"));
    assert!(matches!(Scanner::new(&gone), Err(ToolError::NoJournal { .. })));
}

#[test]
fn a_first_append_that_needs_a_segment_of_its_own_leaves_the_first_one_empty() {
    let disk = SimulatedDisk::new(1);
    let log = open(&disk);
    send_one(&log, append("a", 0, 400)).unwrap();
    drop(log);
    for without_head in [false, true] {
        if without_head {
            disk.lose(&Path::new(JOURNAL).join("head"));
        }
        let report = verified(&files(&disk));
        assert!(report.is_sound(), "{:?}", report.findings);
        assert_eq!(report.events, 400);
    }
}

/// Also without the published head, or with an older one, as a loss of power leaves it.
#[test]
fn a_journal_that_nobody_has_open_is_read_to_its_sound_end() {
    let disk = filled(6);
    let head = Path::new(JOURNAL).join("head");
    let older = disk.contents(&head);
    let log = open(&disk);
    send_one(&log, late("e", 0, 5)).unwrap();
    drop(log);
    let expected = appends(&files(&disk));
    let published = disk.contents(&head);
    for bytes in [older, Vec::new(), vec![0; 64], published] {
        disk.replace(&head, &bytes);
        assert_eq!(appends(&files(&disk)), expected);
        assert!(verified(&files(&disk)).is_sound());
    }
    disk.lose(&head);
    assert_eq!(appends(&files(&disk)), expected);
    assert_eq!(verified(&files(&disk)).notes, ["there is no published head"]);
}

/// Any of its sectors may be missing, wherever it stands in its segment: verification agrees with opening.
#[test]
fn a_torn_tail_that_heals_is_sound() {
    let (mut torn, mut first_in_segment) = (0, 0);
    for (small, large) in [(1, 20), (2, 25), (20, 40), (40, 18)] {
        let disk = filled(2);
        let log = open(&disk);
        send_one(&log, late("e", 0, small)).unwrap();
        let sound = appends(&files(&disk)).len();
        send_one(&log, late("e", small as u64, large)).unwrap();
        drop(log);
        disk.lose(&Path::new(JOURNAL).join("head"));
        let (number, offset, bytes) = *commits(&files(&disk)).last().unwrap();
        first_in_segment += u32::from(offset == 4096);
        let whole = disk.contents(&segment(number));
        let (start, end) = (offset as usize, (offset + bytes) as usize);
        let sectors = end.div_ceil(512) - start / 512;
        for lost in 1..1u32 << sectors.min(8) {
            let mut content = whole.clone();
            for sector in (0..sectors).filter(|sector| lost & 1 << sector.min(&7) != 0) {
                let at = (start / 512 + sector) * 512;
                content[at.max(start)..(at + 512).min(end)].fill(0);
            }
            disk.replace(&segment(number), &content);
            let report = verified(&files(&disk));
            let (copy, path) = (Arc::new(disk.copy(3)), Path::new(JOURNAL));
            let opened = Log::open_on(copy, path, tiny());
            assert_eq!(report.is_sound(), opened.is_ok(), "{lost:b}: {:?}", report.findings);
            // The first one of its segment lost, although a segment was made ahead after it was durable.
            let ahead = offset == 4096 && disk.files().contains(&segment(number + 1));
            assert_eq!(opened.is_ok(), !ahead, "{lost:b}: {opened:?}");
            let Ok(log) = opened else { continue };
            assert_eq!(
                report.torn_bytes > 0,
                report.notes.iter().any(|note| note.contains("torn"))
            );
            torn += u32::from(report.torn_bytes > 0);
            assert_eq!(appends(&files(&disk)).len(), sound, "{lost:b}");
            assert_eq!(all_events(&log).len() as u64, report.events, "{lost:b}");
        }
    }
    assert!(torn > 30 && first_in_segment > 0, "{torn} {first_in_segment}");
}

#[test]
fn a_journal_in_use_is_read_up_to_its_published_head() {
    let disk = SimulatedDisk::new(1);
    let log = open(&disk);
    fill(&log, 5);
    let head = disk.contents(&Path::new(JOURNAL).join("head"));
    for version in 0..40 {
        send_one(&log, late("more", version, 1)).unwrap();
    }
    disk.replace(&Path::new(JOURNAL).join("head"), &head);
    let report = verified(&files(&disk).in_use());
    assert!(report.is_sound() && report.in_use, "{report:?}");
    assert_eq!(report.events, 5 * EVENTS_A_ROUND);
    disk.lose(&Path::new(JOURNAL).join("head"));
    let waiting = verify(&files(&disk).in_use(), &mut |_| {});
    assert!(matches!(waiting, Err(ToolError::NotPublished { .. })));
}

/// An append of a writer that came after all claims.
fn late(name: &str, expected: u64, events: usize) -> Append {
    Append { epoch: Epoch::new(99), ..append(name, expected, events) }
}

/// A process appends as fast as it can, over many segments, while another verifies: sound every time, and further
/// every time.
#[test]
fn verifying_beside_a_writer_is_always_sound() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let log = Log::open(&path, Settings::small()).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let mut version = 0;
            while !stop.load(Ordering::SeqCst) {
                let group = (0..7).map(|n| append("a", version + n, 1)).collect();
                assert!(send(&log, group).iter().all(Result::is_ok));
                version += 7;
            }
            version
        }
    });
    let mut seen = 0;
    while seen < 2_000 {
        let report = verified(&JournalFiles::new(&path));
        assert!(report.is_sound(), "{:?}", report.findings);
        assert!(
            report.in_use && report.events >= seen && report.events.is_multiple_of(7),
            "{report:?}"
        );
        seen = report.events;
    }
    stop.store(true, Ordering::SeqCst);
    let version = writer.join().unwrap();
    let report = verified(&JournalFiles::new(&path));
    assert!(report.is_sound() && !report.in_use, "{report:?}");
    assert_eq!(report.events, version);
}

#[test]
fn a_scan_follows_a_journal_that_grows() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let log = Log::open(&path, Settings::small()).unwrap();
    send_one(&log, append("a", 0, 1)).unwrap();
    let mut scanner = Scanner::new(&JournalFiles::new(&path)).unwrap();
    let mut seen = scanner.by_ref().map(|commit| commit.unwrap().events()).sum::<u64>();
    for version in 1..300 {
        assert!(!scanner.follow().unwrap());
        send_one(&log, append("a", version, 1)).unwrap();
        assert!(scanner.follow().unwrap());
        seen += scanner.by_ref().map(|commit| commit.unwrap().events()).sum::<u64>();
        assert_eq!(seen, version + 1);
    }
}
