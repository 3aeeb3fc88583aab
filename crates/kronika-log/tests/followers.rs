//! Followers: another process reads while the writer writes, up to the durable head and never beyond.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/follows.rs"]
mod follows;

use common::*;
use follows::{PARTITION, PATH, events_of, never_ahead};
use kronika_core::{AppendError, ClaimError, Direction, Journal, Position, ReadError, SliceRange};
use kronika_log::{Follower, Log, OpenError, Settings, SimulatedDisk};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

const DIRECTORY: &str = "KRONIKA_LOG_FOLLOWER_DIRECTORY";

fn settings(seed: u64) -> Settings {
    Settings {
        segment_bytes: 16 << 10,
        first_segment_bytes: 8 << 10,
        recent_bytes: 4 << 10,
        seed: Some(seed),
        ..Settings::small()
    }
}

#[test]
fn a_follower_is_never_ahead_of_the_writer_and_catches_up_at_every_step() {
    for seed in 0..20 {
        never_ahead(seed, &settings(seed));
    }
}

#[test]
fn a_follower_refuses_to_write_and_notices_another_history() {
    let disk = SimulatedDisk::new(1);
    let open = |disk: &SimulatedDisk| {
        Log::open_on(Arc::new(disk.clone()), Path::new(PATH), settings(1)).unwrap()
    };
    let log = open(&disk);
    send_one(&log, append("a", 0, 1)).unwrap();
    let follower = Follower::open_on(Arc::new(disk.clone()), Path::new(PATH), settings(1)).unwrap();
    let refused = block_on(follower.append(vec![append("a", 1, 1)]));
    assert!(matches!(&refused[..], [Err(AppendError::Failed(why))] if why.contains("only reads")));
    let refused = block_on(follower.claim(SliceRange::ALL, None));
    assert!(matches!(refused, Err(ClaimError::Failed(_))));
    drop(log);
    let other = SimulatedDisk::new(2);
    let settings = Settings { seed: Some(2), ..settings(1) };
    let log = Log::open_on(Arc::new(other.clone()), Path::new(PATH), settings).unwrap();
    send(&log, vec![append("a", 0, 1), append("b", 0, 2)]);
    drop(log);
    for path in other.files().into_iter().filter(|path| disk.files().contains(path)) {
        disk.replace(&path, &other.contents(&path));
    }
    let error = follower.refresh().unwrap_err();
    assert!(matches!(&error, ReadError::Closed(why) if why.contains("diverged")), "{error}");
}

/// Appends without end and tells each acknowledgement. Only a child process of the test below does so.
fn append_for_ever(directory: &str) {
    let log = Log::open(&Path::new(directory).join("journal"), Settings::small()).unwrap();
    let mut version = all_of(&log, "a", Direction::Forwards, 1000).len() as u64;
    let mut out = std::io::stdout();
    loop {
        let results = send(&log, (0..5).map(|n| append("a", version + n, 1)).collect());
        version += results.into_iter().filter(Result::is_ok).count() as u64;
        writeln!(out, "acknowledged {version}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn a_follower_in_another_process_sees_what_was_acknowledged_also_over_kills() {
    if let Ok(directory) = std::env::var(DIRECTORY) {
        return append_for_ever(&directory);
    }
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().join("journal");
    let missing = Follower::open(&journal, Settings::small()).unwrap_err();
    assert!(matches!(missing, OpenError::Failed { .. }), "{missing}");
    drop(Log::open(&journal, Settings::small()).unwrap());
    let follower = Follower::open(&journal, Settings::small()).unwrap();
    let mut seen = 0;
    for round in 0..6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "a_follower_in_another_process_sees_what_was_acknowledged_also_over_kills",
            ])
            .arg("--nocapture")
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let told = lines
            .filter_map(|line| line.unwrap().strip_prefix("acknowledged ")?.parse::<u64>().ok());
        for acknowledged in told.take(20 + 40 * round) {
            // It is woken when the head moves: there is no other way out of here than to see it.
            let wanted = Position::new(acknowledged - 1);
            let mark = block_on(follower.wait_beyond(PARTITION, wanted)).unwrap();
            assert!(mark.position > wanted);
            seen = acknowledged;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(seen > 1000, "{seen}");
    let events = events_of(&follower);
    assert!(events.len() as u64 >= seen);
    let log = Log::open(&journal, Settings::small()).unwrap();
    assert!(all_events(&log).starts_with(&events), "what it saw is what is there");
}
