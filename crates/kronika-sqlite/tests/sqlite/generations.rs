//! Read models built beside the live one, switched to, switched back, and dropped.

use crate::common::*;
use kronika_core::{
    About, Act, ActError, By, Folded, Generation, On, Position, Projection, ProjectionName,
    ReadModelId, Stage,
};
use kronika_macros::Row;
use kronika_runtime::{
    ProjectionSettings, ProjectionState, ProjectionStatus, Projections, RegisteredProjection,
    Waited,
};
use kronika_sqlite::SqliteReadModels;
use kronika_testkit::MemoryJournal;
use std::time::Duration;

fn id(generation: u32, run: u32) -> ReadModelId {
    let name = ProjectionName::new("purses").unwrap();
    ReadModelId { name, generation: Generation::new(generation), run }
}

async fn act(projections: &Projections, act: Act) -> Result<(), ActError> {
    projections.act(act, By::new("ann", "to see it")).await
}

fn rebuild(hold: bool) -> Act {
    let name = id(1, 1).name;
    Act::Rebuild { name, generation: None, hold, events_per_second: None }
}

/// Until one read model's status is as it should be.
async fn until_one(
    projections: &Projections,
    id: &ReadModelId,
    condition: impl Fn(&ProjectionStatus) -> bool,
) -> ProjectionStatus {
    let seen = async {
        loop {
            // It is there once the manager has seen it, and another one after each start.
            let Some(mut watch) = projections.watch_read_model(id) else {
                tokio::task::yield_now().await;
                continue;
            };
            if let Ok(status) = watch.wait_for(|status| condition(status)).await {
                return status.clone();
            }
        }
    };
    let seen = tokio::time::timeout(SOON, seen).await;
    seen.unwrap_or_else(|_| panic!("{id}: {:?}", projections.status_of_all()))
}

async fn until_live(projections: &Projections, id: &ReadModelId) {
    let live = |status: &ProjectionStatus| {
        let begun = status.state != ProjectionState::Starting;
        begun && status.id() == *id && status.stage == Stage::Live
    };
    until(projections, "purses", live).await;
}

async fn rows_of(read_models: &SqliteReadModels, table: &'static str) -> u64 {
    let sql = format!("SELECT count(*) FROM {table}");
    read_models.query(move |it| it.query_row(&sql, [], |row| row.get(0))).await.unwrap()
}

#[tokio::test]
async fn a_rebuild_is_made_beside_the_live_one_and_switched_to_and_back() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let read_models = open(&directory.path().join("rm"));
    record_by_chance(&journal, 1, 500);
    let projections = start(&journal, &read_models, purses());
    caught_up(&journal, &projections).await;
    act(&projections, rebuild(false)).await.unwrap();
    until_live(&projections, &id(1, 2)).await;
    assert_eq!(found(&read_models).await, expected(&journal));
    // Both are fed: the old one can be live again at once.
    record_by_chance(&journal, 2, 100);
    caught_up(&journal, &projections).await;
    act(&projections, Act::Switch(id(1, 1))).await.unwrap();
    until_live(&projections, &id(1, 1)).await;
    assert_eq!(found(&read_models).await, expected(&journal));
    let old = until_one(&projections, &id(1, 2), |status| status.stage == Stage::Old).await;
    assert_eq!(old.events, 600);
    // Only what is not live can be dropped.
    let refused = act(&projections, Act::Drop(id(1, 1))).await.unwrap_err().to_string();
    assert!(refused.contains("live"), "{refused}");
    act(&projections, Act::Drop(id(1, 2))).await.unwrap();
    let of_all = async || projections.read_models().await.unwrap();
    assert_eq!(of_all().await.len(), 1);
    record_by_chance(&journal, 3, 100);
    caught_up(&journal, &projections).await;
    assert_eq!(found(&read_models).await, expected(&journal));
    let acts: Vec<_> = projections.acts(10).await.unwrap().into_iter().map(|it| it.act).collect();
    assert_eq!(acts.len(), 3, "{acts:?}");
    assert!(acts[0].starts_with("drop purses (generation 1, run 2)"), "{acts:?}");
}

#[tokio::test]
async fn a_held_rebuild_waits_for_its_order_also_over_a_restart() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let read_models = open(&directory.path().join("rm"));
    record_by_chance(&journal, 1, 300);
    let projections = start(&journal, &read_models, purses());
    caught_up(&journal, &projections).await;
    act(&projections, rebuild(true)).await.unwrap();
    until_one(&projections, &id(1, 2), |status| status.events >= 50).await;
    let again = act(&projections, rebuild(true)).await;
    assert!(matches!(again, Err(ActError::Refused(_))), "{again:?}");
    act(&projections, Act::Pause(id(1, 2))).await.unwrap();
    until_one(&projections, &id(1, 2), |status| status.state == ProjectionState::Paused).await;
    projections.stop().await;
    let projections = start(&journal, &read_models, purses());
    let paused = |status: &ProjectionStatus| status.state == ProjectionState::Paused;
    let paused = until_one(&projections, &id(1, 2), paused).await;
    assert!(paused.events >= 50, "it goes on where it was");
    act(&projections, Act::Resume(id(1, 2))).await.unwrap();
    let all = |status: &ProjectionStatus| status.events == 300 && status.lag_events == 0;
    let built = until_one(&projections, &id(1, 2), all).await;
    assert_eq!(built.stage, Stage::Building, "held");
    assert_eq!(projections.status()[0].id(), id(1, 1));
    act(&projections, Act::Switch(id(1, 2))).await.unwrap();
    until_live(&projections, &id(1, 2)).await;
    assert_eq!(found(&read_models).await, expected(&journal));
}

/// A switch that was ordered before it has caught up takes place when it has, under load too.
#[tokio::test]
async fn queries_are_answered_throughout_and_never_go_back() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let read_models = open(&directory.path().join("rm"));
    record_by_chance(&journal, 1, 2000);
    let projections = start(&journal, &read_models, purses());
    caught_up(&journal, &projections).await;
    act(&projections, rebuild(false)).await.unwrap();
    let (mut before, mut seed, mut switched) = (0, 100, false);
    while !switched {
        seed += 1;
        record_by_chance(&journal, seed, 5);
        let token = head(&journal).await;
        assert_eq!(projections.wait_for(&["purses"], &token, SOON).await, Waited::There);
        assert_eq!(found(&read_models).await, expected(&journal));
        let sum = read_models.query(|it| {
            let sql = "SELECT events FROM kronika_checkpoints ORDER BY run LIMIT 1";
            it.query_row(sql, [], |row| row.get::<_, u64>(0))
        });
        let sum = sum.await.unwrap();
        assert!(sum >= before);
        before = sum;
        switched = projections.status()[0].id() == id(1, 2);
    }
}

/// The second edition refuses what the first one takes.
struct Strict;

#[derive(Row)]
struct StrictRow {
    cents: i64,
}

impl Projection for Strict {
    const NAME: &'static str = "purses";
    const GENERATION: u32 = 2;
    type Key = String;
    type Row = StrictRow;
    type Follows = (Purse,);
}

impl On<Purse> for Strict {
    fn keys(&self, _: &PurseEvent, about: &About<'_>) -> impl IntoIterator<Item = String> {
        [about.id().to_owned()]
    }
    fn on(
        &self,
        row: &mut Option<StrictRow>,
        _: &String,
        event: &PurseEvent,
        _: &About<'_>,
    ) -> Folded {
        match event {
            PurseEvent::Closed {} => Err("closing is not known any more")?,
            PurseEvent::Added { cents } => row.get_or_insert(StrictRow { cents: 0 }).cents += cents,
            _ => {}
        }
        Ok(())
    }
}

#[tokio::test]
async fn both_generations_are_fed_and_a_parked_key_holds_a_switch_back() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let read_models = open(&directory.path().join("rm"));
    let both = || vec![RegisteredProjection::keyed(Purses), RegisteredProjection::keyed(Strict)];
    record(&journal, "a", &[added(1)]);
    let projections = start(&journal, &read_models, both());
    until_live(&projections, &id(2, 1)).await;
    let row = read_models.row::<Strict>(&"a".to_owned()).await.unwrap().unwrap();
    assert_eq!(row.cents, 1);
    // Parked in the live one, and not in the old one: switching back is no step back.
    record(&journal, "a", &[PurseEvent::Closed {}, added(5)]);
    record(&journal, "b", &[added(7)]);
    caught_up(&journal, &projections).await;
    until(&projections, "purses", |status| status.parked.len() == 1).await;
    act(&projections, Act::Switch(id(1, 1))).await.unwrap();
    until_live(&projections, &id(1, 1)).await;
    assert_eq!(found(&read_models).await, expected(&journal));
    // But now a switch to the one where it waits would let queries read backwards.
    act(&projections, Act::Switch(id(2, 1))).await.unwrap();
    let held = |status: &ProjectionStatus| {
        status.error.as_ref().is_some_and(|error| error.to_string().contains("key a is parked in"))
    };
    until_one(&projections, &id(2, 1), held).await;
    assert_eq!(projections.status()[0].id(), id(1, 1));
    let drop = kronika_core::ParkedRequest::Drop;
    let key = kronika_core::KeyText::new("a").unwrap();
    act(&projections, Act::Parked(id(2, 1), key, drop)).await.unwrap();
    until_live(&projections, &id(2, 1)).await;
}

#[tokio::test]
async fn a_rebuild_mends_a_read_model_whose_history_diverged() {
    for restored in [true, false] {
        let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
        let read_models = open(&directory.path().join("rm"));
        record_by_chance(&journal, 1, 100);
        let projections = start(&journal, &read_models, purses());
        caught_up(&journal, &projections).await;
        projections.stop().await;
        // Restored to the past, which is told by its incarnation; or events lost, which nothing tells but them.
        let journal = match restored {
            true => journal.restore_to(Position::new(10)),
            false => MemoryJournal::new(1),
        };
        record_by_chance(&journal, 2, 50);
        let projections = start(&journal, &read_models, purses());
        let error = until_failed(&projections, "purses").await.error.unwrap();
        assert!(error.is_diverged(), "{error}");
        act(&projections, rebuild(false)).await.unwrap();
        until_live(&projections, &id(1, 2)).await;
        let live = |status: &ProjectionStatus| status.state == ProjectionState::Running;
        until(&projections, "purses", live).await;
        caught_up(&journal, &projections).await;
        assert_eq!(found(&read_models).await, expected(&journal));
    }
}

#[tokio::test]
async fn a_rebuild_keeps_the_rate_that_it_is_given() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let read_models = open(&directory.path().join("rm"));
    record_by_chance(&journal, 1, 2000);
    let settings = ProjectionSettings { report_every: Duration::from_millis(20), ..small() };
    let projections = start_with(&journal, &read_models, purses(), settings);
    caught_up(&journal, &projections).await;
    let name = id(1, 1).name;
    let slowly =
        Act::Rebuild { name, generation: None, hold: false, events_per_second: Some(1000) };
    act(&projections, slowly).await.unwrap();
    until_one(&projections, &id(1, 2), |status| status.events_per_second > 0.0).await;
    let all = projections.status_of_all();
    let status = all.iter().find(|status| status.id() == id(1, 2)).unwrap();
    assert!(status.events_per_second < 1300.0, "{status:?}");
    let left = status.time_left().unwrap();
    assert!(left > Duration::from_millis(100) && left < Duration::from_secs(5), "{left:?}");
    let reported = async {
        loop {
            let all = projections.read_models().await.unwrap();
            let report = all.iter().find(|it| it.id == id(1, 2)).and_then(|it| it.report.clone());
            match report.filter(|report| report.lag_events > 0) {
                Some(report) => return report,
                None => tokio::task::yield_now().await,
            }
        }
    };
    assert_eq!(reported.await.state, "running");
    act(&projections, Act::Throttle(id(1, 2), None)).await.unwrap();
    until_live(&projections, &id(1, 2)).await;
    assert_eq!(rows_of(&read_models, "purses").await, expected(&journal).len() as u64);
}
