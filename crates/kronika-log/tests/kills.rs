//! A real process is killed in the middle of its work, again and again: what it had acknowledged is there, each append
//! as a whole, and nothing is there that was not sent.
//!
//! `KRONIKA_KILLS=200` kills so many times, `cargo xtask kills` in a release build.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use common::*;
use kronika_core::{Append, AppendId, Direction, Timestamp, Version};
use kronika_log::{Log, Settings};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    time::Instant,
};

const DIRECTORY: &str = "KRONIKA_LOG_TEST_DIRECTORY";
const TEST: &str = "what_a_killed_process_acknowledged_is_there";
const WRITERS: usize = 4;
/// Appends of one group. They may be in two commits: the batch may be taken in the midst of a group.
const GROUP: u64 = 3;
/// Events of one append.
const EVENTS: u64 = 2;
/// A journal is killed so often before the next one is made.
const KILLS_OF_ONE: u64 = 20;

fn open(directory: &Path) -> Log {
    let settings = Settings { segment_bytes: 256 << 10, ..Settings::small() };
    Log::open(&directory.join("journal"), settings).unwrap()
}

fn name(writer: usize) -> String {
    format!("writer{writer}")
}

/// A writer's append of this number, from 1: another process knows it too.
fn append_of(writer: usize, number: u64) -> Append {
    let random = (writer as u64) << 48 | number;
    let id = AppendId::from_parts(Timestamp::new(1_700_000_000_000_000), random);
    // Of every size, so that commits end anywhere in their sectors.
    let body = vec![b'a' + (random % 26) as u8; (number * 7 % 301) as usize];
    let events = (0..EVENTS).map(|_| event(body.clone())).collect();
    Append { id, events, ..append(&name(writer), (number - 1) * EVENTS, 0) }
}

/// Appends without end and tells each acknowledgement. Only a child process of the test below does so.
fn append_for_ever(directory: &Path) {
    let log = open(directory);
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let log = &log;
            scope.spawn(move || {
                let mut sent = all_of(log, &name(writer), Direction::Forwards, 1000).len() as u64;
                loop {
                    let group = (1..=GROUP).map(|n| append_of(writer, sent + n)).collect();
                    assert!(send(log, group).iter().all(Result::is_ok));
                    sent += GROUP;
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "acknowledged {writer} {sent}").unwrap();
                    out.flush().unwrap();
                }
            });
        }
    });
}

fn start(directory: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", TEST, "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Kills a process after it told so many acknowledgements, and takes those that it told until then into account.
fn kill_after(directory: &Path, told: usize, acknowledged: &mut [u64; WRITERS]) {
    let mut child = start(directory);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let acknowledgements = lines.filter_map(|line| {
        let line = line.unwrap();
        let (writer, number) = line.strip_prefix("acknowledged ")?.split_once(' ')?;
        // The last line may be cut by the kill.
        Some((writer.parse::<usize>().ok()?, number.parse::<u64>().ok()?))
    });
    for (line, (writer, number)) in acknowledgements.enumerate() {
        acknowledged[writer] = number.max(acknowledged[writer]);
        if line == told {
            child.kill().unwrap();
        }
    }
    let ended = child.wait().unwrap();
    assert_eq!(ended.code(), None, "it was killed, and did not end by itself");
}

/// Everything that is there was sent, and what was acknowledged is there. What is there stays from now on.
fn check(directory: &Path, acknowledged: &mut [u64; WRITERS]) {
    let log = open(directory);
    let mut events = 0;
    for (writer, acknowledged) in acknowledged.iter_mut().enumerate() {
        let found = all_of(&log, &name(writer), Direction::Forwards, 1000);
        let count = found.len() as u64;
        assert!(count >= *acknowledged, "{count} of {acknowledged} of writer {writer}");
        for (append, number) in found.iter().zip(1..) {
            let sent = append_of(writer, number);
            assert_eq!(append.header.id, sent.id);
            assert_eq!(append.version(), Version::new(number * EVENTS));
            let bodies = append.events.iter().map(|event| &event.body);
            assert!(bodies.eq(sent.events.iter().map(|event| &event.body)), "append {number}");
        }
        *acknowledged = count;
        events += count * EVENTS;
    }
    let all = all_events(&log);
    assert_eq!(all.len() as u64, events);
    assert!(all.iter().zip(1..).all(|(event, position)| event.position.get() == position));
}

#[test]
fn what_a_killed_process_acknowledged_is_there() {
    if let Ok(directory) = std::env::var(DIRECTORY) {
        return append_for_ever(Path::new(&directory));
    }
    let rounds = std::env::var("KRONIKA_KILLS").map_or(12, |rounds| rounds.parse().unwrap());
    let (begun, mut random) = (Instant::now(), fastrand::Rng::with_seed(rounds));
    let mut directory = tempfile::tempdir().unwrap();
    let (mut acknowledged, mut total) = ([0; WRITERS], 0);
    for round in 0..rounds {
        if round % KILLS_OF_ONE == 0 {
            total += acknowledged.iter().sum::<u64>();
            (directory, acknowledged) = (tempfile::tempdir().unwrap(), [0; WRITERS]);
        }
        let told = if random.u8(..4) == 0 { random.usize(..5) } else { random.usize(..300) };
        kill_after(directory.path(), told, &mut acknowledged);
        check(directory.path(), &mut acknowledged);
    }
    total += acknowledged.iter().sum::<u64>();
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!("{rounds} kills, {total} appends there, {seconds:.1} s");
}
