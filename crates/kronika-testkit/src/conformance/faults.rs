//! What must hold when something goes wrong. Asked where the back end can simulate it.

use super::{Injection, MakeJournal, bed::*};
use kronika_core::{Append, AppendBy, AppendError, ClaimError, Journal, Loading};

pub(super) async fn what_was_acknowledged_survives_a_crash<M: MakeJournal>(make: &M) {
    let mut bed = Bed::new(make).await;
    if !bed.journal.capabilities().durable {
        return;
    }
    let a = stream("a");
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        for append in [bed.append(&a, round * 2, 2), bed.append(&a, round * 2 + 2, 0)] {
            acknowledged.push(append.id);
            bed.record(append).await;
        }
        let before = bed.read(&a).await;
        bed = match bed.crashed().await {
            Some(bed) => bed,
            None => return,
        };
        let after = bed.read(&a).await;
        assert_eq!(ids(&after), acknowledged, "what was acknowledged is lost");
        assert_eq!(after, before);
    }
}

pub(super) async fn what_was_in_flight_at_a_crash_is_there_whole_or_not_at_all<M: MakeJournal>(
    make: &M,
) {
    let mut bed = Bed::new(make).await;
    if !bed.journal.capabilities().durable {
        return;
    }
    let streams = streams(5);
    for round in 0..10 {
        let mut sent = Vec::new();
        for stream in &streams {
            let expected = bed.version(stream).await.get();
            let append =
                Append { loading: Loading::new(round + 1), ..bed.append(stream, expected, 3) };
            sent.push((append.stream.clone(), expected, append.id));
            drop(bed.journal.append(vec![append]));
        }
        bed = match bed.crashed().await {
            Some(bed) => bed,
            None => return,
        };
        for (stream, expected, id) in sent {
            let version = bed.version(&stream).await.get();
            let found = bed.journal.read_append(&stream, AppendBy::Id(id)).await;
            match found.expect("it can be looked for") {
                Some(append) => assert_eq!((append.events.len(), version), (3, expected + 3)),
                None => assert_eq!(version, expected, "half an append of {stream} is there"),
            }
        }
        let events = bed.all().await.len() as u64;
        let mut versions = 0;
        for stream in &streams {
            versions += bed.version(stream).await.get();
        }
        assert_eq!(events, versions, "streams and partitions agree");
    }
}

pub(super) async fn an_unknown_outcome_is_settled_by_a_claim<M: MakeJournal>(make: &M) {
    let injections = [Injection::UnknownBefore, Injection::UnknownAfter, Injection::UnknownLater];
    for injection in injections {
        let mut bed = Bed::new(make).await;
        let a = stream("a");
        bed.record(bed.append(&a, 0, 1)).await;
        if !bed.inject(injection) {
            continue;
        }
        let doubtful = bed.append(&a, 1, 2);
        let result = bed.try_record(doubtful.clone()).await;
        assert_eq!(result, Err(AppendError::UnknownOutcome), "{injection:?}");
        for expected in [1, 3] {
            assert_predecessor(&bed.try_record(bed.append(&a, expected, 1)).await);
        }
        bed.claim_again().await;
        let by_id = || AppendBy::Id(doubtful.id);
        let found = bed.journal.read_append(&a, by_id()).await.expect("it can be looked for");
        match injection {
            Injection::UnknownAfter => assert!(found.is_some(), "it was recorded"),
            Injection::UnknownBefore => assert_eq!(found, None),
            _ => {}
        }
        let newest = bed.version(&a).await.get();
        assert_eq!(newest, if found.is_some() { 3 } else { 1 });
        // Time enough for whatever might still be on its way.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let later = bed.journal.read_append(&a, by_id()).await.expect("it can be looked for");
        assert_eq!(later, found, "{injection:?}: after a claim an outcome is settled");
        let next = bed.append(&a, newest, 1);
        bed.record(Append { loading: Loading::new(2), ..next }).await;
    }
}

pub(super) async fn an_unavailable_journal_has_recorded_nothing<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let a = stream("a");
    if !bed.inject(Injection::Unavailable) {
        return;
    }
    let refused = bed.try_record(bed.append(&a, 0, 1)).await;
    assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");
    assert_predecessor(&bed.try_record(bed.append(&a, 0, 1)).await);
    assert_eq!(bed.read(&a).await, []);
    bed.record(Append { loading: Loading::new(2), ..bed.append(&a, 0, 1) }).await;
}

pub(super) async fn after_a_failed_write_nothing_is_acknowledged<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let (a, b) = (stream("a"), stream("b"));
    let before = bed.append(&a, 0, 1);
    bed.record(before.clone()).await;
    if !bed.inject(Injection::FailedWrite) {
        return;
    }
    let doubtful = bed.append(&a, 1, 2);
    let result = bed.try_record(doubtful.clone()).await;
    let unknown_or_failed =
        matches!(result, Err(AppendError::UnknownOutcome | AppendError::Failed(_)));
    assert!(unknown_or_failed, "a failed write is not acknowledged, but came {result:?}");
    for _ in 0..2 {
        let refused = bed.try_record(bed.append(&b, 0, 1)).await;
        assert!(matches!(refused, Err(AppendError::Failed(_))), "{refused:?}");
    }
    let claimed = bed.journal.claim(kronika_core::SliceRange::ALL, Some(bed.epoch)).await;
    assert!(matches!(claimed, Err(ClaimError::Failed(_))), "{claimed:?}");
    let bed = bed.reopened().await;
    let recorded = ids(&bed.read(&a).await);
    assert!(
        recorded == [before.id] || recorded == [before.id, doubtful.id],
        "what was acknowledged is there, and the doubtful append whole or not at all"
    );
    assert_eq!(bed.version(&b).await.get(), 0);
    let newest = bed.version(&a).await.get();
    bed.record(Append { loading: Loading::new(9), ..bed.append(&a, newest, 1) }).await;
}
