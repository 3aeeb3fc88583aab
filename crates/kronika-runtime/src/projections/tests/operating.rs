//! What is wished for is done while it runs: pausing, a rate, workers; and how it stands is reported.

use super::{fakes::*, parking::id, *};
use kronika_core::{Act, ActError, By, Wanted};

async fn act(projections: &Projections, act: Act) {
    projections.act(act, By::new("ann", "to try it")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_paused_projection_handles_nothing_until_it_is_resumed() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    record(&journal, "a", 3);
    let projections = start(&journal, &store);
    caught_up(&journal, &projections).await;
    act(&projections, Act::Pause(id())).await;
    until(&projections, |status| status.state == ProjectionState::Paused).await;
    record(&journal, "a", 3);
    let token = head(&journal).await;
    let waited = projections.wait_for(&["tallies"], &token, Duration::from_secs(60)).await;
    assert_eq!((waited, store.tally("a")), (Waited::Late, Some(3)));
    projections.stop().await;
    let projections = start(&journal, &store);
    until(&projections, |status| status.state == ProjectionState::Paused).await;
    act(&projections, Act::Resume(id())).await;
    caught_up(&journal, &projections).await;
    assert_eq!(store.tally("a"), Some(6));
}

#[tokio::test(start_paused = true)]
async fn a_throttled_projection_keeps_its_rate() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    record(&journal, "a", 1);
    let projections = start(&journal, &store);
    caught_up(&journal, &projections).await;
    act(&projections, Act::Throttle(id(), Some(100))).await;
    // It is told before the next event comes.
    sleep(Duration::from_millis(10)).await;
    record(&journal, "a", 1000);
    let began = Instant::now();
    caught_up(&journal, &projections).await;
    let took = began.elapsed().as_secs_f64();
    assert!((9.5..11.0).contains(&took), "{took}");
    let status = until(&projections, |status| status.events == 1001).await;
    assert_eq!(status.time_left(), Some(Duration::ZERO));
}

/// Without loss, repeat or another order: with each row, the order of its events can be told.
#[tokio::test(start_paused = true)]
async fn the_number_of_workers_changes_while_it_runs() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    let projections = start(&journal, &store);
    for workers in [4, 1, 7, 2] {
        act(&projections, Act::Workers(id(), workers)).await;
        for number in 0..50 {
            record(&journal, &format!("k{number}"), 40);
        }
        caught_up(&journal, &projections).await;
    }
    assert!((0..50).all(|number| store.tally(&format!("k{number}")) == Some(160)));
}

#[tokio::test(start_paused = true)]
async fn how_it_stands_is_reported_where_it_has_changed() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    record(&journal, "a", 3);
    let projections = start(&journal, &store);
    caught_up(&journal, &projections).await;
    sleep(Duration::from_secs(2)).await;
    let first = store.reported().unwrap();
    assert_eq!((first.state.as_str(), first.lag_events, first.error), ("running", 0, None));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(store.reported().unwrap().at, first.at, "nothing new, nothing written");
    journal.crash();
    until(&projections, |status| status.state.is_over()).await;
    sleep(Duration::from_secs(2)).await;
    let last = store.reported().unwrap();
    assert!(last.state == "failed" && last.error.is_some(), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn acts_on_what_is_not_there_are_refused() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    let projections = start(&journal, &store);
    let name = kronika_core::ProjectionName::new("others").unwrap();
    let pause = Act::Pause(ReadModelId { name, ..id() });
    let refused = projections.act(pause, By::new("ann", "")).await;
    assert!(matches!(refused, Err(ActError::NotFound(_))), "{refused:?}");
    assert_eq!(Wanted::default().workers, 1);
}
