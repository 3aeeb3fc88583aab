//! A commit that waits for callers who come back: it is written when they are there or when it waited long enough.
//! The commit thread's turns are taken by the tests.

use crate::{
    log::{Duties, Log},
    queue::Group,
    returning::Returning,
    settings::Settings,
    simulated_disk::SimulatedDisk,
};
use kronika_core::{Append, AppendId, Appended, Epoch, Loading, StreamId, Timestamp, Version};
use std::{collections::VecDeque, path::Path, sync::Arc, time::Duration};
use tokio::sync::oneshot::{self, Receiver};

fn open() -> Duties {
    let disk = Arc::new(SimulatedDisk::new(3));
    Log::open_with(disk, Path::new("/journal"), None, Settings::small()).unwrap()
}

/// Queues an append without events.
fn queue(duties: &Duties, number: u64) -> Receiver<Vec<Appended>> {
    let append = Append {
        id: AppendId::from_parts(Timestamp::new(1_700_000_000_000_000), number),
        stream: StreamId::new("account", &number.to_string()).unwrap(),
        expected: Version::new(0),
        epoch: Epoch::default(),
        loading: Loading::new(1),
        events: Vec::new(),
        command: "deposit".into(),
        more: None,
    };
    let (reply, receiver) = oneshot::channel();
    let group = Group { appends: vec![append], bytes: 1, reply };
    duties.shared.queue.push_group(group).unwrap();
    receiver
}

fn commits(duties: &Duties) -> u64 {
    duties.shared.counters.read().commits
}

#[test]
fn a_commit_waits_for_callers_that_come_back() {
    let mut duties = open();
    let mut work = VecDeque::new();
    duties.committer.returning = Returning::awaiting(2, Duration::from_secs(3600));
    let mut first = queue(&duties, 1);
    assert!(duties.committer.turn(&mut work));
    assert!(duties.handoff.try_take().is_none(), "the writing thread does not take it either");
    assert!(first.try_recv().is_err(), "it waits");
    let mut second = queue(&duties, 2);
    assert!(duties.committer.turn(&mut work));
    assert!(first.try_recv().unwrap()[0].is_ok());
    assert!(second.try_recv().unwrap()[0].is_ok());
    assert_eq!(commits(&duties), 1);
}

#[test]
fn a_commit_that_waited_long_enough_is_written() {
    let mut duties = open();
    duties.committer.returning = Returning::awaiting(2, Duration::ZERO);
    let mut first = queue(&duties, 1);
    assert!(duties.committer.turn(&mut VecDeque::new()));
    assert!(first.try_recv().unwrap()[0].is_ok());
    assert!(!duties.committer.returning.are_awaited(), "it was in vain");
}

#[test]
fn a_commit_that_waits_is_written_when_the_log_is_closed() {
    let mut duties = open();
    let mut work = VecDeque::new();
    duties.committer.returning = Returning::awaiting(2, Duration::from_secs(3600));
    let mut first = queue(&duties, 1);
    assert!(duties.committer.turn(&mut work));
    duties.shared.queue.close();
    assert!(!duties.committer.turn(&mut work));
    duties.committer.drain();
    assert!(first.try_recv().unwrap()[0].is_ok());
}
