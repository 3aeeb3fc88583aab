//! The chain rule: a decision built on an append that failed fails with it, even if the versions fit.
//!
//! The story of each: the owner decides k (on version 0) and k+1 (on version 1, a state that contains k); a
//! stranger has written version 1 meanwhile. By versions alone k+1 would be let in on a foreign base.

use super::{MakeJournal, bed::*};
use bytes::Bytes;
use kronika_core::{
    Append, AppendError, EVENT_BODY_BYTES_MAX, Epoch, Journal, Loading, NewEvent, SliceRange,
};

pub(super) async fn what_stands_on_a_failed_append_fails_in_its_group<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let a = stream("a");
    bed.record_as_stranger(&a, 0).await;
    let group = vec![bed.append(&a, 0, 1), bed.append(&a, 1, 1), bed.append(&a, 2, 0)];
    let results = bed.journal.append(group).await;
    assert_conflict(&results[0], 1);
    results[1..].iter().for_each(assert_predecessor);
    assert_eq!(bed.version(&a).await.get(), 1);
}

pub(super) async fn what_stands_on_a_failed_append_fails_in_later_groups<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let a = stream("a");
    bed.record_as_stranger(&a, 0).await;
    assert_conflict(&bed.try_record(bed.append(&a, 0, 1)).await, 1);
    for _ in 0..3 {
        assert_predecessor(&bed.try_record(bed.append(&a, 1, 1)).await);
    }
    assert_predecessor(&bed.try_record(bed.append(&a, 1, 0)).await);
    assert_eq!(bed.version(&a).await.get(), 1);
}

pub(super) async fn what_was_sent_before_the_failure_was_known_fails_too<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let a = stream("a");
    bed.record_as_stranger(&a, 0).await;
    let sent = (0..4).map(|expected| bed.journal.append(vec![bed.append(&a, expected, 1)]));
    let sent = sent.collect::<Vec<_>>();
    let mut results = Vec::new();
    for group in sent {
        results.extend(group.await);
    }
    assert_conflict(&results[0], 1);
    results[1..].iter().for_each(assert_predecessor);
    assert_eq!(bed.read(&a).await.len(), 1);
}

pub(super) async fn a_newer_loading_ends_a_broken_chain<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let a = stream("a");
    bed.record_as_stranger(&a, 0).await;
    let of = |loading, expected| Append {
        loading: Loading::new(loading),
        ..bed.append(&a, expected, 1)
    };
    assert_conflict(&bed.try_record(of(20, 0)).await, 1);
    assert_predecessor(&bed.try_record(of(20, 1)).await);
    let group = vec![of(21, 1), of(21, 2)];
    let results = bed.journal.append(group).await;
    assert!(results.iter().all(Result::is_ok), "a newer loading is let in: {results:?}");
    assert_eq!(bed.version(&a).await.get(), 3);
}

pub(super) async fn an_older_loading_is_refused_with_the_broken_one<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let a = stream("a");
    bed.record_as_stranger(&a, 0).await;
    let of = |loading, expected| Append {
        loading: Loading::new(loading),
        ..bed.append(&a, expected, 1)
    };
    assert_conflict(&bed.try_record(of(20, 0)).await, 1);
    assert_predecessor(&bed.try_record(of(19, 1)).await);
    assert_predecessor(&bed.try_record(of(1, 1)).await);
}

pub(super) async fn an_append_that_is_too_large_breaks_its_chain<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let a = stream("a");
    let body = Bytes::from(vec![b' '; EVENT_BODY_BYTES_MAX + 1]);
    let large = Append { events: vec![NewEvent { body, ..event(1) }], ..bed.append(&a, 0, 1) };
    let results = bed.journal.append(vec![large, bed.append(&a, 0, 1)]).await;
    assert!(matches!(results[0], Err(AppendError::TooLarge(_))), "{results:?}");
    assert_predecessor(&results[1]);
    assert_predecessor(&bed.try_record(bed.append(&a, 0, 1)).await);
}

pub(super) async fn a_fenced_append_breaks_its_chain<M: MakeJournal>(make: &M) {
    let mut bed = Bed::new(make).await;
    let a = stream("a");
    let old = bed.epoch;
    bed.claim_again().await;
    let fenced = bed.try_record(Append { epoch: old, ..bed.append(&a, 0, 1) }).await;
    assert!(matches!(fenced, Err(AppendError::Fenced { .. })), "{fenced:?}");
    assert_predecessor(&bed.try_record(bed.append(&a, 0, 1)).await);
    let newer = Append { loading: Loading::new(2), ..bed.append(&a, 0, 1) };
    bed.record(newer).await;
}

pub(super) async fn a_broken_chain_holds_up_no_other_stream<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let (a, b) = (stream("a"), stream("b"));
    bed.record_as_stranger(&a, 0).await;
    let group = vec![bed.append(&a, 0, 1), bed.append(&b, 0, 1), bed.append(&a, 1, 1)];
    let results = bed.journal.append(group).await;
    assert!(results[1].is_ok(), "{results:?}");
    bed.record(bed.append(&b, 1, 1)).await;
    assert_predecessor(&bed.try_record(bed.append(&a, 1, 1)).await);
    // Nor the whole journal: who claims anew and loads anew goes on.
    let held = Some(bed.epoch);
    let epoch: Epoch = bed.journal.claim(SliceRange::ALL, held).await.expect("it is held").epoch;
    let append = bed.append(&a, 1, 1);
    bed.record(Append { epoch, loading: Loading::new(2), ..append }).await;
}
