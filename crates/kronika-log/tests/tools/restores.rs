//! Restores: whole, at every position, at every time, from damaged journals, and interrupted anywhere.

use crate::{checks, common::*, support::*};
use kronika_core::{Journal, Position, RecordedAppend, Timestamp};
use kronika_log::{Log, OpenError, RestoreReport, RestoreTo, SimulatedDisk, ToolError, restore};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

fn restored(
    from: &SimulatedDisk,
    to: RestoreTo,
) -> Result<(SimulatedDisk, RestoreReport), ToolError> {
    let disk = SimulatedDisk::new(9);
    let report = restore(&files(from), &files(&disk), to, &mut |_| {})?;
    checks::is_another_history_where_cut(&report, to);
    let verified = verified(&files(&disk));
    assert!(verified.is_sound(), "{:?}", verified.findings);
    assert_eq!(verified.notes, [""; 0]);
    assert_eq!((verified.incarnation, verified.head), (report.incarnation, report.head));
    assert_eq!((verified.commits, verified.last_time), (report.commits, report.last_time));
    let log = open(&disk.copy(10));
    assert_eq!(
        (log.incarnation(), all_events(&log).len() as u64),
        (report.incarnation, report.head.get())
    );
    Ok((disk, report))
}

/// Appends up to one that goes beyond a position.
fn up_to(appends: &[RecordedAppend], position: u64) -> &[RecordedAppend] {
    let beyond = |append: &RecordedAppend| {
        append.events.last().is_some_and(|last| last.position.get() > position)
    };
    &appends[..appends.iter().position(beyond).unwrap_or(appends.len())]
}

#[test]
fn a_whole_restore_is_the_same_history() {
    let disk = filled(6);
    let (to, _) = restored(&disk, RestoreTo::Whole).unwrap();
    assert_eq!(appends(&files(&to)), appends(&files(&disk)));
    let empty = SimulatedDisk::new(3);
    drop(open(&empty));
    let (_, report) = restored(&empty, RestoreTo::Whole).unwrap();
    assert_eq!((report.head, report.commits), (Position::ZERO, 0));
}

#[test]
fn a_restore_to_the_past_is_another_history() {
    checks::a_restore_is_another_history(&|disk| files(disk));
}

#[test]
fn a_restore_to_any_position_is_a_new_history_of_whole_appends() {
    let disk = filled(6);
    let all = appends(&files(&disk));
    let mut rounded = 0;
    for position in 0..=6 * EVENTS_A_ROUND {
        let (to, report) = restored(&disk, RestoreTo::Position(Position::new(position))).unwrap();
        assert_eq!(appends(&files(&to)), up_to(&all, position), "{position}");
        assert_eq!(report.head.get() + report.events_rounded_off, position);
        rounded += u64::from(report.events_rounded_off > 0);
    }
    // All positions but the last one of each append of several events.
    assert_eq!(rounded, 6 * (2 + 3 + 1));
    let beyond = RestoreTo::Position(Position::new(6 * EVENTS_A_ROUND + 1));
    let error = restored(&disk, beyond).unwrap_err();
    assert!(matches!(error, ToolError::Beyond { .. }), "{error}");
}

static NOW: AtomicI64 = AtomicI64::new(0);

#[test]
fn a_restore_to_a_time_leaves_out_what_came_later() {
    let disk = SimulatedDisk::new(1);
    let settings = kronika_log::Settings {
        clock: || Timestamp::new(NOW.fetch_add(1_000, Ordering::SeqCst)),
        ..tiny()
    };
    let log = Log::open_on(Arc::new(disk.clone()), Path::new(JOURNAL), settings).unwrap();
    fill(&log, 5);
    drop(log);
    let all = appends(&files(&disk));
    let last = all.last().unwrap().header.time.get();
    for time in (-500..last + 1_000).step_by(500) {
        let (to, _) = restored(&disk, RestoreTo::Time(Timestamp::new(time))).unwrap();
        let expected = all.iter().filter(|append| append.header.time.get() <= time);
        assert_eq!(appends(&files(&to)), expected.cloned().collect::<Vec<_>>(), "{time}");
    }
}

#[test]
fn what_is_before_the_damage_can_be_restored() {
    let disk = filled(6);
    let all = appends(&files(&disk));
    let commits = commits(&files(&disk));
    let (number, offset, bytes) = commits[commits.len() / 2];
    let mut content = disk.contents(&segment(number));
    content[(offset + bytes - 1) as usize] ^= 1;
    disk.replace(&segment(number), &content);
    for to in [RestoreTo::Whole, RestoreTo::Position(Position::new(6 * EVENTS_A_ROUND))] {
        let target = SimulatedDisk::new(9);
        let error = restore(&files(&disk), &files(&target), to, &mut |_| {}).unwrap_err();
        assert!(matches!(error, ToolError::Journal(OpenError::Damaged(_))), "{error}");
        assert_eq!(target.files(), Vec::<std::path::PathBuf>::new(), "nothing is left behind");
    }
    let before = RestoreTo::Position(Position::new(2 * EVENTS_A_ROUND));
    let (to, report) = restored(&disk, before).unwrap();
    assert_eq!(appends(&files(&to)), up_to(&all, report.head.get()));
}

#[test]
fn a_destination_that_is_not_empty_is_left_alone() {
    let (disk, to) = (filled(2), filled(1));
    let before = appends(&files(&to));
    let error = restore(&files(&disk), &files(&to), RestoreTo::Whole, &mut |_| {}).unwrap_err();
    assert!(matches!(error, ToolError::NotEmpty { .. }), "{error}");
    assert_eq!(appends(&files(&to)), before);
}

/// The power fails at every call to the destination's disk: no opening takes half a restore for a journal.
#[test]
fn an_interrupted_restore_does_not_open() {
    let disk = filled(4);
    for to in [RestoreTo::Whole, RestoreTo::Position(Position::new(3 * EVENTS_A_ROUND))] {
        let mut refused = 0;
        for call in 1.. {
            let target = SimulatedDisk::new(call);
            target.power_fails_at(call);
            let done = restore(&files(&disk), &files(&target), to, &mut |_| {}).is_ok();
            target.crash();
            let opened = Log::open_on(Arc::new(target.clone()), Path::new(JOURNAL), tiny());
            if done {
                assert!(opened.is_ok());
                break;
            }
            match opened {
                // Nothing was made yet: an empty directory, in which a new journal is begun. Or only the last answer
                // of the disk was missing.
                Ok(log) => {
                    let events = all_events(&log).len() as u64;
                    assert!(
                        [0, 3 * EVENTS_A_ROUND, 4 * EVENTS_A_ROUND].contains(&events),
                        "call {call}: {events}"
                    );
                    assert!(events > 0 || refused == 0, "call {call}");
                }
                Err(error) => {
                    assert!(matches!(error, OpenError::Damaged(_)), "call {call}: {error}");
                    refused += 1;
                }
            }
        }
        assert!(refused > 10, "{refused}");
    }
}
