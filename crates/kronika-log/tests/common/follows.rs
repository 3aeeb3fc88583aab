//! A follower beside a writer, step by step: what the tests of followers hold it to, and what must find one that reads
//! beyond the head.

use crate::common::{self, *};
use kronika_core::{Direction, Journal, PartitionId, Position, ReadStream};
use kronika_log::{Follower, Log, OpenError, Settings, SimulatedDisk, Step};
use std::{path::Path, sync::Arc};

pub const PATH: &str = "/data/journal";
pub const PARTITION: PartitionId = PartitionId::new(0);

fn head(journal: &impl Journal) -> Position {
    block_on(journal.head(PARTITION)).unwrap().position
}

/// It is never ahead of the writer, catches up, and gives what the writer gives.
pub fn never_ahead(seed: u64, settings: &Settings) {
    let disk = SimulatedDisk::new(seed);
    let open = || Follower::open_on(Arc::new(disk.clone()), Path::new(PATH), settings.clone());
    assert!(matches!(open(), Err(OpenError::Unpublished { .. })), "nothing is there yet");
    let arc = Arc::new(disk.clone());
    let (log, mut stepper) = Log::open_stepped(arc, Path::new(PATH), settings.clone()).unwrap();
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

/// All events that a journal gives, in small pages.
pub fn events_of(journal: &impl Journal) -> Vec<kronika_core::RecordedEvent> {
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
