//! Followers: another process reads while the writer writes, up to the durable head and never beyond.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use kronika_core::{
    AppendError, ClaimError, Direction, Journal, PartitionId, Position, ReadError, ReadStream,
    SliceRange,
};
use kronika_log::{Follower, Log, OpenError, Settings, SimulatedDisk, Step};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

const PATH: &str = "/data/journal";
const PARTITION: PartitionId = PartitionId::new(0);
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

fn head(journal: &impl Journal) -> Position {
    block_on(journal.head(PARTITION)).unwrap().position
}

#[test]
fn a_follower_is_never_ahead_of_the_writer_and_catches_up_at_every_step() {
    for seed in 0..20 {
        let disk = SimulatedDisk::new(seed);
        let open = || Follower::open_on(Arc::new(disk.clone()), Path::new(PATH), settings(seed));
        assert!(matches!(open(), Err(OpenError::Unpublished { .. })), "nothing is there yet");
        let arc = Arc::new(disk.clone());
        let (log, mut stepper) = Log::open_stepped(arc, Path::new(PATH), settings(seed)).unwrap();
        let follower = open().unwrap();
        assert_eq!(follower.incarnation(), log.incarnation());
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut versions, mut answers) = ([0; 5], Vec::new());
        for _ in 0..6000 {
            if random.u8(..8) == 0 {
                let stream = random.usize(..5);
                let events = random.usize(1..4);
                let append = append(&format!("s{stream}"), versions[stream], events);
                versions[stream] += events as u64;
                answers.push(log.append(vec![append]));
            }
            stepper.step(Step::ALL[random.usize(..Step::ALL.len())]);
            if random.u8(..4) == 0 {
                follower.refresh().unwrap();
            }
            assert!(head(&follower) <= head(&log));
        }
        stepper.finish();
        follower.refresh().unwrap();
        assert_eq!(head(&follower), head(&log));
        let late = open().unwrap();
        let expected = all_events(&log);
        for reader in [&follower, &late] {
            assert!(events_of(reader) == expected, "seed {seed}");
            for (stream, version) in versions.iter().enumerate() {
                let name = format!("s{stream}");
                let read = ReadStream::forwards(common::stream(&name));
                let page = block_on(reader.read_stream(read)).unwrap();
                assert_eq!(page.newest.get(), *version);
                assert_eq!(page.appends, all_of(&log, &name, Direction::Forwards, 5000));
            }
        }
        assert!(answers.into_iter().all(|answer| block_on(answer).iter().all(Result::is_ok)));
    }
}

fn events_of(journal: &impl Journal) -> Vec<kronika_core::RecordedEvent> {
    let (mut events, mut after) = (Vec::new(), Position::ZERO);
    loop {
        let read = kronika_core::ReadPartition::after(PARTITION, after).limit_events(61);
        let page = block_on(journal.read_partition(read)).unwrap();
        events.extend(page.events);
        after = page.scanned.position;
        if page.at_head {
            return events;
        }
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
