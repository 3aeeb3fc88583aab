//! Order of calls: a group takes its place when `append` is called, and keeps it.

use super::{MakeJournal, bed::*};
use kronika_core::Journal;

pub(super) async fn a_group_takes_its_place_when_append_is_called<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let a = stream("a");
    let first = bed.journal.append(vec![bed.append(&a, 0, 1)]);
    let second = bed.journal.append(vec![bed.append(&a, 1, 1)]);
    let third = bed.journal.append(vec![bed.append(&a, 2, 1)]);
    for (version, group) in [(3, third), (1, first), (2, second)] {
        match &group.await[0] {
            Ok(committed) => assert_eq!(committed.version.get(), version),
            Err(error) => panic!("group {version} of three in flight was refused: {error}"),
        }
    }
}

pub(super) async fn dropping_the_future_withdraws_nothing<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let a = stream("a");
    let dropped = bed.append(&a, 0, 2);
    drop(bed.journal.append(vec![dropped.clone()]));
    let next = bed.append(&a, 2, 1);
    bed.record(next.clone()).await;
    assert_eq!(ids(&bed.read(&a).await), [dropped.id, next.id]);
}

pub(super) async fn groups_in_flight_keep_the_order_of_each_stream<M: MakeJournal>(make: &M) {
    const GROUPS: u64 = 60;
    let bed = Bed::new(make).await;
    let streams = streams(4);
    let groups = (0..GROUPS).map(|expected| {
        let appends = streams.iter().map(|stream| bed.append(stream, expected, 1));
        bed.journal.append(appends.collect())
    });
    let groups = groups.collect::<Vec<_>>();
    // Awaited from the last on, so that no order of polling helps.
    for group in groups.into_iter().rev() {
        let results = group.await;
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }
    for stream in &streams {
        let versions = bed.read(stream).await;
        assert!(versions.iter().map(|append| append.version().get()).eq(1..=GROUPS), "{stream}");
    }
}
