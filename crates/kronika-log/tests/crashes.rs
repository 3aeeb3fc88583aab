//! Crashes on a simulated disk against a model: nothing that was acknowledged is lost, nothing is partly there,
//! nothing that was refused or never sent appears, and positions have no holes.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use kronika_core::{
    Append, AppendError, AppendId, Direction, Journal, PartitionId, Position, Version,
};
use kronika_log::{Fault, FaultKind, Log, OpenError, PlantedFault, Settings, SimulatedDisk};
use std::{collections::BTreeMap, path::Path, sync::Arc};

const PATH: &str = "/data/journal";

fn settings(seed: u64) -> Settings {
    Settings {
        segment_bytes: 16 << 10,
        first_segment_bytes: 8 << 10,
        commit_bytes: 4 << 10,
        recent_bytes: 2 << 10,
        streams_remembered_max: if seed.is_multiple_of(2) { 0 } else { 1024 },
        seed: Some(seed),
        ..Settings::default()
    }
}

fn open(disk: &SimulatedDisk, settings: Settings) -> Result<Log, OpenError> {
    Log::open_on(Arc::new(disk.clone()), Path::new(PATH), settings)
}

/// What may be in the journal: for each stream its appends, acknowledged or not known.
#[derive(Default)]
struct Model {
    sent: BTreeMap<AppendId, Sent>,
    versions: BTreeMap<String, u64>,
}

struct Sent {
    append: Append,
    acknowledged: bool,
}

impl Model {
    /// Sends a few groups at once and notes what came of each append. False once the log has failed.
    fn send(&mut self, log: &Log, random: &mut fastrand::Rng) -> bool {
        let groups = (0..random.usize(1..4)).map(|_| {
            let appends = (0..random.usize(1..6)).map(|_| {
                let name = format!("s{}", random.u8(..5));
                let version = self.versions.entry(name.clone()).or_default();
                let events = random.usize(..4);
                let append = append(&name, *version, events);
                *version += events as u64;
                append
            });
            appends.collect::<Vec<_>>()
        });
        let groups = groups.collect::<Vec<_>>();
        let futures = groups.iter().map(|group| log.append(group.clone())).collect::<Vec<_>>();
        let mut whole = true;
        for (group, future) in groups.into_iter().zip(futures) {
            for (append, result) in group.into_iter().zip(block_on(future)) {
                let acknowledged = result.is_ok();
                whole &= acknowledged;
                if matches!(result, Ok(_) | Err(AppendError::UnknownOutcome)) {
                    self.sent.insert(append.id, Sent { append, acknowledged });
                }
            }
        }
        whole
    }

    /// Compares a log with what was sent. What is there is acknowledged from now on.
    fn compare(&mut self, log: &Log) -> Result<(), String> {
        let events = try_all_events(log).map_err(|error| format!("reading: {error}"))?;
        for (event, position) in events.iter().zip(1..) {
            if event.position != Position::new(position) {
                return Err(format!("a hole before position {position}"));
            }
        }
        let head = block_on(log.head(PartitionId::default())).map_err(|error| error.to_string())?;
        if head.position != Position::new(events.len() as u64) {
            return Err("the head is not the last event".to_owned());
        }
        let mut found = BTreeMap::new();
        for name in (0..5).map(|n| format!("s{n}")) {
            let mut version = 0;
            for append in all_of(log, &name, Direction::Forwards, 3) {
                let Some(sent) = self.sent.get(&append.header.id) else {
                    return Err(format!("{} was never sent", append.header.id));
                };
                if append.header.expected != Version::new(version) {
                    return Err(format!("a gap in {name} after version {version}"));
                }
                let bodies = append.events.iter().map(|event| &event.body);
                if !bodies.eq(sent.append.events.iter().map(|event| &event.body)) {
                    return Err(format!("{} has other events", append.header.id));
                }
                version = append.version().get();
                found.insert(append.header.id, ());
            }
            self.versions.insert(name, version);
        }
        for (id, sent) in &mut self.sent {
            let there = found.contains_key(id);
            if sent.acknowledged && !there {
                return Err(format!("{id} was acknowledged and is lost"));
            }
            sent.acknowledged |= there;
        }
        // What was not there is not to come back.
        self.sent.retain(|id, _| found.contains_key(id));
        Ok(())
    }
}

/// One life of a log with several crashes; the first thing that is wrong.
fn live(seed: u64, settings: Settings, faults: bool) -> Result<(), String> {
    let disk = SimulatedDisk::new(seed);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut model = Model::default();
    disk.write_short(random.bool());
    for _ in 0..6 {
        disk.heal();
        disk.limit(None);
        let log = open(&disk, settings.clone()).map_err(|error| format!("opening: {error}"))?;
        model.compare(&log)?;
        match random.u8(..5) {
            0 if faults => {
                let (nth, forever) = (random.u64(1..6), random.bool());
                disk.fail(Fault { kind: FaultKind::Sync, nth, forever });
            }
            1 if faults => {
                let (nth, forever) = (random.u64(1..9), random.bool());
                disk.fail(Fault { kind: FaultKind::Write, nth, forever });
            }
            2 if faults => disk.limit(Some(random.usize(16 << 10..80 << 10))),
            _ => disk.power_fails_at(random.u64(1..60)),
        }
        for _ in 0..random.usize(1..30) {
            if !model.send(&log, &mut random) {
                break;
            }
        }
        if random.u8(..4) == 0 {
            // The process ends with the power still on: the page cache stays.
            drop(log);
            disk.restart();
            continue;
        }
        drop(log);
        disk.crash();
        // The next opening does not end well either: the power fails, the process is killed, or a sync fails.
        let ending = random.u8(..6);
        match ending {
            0..4 => disk.power_fails_at(random.u64(1..12)),
            4 => disk.fail(Fault { kind: FaultKind::Sync, nth: random.u64(1..3), forever: false }),
            _ => continue,
        }
        drop(open(&disk, settings.clone()));
        if ending < 2 { disk.crash() } else { disk.restart() }
    }
    disk.heal();
    disk.limit(None);
    let log = open(&disk, settings).map_err(|error| format!("opening: {error}"))?;
    model.compare(&log)
}

#[test]
fn nothing_acknowledged_is_lost_whatever_the_crash() {
    // Other seeds, as in `KRONIKA_LOG_SEEDS=400..5000`.
    let seeds = std::env::var("KRONIKA_LOG_SEEDS").unwrap_or_else(|_| "0..400".to_owned());
    let (first, end) = seeds.split_once("..").expect("seeds are given as first..end");
    for seed in first.parse().unwrap()..end.parse().unwrap() {
        live(seed, settings(seed), true).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    }
}

fn finds(planted: PlantedFault) -> bool {
    (0..400).any(|seed| {
        live(seed, Settings { planted_fault: Some(planted), ..settings(seed) }, true).is_err()
    })
}

#[test]
fn the_model_finds_a_reply_before_the_sync() {
    assert!(finds(PlantedFault::ReplyBeforeSync));
}

#[test]
fn the_model_finds_a_sync_that_is_tried_again() {
    assert!(finds(PlantedFault::SyncAgain));
}
