//! The log as a journal on a real directory: what is appended is read back, in every way, also after reopening; what
//! must be refused is refused, for the right reason.
#![allow(clippy::unwrap_used)]

mod common;

use bytes::Bytes;
use common::*;
use kronika_core::{
    Append, AppendBy, AppendError, AppendId, AppendMore, ClaimError, Direction, Epoch, EventFilter,
    EventId, Journal, Keyed, Lease, Loading, Mark, NewEvent, Origin, PartitionId, Position,
    ReadPartition, ReadStream, SliceRange, StreamCursor, Timer, Timestamp, Version,
};
use kronika_log::{DirectoryLock, Log, OpenError, Settings};
use std::{path::Path, sync::Arc, time::Instant};

/// So little is kept in memory that most reads go to files.
fn small() -> Settings {
    Settings { recent_bytes: 8 << 10, ..Settings::small() }
}

fn open(directory: &tempfile::TempDir, settings: Settings) -> Log {
    Log::open(&directory.path().join("journal"), settings).unwrap()
}

const PARTITION: PartitionId = PartitionId::new(0);

#[test]
fn what_was_appended_is_read_by_position_and_by_stream_also_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let mut log = open(&directory, small());
    let mut expected = Vec::new();
    for round in 0..200u64 {
        let group = (0..8).map(|n| append(&format!("s{n}"), round * 2, 2)).collect::<Vec<_>>();
        let results = send(&log, group.clone());
        for (sent, result) in group.iter().zip(results) {
            assert_eq!(result.unwrap().version, Version::new(round * 2 + 2));
            let bodies = sent.events.iter().map(|event| event.body.clone());
            expected.extend(bodies.map(|body| (sent.stream.clone(), body)));
        }
    }
    let segments = std::fs::read_dir(directory.path().join("journal")).unwrap().count();
    assert!(segments > 4, "the log went on into further segments: {segments}");
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
        assert_eq!(forwards.len(), 200);
        assert_eq!(forwards, backwards);
        let one = events[777].mark();
        assert_eq!(block_on(log.mark_at(PARTITION, one.position)), Ok(Some(one)));
        assert_eq!(block_on(log.mark_at(PARTITION, Position::new(9999))), Ok(None));
        let incarnation = log.incarnation();
        drop(log);
        log = open(&directory, small());
        assert_eq!(log.incarnation(), incarnation);
    }
}

/// An append with everything that one can carry.
fn full(name: &str, expected: u64) -> Append {
    let tags = vec!["red".to_owned(), String::new()];
    let metadata = [("source".to_owned(), "ü".to_owned()), (String::new(), String::new())];
    let rich = NewEvent {
        tags,
        occurred: Some(Timestamp::new(-5)),
        id: Some(EventId::new(u128::MAX)),
        metadata: Some(Box::new(metadata.into())),
        ..event("{}")
    };
    let empty = NewEvent { metadata: Some(Box::default()), ..event("") };
    let more = AppendMore {
        command_body: Some(Bytes::from_static(b"{\"cents\":1}")),
        keyed: Some(Keyed { key: "k1".into(), fingerprint: 1 << 100, reply: "17".into() }),
        origin: Origin {
            principal: Some("ann".into()),
            tenant: Some("t".into()),
            correlation: Some(String::new()),
            causation: Some("c".into()),
            trace: Some("00-1".into()),
        },
        timers: vec![Timer {
            due: Timestamp::new(9),
            command: "close".into(),
            body: b"{}".to_vec(),
        }],
        encryption_key: Some("e".into()),
    };
    Append { events: vec![rich, empty], more: Some(Box::new(more)), ..append(name, expected, 0) }
}

#[test]
fn everything_that_an_append_carries_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let mut log = open(&directory, small());
    let plain = Append { more: Some(Box::default()), ..append("a", 2, 1) };
    let sent = [full("a", 0), plain];
    assert!(send(&log, sent.to_vec()).iter().all(Result::is_ok));
    for _ in 0..2 {
        let read = all_of(&log, "a", Direction::Forwards, 1);
        for (sent, read) in sent.iter().zip(&read) {
            assert_eq!((read.header.id, &read.header.more), (sent.id, &sent.more));
            assert_eq!(read.header.command, sent.command);
            for (index, (event, sent_event)) in read.events.iter().zip(&sent.events).enumerate() {
                let found = NewEvent {
                    name: event.name.to_string().into(),
                    schema: event.schema,
                    codec: event.codec,
                    body: event.body.clone(),
                    tags: event.tags.clone(),
                    occurred: event.occurred,
                    id: sent_event.id.and(Some(event.id)),
                    metadata: event.metadata.clone(),
                };
                assert_eq!(&found, sent_event);
                assert_eq!(event.id, sent_event.id.unwrap_or(sent.id.event(index)));
            }
        }
        assert_eq!(all_events(&log).len(), 3);
        drop(log);
        // From files only.
        log = open(&directory, Settings { recent_bytes: 0, ..small() });
    }
}

#[test]
fn an_append_is_found_by_id_and_by_key_in_its_scope() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(&directory, small());
    let sent = full("a", 0);
    // The same key again: the newest is found. Without events it takes no position.
    let again = Append { events: vec![], ..full("a", 2) };
    let results = send(&log, vec![sent.clone(), again.clone(), append("b", 0, 1)]);
    assert_eq!(results[1].as_ref().unwrap().mark, None);
    assert_eq!(results[2].as_ref().unwrap().mark.unwrap().position, Position::new(3));
    drop(log);
    let log = open(&directory, Settings { recent_bytes: 0, ..small() });
    let find = |name: &str, by: AppendBy| {
        block_on(log.read_append(&stream(name), by)).unwrap().map(|append| append.header.id)
    };
    let key = |principal: Option<&str>, key: &str| AppendBy::Key {
        principal: principal.map(str::to_owned),
        key: key.to_owned(),
    };
    assert_eq!(find("a", AppendBy::Id(sent.id)), Some(sent.id));
    assert_eq!(find("a", AppendBy::Id(AppendId::new(77 << 16))), None);
    assert_eq!(find("b", AppendBy::Id(sent.id)), None);
    assert_eq!(find("a", key(Some("ann"), "k1")), Some(again.id));
    assert_eq!(find("a", key(None, "k1")), None);
    assert_eq!(find("a", key(Some("ann"), "k2")), None);
    assert_eq!(find("b", key(Some("ann"), "k1")), None);
}

#[test]
fn appends_without_events_stand_on_a_version_and_pages_meet_each_once() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(&directory, small());
    let events = [0, 0, 2, 0, 0, 0, 1, 0];
    let mut version = 0;
    let mut ids = Vec::new();
    for count in events {
        let append = append("a", version, count);
        ids.push(append.id);
        assert_eq!(send_one(&log, append).unwrap().version.get(), version + count as u64);
        version += count as u64;
    }
    for limit in 1..=events.len() {
        let found = |direction| {
            let appends = all_of(&log, "a", direction, limit);
            appends.iter().map(|append| append.header.id).collect::<Vec<_>>()
        };
        assert_eq!(found(Direction::Forwards), ids);
        let mut backwards = found(Direction::Backwards);
        backwards.reverse();
        assert_eq!(backwards, ids);
    }
    let check = |read: ReadStream, expected: &[usize]| {
        let page = block_on(log.read_stream(read)).unwrap();
        let found = page.appends.iter().map(|append| append.header.id).collect::<Vec<_>>();
        assert_eq!(found, expected.iter().map(|index| ids[*index]).collect::<Vec<_>>());
        assert_eq!(page.newest, Version::new(3));
    };
    let forwards = ReadStream::forwards(stream("a"));
    let backwards = ReadStream::backwards(stream("a"));
    check(forwards.clone().from(Version::new(1)), &[2, 3, 4, 5, 6, 7]);
    check(forwards.clone().from(Version::new(2)), &[3, 4, 5, 6, 7]);
    check(forwards.clone().from(StreamCursor { version: Version::new(2), skip: 2 }), &[5, 6, 7]);
    check(forwards.from(Version::new(4)), &[]);
    check(backwards.clone().from(Version::new(1)), &[2, 1, 0]);
    check(backwards.from(StreamCursor { version: Version::new(2), skip: 1 }), &[5, 4, 3, 2, 1, 0]);
}

#[test]
fn filters_pass_over_what_they_leave_out_and_still_advance() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(&directory, small());
    for n in 0..300u64 {
        let mut one = append(&format!("s{}", n % 10), n / 10, 1);
        if n % 50 == 0 {
            one.events[0].tags.push("rare".into());
        }
        send_one(&log, one).unwrap();
    }
    let all = all_events(&log);
    let check = |filter: EventFilter| {
        let expected = all
            .iter()
            .filter(|event| filter.admits_stream(event.stream()) && filter.admits_tags(&event.tags))
            .map(|event| event.position)
            .collect::<Vec<_>>();
        let found = filtered(&log, filter).iter().map(|event| event.position).collect::<Vec<_>>();
        assert_eq!(found, expected);
    };
    check(EventFilter { tags: vec!["rare".into()], ..EventFilter::default() });
    check(EventFilter { types: vec!["account".into()], ..EventFilter::default() });
    check(EventFilter { types: vec!["other".into()], ..EventFilter::default() });
    check(EventFilter { slices: SliceRange::new(0, 511).unwrap(), ..EventFilter::default() });
    let head = all.last().unwrap().mark();
    let beyond = ReadPartition::after(PARTITION, Position::new(1000));
    let page = block_on(log.read_partition(beyond)).unwrap();
    assert_eq!((page.events.len(), page.scanned, page.at_head), (0, head, true));
    assert!(block_on(log.head(PartitionId::new(1))).is_err());
}

#[test]
fn what_does_not_fit_is_refused_for_the_right_reason_and_breaks_its_chain() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(&directory, small());
    let results = send(
        &log,
        vec![append("a", 0, 1), append("a", 5, 1), append("a", 1, 1), append("b", 0, 1)],
    );
    assert!(results[0].is_ok() && results[3].is_ok());
    let (expected, found) = (Version::new(5), Version::new(1));
    let conflict = AppendError::Conflict { stream: stream("a"), expected, found };
    assert_eq!(results[1], Err(conflict));
    assert_eq!(results[2], Err(AppendError::Predecessor));
    // In a later group too, until a newer loading comes.
    let mut later = append("a", 1, 1);
    assert_eq!(send_one(&log, later.clone()), Err(AppendError::Predecessor));
    later.loading = Loading::new(2);
    assert!(send_one(&log, later).is_ok());
    let long = Append { command: "x".repeat(256).into(), ..append("c", 0, 1) };
    assert!(matches!(send_one(&log, long), Err(AppendError::TooLarge(_))));
    assert_eq!(send(&log, vec![]), []);
}

#[test]
fn claims_fence_older_epochs_also_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let mut log = open(&directory, small());
    let slice = stream("a").slice();
    let owned = block_on(log.claim(SliceRange::ALL, None)).unwrap();
    assert_eq!((owned.epoch, owned.lease), (Epoch::new(1), Lease::Exclusive));
    let again = block_on(log.claim(SliceRange::ALL, Some(Epoch::new(1)))).unwrap();
    for _ in 0..2 {
        let (held, now) = (Epoch::new(1), Epoch::new(2));
        assert_eq!(again.epoch, now);
        assert_eq!(block_on(log.epoch(slice)), Ok(now));
        let refused = block_on(log.claim(SliceRange::ALL, Some(held)));
        assert_eq!(refused, Err(ClaimError::Fenced { held, now }));
        let loading = Loading::new(1);
        let stale = Append { epoch: held, loading, ..append("a", 0, 1) };
        assert_eq!(send_one(&log, stale), Err(AppendError::Fenced { held, now }));
        drop(log);
        log = open(&directory, small());
    }
    let fits = Append { epoch: Epoch::new(2), loading: Loading::new(2), ..append("a", 0, 1) };
    let committed = send_one(&log, fits).unwrap();
    // No claim took a position.
    assert_eq!(committed.mark.unwrap().position, Position::new(1));
}

#[test]
fn groups_keep_the_order_of_their_calls_and_dropping_a_future_withdraws_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(&directory, Settings { commit_bytes: 1 << 10, ..small() });
    let futures = (0..300).map(|version| log.append(vec![append("a", version, 1)]));
    let mut futures = futures.collect::<Vec<_>>();
    futures.drain(..100);
    for (future, version) in futures.into_iter().zip(101..) {
        assert_eq!(block_on(future)[0].as_ref().unwrap().version, Version::new(version));
    }
    // One group over many commits, with a refusal in the middle.
    let group = (0..100).map(|n| append("b", if n == 50 { 7 } else { n }, 1)).collect();
    let results = send(&log, group);
    assert!(results[..50].iter().all(Result::is_ok));
    assert!(matches!(results[50], Err(AppendError::Conflict { .. })));
    assert!(results[51..].iter().all(|result| *result == Err(AppendError::Predecessor)));
}

#[test]
fn an_append_of_eight_mebibytes_fits_a_log_of_small_segments() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(&directory, small());
    let large = |name: &str| Append {
        events: (0..7)
            .map(|_| event(vec![b'x'; 1 << 20]))
            .chain([event(vec![b'x'; 900 << 10])])
            .collect(),
        ..append(name, 0, 0)
    };
    send_one(&log, append("a", 0, 1)).unwrap();
    for name in ["b", "c"] {
        send_one(&log, large(name)).unwrap();
        send_one(&log, append("a", if name == "b" { 1 } else { 2 }, 1)).unwrap();
    }
    drop(log);
    let log = open(&directory, small());
    assert_eq!(all_events(&log).len(), 19);
    assert_eq!(all_of(&log, "c", Direction::Forwards, 1)[0].events.len(), 8);
}

#[test]
fn a_full_queue_refuses_and_breaks_the_chain_of_what_it_refused() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(&directory, Settings { queue_bytes: 4 << 10, ..small() });
    let body = || event(vec![b'x'; 3 << 10]);
    let big = |version, loading| Append {
        events: vec![body()],
        loading: Loading::new(loading),
        ..append("a", version, 0)
    };
    let futures = (0..50).map(|version| log.append(vec![big(version, 1)])).collect::<Vec<_>>();
    let results = futures.into_iter().map(|future| block_on(future).pop().unwrap());
    let results = results.collect::<Vec<_>>();
    let first = results.iter().position(Result::is_err).expect("the queue is full");
    assert!(matches!(results[first], Err(AppendError::Unavailable(_))), "{results:?}");
    assert!(results[first..].iter().all(Result::is_err));
    let version = first as u64;
    assert_eq!(send_one(&log, big(version, 1)), Err(AppendError::Predecessor));
    assert!(send_one(&log, big(version, 2)).is_ok());
}

#[test]
fn time_never_goes_back() {
    use std::sync::atomic::{AtomicI64, Ordering};
    static NOW: AtomicI64 = AtomicI64::new(1_000_000);
    let settings =
        Settings { clock: || Timestamp::new(NOW.fetch_sub(1000, Ordering::Relaxed)), ..small() };
    let directory = tempfile::tempdir().unwrap();
    let mut log = open(&directory, settings.clone());
    for version in 0..6 {
        assert_eq!(send_one(&log, append("a", version, 1)).unwrap().time.get(), 1_000_000);
        drop(log);
        log = open(&directory, settings.clone());
    }
}

#[test]
fn who_waits_for_the_head_is_woken() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(&directory, small());
    let mark: Mark = block_on(async {
        let waiting = {
            let log = log.clone();
            tokio::spawn(async move { log.wait_beyond(PARTITION, Position::new(1)).await.unwrap() })
        };
        log.append(vec![append("a", 0, 1)]).await;
        log.append(vec![append("a", 1, 1)]).await;
        waiting.await.unwrap()
    });
    assert_eq!(mark.position, Position::new(2));
    assert_eq!(block_on(log.wait_beyond(PARTITION, Position::new(1))), Ok(mark));
}

#[test]
fn a_second_opener_is_told_who_holds_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(&directory, small());
    let begun = Instant::now();
    let refused = Log::open(&directory.path().join("journal"), small()).unwrap_err();
    let holder = Some(std::process::id());
    assert!(matches!(refused, OpenError::InUse { holder: found, .. } if found == holder));
    let message = refused.to_string();
    assert!(
        message.ends_with(&format!("is in use by process {}", std::process::id())),
        "{message}"
    );
    assert!(begun.elapsed().as_millis() < 1000);
    drop(log);
    let lock = Arc::new(DirectoryLock::acquire(directory.path()).unwrap());
    Log::open_locked(&directory.path().join("journal"), lock, small()).unwrap();
}

#[test]
fn what_is_no_directory_or_cannot_be_set_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    std::fs::write(&path, "a file").unwrap();
    let refused = Log::open(&path, small()).unwrap_err();
    assert!(matches!(refused, OpenError::NotADirectory { .. }), "{refused:?}");
    let refused = Log::open(&path.join("below"), small()).unwrap_err();
    assert!(matches!(refused, OpenError::NotADirectory { .. }), "{refused:?}");
    let refused = Log::open(Path::new("/proc/kronika/journal"), small()).unwrap_err();
    assert!(!refused.to_string().contains('\n'), "{refused}");
    let odd = Settings { segment_bytes: 5000, ..small() };
    let refused = Log::open(&directory.path().join("other"), odd).unwrap_err();
    assert!(matches!(refused, OpenError::Settings(_)), "{refused:?}");
}
