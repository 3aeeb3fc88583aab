//! Openings that do not end well: what they heal is healed durably, or healed anew by the next one. Else the residue
//! of a torn commit, under zeros that are only in the page cache, comes back with the next loss of power.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use kronika_core::{Append, Journal};
use kronika_log::{Beside, Fault, FaultKind, Log, Settings, SimulatedDisk, Step, Stepper};
use std::{
    path::Path,
    sync::{Arc, Mutex},
};

fn open(disk: &SimulatedDisk) -> Result<Log, kronika_log::OpenError> {
    let settings =
        Settings { segment_bytes: 64 << 10, first_segment_bytes: 64 << 10, ..Settings::default() };
    Log::open_on(Arc::new(disk.clone()), Path::new("/data/journal"), settings)
}

/// A group of one commit, which the power cut during its sync may tear.
fn send_and_lose_power(disk: &SimulatedDisk, log: Log, letter: &str, appends: usize) {
    let one = |n: usize| Append {
        events: vec![event(letter.repeat(300))],
        ..append(&format!("{letter}{n}"), 0, 0)
    };
    disk.power_fails_at(2);
    assert!(send(&log, (0..appends).map(one).collect()).iter().all(Result::is_err));
    drop(log);
    disk.crash();
}

#[test]
fn a_heal_whose_sync_failed_is_done_anew() {
    let mut healed = 0;
    for seed in 0..100 {
        let disk = SimulatedDisk::new(seed);
        let log = open(&disk).unwrap();
        send_one(&log, append("a", 0, 1)).unwrap();
        send_and_lose_power(&disk, log, "b", 40);
        // The sync of the healing fails. The page cache stays, and calls clean what never reached the disk.
        disk.fail(Fault { kind: FaultKind::Sync, nth: 1, forever: false });
        assert!(open(&disk).is_err());
        disk.restart();
        let log = open(&disk).unwrap();
        if all_events(&log).len() > 1 {
            continue; // nothing was torn
        }
        healed += 1;
        send_one(&log, append("a", 1, 1)).unwrap();
        send_and_lose_power(&disk, log, "c", 10);
        let log = open(&disk).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let a = stream("a");
        assert_eq!(all_events(&log).iter().filter(|event| *event.stream() == a).count(), 2);
    }
    assert!(healed > 20, "{healed}");
}

#[test]
fn a_heal_that_was_killed_is_made_durable_by_the_next_opening() {
    for seed in 0..40 {
        for call in 1..9 {
            let disk = SimulatedDisk::new(seed);
            // The very first commit is torn: there is none before it that would be written again.
            send_and_lose_power(&disk, open(&disk).unwrap(), "b", 40);
            disk.power_fails_at(call);
            drop(open(&disk));
            disk.restart();
            send_and_lose_power(&disk, open(&disk).unwrap(), "c", 10);
            drop(open(&disk).unwrap_or_else(|error| panic!("seed {seed}, call {call}: {error}")));
        }
    }
}

/// The first commit of a segment was torn, and the next one does not fit into that segment: it went into the one after
/// it, and the empty segment between them was taken for damage at every later opening.
#[test]
fn a_segment_whose_first_commit_was_torn_is_not_passed_over() {
    let settings =
        Settings { segment_bytes: 8 << 10, first_segment_bytes: 8 << 10, ..Settings::default() };
    let open = |disk: &SimulatedDisk| {
        Log::open_stepped(Arc::new(disk.clone()), Path::new("/data/journal"), settings.clone())
    };
    let send_stepped = |(log, stepper): &mut (Log, Stepper), name, bytes| {
        let append = Append { events: vec![event("x".repeat(bytes))], ..append(name, 0, 0) };
        let answer = log.append(vec![append]);
        while stepper.step(Step::Commit) {}
        block_on(answer).pop().unwrap()
    };
    let mut torn = 0;
    for seed in 0..100 {
        let disk = SimulatedDisk::new(seed);
        let mut log = open(&disk).unwrap();
        send_stepped(&mut log, "a", 3500).unwrap();
        // One sync makes the next segment, the second one is that of its first commit.
        disk.fail(Fault { kind: FaultKind::Sync, nth: 2, forever: false });
        assert!(send_stepped(&mut log, "b", 3500).is_err());
        disk.crash();
        let mut log = open(&disk).unwrap();
        torn += usize::from(all_events(&log.0).len() == 1);
        send_stepped(&mut log, "c", 20_000).unwrap();
        let events = all_events(&log.0).len();
        let log = open(&disk).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(all_events(&log.0).len(), events);
    }
    assert!(torn > 10, "{torn}");
}

/// A try to make the segment after the next one failed, and the second try did not wait for its turn: it was there
/// before the first commit of the next one was, and two empty segments at the end were taken for damage.
#[test]
fn a_segment_is_made_only_when_the_one_before_it_has_a_commit() {
    let settings =
        Settings { segment_bytes: 8 << 10, first_segment_bytes: 8 << 10, ..Settings::default() };
    // The power fails at each call in turn while the first commit of the second segment is written.
    for call in 1..20 {
        let disk = SimulatedDisk::new(call);
        let beside = Arc::new(Mutex::new(None::<Beside>));
        let in_midst = Arc::clone(&beside);
        disk.watch(move |_| {
            // The steps make calls of their own.
            let beside = in_midst.try_lock().ok();
            if let Some(beside) = beside.as_ref().and_then(|beside| beside.as_ref()) {
                for _ in 0..8 {
                    beside.step(Step::Prepare);
                }
            }
        });
        let path = Path::new("/data/journal");
        let (log, mut stepper) =
            Log::open_stepped(Arc::new(disk.clone()), path, settings.clone()).unwrap();
        let large = |name| Append { events: vec![event("x".repeat(3500))], ..append(name, 0, 0) };
        let first = log.append(vec![large("a")]);
        while stepper.step(Step::Commit) || stepper.step(Step::Prepare) {}
        block_on(first).pop().unwrap().unwrap();
        disk.fail(Fault { kind: FaultKind::Directory, nth: 1, forever: false });
        disk.power_fails_at(call);
        *beside.lock().unwrap() = Some(stepper.beside());
        let _second = log.append(vec![large("b")]);
        while stepper.step(Step::Commit) {}
        disk.crash();
        disk.heal();
        beside.lock().unwrap().take();
        let opened = Log::open_on(Arc::new(disk.clone()), path, settings.clone());
        opened.unwrap_or_else(|error| panic!("call {call}: {error}, {:?}", disk.files()));
    }
}
