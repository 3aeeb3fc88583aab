//! The runner of projections on a journal and a store in memory, by a paused clock.

mod effects;
mod fakes;
mod operating;
mod parking;
mod replay;

use super::*;
use crate::environment::Environment;
use fakes::{FakeStore, Tallies, TwoPartitions, head, record, stream};
use kronika_core::{
    Checkpoint, Commit, CommitError, Mark, NewEvent, ReadError, StoreFault, StreamId, Token,
};
use kronika_testkit::{MemoryJournal, MemorySettings, Plan, PlantedFault};
use std::time::Duration;
use tokio::time::{Instant, advance, sleep};

const LONG: Duration = Duration::from_secs(3600);

fn start_with(
    journal: &MemoryJournal,
    store: &FakeStore,
    settings: ProjectionSettings,
) -> Projections {
    let registered = vec![RegisteredProjection::keyed(Tallies)];
    let (journal, store) = (Arc::new(journal.clone()), Arc::new(store.clone()));
    Projections::start(journal, Some(store), registered, settings, Environment::real()).unwrap()
}

fn start(journal: &MemoryJournal, store: &FakeStore) -> Projections {
    start_with(journal, store, ProjectionSettings::default())
}

async fn caught_up(journal: &MemoryJournal, projections: &Projections) {
    let waited = projections.wait_for(&["tallies"], &head(journal).await, LONG).await;
    assert_eq!(waited, Waited::There, "{projections:?}");
}

async fn until(
    projections: &Projections,
    condition: impl Fn(&ProjectionStatus) -> bool,
) -> ProjectionStatus {
    until_of(projections, "tallies", condition).await
}

async fn until_of(
    projections: &Projections,
    name: &str,
    condition: impl Fn(&ProjectionStatus) -> bool,
) -> ProjectionStatus {
    let mut watch = projections.watch(name).unwrap();
    let status = tokio::time::timeout(LONG, watch.wait_for(|status| condition(status))).await;
    status.unwrap_or_else(|_| panic!("{projections:?}")).unwrap().clone()
}

fn away() -> StoreFault {
    StoreFault::Unavailable("on holiday".into())
}

#[tokio::test(start_paused = true)]
async fn the_stores_own_errors_are_tried_again_with_growing_waits() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    record(&journal, "a", 5);
    store.fail_opens([away(), StoreFault::Full("to the brim".into())]);
    store.fail_loads([away()]);
    store.fail_commits((0..8).map(|_| away()));
    let began = Instant::now();
    let projections = start(&journal, &store);
    let status = until(&projections, |status| status.state == ProjectionState::Retrying).await;
    assert_eq!(
        status.error.unwrap().to_string(),
        "the read models cannot be reached now: on holiday"
    );
    caught_up(&journal, &projections).await;
    // Doubling from 20 ms, halved at most: twice at opening, nine times for the batch.
    let least =
        Duration::from_millis(10 + 20 + (10 + 20 + 40 + 80 + 160 + 320 + 640 + 1280 + 2500));
    assert!(began.elapsed() >= least && began.elapsed() <= least * 3, "{:?}", began.elapsed());
    assert_eq!(projections.status()[0].state, ProjectionState::Running);
    assert_eq!(store.tally("a"), Some(5));
}

/// The store committed and could not tell: sent again it is refused as stale, with its own checkpoint.
#[tokio::test(start_paused = true)]
async fn a_commit_that_took_place_in_silence_is_not_repeated() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    let projections = start(&journal, &store);
    for _ in 0..5 {
        store.commit_in_silence(1);
        record(&journal, "a", 3);
        caught_up(&journal, &projections).await;
    }
    assert_eq!(store.tally("a"), Some(15));
    assert_eq!(projections.status()[0].events, 15);
}

#[tokio::test(start_paused = true)]
async fn what_will_not_pass_stops_the_projection_at_once() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    let changed = StoreFault::Changed { table: "tallies".into(), what: "it is gone".into() };
    store.fail_commits([changed.clone()]);
    record(&journal, "a", 1);
    let projections = start(&journal, &store);
    let status = until(&projections, |status| status.state.is_over()).await;
    assert_eq!(status.error, Some(ProjectionError::Commit(CommitError::Store(changed))));
    assert_eq!(store.commits(), 0);
}

#[tokio::test(start_paused = true)]
async fn events_of_others_cost_a_transaction_a_second_at_most() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    let projections = start(&journal, &store);
    let other = StreamId::new("other", "a").unwrap();
    let event = || NewEvent { name: "happened".into(), ..NewEvent::default() };
    for _ in 0..300 {
        journal.write_as_stranger(&other, vec![event()]);
        sleep(Duration::from_millis(10)).await;
        caught_up(&journal, &projections).await;
    }
    assert!((1..=3).contains(&store.commits()), "{}", store.commits());
    // Then nothing happens any more, and nothing is written any more.
    sleep(Duration::from_secs(2)).await;
    let commits = store.commits();
    assert_eq!(store.position(), 300);
    sleep(Duration::from_secs(100)).await;
    assert_eq!(store.commits(), commits);
}

#[tokio::test(start_paused = true)]
async fn a_large_gap_is_stored_before_its_time() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    let other = StreamId::new("other", "a").unwrap();
    let events = (0..1000).map(|_| NewEvent { name: "happened".into(), ..NewEvent::default() });
    journal.write_as_stranger(&other, events.collect());
    let settings = ProjectionSettings {
        unsaved_events_max: 300,
        unsaved_time_max: LONG,
        ..ProjectionSettings::default()
    };
    let projections = start_with(&journal, &store, settings);
    caught_up(&journal, &projections).await;
    assert!((2..=3).contains(&store.commits()), "{}", store.commits());
    assert!(store.position() > 800 && store.position() < 1000);
    projections.stop().await;
    assert_eq!(store.position(), 1000, "at a stop the rest is stored");
}

#[tokio::test(start_paused = true)]
async fn batches_grow_under_load() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    store.take(Duration::from_secs(1));
    let settings = ProjectionSettings { unsaved_time_max: LONG, ..ProjectionSettings::default() };
    let projections = start_with(&journal, &store, settings);
    // Two hundred a second, while a commit takes a second: batches of some hundred.
    for _ in 0..1000 {
        record(&journal, "a", 1);
        sleep(Duration::from_millis(5)).await;
    }
    caught_up(&journal, &projections).await;
    assert_eq!(store.tally("a"), Some(1000));
    assert!(store.commits() <= 25, "{}", store.commits());
}

#[tokio::test(start_paused = true)]
async fn a_stop_finishes_the_batch_in_flight() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    store.take(Duration::from_secs(1));
    record(&journal, "a", 3);
    let projections = start(&journal, &store);
    until(&projections, |status| status.oldest_waiting.is_some()).await;
    projections.stop().await;
    assert_eq!(store.tally("a"), Some(3));
    let status = &projections.status()[0];
    assert_eq!((status.state, status.events), (ProjectionState::Stopped, 3));
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_store_that_is_away() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    store.fail_commits((0..1000).map(|_| away()));
    record(&journal, "a", 3);
    let projections = start(&journal, &store);
    until(&projections, |status| status.state == ProjectionState::Retrying).await;
    advance(Duration::from_secs(60)).await;
    let began = Instant::now();
    projections.stop().await;
    assert!(began.elapsed() < Duration::from_millis(1));
    assert_eq!(projections.status()[0].state, ProjectionState::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_fails_now_and_then_is_read_again() {
    for seed in 0..20 {
        let plan = Plan { read_unavailable: 0.3, ..Plan::calm() };
        let settings = MemorySettings { seed, plan, ..MemorySettings::default() };
        let (journal, store) = (MemoryJournal::open(settings), FakeStore::default());
        let settings = ProjectionSettings { batch_events_max: 3, ..ProjectionSettings::default() };
        let projections = start_with(&journal, &store, settings);
        for _ in 0..10 {
            record(&journal, "a", 2);
            record(&journal, "b", 1);
            sleep(Duration::from_millis(7)).await;
        }
        until(&projections, |status| status.events == 30).await;
        assert_eq!((store.tally("a"), store.tally("b")), (Some(20), Some(10)));
        journal.set_plan(Plan::default());
        until(&projections, |status| status.state == ProjectionState::Running).await;
        caught_up(&journal, &projections).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_is_closed_stops_the_projection() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    record(&journal, "a", 1);
    let projections = start(&journal, &store);
    caught_up(&journal, &projections).await;
    journal.crash();
    let error = until(&projections, |status| status.state.is_over()).await.error.unwrap();
    assert!(matches!(error, ProjectionError::Journal(ReadError::Closed(_))), "{error:?}");
}

/// Following such a page would handle its events twice.
#[tokio::test(start_paused = true)]
async fn a_page_that_contradicts_itself_is_refused() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    journal.plant(PlantedFault::ScannedStandsStill);
    record(&journal, "a", 1);
    let projections = start(&journal, &store);
    let error = until(&projections, |status| status.state.is_over()).await.error.unwrap();
    assert!(matches!(error, ProjectionError::Journal(ReadError::Corrupt(_))), "{error:?}");
    assert_eq!(store.commits(), 0);
}

#[tokio::test(start_paused = true)]
async fn each_partition_has_its_place_in_the_checkpoint() {
    let journals = [MemoryJournal::new(1), MemoryJournal::new(1)];
    let (journal, store) = (TwoPartitions(journals.clone()), FakeStore::default());
    let run = || {
        let registered = vec![RegisteredProjection::keyed(Tallies)];
        let settings = ProjectionSettings { batch_events_max: 2, ..ProjectionSettings::default() };
        let (journal, store) = (Arc::new(journal.clone()), Arc::new(store.clone()));
        Projections::start(journal, Some(store), registered, settings, Environment::real()).unwrap()
    };
    for round in 1..4_i64 {
        let projections = run();
        record(&journals[0], "a", 5);
        record(&journals[1], "b", 7);
        let mut token = head(&journals[0]).await;
        token.see(journal.second(head(&journals[1]).await.mark(Default::default())));
        assert_eq!(projections.wait_for(&[], &token, LONG).await, Waited::There);
        assert_eq!((store.tally("a"), store.tally("b")), (Some(5 * round), Some(7 * round)));
        assert_eq!(projections.status()[0].lag_events, 0);
        projections.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_late_at_its_time() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    record(&journal, "a", 1);
    let projections = start(&journal, &store);
    let token = head(&journal).await;
    let mark = token.mark(Default::default());
    let ahead = Mark { position: mark.position.plus(1), ..mark };
    let ahead = Token::of(token.incarnation(), ahead);
    let began = Instant::now();
    let within = Duration::from_secs(5);
    assert_eq!(projections.wait_for(&["tallies"], &ahead, within).await, Waited::Late);
    assert_eq!(began.elapsed().as_secs(), 5);
}

/// What has failed still falls behind, and the lag in time is that of the event that it stands before.
#[tokio::test(start_paused = true)]
async fn lag_is_told_of_a_projection_that_stands_still() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    record(&journal, "a", 2);
    let poison = NewEvent { name: "unheard-of".into(), ..NewEvent::default() };
    journal.write_as_stranger(&stream("a"), vec![poison]);
    let recorded = journal.everything()[1].header.time;
    let now = recorded.plus(Duration::from_secs(90));
    let (registered, settings) =
        (vec![RegisteredProjection::keyed(Tallies)], ProjectionSettings::default());
    let environment = Environment::seeded(1, move || now);
    let (shared, store) = (Arc::new(journal.clone()), Arc::new(store.clone()));
    let projections =
        Projections::start(shared, Some(store), registered, settings, environment).unwrap();
    until(&projections, |status| status.state == ProjectionState::Failed).await;
    record(&journal, "b", 10);
    sleep(Duration::from_secs(1)).await;
    let status = &projections.status()[0];
    assert_eq!((status.lag_events, status.lag.as_secs(), status.events), (11, 90, 2));
}

#[tokio::test]
async fn what_cannot_be_registered_is_refused_by_kind() {
    let start = |registered, store| {
        let journal = Arc::new(MemoryJournal::new(1));
        let settings = ProjectionSettings::default();
        Projections::start(journal, store, registered, settings, Environment::real())
            .map(drop)
            .unwrap_err()
    };
    let tallies = || RegisteredProjection::keyed(Tallies);
    let store: SharedReadModelStore = Arc::new(FakeStore::default());
    let twice = start(vec![tallies(), tallies()], Some(store));
    assert_eq!(
        twice.to_string(),
        "two projections are named tallies and have one generation: raise GENERATION of the newer one"
    );
    let nowhere = start(vec![tallies()], None);
    assert_eq!(nowhere.to_string(), "projection tallies has no store for its read model");
}

/// A checkpoint that stands elsewhere without a failure before is somebody else's.
#[tokio::test(start_paused = true)]
async fn a_strangers_commit_stops_the_projection() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    record(&journal, "a", 1);
    let projections = start(&journal, &store);
    caught_up(&journal, &projections).await;
    store.raise_epoch();
    record(&journal, "a", 1);
    let error = until(&projections, |status| status.state.is_over()).await.error.unwrap();
    let stale = matches!(&error, ProjectionError::Commit(CommitError::Stale { .. }));
    assert!(stale, "{error:?}");
    assert_eq!(store.tally("a"), Some(1));
}
