//! What tools are held to, for whatever files they are given: also such as have a fault planted, which must be found.

use crate::{common::*, support::*};
use kronika_core::{Append, Epoch};
use kronika_log::{
    FindingKind, JournalFiles, RestoreReport, RestoreTo, SimulatedDisk, backup, restore,
};

/// The files of a journal, for tools.
pub type Files<'a> = &'a dyn Fn(&SimulatedDisk) -> JournalFiles;

/// An append behind all claims of a filled log.
pub fn late(name: &str, expected: u64, events: usize) -> Append {
    Append { epoch: Epoch::new(99), ..append(name, expected, events) }
}

/// Cut, it is another history; whole, the same one.
pub fn is_another_history_where_cut(report: &RestoreReport, to: RestoreTo) {
    let same = report.incarnation == report.from;
    assert_eq!(same, to == RestoreTo::Whole, "{to:?} is told to be history {}", report.incarnation);
}

/// A restore to a position in the past.
pub fn a_restore_is_another_history(files: Files<'_>) {
    let to = RestoreTo::Position(kronika_core::Position::new(EVENTS_A_ROUND));
    let target = self::files(&SimulatedDisk::new(9));
    let report = restore(&files(&filled(3)), &target, to, &mut |_| {}).unwrap();
    is_another_history_where_cut(&report, to);
}

/// The last commit is damaged: a backup names it, and what it had copied before stays sound.
pub fn damage_is_not_backed_up(files: Files<'_>) {
    let (disk, to) = (filled(6), self::files(&SimulatedDisk::new(2)));
    backup(&files(&disk), &to, &mut |_| {}).unwrap();
    let kept = appends(&to);
    let log = open(&disk);
    for version in 0..100 {
        send_one(&log, late("e", version * 4, 4)).unwrap();
    }
    drop(log);
    let (last, offset, _) = *commits(&self::files(&disk)).last().unwrap();
    let mut bytes = disk.contents(&segment(last));
    bytes[offset as usize + 100] ^= 1;
    disk.replace(&segment(last), &bytes);
    let done = backup(&files(&disk), &to, &mut |_| {});
    let error = done.err().map(|error| error.to_string()).unwrap_or_default();
    let named = error.contains(&format!("segment {last} at offset {offset}"));
    assert!(named, "damage is backed up: {error}");
    assert!(verified(&to).is_sound());
    assert!(appends(&to).starts_with(&kept));
}

/// A bit is set between a header and the first commit, and behind the last one.
pub fn space_that_is_used_is_found(files: Files<'_>) {
    for offset in [600, 8191] {
        let disk = filled(8);
        let mut bytes = disk.contents(&segment(2));
        bytes[offset] = 1;
        disk.replace(&segment(2), &bytes);
        let report = verified(&files(&disk));
        let [found] = &report.findings[..] else { panic!("not found: byte {offset} is set") };
        let place = (found.kind, found.segment, found.offset);
        assert_eq!(place, (FindingKind::Damage, Some(2), offset as u64), "{found}");
        assert!(found.what.contains("not zero"), "{found}");
    }
}
