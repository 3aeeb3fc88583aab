//! Exactly once in the read model: whatever ends between batches, rows are the fold over the journal.

use crate::common::*;
use kronika_core::{NewEvent, StreamId};
use kronika_runtime::{ProjectionState, RegisteredProjection};
use kronika_testkit::MemoryJournal;
use std::time::{Duration, Instant};

#[tokio::test]
async fn rows_are_the_fold_over_the_journal_and_go_on_with_it() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let read_models = open(&directory.path().join("rm"));
    record_by_chance(&journal, 1, 300);
    let projections = start(&journal, &read_models, purses());
    caught_up(&journal, &projections).await;
    assert_eq!(found(&read_models).await, expected(&journal));
    for seed in 2..6 {
        record_by_chance(&journal, seed, 50);
        caught_up(&journal, &projections).await;
        assert_eq!(found(&read_models).await, expected(&journal));
    }
    let status = &projections.status()[0];
    assert_eq!((status.state, status.lag_events, status.lag), idle());
    assert_eq!(status.events, 500);
}

fn idle() -> (ProjectionState, u64, Duration) {
    (ProjectionState::Running, 0, Duration::ZERO)
}

#[tokio::test]
async fn a_row_left_as_none_is_deleted_and_may_come_again() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let read_models = open(&directory.path().join("rm"));
    let projections = start(&journal, &read_models, purses());
    record(&journal, "a", &[added(5), added(6)]);
    caught_up(&journal, &projections).await;
    let row = read_models.row::<Purses>(&"a".to_owned()).await.unwrap().unwrap();
    assert_eq!((row.cents, row.events), (11, 2));
    record(&journal, "a", &[PurseEvent::Closed {}]);
    caught_up(&journal, &projections).await;
    assert_eq!(read_models.row::<Purses>(&"a".to_owned()).await.unwrap(), None);
    record(&journal, "a", &[added(7), PurseEvent::Closed {}, added(8)]);
    caught_up(&journal, &projections).await;
    assert_eq!(found(&read_models).await, expected(&journal));
    assert_eq!(read_models.row::<Purses>(&"a".to_owned()).await.unwrap().unwrap().cents, 8);
}

#[tokio::test]
async fn after_a_stop_it_goes_on_where_it_was() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let path = directory.path().join("rm");
    for seed in 0..4 {
        record_by_chance(&journal, seed, 40);
        let read_models = open(&path);
        let projections = start(&journal, &read_models, purses());
        caught_up(&journal, &projections).await;
        projections.stop().await;
        let status = &projections.status()[0];
        assert_eq!(status.state, ProjectionState::Stopped);
        assert_eq!(status.events, 40 * (seed + 1), "none again, none left out");
        drop(projections);
        assert_eq!(found(&read_models).await, expected(&journal));
    }
}

/// The runtime is dropped with all its tasks while batches are on their way, and the file is opened again.
#[test]
fn after_a_crash_anywhere_it_goes_on_where_it_was() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let path = directory.path().join("rm");
    record_by_chance(&journal, 9, 600);
    for events in [0, 1, 50, 51, 200, 380, 381] {
        let runtime = runtime();
        runtime.block_on(async {
            let read_models = open(&path);
            let projections = start(&journal, &read_models, purses());
            until(&projections, "purses", |status| status.events >= events).await;
            drop(projections);
        });
        drop(runtime);
    }
    runtime().block_on(async {
        let read_models = open(&path);
        let projections = start(&journal, &read_models, purses());
        caught_up(&journal, &projections).await;
        assert_eq!(projections.status()[0].events, 600);
        assert_eq!(found(&read_models).await, expected(&journal));
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A second runner takes the checkpoint over; the first learns of it and writes nothing more.
#[tokio::test]
async fn of_two_runners_only_the_newer_one_writes() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let read_models = open(&directory.path().join("rm"));
    record_by_chance(&journal, 1, 30);
    let older = start(&journal, &read_models, purses());
    caught_up(&journal, &older).await;
    let newer = start(&journal, &read_models, purses());
    until(&newer, "purses", |status| status.state == ProjectionState::Running).await;
    record_by_chance(&journal, 2, 30);
    caught_up(&journal, &newer).await;
    let error = until_failed(&older, "purses").await.error.unwrap().to_string();
    assert!(error.contains("is not where it was expected"), "{error}");
    assert_eq!(found(&read_models).await, expected(&journal));
}

#[tokio::test]
async fn events_of_other_types_advance_the_checkpoint() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let path = directory.path().join("rm");
    let other = StreamId::new("other", "a").unwrap();
    let event = || NewEvent { name: "happened".into(), ..NewEvent::default() };
    record(&journal, "a", &[added(5)]);
    journal.write_as_stranger(&other, (0..30).map(|_| event()).collect());
    let read_models = open(&path);
    let projections = start(&journal, &read_models, purses());
    caught_up(&journal, &projections).await;
    projections.stop().await;
    drop(projections);
    let stored = read_models.query(|connection| {
        connection.query_row("SELECT position, events FROM kronika_checkpoints", [], |row| {
            Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?))
        })
    });
    assert_eq!(stored.await.unwrap(), (31, 1));
    let projections = start(&journal, &read_models, purses());
    record(&journal, "a", &[added(6)]);
    caught_up(&journal, &projections).await;
    assert_eq!(read_models.row::<Purses>(&"a".to_owned()).await.unwrap().unwrap().cents, 11);
}

#[tokio::test]
async fn ten_thousand_events_are_followed_quickly_by_several_projections() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let read_models = open(&directory.path().join("rm"));
    record_by_chance(&journal, 1, 10_000);
    let handler = read_models.handler(crate::handlers::Lines::default()).unwrap();
    let registered =
        vec![RegisteredProjection::keyed(Purses), RegisteredProjection::batches(handler)];
    let began = Instant::now();
    let projections = start_with(&journal, &read_models, registered, Default::default());
    caught_up(&journal, &projections).await;
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(found(&read_models).await, expected(&journal));
}
