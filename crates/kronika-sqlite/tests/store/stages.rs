//! Stages: what begins live, what is built beside it, and that there is one of each at most.

use crate::common::*;
use kronika_core::{
    Act, OpenReadModelError, ReadModelStore, Report, SpecError, Stage, Takeover, Timestamp, Wanted,
};
use std::time::Duration;

#[tokio::test]
async fn the_first_is_live_and_another_generation_is_built_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    let begun = read_models.begin(spec(1)).await.unwrap();
    assert_eq!(stages_of(&begun), [(1, 1, Stage::Live)]);
    assert_eq!((&begun[0].wanted, &begun[0].checkpoint), (&Wanted::default(), &None));
    assert!(begun[0].begun > Timestamp::new(0));
    assert_eq!(read_models.begin(spec(1)).await.unwrap(), begun, "once");
    let begun = read_models.begin(spec(2)).await.unwrap();
    assert_eq!(stages_of(&begun), [(1, 1, Stage::Live), (2, 1, Stage::Building)]);
    assert!(begun[1].wanted.switch && !begun[0].wanted.switch);
    // It takes the place of what is being built.
    let begun = read_models.begin(spec(3)).await.unwrap();
    let expected = [(1, 1, Stage::Live), (2, 1, Stage::Old), (3, 1, Stage::Building)];
    assert_eq!(stages_of(&begun), expected);
    assert!(begun[2].wanted.switch && !begun[1].wanted.switch);
    // Back to an older build: nothing changes by itself.
    assert_eq!(stages_of(&read_models.begin(spec(2)).await.unwrap()), expected);
}

#[tokio::test]
async fn only_its_own_name_is_told_and_all_are_listed_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    let mut other = spec(1);
    other.name = kronika_core::ProjectionName::new("amounts").unwrap();
    read_models.begin(spec(1)).await.unwrap();
    assert_eq!(read_models.begin(other).await.unwrap().len(), 1);
    let all = read_models.read_models().await.unwrap();
    let names: Vec<_> = all.iter().map(|one| one.id.name.as_str()).collect();
    assert_eq!(names, ["amounts", "counts"]);
}

#[tokio::test]
async fn what_makes_no_table_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    let mut wrong = spec(1);
    wrong.tables = kronika_core::Tables::Keyed { key: vec![], row: vec![] };
    let refused = read_models.begin(wrong).await;
    assert!(matches!(refused, Err(OpenReadModelError::Spec(SpecError::Key(_)))), "{refused:?}");
}

#[tokio::test]
async fn what_was_not_begun_or_was_dropped_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    let take_over =
        |run| ReadModelStore::open(&read_models, spec(1), run, Takeover::whole(HERE, 2));
    assert_eq!(take_over(1).await, Err(OpenReadModelError::Gone(id(1, 1))));
    read_models.begin(spec(1)).await.unwrap();
    take_over(1).await.unwrap();
    rebuild(&read_models, false).await.unwrap();
    take_over(2).await.unwrap();
    act(&read_models, Act::Drop(id(1, 2))).await.unwrap();
    assert_eq!(take_over(2).await, Err(OpenReadModelError::Gone(id(1, 2))));
}

#[tokio::test]
async fn what_is_built_has_rows_of_its_own_that_nobody_sees() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    at(&read_models, &id(1, 1), 5).await;
    rebuild(&read_models, false).await.unwrap();
    let begun = take_over(&read_models, 1, 2).await.checkpoint;
    assert_eq!((begun.events, begun.seen.marks().count()), (0, 0), "it begins at the beginning");
    at(&read_models, &id(1, 2), 3).await;
    at(&read_models, &id(2, 1), 4).await;
    assert_eq!(shown(&read_models).await, 5);
    for (generation, run, found) in [(1, 1, 5), (1, 2, 3), (2, 1, 4)] {
        assert_eq!(count(&read_models, &id(generation, run), 1).await, Some(found));
    }
}

#[tokio::test]
async fn a_report_is_kept_with_its_read_model() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rm");
    let read_models = open(&path);
    let id = id(1, 1);
    let mut report = Report {
        at: Timestamp::new(5),
        state: "failed".into(),
        lag_events: 7,
        lag: Duration::from_micros(1_500_001),
        events_per_second: 0.5,
        error: Some("event x cannot be handled".into()),
    };
    assert!(read_models.report(&id, report.clone()).await.is_err(), "of nothing");
    read_models.begin(spec(1)).await.unwrap();
    assert_eq!(read_model(&read_models, &id).await.report, None);
    read_models.report(&id, report.clone()).await.unwrap();
    report.error = None;
    read_models.report(&id, report.clone()).await.unwrap();
    drop(read_models);
    assert_eq!(read_model(&open(&path), &id).await.report, Some(report));
}
