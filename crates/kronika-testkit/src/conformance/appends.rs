//! What an append records: all or none, at the next version, with dense positions.

use super::{Injection, MakeJournal, bed::*};
use kronika_core::{Append, AppendError, Journal, Loading, Timestamp, Version};

pub(super) async fn an_append_takes_the_next_versions_and_positions<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let a = stream("a");
    let (one, three) = (bed.append(&a, 0, 1), bed.append(&a, 1, 3));
    let first = bed.record(one.clone()).await;
    let second = bed.record(three.clone()).await;
    assert_eq!((first.version.get(), second.version.get()), (1, 4));
    let recorded = bed.read(&a).await;
    assert_eq!(ids(&recorded), [one.id, three.id]);
    let events = recorded.iter().flat_map(|append| &append.events).collect::<Vec<_>>();
    let versions = events.iter().map(|event| event.version.get()).collect::<Vec<_>>();
    assert_eq!(versions, [1, 2, 3, 4]);
    let positions = events.iter().map(|event| event.position.get()).collect::<Vec<_>>();
    assert_eq!(positions, [1, 2, 3, 4]);
    let event_ids = events.iter().map(|event| event.id).collect::<Vec<_>>();
    let expected = [one.id.event(0), three.id.event(0), three.id.event(1), three.id.event(2)];
    assert_eq!(event_ids, expected, "ids of events follow from the append's");
    assert_eq!(first.mark, recorded[0].mark());
    assert_eq!(second.mark, recorded[1].mark());
    assert_eq!(second.time, recorded[1].header.time);
    assert_eq!(recorded[1].header.expected, Version::new(1));
    assert_eq!(recorded[1].header.epoch, bed.epoch);
}

pub(super) async fn a_stale_or_future_version_is_refused_with_the_newest<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let a = stream("a");
    bed.record(bed.append(&a, 0, 2)).await;
    for (number, expected) in [0, 1, 3, u64::MAX - 10_000].into_iter().enumerate() {
        let append = bed.append(&a, expected, 1);
        let loading = Loading::new(number as u64 + 10);
        let refused = bed.try_record(Append { loading, ..append }).await;
        let error = AppendError::Conflict {
            stream: a.clone(),
            expected: Version::new(expected),
            found: Version::new(2),
        };
        assert_eq!(refused, Err(error));
    }
    let unknown = stream("unknown");
    assert_conflict(&bed.try_record(bed.append(&unknown, 1, 1)).await, 0);
    assert_eq!(bed.version(&a).await.get(), 2);
    assert_eq!(bed.all().await.len(), 2, "a refused append records nothing");
}

pub(super) async fn a_refused_append_records_none_of_its_events<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let (a, b) = (stream("a"), stream("b"));
    bed.record_as_stranger(&a, 0).await;
    let group = vec![bed.append(&b, 0, 2), bed.append(&a, 0, 5), bed.append(&b, 2, 1)];
    let results = bed.journal.append(group).await;
    assert_eq!(results.len(), 3, "each append has its result");
    assert!(results[0].is_ok() && results[2].is_ok(), "{results:?}");
    assert_conflict(&results[1], 1);
    assert_eq!(bed.version(&a).await.get(), 1);
    let positions = bed.all().await.iter().map(|event| event.position.get()).collect::<Vec<_>>();
    assert_eq!(positions.len(), 4, "a refused append takes no position");
}

pub(super) async fn a_conflict_leaves_the_other_streams_of_its_group_alone<M: MakeJournal>(
    make: &M,
) {
    let bed = Bed::new(make).await;
    let streams = streams(20);
    for stream in streams.iter().step_by(3) {
        bed.record_as_stranger(stream, 0).await;
    }
    let group = streams.iter().map(|stream| bed.append(stream, 0, 1)).collect();
    let results = bed.journal.append(group).await;
    for (number, result) in results.iter().enumerate() {
        match number % 3 {
            0 => assert_conflict(result, 1),
            _ => assert!(result.is_ok(), "stream {number} had no conflict, but came {result:?}"),
        }
    }
}

pub(super) async fn appends_of_a_group_build_on_each_other<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let (a, b) = (stream("a"), stream("b"));
    let group = vec![
        bed.append(&a, 0, 2),
        bed.append(&b, 0, 1),
        bed.append(&a, 2, 0),
        bed.append(&a, 2, 1),
        bed.append(&b, 1, 2),
    ];
    let results = bed.journal.append(group.clone()).await;
    let versions = results.iter().map(|result| result.as_ref().map(|done| done.version.get()));
    assert_eq!(versions.collect::<Vec<_>>(), [Ok(2), Ok(1), Ok(2), Ok(3), Ok(3)]);
    assert_eq!(ids(&bed.read(&a).await), [group[0].id, group[2].id, group[3].id]);
    assert_eq!(ids(&bed.read(&b).await), [group[1].id, group[4].id]);
}

pub(super) async fn an_empty_group_is_answered_with_nothing<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    assert_eq!(bed.journal.append(Vec::new()).await, []);
    bed.record(bed.append(&stream("a"), 0, 1)).await;
}

pub(super) async fn an_append_without_events_takes_no_position<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let a = stream("a");
    let (before, between) = (bed.append(&a, 0, 0), bed.append(&a, 1, 0));
    let first = bed.record(before.clone()).await;
    assert_eq!((first.version, first.mark), (Version::ZERO, None));
    bed.record(bed.append(&a, 0, 1)).await;
    let second = bed.record(between.clone()).await;
    assert_eq!((second.version.get(), second.mark), (1, None));
    let third = bed.record(bed.append(&a, 1, 1)).await;
    assert_eq!(third.mark.map(|mark| mark.position.get()), Some(2));
    let recorded = bed.read(&a).await;
    assert_eq!(recorded.len(), 4, "a stream is read with its appends that hold no events");
    assert_eq!((recorded[0].header.id, recorded[2].header.id), (before.id, between.id));
    let stale = Append { loading: Loading::new(2), ..bed.append(&a, 1, 0) };
    assert_conflict(&bed.try_record(stale).await, 2);
}

pub(super) async fn several_appends_without_events_stand_on_one_version<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let a = stream("a");
    bed.record(bed.append(&a, 0, 1)).await;
    let empty = (0..5).map(|_| bed.append(&a, 1, 0)).collect::<Vec<_>>();
    for append in &empty {
        assert_eq!(bed.record(append.clone()).await.version.get(), 1);
    }
    let expected = empty.iter().map(|append| append.id).collect::<Vec<_>>();
    assert_eq!(ids(&bed.read(&a).await[1..]), expected);
    assert_eq!(bed.all().await.len(), 1);
}

/// Each racer has loaded the same version by itself, and all call before any is answered.
pub(super) async fn of_those_who_race_for_a_version_exactly_one_wins<M: MakeJournal>(make: &M) {
    const RACERS: u64 = 8;
    let bed = Bed::new(make).await;
    let a = stream("a");
    for round in 0..20 {
        let racing = (0..RACERS).map(|racer| {
            let append = bed.append(&a, round, 1);
            let loading = Loading::new(round * RACERS + racer + 1);
            bed.journal.append(vec![Append { loading, ..append }])
        });
        let racing = racing.collect::<Vec<_>>();
        let mut won = 0;
        for racer in racing {
            match racer.await.remove(0) {
                Ok(_) => won += 1,
                lost => assert_conflict(&lost, round + 1),
            }
        }
        assert_eq!(won, 1, "one racer wins version {}", round + 1);
    }
    assert_eq!(bed.all().await.len(), 20);
}

pub(super) async fn time_never_goes_back<M: MakeJournal>(make: &M) {
    let mut bed = Bed::new(make).await;
    let streams = streams(3);
    let mut newest = Timestamp::new(i64::MIN);
    for round in 0..4 {
        for stream in &streams {
            let committed = bed.record(bed.append(stream, round * 2, 2)).await;
            assert!(committed.time >= newest, "{} after {newest}", committed.time);
            newest = committed.time;
        }
        match round {
            1 => drop(bed.inject(Injection::ClockBack)),
            2 => bed = bed.reopened().await,
            _ => {}
        }
    }
    let times = bed.all().await.iter().map(|event| event.time()).collect::<Vec<_>>();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(times.last(), Some(&newest));
}

pub(super) async fn many_appends_keep_their_order<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let streams = streams(50);
    for round in 0..40 {
        let group = streams.iter().map(|stream| bed.append(stream, round, 1)).collect();
        let results = bed.journal.append(group).await;
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }
    for stream in &streams {
        let appends = bed.read(stream).await;
        let versions = appends.iter().map(|append| append.version().get());
        assert!(versions.eq(1..=40), "the versions of {stream} have no gaps");
    }
    assert_eq!(bed.all().await.len(), 2000);
}
