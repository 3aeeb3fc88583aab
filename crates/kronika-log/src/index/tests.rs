//! Runs against plain sorted lists: what is looked up is what was put in, also after merging and with blocks that are
//! not what was written.

use super::*;
use crate::{
    Fault, FaultKind, disk::Disk, pace::Pace, segments::run_path, simulated_disk::SimulatedDisk,
};
use kronika_core::{AppendId, Incarnation};
use std::{collections::BTreeMap, path::Path};

const DIRECTORY: &str = "/data/journal";

fn target<'a>(disk: &'a SimulatedDisk, pace: &'a Pace) -> Target<'a> {
    Target {
        disk,
        directory: Path::new(DIRECTORY),
        incarnation: Incarnation::new(7),
        salt: 3,
        filter_bytes: 1 << 20,
        pace,
    }
}

type Model = BTreeMap<u128, Vec<AppendEntry>>;

/// Writes the run of a segment with random appends of streams, some of which have very many.
fn run_of(
    disk: &SimulatedDisk,
    segment: u32,
    random: &mut fastrand::Rng,
    streams: &[u128],
    model: &mut Model,
) -> Arc<Run> {
    let mut entries = Vec::new();
    for at in 0..random.u64(1..2000) {
        let hash =
            if random.u8(..3) == 0 { streams[0] } else { streams[random.usize(..streams.len())] };
        let place = Place::new(segment, 4096 + at * 64);
        let end = Version::new(random.u64(..1 << 40));
        let entry = AppendEntry::new(place, end, AppendId::new(random.u128(..)));
        entries.push(StreamEntry { hash, entry });
        model.entry(hash).or_default().push(entry);
    }
    entries.sort_unstable_by_key(StreamEntry::order);
    let mut keys = entries.iter().filter(|_| random.bool()).collect::<Vec<_>>();
    keys.truncate(700);
    let keys = keys.iter().map(|one| KeyEntry { hash: !one.hash, place: one.entry.place });
    let mut keys = keys.collect::<Vec<_>>();
    keys.sort_unstable();
    write_run(target(disk, &Pace::at_once()), segment, segment, &entries, &keys).unwrap();
    open(disk, (segment, segment)).unwrap()
}

fn open(disk: &SimulatedDisk, segments: (u32, u32)) -> io::Result<Arc<Run>> {
    Run::open(disk, Path::new(DIRECTORY), segments, 1 << 20).map(Arc::new)
}

fn entries_of(run: &Run, hash: u128) -> Vec<AppendEntry> {
    let mut cached = None;
    let range = run.stream(hash, &mut cached).unwrap();
    range.map(|index| run.entry(index, &mut cached).unwrap()).collect()
}

#[test]
fn a_run_gives_what_was_put_in_also_when_merged() {
    for seed in 0..20 {
        let mut random = fastrand::Rng::with_seed(seed);
        let disk = SimulatedDisk::new(seed);
        let mut streams = (0..random.usize(1..500)).map(|_| random.u128(..)).collect::<Vec<_>>();
        streams.extend([0, u128::MAX, 1 << 64]);
        let mut model = Model::new();
        let runs = (1..=8).map(|segment| run_of(&disk, segment, &mut random, &streams, &mut model));
        let runs = runs.collect::<Vec<_>>();
        assert!(
            merge_runs(target(&disk, &Pace::in_pieces(Default::default())), &runs, || true)
                .unwrap()
        );
        let merged = open(&disk, (1, 8)).unwrap();
        for hash in streams.iter().copied().chain((0..500).map(|_| random.u128(..))) {
            let expected = model.get(&hash).cloned().unwrap_or_default();
            let one_by_one = runs.iter().flat_map(|run| entries_of(run, hash)).collect::<Vec<_>>();
            assert_eq!(one_by_one, expected, "seed {seed}");
            assert_eq!(entries_of(&merged, hash), expected, "seed {seed}");
            assert!(expected.is_empty() || merged.may_hold(hash));
            let places = merged.key(!hash).unwrap();
            assert!(places.is_sorted_by(|one, next| one > next), "newest first");
            let apart = runs.iter().rev().flat_map(|run| run.key(!hash).unwrap());
            assert_eq!(places, apart.collect::<Vec<_>>());
        }
        let streams = model.len() as u64;
        assert_eq!(merged.layout.streams, streams);
        assert!(
            !merge_runs(target(&disk, &Pace::in_pieces(Default::default())), &runs, || false)
                .unwrap()
                || model.len() < 8192
        );
    }
}

#[test]
fn nothing_wrong_is_given_from_a_run_with_a_flipped_bit() {
    let mut random = fastrand::Rng::with_seed(5);
    let disk = SimulatedDisk::new(5);
    let streams = (0..40).map(|_| random.u128(..)).collect::<Vec<_>>();
    let mut model = Model::new();
    drop(run_of(&disk, 1, &mut random, &streams, &mut model));
    let path = run_path(Path::new(DIRECTORY), 1, 1);
    let bytes = disk.contents(&path);
    let mut found = 0;
    for bit in (0..bytes.len() * 8).step_by(131) {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        disk.replace(&path, &flipped);
        let Ok(run) = open(&disk, (1, 1)) else {
            found += 1;
            continue;
        };
        for hash in &streams {
            let mut cached = None;
            let Ok(range) = run.stream(*hash, &mut cached) else {
                assert!(run.is_doubted());
                found += 1;
                break;
            };
            let entries = range.map(|index| run.entry(index, &mut cached));
            match entries.collect::<io::Result<Vec<_>>>() {
                Ok(entries) => assert_eq!(entries, model.get(hash).cloned().unwrap_or_default()),
                Err(_) => break,
            }
        }
    }
    assert!(found > 100, "{found}");
}

#[test]
fn runs_that_are_merged_leave_seven_of_a_size_at_most() {
    let disk = SimulatedDisk::new(6);
    disk.create_directory(Path::new(DIRECTORY)).unwrap();
    let mut random = fastrand::Rng::with_seed(6);
    let mut model = Model::new();
    let mut set = RunSet::default();
    for segment in 1..=70 {
        set.runs.push(run_of(&disk, segment, &mut random, &[1, 2, 3], &mut model));
        while let Some(runs) = set.to_merge() {
            let runs = runs.to_vec();
            assert!(
                merge_runs(target(&disk, &Pace::in_pieces(Default::default())), &runs, || true)
                    .unwrap()
            );
            set = set.replaced(open(&disk, (runs[0].first, runs[runs.len() - 1].last)).unwrap());
        }
        assert_eq!(set.covered(), segment);
    }
    assert_eq!(
        set.runs.iter().map(|run| run.segments()).collect::<Vec<_>>(),
        [64, 1, 1, 1, 1, 1, 1]
    );
}

#[test]
fn many_runs_of_one_size_are_merged_eight_at_a_time() {
    let disk = SimulatedDisk::new(7);
    let mut random = fastrand::Rng::with_seed(7);
    let mut model = Model::new();
    let mut set = RunSet::default();
    set.runs.extend((1..=75).map(|at| run_of(&disk, at, &mut random, &[1, 2, 3], &mut model)));
    while let Some(runs) = set.to_merge() {
        let runs = runs.to_vec();
        assert_eq!(runs.len(), 8, "each is read ahead");
        assert!(
            merge_runs(target(&disk, &Pace::in_pieces(Default::default())), &runs, || true)
                .unwrap()
        );
        set = set.replaced(open(&disk, (runs[0].first, runs[7].last)).unwrap());
        assert_eq!(set.covered(), 75);
    }
    let sizes = set.runs.iter().map(|run| run.segments()).collect::<Vec<_>>();
    assert_eq!(sizes, [64, 8, 1, 1, 1]);
}

#[test]
fn a_merge_is_asked_to_stop_in_each_of_its_passes() {
    let disk = SimulatedDisk::new(8);
    let mut random = fastrand::Rng::with_seed(8);
    let streams = (0..5000).map(|_| random.u128(..)).collect::<Vec<_>>();
    let mut model = Model::new();
    let runs = (1..=40).map(|at| run_of(&disk, at, &mut random, &streams, &mut model));
    let runs = runs.collect::<Vec<_>>();
    let entries = runs.iter().map(|run| run.layout.entries.records).sum::<u64>();
    let keys = runs.iter().map(|run| run.layout.keys.records).sum::<u64>();
    assert!(entries > 3 * 8192, "{entries}");
    let mut asked = 0;
    let mut until = |last| {
        asked = 0;
        let merged = merge_runs(target(&disk, &Pace::in_pieces(Default::default())), &runs, || {
            asked += 1;
            asked < last
        });
        (merged.unwrap(), asked)
    };
    // When they are merged, when fences are set, and when their filter is made.
    let all = (3 * entries + 2 * keys) / 8192;
    assert_eq!(until(u64::MAX), (true, all));
    for last in 1..=all {
        assert_eq!(until(last), (false, last));
    }
}

#[test]
fn a_read_that_fails_while_runs_are_merged_leaves_no_run_that_is_wrong() {
    let mut random = fastrand::Rng::with_seed(9);
    let streams = (0..300).map(|_| random.u128(..)).collect::<Vec<_>>();
    let (filled, mut model) = (SimulatedDisk::new(9), Model::new());
    for segment in 1..=20 {
        drop(run_of(&filled, segment, &mut random, &streams, &mut model));
    }
    let mut failed = 0;
    for nth in 1.. {
        let disk = filled.copy(nth);
        let runs = (1..=20).map(|segment| open(&disk, (segment, segment)).unwrap());
        let runs = runs.collect::<Vec<_>>();
        disk.fail(Fault { kind: FaultKind::Read, nth, forever: false });
        match merge_runs(target(&disk, &Pace::in_pieces(Default::default())), &runs, || true) {
            Err(_) => failed += 1,
            // There were not so many reads.
            Ok(_) => break,
        }
        assert!(open(&disk, (1, 20)).is_err(), "it has no name before all of it is right");
    }
    // Each run's entries and keys, and what was written of them for the fences and for the filter.
    assert!(failed > 40, "{failed}");
}
