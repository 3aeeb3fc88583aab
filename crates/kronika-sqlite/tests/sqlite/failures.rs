//! What cannot be handled is named, and nothing else suffers from it.

use crate::common::*;
use kronika_core::{NewEvent, Position, Projection, Token};
use kronika_macros::Row;
use kronika_runtime::{ProjectionError, ProjectionState, RegisteredProjection, Waited};
use kronika_testkit::MemoryJournal;
use std::time::Duration;

/// The key waits from the event on, the others go on, and a restart changes nothing of it.
async fn check_parked(event: PurseEvent, cause: &str) {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let read_models = open(&directory.path().join("rm"));
    record_by_chance(&journal, 1, 24);
    let mut before = expected(&journal);
    // In one batch with events before and behind it, and of two keys in the order of which it is not first.
    record(&journal, "z", &[added(1)]);
    record(&journal, "p9", &[event]);
    record(&journal, "a", &[added(1)]);
    record(&journal, "p9", &[added(7)]);
    let projections = start(&journal, &read_models, purses());
    caught_up(&journal, &projections).await;
    let status = until(&projections, "purses", |status| !status.parked.is_empty()).await;
    let Some(ProjectionError::Event(failure)) = &status.error else { panic!("{status:?}") };
    assert_eq!((failure.position, failure.key.as_deref()), (Position::new(26), Some("p9")));
    assert_eq!(failure.stream, stream("p9"));
    let line = status.error.unwrap().to_string();
    assert!(line.contains("at position 26 (version ") && line.contains(cause), "{line}");
    assert_eq!(status.events, 28);
    before.insert("z".to_owned(), found(&read_models).await.remove("z").unwrap());
    before.insert("a".to_owned(), found(&read_models).await.remove("a").unwrap());
    assert_eq!((before["z"].cents, before["a"].cents), (1, 1));
    assert_eq!(found(&read_models).await, before, "of the key what came before stays");
    let waited = projections.wait_for(&["purses"], &head(&journal).await, SOON).await;
    assert_eq!(waited, Waited::There);
    projections.stop().await;
    let again = start(&journal, &read_models, purses());
    record(&journal, "p9", &[added(1)]);
    caught_up(&journal, &again).await;
    assert_eq!(found(&read_models).await, before);
    let id = again.status()[0].id();
    let parked = again.parked(&id, None, 10).await.unwrap();
    assert_eq!((parked.len(), parked[0].key.as_str(), parked[0].letters), (1, "p9", 3));
    let letters = again.letters(&id, parked[0].key.clone(), 0, 10).await.unwrap();
    let positions: Vec<_> = letters.iter().map(|letter| letter.position.get()).collect();
    assert_eq!(positions, [26, 28, 29]);
}

#[tokio::test]
async fn an_error_of_a_fold_parks_its_key_and_names_the_event() {
    check_parked(PurseEvent::Refused {}, "for key p9 cannot be handled: it cannot be").await;
}

#[tokio::test]
async fn a_panic_of_a_fold_parks_its_key_and_names_the_event() {
    check_parked(PurseEvent::Panicked {}, "it panicked: it must not be").await;
}

#[tokio::test]
async fn an_event_that_this_build_does_not_know_stops_before_it() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let read_models = open(&directory.path().join("rm"));
    record(&journal, "a", &[added(5)]);
    let new = NewEvent { name: "bought".into(), schema: 3, ..NewEvent::default() };
    journal.write_as_stranger(&stream("a"), vec![new]);
    let projections = start(&journal, &read_models, purses());
    let error = until_failed(&projections, "purses").await.error.unwrap().to_string();
    assert_eq!(
        error,
        "event bought at position 2 (version 2 of purse/a) cannot be handled: \
         event bought of schema 3 is not known to this build: run the build that recorded it, or a newer one"
    );
    assert_eq!(found(&read_models).await["a"].cents, 5);
}

/// What is recorded stays as it is, and a projection sees it as it is now; one that cannot be lifted is named.
#[tokio::test]
async fn older_events_are_lifted_for_projections_too() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let read_models = open(&directory.path().join("rm"));
    let filled = |body: &'static str| NewEvent {
        name: "filled".into(),
        schema: 1,
        body: body.into(),
        ..NewEvent::default()
    };
    record(&journal, "a", &[added(5)]);
    let old = vec![filled(r#"{"dollars":3}"#), filled(r#"{"dollars":"many"}"#)];
    journal.write_as_stranger(&stream("a"), old);
    let projections = start(&journal, &read_models, purses());
    let error = until_failed(&projections, "purses").await.error.unwrap().to_string();
    for part in ["event filled at position 3", "filled of schema 1 to added", "dollars is not"] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(found(&read_models).await["a"].cents, 305);
}

#[tokio::test]
async fn the_other_projections_go_on() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let read_models = open(&directory.path().join("rm"));
    record(&journal, "a", &[added(5), PurseEvent::Closed {}]);
    let handler = crate::handlers::Lines { fails_on: Some("closed") };
    let handler = read_models.handler(handler).unwrap();
    let registered =
        vec![RegisteredProjection::keyed(Purses), RegisteredProjection::batches(handler)];
    let projections = start(&journal, &read_models, registered);
    until_failed(&projections, "lines").await;
    record(&journal, "b", &[added(6)]);
    let token = head(&journal).await;
    assert_eq!(projections.wait_for(&["purses"], &token, SOON).await, Waited::There);
    let waited = projections.wait_for(&["lines"], &token, SOON).await;
    assert!(matches!(waited, Waited::Failed { projection, .. } if projection == "lines"));
    let statuses = projections.status();
    let states: Vec<_> = statuses.iter().map(|status| status.state).collect();
    assert_eq!(states, [ProjectionState::Failed, ProjectionState::Running]);
    assert!(statuses[0].lag > Duration::ZERO, "the failing event waits");
}

struct Ratios;

#[derive(Row)]
struct Ratio {
    ratio: f64,
}

impl Projection for Ratios {
    const NAME: &'static str = "ratios";
    type Key = String;
    type Row = Ratio;
    type Follows = (Purse,);
}

impl kronika_core::On<Purse> for Ratios {
    fn keys(
        &self,
        _: &PurseEvent,
        about: &kronika_core::About<'_>,
    ) -> impl IntoIterator<Item = String> {
        [about.id().to_owned()]
    }
    fn on(
        &self,
        row: &mut Option<Ratio>,
        _: &String,
        event: &PurseEvent,
        _: &kronika_core::About<'_>,
    ) -> kronika_core::Folded {
        let PurseEvent::Added { cents } = event else { return Ok(()) };
        *row = Some(Ratio { ratio: *cents as f64 / 0.0 * if *cents == 0 { 0.0 } else { 1.0 } });
        Ok(())
    }
}

#[tokio::test]
async fn what_is_not_a_number_is_told_as_the_events_fault() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let read_models = open(&directory.path().join("rm"));
    record(&journal, "a", &[added(1), added(0), added(0), added(1)]);
    let registered = vec![RegisteredProjection::keyed(Ratios)];
    let projections = start(&journal, &read_models, registered);
    let parked = until(&projections, "ratios", |status| !status.parked.is_empty()).await;
    let error = parked.error.unwrap().to_string();
    assert!(error.starts_with("event added at position 2 "), "{error}");
    assert!(error.ends_with("for key a cannot be handled: column ratio cannot hold Real(NaN)"));
    let ratio = read_models.row::<Ratios>(&"a".to_owned()).await.unwrap().unwrap().ratio;
    assert_eq!(ratio, f64::INFINITY);
}

#[tokio::test]
async fn a_restored_backup_is_another_history() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let path = directory.path().join("rm");
    record_by_chance(&journal, 1, 20);
    let read_models = open(&path);
    let projections = start(&journal, &read_models, purses());
    caught_up(&journal, &projections).await;
    projections.stop().await;
    let (old, rows) = (head(&journal).await, found(&read_models).await);
    let journal = journal.restore_to(Position::new(10));
    record_by_chance(&journal, 2, 20);
    let projections = start(&journal, &read_models, purses());
    let error = until_failed(&projections, "purses").await.error.unwrap();
    assert!(error.is_diverged() && error.to_string().starts_with("history diverged"), "{error}");
    assert_eq!(found(&read_models).await, rows, "nothing is changed");
    assert_eq!(projections.wait_for(&[], &old, SOON).await, Waited::Diverged);
    let present = head(&journal).await;
    assert_eq!(projections.wait_for(&[], &present, SOON).await, Waited::Diverged);
}

#[tokio::test]
async fn a_journal_that_lost_events_is_another_history() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let read_models = open(&directory.path().join("rm"));
    record_by_chance(&journal, 1, 20);
    let projections = start(&journal, &read_models, purses());
    caught_up(&journal, &projections).await;
    projections.stop().await;
    let seen = head(&journal).await;
    // The same incarnation, and others at the same positions: the position alone would pass.
    let journal = MemoryJournal::new(1);
    record(&journal, "x", &[added(1), added(2), added(3)]);
    record_by_chance(&journal, 2, 30);
    let projections = start(&journal, &read_models, purses());
    let error = until_failed(&projections, "purses").await.error.unwrap();
    assert!(matches!(error, ProjectionError::Diverged(_)), "{error:?}");
    assert_eq!(projections.wait_for(&[], &seen, SOON).await, Waited::Diverged);
}

#[tokio::test]
async fn waiting_ends_there_late_or_diverged() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let read_models = open(&directory.path().join("rm"));
    record_by_chance(&journal, 1, 20);
    let projections = start(&journal, &read_models, purses());
    let early = head(&journal).await;
    assert_eq!(projections.wait_for(&["purses"], &early, SOON).await, Waited::There);
    record_by_chance(&journal, 2, 20);
    caught_up(&journal, &projections).await;
    assert_eq!(projections.wait_for(&["purses"], &early, SOON).await, Waited::There);
    let nothing = Token::new(early.incarnation());
    assert_eq!(projections.wait_for(&[], &nothing, Duration::ZERO).await, Waited::There);
    let none = projections.wait_for(&["auctions"], &early, SOON).await;
    assert_eq!(none, Waited::NotFound { projection: "auctions".into() });
    let mark = early.mark(Default::default());
    let ahead = kronika_core::Mark { position: mark.position.plus(1000), ..mark };
    let ahead = Token::of(early.incarnation(), ahead);
    let waited = projections.wait_for(&[], &ahead, Duration::from_millis(10)).await;
    assert_eq!(waited, Waited::Late);
    let strange = kronika_core::Mark { check: mark.check ^ 1, ..mark };
    let strange = Token::of(early.incarnation(), strange);
    assert_eq!(projections.wait_for(&[], &strange, SOON).await, Waited::Diverged);
    projections.stop().await;
    let stopped = projections.wait_for(&[], &ahead, SOON).await;
    assert!(matches!(stopped, Waited::Failed { .. }));
}

/// The token comes before the event is handled: the wait ends when it is.
#[tokio::test]
async fn waiting_begins_before_the_event_is_there() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let read_models = open(&directory.path().join("rm"));
    let projections = start(&journal, &read_models, purses());
    for cents in 0..50 {
        record(&journal, "a", &[added(cents)]);
        caught_up(&journal, &projections).await;
        let row = read_models.row::<Purses>(&"a".to_owned()).await.unwrap().unwrap();
        assert_eq!(row.cents, (0..=cents).sum::<i64>());
    }
}

/// A fold that waits for ever at a closed purse, until it is let go.
struct Endless(std::sync::Mutex<std::sync::mpsc::Receiver<()>>);

impl Projection for Endless {
    const NAME: &'static str = "endless";
    type Key = String;
    type Row = Ratio;
    type Follows = (Purse,);
}

impl kronika_core::On<Purse> for Endless {
    fn keys(
        &self,
        _: &PurseEvent,
        about: &kronika_core::About<'_>,
    ) -> impl IntoIterator<Item = String> {
        [about.id().to_owned()]
    }
    fn on(
        &self,
        row: &mut Option<Ratio>,
        _: &String,
        event: &PurseEvent,
        _: &kronika_core::About<'_>,
    ) -> kronika_core::Folded {
        if matches!(event, PurseEvent::Closed {}) {
            let _ = self.0.lock().unwrap().recv();
        }
        *row = Some(Ratio { ratio: 1.0 });
        Ok(())
    }
}

#[tokio::test]
async fn a_fold_that_never_ends_stops_its_projection_named_and_the_others_go_on() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let read_models = open(&directory.path().join("rm"));
    record(&journal, "a", &[added(5), PurseEvent::Closed {}, added(7)]);
    let (release, waits) = std::sync::mpsc::channel();
    let registered = vec![
        RegisteredProjection::keyed(Endless(std::sync::Mutex::new(waits))),
        RegisteredProjection::keyed(Purses),
    ];
    let settings = kronika_runtime::ProjectionSettings {
        event_time_max: Duration::from_millis(50),
        ..small()
    };
    let projections = start_with(&journal, &read_models, registered, settings);
    let error = until_failed(&projections, "endless").await.error.unwrap().to_string();
    assert!(error.starts_with("event closed at position 2 "), "{error}");
    assert!(error.contains("its handler does not end within 50ms"), "{error}");
    record(&journal, "b", &[added(6)]);
    let token = head(&journal).await;
    assert_eq!(projections.wait_for(&["purses"], &token, SOON).await, Waited::There);
    assert_eq!(found(&read_models).await["b"].cents, 6);
    drop(release);
}
