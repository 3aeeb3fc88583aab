//! Each kind of damage is found, where it stands, and nothing is called damaged that is not.

use crate::{checks, support::*};
use kronika_log::{Finding, FindingKind, SimulatedDisk, VerifyReport};
use std::path::{Path, PathBuf};

const ROUNDS: u64 = 8;

/// A log of several segments that was closed in good order.
fn image() -> SimulatedDisk {
    filled(ROUNDS)
}

/// What is found when a segment's bytes are changed.
fn spoiled(number: u32, spoil: impl FnOnce(&mut Vec<u8>)) -> VerifyReport {
    let disk = image();
    let mut bytes = disk.contents(&segment(number));
    spoil(&mut bytes);
    disk.replace(&segment(number), &bytes);
    verified(&files(&disk))
}

#[track_caller]
fn one(report: &VerifyReport) -> &Finding {
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    &report.findings[0]
}

#[track_caller]
fn damage(report: &VerifyReport, segment: u32, offset: u64, what: &str) {
    let found = one(report);
    assert_eq!((found.kind, found.segment), (FindingKind::Damage, Some(segment)), "{found}");
    assert_eq!(found.offset, offset, "{found}");
    assert!(found.what.contains(what), "{found}");
}

/// The second commit of segment 2: where it begins, and how long it is.
fn second() -> (u64, u64) {
    let commits = commits(&files(&image()));
    let (_, offset, bytes) = *commits.iter().filter(|(number, ..)| *number == 2).nth(1).unwrap();
    (offset, bytes)
}

#[test]
fn no_flip_passes() {
    let disk = image();
    let used = commits(&files(&disk))
        .last()
        .copied()
        .map(|(number, offset, bytes)| (number, offset + bytes));
    let (last, end) = used.unwrap();
    let mut flips = 0;
    for number in 1..=last {
        let whole = disk.contents(&segment(number));
        for at in (0..whole.len()).step_by(13) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            disk.replace(&segment(number), &bytes);
            let report = verified(&files(&disk));
            // Behind the end it looks as a torn write does, which heals.
            let free = number == last && at as u64 >= end;
            let told = !report.is_sound() || (free && report.torn_bytes > 0);
            assert!(told, "byte {at} of segment {number}");
            flips += 1;
        }
        disk.replace(&segment(number), &whole);
    }
    assert!(flips > 2_000, "{flips}");
    assert!(verified(&files(&disk)).is_sound());
}

#[test]
fn a_damaged_body_is_named_with_its_streams_and_the_rest_is_verified() {
    let (offset, bytes) = second();
    let sound = verified(&files(&image()));
    let (mut named, mut all) = (0, 0);
    for at in (offset + 64..offset + bytes - 64).step_by(29) {
        let report = spoiled(2, |segment| segment[at as usize] ^= 1);
        damage(&report, 2, offset, "body");
        assert_eq!(report.commits + 1, sound.commits);
        assert_eq!(report.head, sound.head);
        all += 1;
        named += usize::from(!report.findings[0].streams.is_empty());
    }
    // Where the length of a record is what is wrong, nothing behind it can be named.
    assert!(named * 10 > all * 8, "{named} of {all}");
}

#[test]
fn a_damaged_header_hides_the_rest_of_its_segment_only() {
    let (offset, _) = second();
    let report = spoiled(2, |segment| segment[offset as usize + 20] ^= 1);
    damage(&report, 2, offset, "header");
    assert_eq!(report.head, verified(&files(&image())).head);
}

#[test]
fn two_damaged_places_are_two_findings() {
    let disk = image();
    let mut offsets = Vec::new();
    for number in [1, 3] {
        let mut bytes = disk.contents(&segment(number));
        let commits = commits(&files(&image()));
        let (_, offset, length) = *commits.iter().find(|(found, ..)| *found == number).unwrap();
        bytes[(offset + length - 1) as usize] ^= 0x10;
        disk.replace(&segment(number), &bytes);
        offsets.push((Some(number), offset));
    }
    let report = verified(&files(&disk));
    let found = report.findings.iter().map(|found| (found.segment, found.offset));
    assert_eq!(found.collect::<Vec<_>>(), offsets);
}

#[test]
fn what_is_wrong_with_a_segment_is_named() {
    damage(&spoiled(2, |segment| segment[0] ^= 1), 2, 0, "begin as one");
    damage(&spoiled(2, |segment| segment[50] ^= 1), 2, 0, "check of the segment's header");
    damage(&spoiled(2, |segment| segment.truncate(8000)), 2, 8000, "8000 bytes instead of 8192");
    damage(&spoiled(2, |segment| segment.push(0)), 2, 8192, "8193 bytes instead of 8192");
    checks::space_that_is_used_is_found(&|disk| files(disk));
    let disk = image();
    disk.replace(&segment(2), &disk.contents(&segment(3)));
    damage(&verified(&files(&disk)), 2, 0, "another segment");
}

#[test]
fn a_missing_segment_is_named_wherever_it_is() {
    for number in 1..=3 {
        let disk = image();
        disk.lose(&segment(number));
        damage(&verified(&files(&disk)), number, 0, "missing");
    }
}

#[test]
fn a_segment_of_another_history_is_named() {
    let disk = image();
    let other = SimulatedDisk::new(2);
    let settings = kronika_log::Settings { seed: Some(8), ..tiny() };
    let log =
        kronika_log::Log::open_on(std::sync::Arc::new(other.clone()), Path::new(JOURNAL), settings);
    fill(&log.unwrap(), ROUNDS);
    disk.replace(&segment(2), &other.contents(&segment(2)));
    damage(&verified(&files(&disk)), 2, 0, "another history");
}

#[test]
fn commits_that_are_gone_are_missed() {
    // The last one, as the published head tells.
    let (last, offset, _) = *commits(&files(&image())).last().unwrap();
    let report = spoiled(last, |segment| segment[offset as usize..].fill(0));
    damage(&report, last, offset, "missing");
    // All of a segment in the middle.
    let report = spoiled(2, |segment| segment[4096..].fill(0));
    assert!(!report.is_sound());
    // The last one of a segment in the middle: the next segment does not go on from there.
    let commits = commits(&files(&image()));
    let (_, offset, _) = *commits.iter().rfind(|(number, ..)| *number == 2).unwrap();
    let report = spoiled(2, |segment| segment[offset as usize..].fill(0));
    damage(&report, 3, 4096, "does not continue");
}

#[test]
fn a_log_that_ends_before_its_head_is_damaged_also_where_the_segment_is_gone() {
    let disk = image();
    let (last, ..) = *commits(&files(&disk)).last().unwrap();
    for number in last..=last + 1 {
        if disk.files().contains(&segment(number)) {
            disk.lose(&segment(number));
        }
    }
    let report = verified(&files(&disk));
    assert!(one(&report).what.contains("published as durable"), "{:?}", report.findings);
}

#[test]
fn a_head_that_is_not_whole_is_derived_data() {
    let disk = image();
    let head = Path::new(JOURNAL).join("head");
    let mut bytes = disk.contents(&head);
    bytes[40] ^= 1;
    disk.replace(&head, &bytes);
    let report = verified(&files(&disk));
    assert_eq!(one(&report).kind, FindingKind::Derived);
    assert_eq!(one(&report).file.as_deref(), Some("head"));
    assert_eq!(report.head, verified(&files(&image())).head);
}

#[test]
fn leftovers_are_notes() {
    let disk = image();
    for name in ["00000009.making", "notes.txt"] {
        create(&disk, &Path::new(JOURNAL).join(name), b"x");
    }
    let report = verified(&files(&disk));
    assert!(report.is_sound());
    for name in ["00000009.making was never finished", "notes.txt is no file"] {
        assert!(report.notes.iter().any(|note| note.contains(name)), "{name}: {:?}", report.notes);
    }
}

/// Footers and runs follow from the segments: every flip in them is found, named, and harms nothing.
#[test]
fn derived_files_that_are_wrong_are_named_and_made_anew() {
    let disk = sealed(4 * ROUNDS);
    let expected = verified(&files(&disk));
    assert!(expected.is_sound(), "{:?}", expected.findings);
    let derived = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("footer" | "run"))
    };
    let paths = disk.files().into_iter().filter(derived).collect::<Vec<_>>();
    assert!(paths.len() > 4, "{paths:?}");
    for path in &paths {
        let whole = disk.contents(path);
        for at in (0..whole.len()).step_by(17) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            disk.replace(path, &bytes);
            let report = verified(&files(&disk));
            let name = path.file_name().and_then(|name| name.to_str());
            let told = |finding: &Finding| finding.file.as_deref() == name;
            let unused = report.notes.iter().any(|note| note.contains("footer is missing"));
            assert!(report.findings.iter().any(told) || unused, "byte {at} of {}", path.display());
            assert!(report.findings.iter().all(|one| one.kind == FindingKind::Derived));
            assert_eq!((report.events, report.commits), (expected.events, expected.commits));
        }
        disk.replace(path, &whole);
    }
    for path in &paths {
        disk.replace(path, b"x");
    }
    let log = open(&disk);
    assert_eq!(log.stats().sealing_failure, None);
    drop(log);
}

#[test]
fn findings_are_bounded() {
    let disk = filled(80);
    let mut spoiled = 0;
    for (number, offset, bytes) in commits(&files(&disk)) {
        let mut content = disk.contents(&segment(number));
        content[(offset + bytes - 1) as usize] ^= 0x20;
        disk.replace(&segment(number), &content);
        spoiled += 1;
    }
    let report = verified(&files(&disk));
    assert_eq!(report.findings.len(), 100);
    assert_eq!(report.findings_left_out + 100, spoiled);
}
