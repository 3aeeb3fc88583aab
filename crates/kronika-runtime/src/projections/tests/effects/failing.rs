//! Effects that fail: tried again with growing waits, then given up, with the stream parked or all stopped.

use super::*;
use kronika_core::{Act, By, KeyText, NewEvent, ParkedRequest};

async fn ask(projections: &Projections, stream: &str, request: ParkedRequest) {
    let act = Act::Parked(id(), KeyText::new(stream).unwrap(), request);
    projections.act(act, By::new("ann", "it was mended")).await.unwrap();
}

async fn until_parked(projections: &Projections, streams: usize) {
    until_of(projections, "mails", |status| status.parked.len() == streams).await;
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_a_while_is_tried_again_with_growing_waits() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    let mails = Mails::<false>::answering(|call| match call.time {
        ..5 => Answer::Busy,
        _ => Answer::Taken,
    });
    record(&journal, "a", 1);
    let projections = start(&journal, &store, &mails);
    caught_up(&journal, &projections).await;
    let calls = mails.calls();
    assert_eq!(calls.iter().map(|call| &call.key).collect::<Vec<_>>(), [&keys(&journal)[0]; 5]);
    for (pair, whole) in calls.windows(2).zip([200, 400, 800, 1600]) {
        let (wait, whole) = (pair[1].at - pair[0].at, Duration::from_millis(whole));
        assert!(
            whole / 2 <= wait && wait <= whole + Duration::from_millis(1),
            "{wait:?} of {whole:?}"
        );
    }
    assert_eq!(store.parked_keys().len(), 0);
}

async fn check_parking(answer: Answer, tries: usize, cause: &str) {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    let poor = move |call: &Call| match (call.id.as_str(), call.version) {
        ("b", 3..) => answer,
        _ => Answer::Taken,
    };
    let mails = Mails::<false>::answering(poor);
    for _ in 0..4 {
        ["a", "b", "c"].iter().for_each(|id| record(&journal, id, 2));
    }
    let projections = start(&journal, &store, &mails);
    caught_up(&journal, &projections).await;
    let parked = &store.parked_keys()[0];
    assert_eq!((parked.key.as_str(), parked.letters), ("counter/b", 6));
    assert_eq!((parked.first.version.get(), parked.attempts), (3, 1));
    assert_eq!(parked.cause, cause);
    // The others went on, and the batch in parts repeated nothing.
    assert_eq!(mails.versions("a"), (1..=8).collect::<Vec<_>>());
    assert_eq!(mails.versions("c"), (1..=8).collect::<Vec<_>>());
    let of_b: Vec<_> = [1, 2].into_iter().chain(vec![3; tries]).collect();
    assert_eq!(mails.versions("b"), of_b);
    // Later events wait behind it, also over a restart.
    record(&journal, "b", 1);
    record(&journal, "a", 1);
    caught_up(&journal, &projections).await;
    assert_eq!((mails.versions("b"), mails.versions("a").len()), (of_b, 9));
    projections.stop().await;
    let projections = start(&journal, &store, &mails);
    record(&journal, "b", 1);
    caught_up(&journal, &projections).await;
    assert_eq!(store.parked_keys()[0].letters, 8);
    // Once mended, it is handled in order, with the keys of before.
    mails.answer(|_| Answer::Taken);
    let before = mails.calls().len();
    ask(&projections, "counter/b", ParkedRequest::Retry).await;
    until_parked(&projections, 0).await;
    let after = mails.calls().split_off(before);
    assert_eq!(
        after.iter().map(|call| call.version).collect::<Vec<_>>(),
        (3..=10).collect::<Vec<_>>()
    );
    assert!(after[0].time > tries, "the key of before: {:?}", after[0]);
    record(&journal, "b", 1);
    caught_up(&journal, &projections).await;
    assert_eq!(mails.versions("b").last(), Some(&11));
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_effect_is_refused_waits_at_once_and_the_others_go_on() {
    check_parking(Answer::Refused, 1, "nobody lives there").await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_effect_fails_too_often_waits_and_the_others_go_on() {
    check_parking(Answer::Busy, 5, "the post is busy (after 5 attempts)").await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_caught_and_tried_again_like_an_error() {
    check_parking(Answer::Panic, 5, "it panicked: the letter burns (after 5 attempts)").await;
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_is_dropped_and_tried_again() {
    check_parking(Answer::Never, 5, "it took longer than 10s (after 5 attempts)").await;
}

/// In one batch, each is told after what comes before it was written.
#[tokio::test(start_paused = true)]
async fn many_failing_streams_are_parked_without_a_further_try() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    let refuse = |call: &Call| match call.id.as_str() {
        "b" | "d" | "e" if call.version == 2 => Answer::Refused,
        _ => Answer::Taken,
    };
    let mails = Mails::<false>::answering(refuse);
    for _ in 0..3 {
        ["a", "b", "c", "d", "e"].iter().for_each(|id| record(&journal, id, 1));
    }
    let projections = start(&journal, &store, &mails);
    caught_up(&journal, &projections).await;
    assert_eq!(store.parked_keys().len(), 3);
    assert_eq!((mails.versions("a"), mails.versions("c")), (vec![1, 2, 3], vec![1, 2, 3]));
    for id in ["b", "d", "e"] {
        assert_eq!(mails.versions(id), [1, 2], "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_fails_again_is_tried_at_each_drain() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    let mails = Mails::<false>::answering(|_| Answer::Refused);
    record(&journal, "a", 5);
    let projections = start(&journal, &store, &mails);
    caught_up(&journal, &projections).await;
    // The first two can be sent now, the third not yet.
    let third = |call: &Call| if call.version == 3 { Answer::Refused } else { Answer::Taken };
    mails.answer(third);
    let attempts = |of: u32| {
        let store = store.clone();
        async move {
            while store.parked_keys().first().map(|it| it.attempts) < Some(of) {
                sleep(Duration::from_millis(1)).await;
            }
        }
    };
    ask(&projections, "counter/a", ParkedRequest::Retry).await;
    attempts(2).await;
    assert_eq!(mails.versions("a"), [1, 1, 2, 3]);
    ask(&projections, "counter/a", ParkedRequest::Retry).await;
    attempts(3).await;
    assert_eq!(mails.versions("a"), [1, 1, 2, 3, 3]);
    ask(&projections, "counter/a", ParkedRequest::Skip).await;
    until_parked(&projections, 0).await;
    assert_eq!(mails.versions("a"), [1, 1, 2, 3, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn in_total_order_an_effect_that_fails_stops_all_before_it() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    let fails = |call: &Call| if call.id == "b" { Answer::Busy } else { Answer::Taken };
    let mails = Mails::<false, true>::answering(fails);
    for id in ["a", "a", "b", "a"] {
        record(&journal, id, 1);
    }
    let projections = start(&journal, &store, &mails);
    let over = |status: &ProjectionStatus| status.state.is_over();
    let status = until_of(&projections, "mails", over).await;
    let Some(ProjectionError::Event(failure)) = status.error else { panic!("{status:?}") };
    assert_eq!((failure.position.get(), failure.stream.id()), (3, "b"));
    assert!(failure.cause.contains("the post is busy"), "{failure}");
    assert_eq!((store.position(), store.parked_keys().len()), (2, 0));
    assert_eq!(mails.versions("a"), [1, 2]);
    // Any act lets it try again; what took place is not repeated.
    mails.answer(|_| Answer::Taken);
    projections.act(Act::Resume(id()), By::new("ann", "the post is back")).await.unwrap();
    caught_up(&journal, &projections).await;
    assert_eq!((mails.versions("a"), mails.versions("b").len()), (vec![1, 2, 3], 6));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_decoded_parks_its_stream_at_once() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    let mails = Mails::<false>::answering(|_| Answer::Taken);
    record(&journal, "a", 1);
    let unknown = NewEvent { name: "unheard-of".into(), ..NewEvent::default() };
    journal.write_as_stranger(&stream("a"), vec![unknown]);
    record(&journal, "b", 1);
    let began = Instant::now();
    let projections = start(&journal, &store, &mails);
    caught_up(&journal, &projections).await;
    assert!(began.elapsed() < Duration::from_millis(100), "without a wait");
    assert_eq!((mails.versions("a"), mails.versions("b")), (vec![1], vec![1]));
    let parked = &store.parked_keys()[0];
    assert!(
        parked.key.as_str() == "counter/a" && parked.cause.contains("unheard-of"),
        "{parked:?}"
    );
}
