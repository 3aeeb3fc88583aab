//! The log as a journal on a real directory: what is appended is read back, in every way, also after reopening.

mod common;

use common::*;
use kronika_core::{Direction, Journal, Position, Version};
use kronika_log::{Log, Settings};

fn small() -> Settings {
    Settings { recent_bytes: 8 << 10, ..Settings::small() }
}

fn open(directory: &tempfile::TempDir, settings: Settings) -> Log {
    Log::open(&directory.path().join("journal"), settings).unwrap()
}

#[test]
fn what_was_appended_is_read_by_position_and_by_stream_also_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let mut log = open(&directory, small());
    let mut expected = Vec::new();
    for round in 0..60u64 {
        let group = (0..8).map(|n| append(&format!("s{n}"), round * 2, 2)).collect::<Vec<_>>();
        let results = send(&log, group.clone());
        for (sent, result) in group.iter().zip(results) {
            assert_eq!(result.unwrap().version, Version::new(round * 2 + 2));
            expected
                .extend(sent.events.iter().map(|event| (sent.stream.clone(), event.body.clone())));
        }
    }
    for _ in 0..2 {
        let events = all_events(&log);
        let found = events.iter().map(|event| (event.stream().clone(), event.body.clone()));
        assert_eq!(found.collect::<Vec<_>>(), expected);
        for (event, position) in events.iter().zip(1..) {
            assert_eq!(event.position, Position::new(position));
        }
        let forwards = all_of(&log, "s3", Direction::Forwards, 7);
        let mut backwards = all_of(&log, "s3", Direction::Backwards, 5);
        backwards.reverse();
        assert_eq!(forwards.len(), 60);
        assert_eq!(forwards, backwards);
        let incarnation = log.incarnation();
        drop(log);
        log = open(&directory, small());
        assert_eq!(log.incarnation(), incarnation);
    }
}
