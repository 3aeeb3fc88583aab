//! Acts: each changes what is wished for and is recorded, or neither.

use crate::common::*;
use kronika_core::{
    Act, ActError, By, Generation, ParkedRequest, ProjectionName, ReadModelStore, Stage, Timestamp,
    WORKERS_MAX, Wanted,
};
use kronika_sqlite::{SqliteReadModels, rusqlite::Connection};

async fn recorded(read_models: &SqliteReadModels) -> Vec<String> {
    let acts = read_models.acts(100).await.unwrap();
    acts.into_iter().map(|record| record.act).collect()
}

async fn wanted(read_models: &SqliteReadModels, run: u32) -> Wanted {
    read_model(read_models, &id(1, run)).await.wanted
}

#[tokio::test]
async fn what_is_wished_for_stands_in_the_store_and_is_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rm");
    let read_models = open(&path);
    read_models.begin(spec(1)).await.unwrap();
    let id = id(1, 1);
    act(&read_models, Act::Pause(id.clone())).await.unwrap();
    act(&read_models, Act::Throttle(id.clone(), Some(7))).await.unwrap();
    act(&read_models, Act::Workers(id.clone(), WORKERS_MAX)).await.unwrap();
    drop(read_models);
    let read_models = open(&path);
    let expected =
        Wanted { paused: true, events_per_second: Some(7), workers: WORKERS_MAX, switch: false };
    assert_eq!(wanted(&read_models, 1).await, expected);
    act(&read_models, Act::Resume(id.clone())).await.unwrap();
    act(&read_models, Act::Throttle(id.clone(), None)).await.unwrap();
    act(&read_models, Act::Workers(id.clone(), 1)).await.unwrap();
    assert_eq!(wanted(&read_models, 1).await, Wanted::default());
    let acts = read_models.acts(2).await.unwrap();
    assert_eq!(acts.iter().map(|record| record.number).collect::<Vec<_>>(), [6, 5], "newest first");
    assert_eq!(acts[0].by, By::new("ada", "to see"));
    assert_eq!(acts[0].act, "1 workers for counts (generation 1, run 1)");
    assert!(acts[0].at > Timestamp::new(0));
}

#[tokio::test]
async fn a_rebuild_is_another_run_of_the_live_generation() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    at(&read_models, &id(1, 1), 5).await;
    rebuild(&read_models, false).await.unwrap();
    assert_eq!(stages(&read_models).await, [(1, 1, Stage::Live), (1, 2, Stage::Building)]);
    assert_eq!(wanted(&read_models, 2).await, Wanted { switch: true, ..Wanted::default() });
    let Err(ActError::Refused(what)) = rebuild(&read_models, false).await else {
        panic!("two are built")
    };
    assert!(what.contains("counts (generation 1, run 2) is being built already"), "{what}");
    assert!(what.contains("drop it"), "{what}");
    act(&read_models, Act::Drop(id(1, 2))).await.unwrap();
    let name = ProjectionName::new("counts").unwrap();
    let generation = Some(Generation::new(1));
    let throttled = Act::Rebuild { name, generation, hold: true, events_per_second: Some(9) };
    act(&read_models, throttled).await.unwrap();
    let found = wanted(&read_models, 2).await;
    assert_eq!(found, Wanted { events_per_second: Some(9), ..Wanted::default() });
    let expected = [
        "rebuild counts in generation 1 with 9 events/s at most and hold",
        "drop counts (generation 1, run 2)",
        "rebuild counts",
    ];
    assert_eq!(recorded(&read_models).await, expected, "and what was refused is not");
}

#[tokio::test]
async fn a_switch_is_wished_for_of_one_only() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    at(&read_models, &id(1, 1), 5).await;
    rebuild(&read_models, false).await.unwrap();
    at(&read_models, &id(1, 2), 5).await;
    read_models.switch(&id(1, 2)).await.unwrap();
    rebuild(&read_models, false).await.unwrap();
    let switches = async || {
        let all = read_models.read_models().await.unwrap();
        all.iter().map(|one| one.wanted.switch).collect::<Vec<_>>()
    };
    assert_eq!(switches().await, [false, false, true]);
    act(&read_models, Act::Switch(id(1, 1))).await.unwrap();
    assert_eq!(switches().await, [true, false, false]);
    // The live one is to stay.
    act(&read_models, Act::Switch(id(1, 2))).await.unwrap();
    assert_eq!(switches().await, [false, false, false]);
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_and_not_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    take_over(&read_models, 1, 1).await;
    let (there, absent) = (id(1, 1), id(1, 2));
    let name = |name| ProjectionName::new(name).unwrap();
    let rebuild = |name, generation: Option<u32>, events_per_second| Act::Rebuild {
        name,
        generation: generation.map(Generation::new),
        hold: false,
        events_per_second,
    };
    let retry = ParkedRequest::Retry;
    for act in [
        rebuild(name("nothing"), None, None),
        rebuild(name("nothing"), Some(1), None),
        rebuild(name("counts"), Some(2), None),
        Act::Switch(absent.clone()),
        Act::Pause(absent.clone()),
        Act::Resume(absent.clone()),
        Act::Throttle(absent.clone(), None),
        Act::Workers(absent.clone(), 1),
        Act::Parked(absent.clone(), key("a"), retry),
        Act::Parked(there.clone(), key("a"), retry),
        Act::AllParked(absent.clone(), retry),
        Act::Drop(absent.clone()),
    ] {
        let refused = crate::common::act(&read_models, act.clone()).await;
        assert!(matches!(refused, Err(ActError::NotFound(_))), "{act}: {refused:?}");
    }
    for act in [
        rebuild(name("counts"), None, Some(0)),
        Act::Throttle(there.clone(), Some(0)),
        Act::Workers(there.clone(), 0),
        Act::Workers(there.clone(), WORKERS_MAX + 1),
        Act::Drop(there.clone()),
    ] {
        let refused = crate::common::act(&read_models, act.clone()).await;
        assert!(matches!(refused, Err(ActError::Refused(_))), "{act}: {refused:?}");
    }
    assert_eq!(recorded(&read_models).await, [""; 0]);
    assert_eq!(stages(&read_models).await, [(1, 1, Stage::Live)]);
    assert_eq!(wanted(&read_models, 1).await, Wanted::default());
}

#[tokio::test]
async fn the_newest_ten_thousand_acts_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rm");
    let read_models = open(&path);
    read_models.begin(spec(1)).await.unwrap();
    let other = Connection::open(&path).unwrap();
    let many = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 10000)
                INSERT INTO kronika_acts SELECT x, 0, 'who', 'why', 'act' FROM n";
    other.execute_batch(many).unwrap();
    act(&read_models, Act::Pause(id(1, 1))).await.unwrap();
    let acts = read_models.acts(20_000).await.unwrap();
    let ends = (acts[0].number, acts.last().unwrap().number, acts.len());
    assert_eq!(ends, (10_001, 2, 10_000));
}

#[tokio::test]
async fn who_and_why_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    read_models.begin(spec(1)).await.unwrap();
    let long = By { who: "w".repeat(5000), why: "y".repeat(5000) };
    read_models.act(Act::Pause(id(1, 1)), long).await.unwrap();
    let by = read_models.acts(1).await.unwrap().remove(0).by;
    assert_eq!((by.who.len(), by.why.len()), (1024, 1024));
}
