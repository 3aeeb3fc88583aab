//! Limits: what is at one is recorded, what is beyond one is refused and disturbs nobody.

use super::{MakeJournal, bed::*};
use bytes::Bytes;
use kronika_core::{
    APPEND_BYTES_MAX, Append, AppendError, EVENT_BODY_BYTES_MAX, EVENTS_PER_APPEND_MAX, Journal,
    Loading, NAME_BYTES_MAX, NewEvent, TAGS_MAX, check_limits,
};

fn large(bytes: usize) -> NewEvent {
    // Of different bytes, so that a page in the wrong place shows.
    let body = (0..bytes).map(|index| b'a' + (index / 512 % 26) as u8).collect::<Vec<_>>();
    NewEvent { body: Bytes::from(body), ..event(0) }
}

pub(super) async fn what_is_at_a_limit_is_recorded<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let (a, b, c) = (stream("a"), stream("b"), stream("c"));
    let longest = Append { events: vec![large(EVENT_BODY_BYTES_MAX)], ..bed.append(&a, 0, 0) };
    let most = bed.append(&b, 0, EVENTS_PER_APPEND_MAX);
    let each = APPEND_BYTES_MAX / 8 - 128;
    let largest = Append { events: (0..8).map(|_| large(each)).collect(), ..bed.append(&c, 0, 0) };
    for append in [longest, most, largest] {
        assert_eq!(check_limits(&append), Ok(()), "the suite stays within the limits");
        let committed = bed.record(append.clone()).await;
        assert_eq!(committed.version.get(), append.events.len() as u64);
        let read = bed.read(&append.stream).await;
        let bodies = read.iter().flat_map(|append| &append.events).map(|event| &event.body);
        assert!(bodies.eq(append.events.iter().map(|event| &event.body)), "{}", append.stream);
    }
    let all = bed.all().await.len();
    assert_eq!(bed.reopened().await.all().await.len(), all);
}

pub(super) async fn what_is_beyond_a_limit_is_refused_and_leaves_its_neighbours_alone<
    M: MakeJournal,
>(
    make: &M,
) {
    let bed = Bed::new(make).await;
    let (a, b) = (stream("a"), stream("b"));
    let name = "n".repeat(NAME_BYTES_MAX + 1);
    let with = |event: NewEvent| Append { events: vec![event], ..bed.append(&a, 0, 0) };
    let beyond = [
        with(large(EVENT_BODY_BYTES_MAX + 1)),
        with(NewEvent { name: name.clone().into(), ..event(0) }),
        with(NewEvent { name: "".into(), ..event(0) }),
        with(NewEvent { tags: vec![name.clone()], ..event(0) }),
        with(NewEvent { tags: vec!["tag".into(); TAGS_MAX + 1], ..event(0) }),
        bed.append(&a, 0, EVENTS_PER_APPEND_MAX + 1),
        Append { command: name.into(), ..bed.append(&a, 0, 1) },
        Append {
            events: (0..9).map(|_| large(EVENT_BODY_BYTES_MAX)).collect(),
            ..bed.append(&a, 0, 0)
        },
    ];
    let mut version = 0;
    for (number, beyond) in beyond.into_iter().enumerate() {
        let loading = Loading::new(number as u64 + 1);
        let beyond = Append { loading, ..beyond };
        let group = vec![bed.append(&b, version, 1), beyond, bed.append(&b, version + 1, 1)];
        let results = bed.journal.append(group).await;
        assert!(matches!(results[1], Err(AppendError::TooLarge(_))), "{number}: {results:?}");
        assert!(results[0].is_ok() && results[2].is_ok(), "{number}: {results:?}");
        version += 2;
    }
    assert_eq!(bed.read(&a).await, [], "what is too large records nothing");
    assert_eq!(bed.all().await.len() as u64, version);
    let append = bed.append(&a, 0, 1);
    bed.record(Append { loading: Loading::new(100), ..append }).await;
}

pub(super) async fn a_group_may_be_larger_than_any_append<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let (a, streams) = (stream("a"), streams(20));
    let of = |stream, expected| {
        let append = bed.append(stream, expected, 0);
        Append { events: vec![large(EVENT_BODY_BYTES_MAX)], ..append }
    };
    let mut group = streams.iter().map(|stream| of(stream, 0)).collect::<Vec<_>>();
    group.extend((0..4).map(|expected| of(&a, expected)));
    let results = bed.journal.append(group).await;
    assert_eq!(results.len(), 24);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(bed.version(&a).await.get(), 4);
    let many = streams.iter().map(|stream| bed.append(stream, 1, 500)).collect();
    let results = bed.journal.append(many).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(bed.all().await.len(), 24 + 20 * 500);
}
