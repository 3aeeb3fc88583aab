//! Every single bit of a journal is flipped in turn: in a segment it is found where it stands, or stands where nothing
//! is; no read gives what was not written; nothing that was acknowledged is cut off. What follows from the segments is
//! named, and everything is answered right all the same.
//!
//! A plain run takes a few bits of each file; `KRONIKA_BIT_FLIPS=all`, as `cargo xtask bitflips` has it, takes all.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;
#[path = "common/journals.rs"]
mod journals;

use common::block_on;
use journals::{Commit, Image, Wrong, do_all, files, open, segment, settings};
use kronika_core::{AppendBy, Journal, PartitionId, Position, ReadError, ReadPartition, StreamId};
use kronika_log::{
    Corruption, Finding, FindingKind, Log, OpenError, SimulatedDisk, verify, verify_derived_file,
    verify_segment,
};
use std::{
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex},
    thread,
    time::Instant,
};

/// At least so many bytes of segments.
const JOURNAL_BYTES: usize = 1 << 20;
/// Parts of a file that are looked at side by side.
const PARTS: usize = 8;

static IMAGE: LazyLock<Image> = LazyLock::new(|| Image::new(JOURNAL_BYTES));

/// One bit of so many, where not all are taken; odd, so that all bits of a byte come in turn.
fn stride(all: usize, some: usize) -> usize {
    if std::env::var_os("KRONIKA_BIT_FLIPS").is_some() { all } else { some }
}

/// A bit of a file.
#[derive(Debug, Clone, Copy)]
struct Bit(usize);

impl Bit {
    fn byte(self) -> u64 {
        (self.0 / 8) as u64
    }

    fn flip(self, disk: &SimulatedDisk, path: &Path) {
        let flip = Corruption::BitFlip { offset: self.byte(), bit: (self.0 % 8) as u8 };
        assert!(disk.corrupt(path, flip), "a bit has changed");
    }
}

/// Does something for each of these files, or parts of files, on all cores, with a disk of its own; the sum of what it gives, told with
/// its time.
fn for_each<T: Sync, const N: usize>(
    what: [&str; N],
    files: &[T],
    work: impl Fn(&SimulatedDisk, &T) -> [u64; N] + Sync,
) -> [u64; N] {
    let begun = Instant::now();
    let (next, sums) = (Mutex::new(files.iter()), Mutex::new([0; N]));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let disk = IMAGE.disk.copy(1);
                loop {
                    let Some(file) = next.lock().unwrap().next() else { return };
                    let counts = work(&disk, file);
                    let mut sums = sums.lock().unwrap();
                    sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
                }
            });
        }
    });
    let sums = sums.into_inner().unwrap();
    let told = sums.iter().zip(what).map(|(sum, what)| format!("{sum} {what}"));
    let told = told.collect::<Vec<_>>().join(", ");
    eprintln!("{told}, {:.1} s", begun.elapsed().as_secs_f64());
    sums
}

fn bits(disk: &SimulatedDisk, path: &Path, stride: usize) -> impl Iterator<Item = Bit> + use<> {
    (0..disk.contents(path).len() * 8).step_by(stride).map(Bit)
}

fn number(path: &Path) -> u32 {
    path.file_stem().unwrap().to_str().unwrap().parse().unwrap()
}

/// A copy with a segment, the one behind it and the head only: nothing else is looked at.
fn alone(disk: &SimulatedDisk, number: u32) -> SimulatedDisk {
    let alone = disk.copy(1);
    let kept = [segment(number), segment(number + 1), Path::new(journals::PATH).join("head")];
    let others = alone.files().into_iter().filter(|path| !kept.contains(path));
    others.for_each(|path| alone.lose(&path));
    alone
}

fn sealed() -> Vec<PathBuf> {
    (1..IMAGE.active).map(segment).collect()
}

/// Where damage by this bit is told to be.
fn place(number: u32, byte: u64) -> u64 {
    let end = IMAGE.end_of(number);
    match IMAGE.commit_at(number, byte) {
        Some(commit) => commit.bytes.start,
        None if byte < 512 => 0,
        // A header is expected there.
        None if (end..end + 64).contains(&byte) => end,
        None => byte,
    }
}

#[test]
fn every_bit_of_a_sealed_segment_is_found_where_it_stands() {
    let step = stride(1, 1013);
    let what =
        ["bits of sealed segments, each found", "of them in bodies", "with the stream named"];
    let [all, bodies, named] = for_each(what, &sealed(), |disk, path| {
        let number = number(path);
        let disk = &alone(disk, number);
        let files = files(disk).in_use();
        assert_eq!(verify_segment(&files, number).unwrap(), []);
        let mut counts = [0; 3];
        for bit in bits(disk, path, step) {
            bit.flip(disk, path);
            let findings = verify_segment(&files, number).unwrap();
            bit.flip(disk, path);
            let found = findings.first().unwrap_or_else(|| panic!("{bit:?} of {path:?}"));
            assert_eq!(found.kind, FindingKind::Damage, "{bit:?} of {path:?}: {found}");
            let told = (found.segment, found.offset);
            assert_eq!(told, (Some(number), place(number, bit.byte())), "{bit:?}: {found}");
            counts[0] += 1;
            if let Some(commit) = IMAGE.commit_at(number, bit.byte())
                && bit.byte() >= commit.bytes.start + 64
            {
                counts[1] += 1;
                counts[2] += u64::from(names_its_stream(found, commit));
            }
        }
        assert_eq!(verify_segment(&files, number).unwrap(), [], "it is whole again");
        counts
    });
    assert!(all > 5_000, "{all}");
    // Padding belongs to no stream, nor does a record whose length or whose stream's name is what is wrong.
    assert!(named * 100 > bodies * 80, "{named} of {bodies}");
}

/// Whether a stream of the commit is named, and no other one.
fn names_its_stream(found: &Finding, commit: &Commit) -> bool {
    let is_in =
        |stream: &StreamId| commit.appends.iter().any(|append| append.header.stream == *stream);
    !found.streams.is_empty() && found.streams.iter().all(is_in)
}

#[test]
fn the_whole_verification_finds_the_same() {
    let step = stride(30_011, 200_003);
    let [all] = for_each(["flips found by a whole verification too"], &sealed(), |disk, path| {
        let (number, files) = (number(path), files(disk));
        let mut count = 0;
        // Each segment begins at another bit.
        for bit in bits(disk, path, step).map(|bit| Bit(bit.0 + number as usize * 37)) {
            bit.flip(disk, path);
            let report = verify(&files, &mut |_| {}).unwrap();
            let alone = verify_segment(&files.clone().in_use(), number).unwrap();
            bit.flip(disk, path);
            assert_eq!(report.findings.first(), alone.first(), "{bit:?} of {path:?}");
            count += 1;
        }
        [count]
    });
    assert!(all >= 60, "{all}");
}

/// The log was open before the bit flipped, so that nothing was looked at on the way.
#[test]
fn no_read_of_a_sealed_segment_gives_what_was_not_written() {
    let step = stride(61, 20_011);
    let what =
        ["bits of sealed segments under an open log", "reads told damage", "reads were right"];
    let [all, told, right] = for_each(what, &sealed(), |disk, path| {
        let number = number(path);
        // A log on the disk of this thread; nothing is written.
        let (log, _stepper) = open(disk, settings()).unwrap();
        let mut counts = [0; 3];
        for bit in bits(disk, path, step) {
            look_elsewhere(&log, number);
            bit.flip(disk, path);
            let outcomes = read_at(&log, number, bit);
            bit.flip(disk, path);
            counts[0] += 1;
            for outcome in outcomes {
                match outcome {
                    Ok(()) => counts[2] += 1,
                    Err(Wrong::Told(ReadError::Corrupt(what))) => {
                        let told = format!("segment {number} at offset ");
                        assert!(what.contains(&told), "{bit:?} of {path:?}: {what}");
                        counts[1] += 1;
                    }
                    Err(other) => panic!("{bit:?} of {path:?}: {other:?}"),
                }
            }
        }
        counts
    });
    assert!(all > 400 && told > all / 2 && right > all / 2, "{all} {told} {right}");
}

/// What a reader keeps of the segment that it read last is not what is on the disk now.
fn look_elsewhere(log: &Log, number: u32) {
    let other = if number == 1 { 2 } else { 1 };
    let commit = IMAGE.commits.iter().find(|commit| commit.segment == other).unwrap();
    for append in &commit.appends[..1] {
        IMAGE.find(log, append).unwrap();
    }
    read_events(log, commit).unwrap();
}

/// Reads of what stands at a bit: the page of its commit's events, and each of its appends alone. The page must tell a
/// flip in the commit, and an append one in its record.
fn read_at(log: &Log, number: u32, bit: Bit) -> Vec<Result<(), Wrong>> {
    let Some(commit) = IMAGE.commit_at(number, bit.byte()) else {
        // Where nothing is; the segment's last commit is read.
        let last = IMAGE.commits.iter().rfind(|commit| commit.segment == number).unwrap();
        let read = read_events(log, last);
        assert!(read.is_ok(), "{bit:?} in segment {number} harms nothing: {read:?}");
        return vec![read];
    };
    let page = read_events(log, commit);
    assert!(page.is_err() || commit.appends.is_empty(), "{bit:?} in segment {number}");
    let mut outcomes = vec![page];
    for append in &commit.appends {
        look_elsewhere(log, number);
        let (stream, id) = (&append.header.stream, append.header.id);
        outcomes.push(match block_on(log.read_append(stream, AppendBy::Id(id))) {
            Ok(Some(found)) if found == *append => Ok(()),
            Ok(found) => Err(Wrong::Other(format!("{found:?}"))),
            Err(error) => Err(error.into()),
        });
    }
    let body = commit.bytes.start + 64..commit.bytes.end - 63;
    let told = outcomes[1..].iter().any(Result::is_err);
    assert!(told || !body.contains(&bit.byte()) || commit.appends.is_empty(), "{bit:?}");
    outcomes
}

fn read_events(log: &Log, commit: &Commit) -> Result<(), Wrong> {
    let events = commit.appends.iter().flat_map(|append| &append.events).collect::<Vec<_>>();
    let Some(first) = events.first() else { return Ok(()) };
    let after = Position::new(first.position.get() - 1);
    let read = ReadPartition::after(PartitionId::default(), after).limit_events(events.len());
    let page = block_on(log.read_partition(read))?;
    if page.events.iter().eq(events.iter().copied()) {
        return Ok(());
    }
    Err(Wrong::Other(format!("other events after {after}")))
}

/// In the segment in which the log ends, and in the one that was made ahead: the next opening refuses, and names the
/// place; or all events are there. What it lets pass stands where nothing is: in the zeros behind the header, which
/// only a verification looks at, and behind the end, where it looks like a torn write and is healed.
#[test]
fn every_bit_where_the_log_ends_is_refused_or_harms_nothing() {
    let step = stride(1, 997);
    let paths = [IMAGE.active, IMAGE.active + 1].map(segment);
    assert!(paths.iter().all(|path| IMAGE.disk.files().contains(path)));
    let what = ["bits where the log ends", "refused at the opening", "healed", "only verified"];
    // Two files are few for many cores.
    let parts = paths.iter().flat_map(|path| (0..PARTS).map(move |part| (path, part)));
    for_each(what, &parts.collect::<Vec<_>>(), |disk, (path, part)| {
        let (number, whole) = (number(path), disk.contents(path));
        let lean = alone(disk, IMAGE.active);
        let mut counts = [0; 4];
        for (count, bit) in bits(disk, path, step).skip(*part).step_by(PARTS).enumerate() {
            let flipped = disk.copy(1);
            bit.flip(&flipped, path);
            bit.flip(&lean, path);
            let findings = verify_segment(&files(&lean), IMAGE.active).unwrap();
            bit.flip(&lean, path);
            let is_sample = count % 101 == 0;
            if is_sample {
                let verified = verify(&files(&flipped), &mut |_| {}).unwrap();
                assert_eq!(verified.findings, findings, "{bit:?} of {path:?}");
                assert!(!findings.is_empty() || verified.torn_bytes > 0, "{bit:?} of {path:?}");
            }
            counts[0] += 1;
            let byte = bit.byte();
            match open(&flipped, settings()) {
                Err(OpenError::Damaged(damage)) => {
                    let told = (damage.segment, damage.offset);
                    assert_eq!(told, (number, place(number, byte)), "{bit:?}: {damage}");
                    assert!(!findings.is_empty(), "{bit:?}: {damage}");
                    counts[1] += 1;
                }
                Err(error) => panic!("{bit:?} of {path:?}: {error}"),
                Ok((log, _stepper)) => {
                    let after = if is_sample { Position::ZERO } else { before_the_last() };
                    assert!(is_all_there(&log, after), "{bit:?} of {path:?}: every event is there");
                    let healed = flipped.contents(path) == whole;
                    let dead = (512..4096).contains(&byte) || byte >= IMAGE.end_of(number) + 64;
                    assert!(dead && healed == (byte >= 4096), "{bit:?} of {path:?}");
                    assert!(healed || !findings.is_empty(), "{bit:?} of {path:?}");
                    counts[if healed { 2 } else { 3 }] += 1;
                }
            }
        }
        counts
    });
}

/// The last position before the segment in which the log ends.
fn before_the_last() -> Position {
    let commits = IMAGE.commits.iter().filter(|commit| commit.segment < IMAGE.active);
    let append = commits.flat_map(|commit| &commit.appends).next_back();
    append.unwrap().events.last().unwrap().position
}

fn is_all_there(log: &Log, mut after: Position) -> bool {
    let mut expected = &IMAGE.events[after.get() as usize..];
    loop {
        let read = ReadPartition::after(PartitionId::default(), after).limit_events(1000);
        let page = block_on(log.read_partition(read)).unwrap();
        let Some(rest) = expected.strip_prefix(&page.events[..]) else { return false };
        (expected, after) = (rest, page.scanned.position);
        if page.at_head {
            return expected.is_empty();
        }
    }
}

#[test]
fn every_bit_of_a_footer_and_of_a_run_is_named() {
    let (step, sample) = (stride(1, 211), stride(50_021, 100_003));
    let paths = IMAGE.derived().into_iter().map(|name| Path::new(journals::PATH).join(name));
    let paths = paths.collect::<Vec<_>>();
    let what = ["bits of footers and runs, each named", "by a whole verification too"];
    let [all, _] = for_each(what, &paths, |disk, path| {
        let files = files(disk);
        let name = path.file_name().unwrap().to_str().unwrap();
        let mut counts = [0; 2];
        assert_eq!(verify_derived_file(&files, name), Ok(()));
        for (count, bit) in bits(disk, path, step).enumerate() {
            bit.flip(disk, path);
            let told = verify_derived_file(&files, name);
            assert!(told.is_err(), "{bit:?} of {name}");
            counts[0] += 1;
            if count * step % sample < step {
                let report = verify(&files, &mut |_| {}).unwrap();
                let found = |found: &Finding| {
                    (found.kind, found.file.as_deref()) == (FindingKind::Derived, Some(name))
                };
                assert!(report.findings.iter().any(found), "{bit:?}: {:?}", report.findings);
                counts[1] += 1;
            }
            bit.flip(disk, path);
        }
        counts
    });
    assert!(all > 5_000, "{all}");
}

#[test]
fn whatever_bit_of_a_footer_or_of_a_run_is_wrong_everything_is_answered_right() {
    let step = stride(211, 40_009);
    let paths = IMAGE.derived().into_iter().map(|name| Path::new(journals::PATH).join(name));
    let paths = paths.collect::<Vec<_>>();
    let what = ["bits of footers and runs under a log", "made anew while it was open"];
    let [_, anew] = for_each(what, &paths, |disk, path| {
        let mut counts = [0; 2];
        for bit in bits(disk, path, step) {
            for before in [true, false] {
                counts[0] += 1;
                counts[1] += u64::from(journals::answers(&IMAGE, disk, path, before, |disk| {
                    bit.flip(disk, path);
                }));
            }
        }
        counts
    });
    assert!(anew > 0);
}

#[test]
fn whatever_bit_of_the_head_is_wrong_everything_is_there() {
    let path = Path::new(journals::PATH).join("head");
    for bit in bits(&IMAGE.disk, &path, stride(1, 13)) {
        let disk = IMAGE.disk.copy(1);
        bit.flip(&disk, &path);
        let report = verify(&files(&disk), &mut |_| {}).unwrap();
        assert_eq!(report.findings.len(), 1, "{bit:?}");
        assert_eq!(report.findings[0].file.as_deref(), Some("head"), "{bit:?}");
        let (log, mut stepper) = open(&disk, settings()).unwrap();
        assert!(common::all_events(&log) == IMAGE.events, "{bit:?}");
        do_all(&mut stepper);
        assert!(verify(&files(&disk), &mut |_| {}).unwrap().is_sound(), "it is published anew");
    }
}
