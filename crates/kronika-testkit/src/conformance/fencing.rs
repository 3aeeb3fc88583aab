//! One writer: claims raise epochs, and what stands on an older epoch is refused.

use super::{Injection, MakeJournal, bed::*};
use kronika_core::{
    Append, AppendError, ClaimError, Epoch, Journal, Lease, Loading, Slice, SliceRange, StreamId,
};

const LOW: SliceRange = SliceRange::new(0, 511).expect("a half");
const HIGH: SliceRange = SliceRange::new(512, 1023).expect("a half");

/// A stream whose slice is in the range.
fn stream_in(range: SliceRange) -> StreamId {
    let found = (0..).map(|number| stream(&format!("s{number}")));
    found.into_iter().find(|stream| range.contains(stream.slice())).expect("slices are spread")
}

fn slices() -> impl Iterator<Item = Slice> {
    [stream_in(LOW).slice(), stream_in(HIGH).slice()].into_iter()
}

fn assert_fenced(result: &Result<kronika_core::Committed, AppendError>, held: Epoch, now: Epoch) {
    assert_eq!(*result, Err(AppendError::Fenced { held, now }), "a stale writer is refused");
}

pub(super) async fn every_slice_begins_unclaimed<M: MakeJournal>(make: &M) {
    let journal = make.open(&make.place()).await;
    for slice in slices() {
        assert_eq!(journal.epoch(slice).await, Ok(Epoch::default()));
    }
}

pub(super) async fn a_claim_raises_the_epoch_of_its_slices_only<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let (low, high) = (stream_in(LOW), stream_in(HIGH));
    let held = Some(bed.epoch);
    let claimed = bed.journal.claim(LOW, held).await.expect("it is held").epoch;
    assert!(claimed > bed.epoch, "{claimed} comes after {}", bed.epoch);
    assert_eq!(bed.journal.epoch(low.slice()).await, Ok(claimed));
    assert_eq!(bed.journal.epoch(high.slice()).await, Ok(bed.epoch));
    bed.record(bed.append(&high, 0, 1)).await;
    bed.record(Append { epoch: claimed, ..bed.append(&low, 0, 1) }).await;
}

pub(super) async fn a_stale_epoch_is_fenced_and_records_nothing<M: MakeJournal>(make: &M) {
    let mut bed = Bed::new(make).await;
    let a = stream("a");
    bed.record(bed.append(&a, 0, 1)).await;
    let old = bed.epoch;
    bed.claim_again().await;
    let stale = Append { epoch: old, ..bed.append(&a, 1, 1) };
    assert_fenced(&bed.try_record(stale.clone()).await, old, bed.epoch);
    let newer = Append { id: bed.new_id(), loading: Loading::new(2), ..stale };
    assert_fenced(&bed.try_record(newer).await, old, bed.epoch);
    let empty = Append { epoch: old, loading: Loading::new(3), ..bed.append(&a, 1, 0) };
    assert_fenced(&bed.try_record(empty).await, old, bed.epoch);
    assert_eq!(bed.read(&a).await.len(), 1);
}

pub(super) async fn a_fenced_append_leaves_other_slices_of_its_group_alone<M: MakeJournal>(
    make: &M,
) {
    let bed = Bed::new(make).await;
    let (low, high) = (stream_in(LOW), stream_in(HIGH));
    let now = bed.journal.claim(LOW, Some(bed.epoch)).await.expect("it is held").epoch;
    let group = vec![bed.append(&low, 0, 1), bed.append(&high, 0, 1)];
    let results = bed.journal.append(group).await;
    assert_fenced(&results[0], bed.epoch, now);
    assert!(results[1].is_ok(), "{results:?}");
}

pub(super) async fn a_claim_by_one_who_was_overtaken_is_refused_and_changes_nothing<
    M: MakeJournal,
>(
    make: &M,
) {
    let mut bed = Bed::new(make).await;
    let overtaken = bed.epoch;
    bed.claim_again().await;
    let refused = bed.journal.claim(SliceRange::ALL, Some(overtaken)).await;
    assert_eq!(refused, Err(ClaimError::Fenced { held: overtaken, now: bed.epoch }));
    let never = Epoch::new(bed.epoch.get() + 1000);
    let refused = bed.journal.claim(SliceRange::ALL, Some(never)).await;
    assert_eq!(refused, Err(ClaimError::Fenced { held: never, now: bed.epoch }));
    for slice in slices() {
        assert_eq!(bed.journal.epoch(slice).await, Ok(bed.epoch));
    }
    bed.record(bed.append(&stream("a"), 0, 1)).await;
}

pub(super) async fn a_claim_over_different_epochs_needs_each_of_them_held<M: MakeJournal>(
    make: &M,
) {
    let bed = Bed::new(make).await;
    let low = bed.journal.claim(LOW, Some(bed.epoch)).await.expect("it is held").epoch;
    for held in [low, bed.epoch] {
        let refused = bed.journal.claim(SliceRange::ALL, Some(held)).await;
        assert!(matches!(refused, Err(ClaimError::Fenced { .. })), "{held}: {refused:?}");
    }
    assert_eq!(bed.journal.epoch(stream_in(LOW).slice()).await, Ok(low));
    assert_eq!(bed.journal.epoch(stream_in(HIGH).slice()).await, Ok(bed.epoch));
    let high = bed.journal.claim(HIGH, Some(bed.epoch)).await.expect("it is held").epoch;
    assert!(high > bed.epoch);
}

pub(super) async fn an_owner_claims_over_its_own_epoch<M: MakeJournal>(make: &M) {
    let mut bed = Bed::new(make).await;
    let a = stream("a");
    for round in 0..5 {
        let before = bed.epoch;
        bed.record(bed.append(&a, round, 1)).await;
        bed.claim_again().await;
        assert!(bed.epoch > before, "every claim raises the epoch");
    }
    // What the chain was before the claim it is after it: the owner's residents need no reload.
    bed.record(bed.append(&a, 5, 1)).await;
}

/// Groups are on their way under the old epoch when the claim is called. What it leaves possible, it waits for.
pub(super) async fn after_a_claim_nothing_older_is_recorded<M: MakeJournal>(make: &M) {
    let mut bed = Bed::new(make).await;
    for round in 0..10 {
        let streams = (0..5).map(|number| stream(&format!("r{round}-{number}")));
        let streams = streams.collect::<Vec<_>>();
        let sent = streams.iter().map(|stream| bed.journal.append(vec![bed.append(stream, 0, 2)]));
        let sent = sent.collect::<Vec<_>>();
        bed.claim_again().await;
        let claimed = bed.all().await.len();
        let mut results = Vec::new();
        for (stream, group) in streams.iter().zip(sent) {
            results.push((stream, group.await.remove(0)));
        }
        assert_eq!(bed.all().await.len(), claimed, "an older append was recorded after the claim");
        for (stream, result) in results {
            let version = bed.version(stream).await.get();
            match result {
                Ok(committed) => assert_eq!(version, committed.version.get()),
                Err(AppendError::UnknownOutcome) => assert!(version == 0 || version == 2),
                Err(AppendError::Fenced { .. }) => assert_eq!(version, 0),
                Err(other) => panic!("an append overtaken by a claim is fenced, not {other:?}"),
            }
        }
    }
}

pub(super) async fn claims_take_no_position<M: MakeJournal>(make: &M) {
    let mut bed = Bed::new(make).await;
    let a = stream("a");
    for round in 0..3 {
        bed.record(bed.append(&a, round, 1)).await;
        bed.claim_again().await;
        bed.claim_again().await;
    }
    let positions = bed.all().await.iter().map(|event| event.position.get()).collect::<Vec<_>>();
    assert_eq!(positions, [1, 2, 3]);
}

pub(super) async fn epochs_outlast_a_reopening<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let low = bed.journal.claim(LOW, Some(bed.epoch)).await.expect("it is held").epoch;
    let Bed { place, journal, epoch: high, .. } = bed;
    make.close(journal).await;
    let journal = make.open(&place).await;
    assert_eq!(journal.epoch(stream_in(LOW).slice()).await, Ok(low), "an epoch is kept");
    assert_eq!(journal.epoch(stream_in(HIGH).slice()).await, Ok(high), "an epoch is kept");
    let claimed = journal.claim(LOW, Some(low)).await.expect("it is held").epoch;
    assert!(claimed > low, "an epoch is never used again");
}

/// Asked only of back ends whose leases end: with an exclusive lock the other process does not get this far.
pub(super) async fn a_live_lease_keeps_others_out<M: MakeJournal>(make: &M) {
    let mut bed = Bed::new(make).await;
    if !bed.journal.capabilities().leases {
        return;
    }
    let claimed = bed.journal.claim(SliceRange::ALL, Some(bed.epoch)).await.expect("it is held");
    assert!(matches!(claimed.lease, Lease::Until(_)), "a lease that ends has an end");
    bed.epoch = claimed.epoch;
    assert_eq!(bed.journal.claim(SliceRange::ALL, None).await, Err(ClaimError::Leased));
    assert_eq!(bed.journal.claim(LOW, None).await, Err(ClaimError::Leased));
    bed.record(bed.append(&stream("a"), 0, 1)).await;
    if bed.inject(Injection::LeasesOver) {
        let successor = bed.journal.claim(SliceRange::ALL, None).await;
        assert!(successor.is_ok(), "a lease that is over keeps nobody out: {successor:?}");
        let paused = bed.journal.claim(SliceRange::ALL, Some(bed.epoch)).await;
        assert!(matches!(paused, Err(ClaimError::Fenced { .. })), "{paused:?}");
    }
}
