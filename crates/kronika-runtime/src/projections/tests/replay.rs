//! Events are handled anew in a scratch store, step by step, and nothing else is touched.

use super::{fakes::*, *};
use kronika_core::{Position, Value};
use kronika_testkit::MemoryReadModels;
use tokio::sync::mpsc;

fn tally(scratch: &MemoryReadModels, id: &str) -> Option<i64> {
    match scratch.live_row("tallies", &[Value::Text(id.to_owned())])?[..] {
        [Value::Integer(count)] => Some(count),
        ref other => panic!("{other:?}"),
    }
}

async fn replay(
    projections: &Projections,
    until: ReplayUntil,
    steps_from: Option<u64>,
    scratch: &MemoryReadModels,
) -> Result<(Replayed, Vec<ReplayStep>), ReplayError> {
    let projection = "tallies".to_owned();
    let replay = Replay { projection, until, steps_from: steps_from.map(Position::new) };
    let store: SharedReadModelStore = Arc::new(scratch.clone());
    let (told, mut tells) = mpsc::channel(1);
    let listen = async {
        let mut steps = Vec::new();
        while let Some(told) = tells.recv().await {
            match told {
                ReplayTold::Step(step) => steps.push(*step),
                ReplayTold::Begun { key, row } => assert_eq!((key.len(), row.len()), (1, 1)),
                ReplayTold::Progress { events, at, last } => {
                    assert!(steps.is_empty() && at.position <= last && events > 0);
                }
            }
        }
        steps
    };
    let (replayed, steps) = tokio::join!(projections.replay(&replay, store, told), listen);
    replayed.map(|replayed| (replayed, steps))
}

#[tokio::test(start_paused = true)]
async fn each_step_tells_the_event_and_the_rows_it_changed() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    for _ in 0..10 {
        record(&journal, "a", 2);
        record(&journal, "b", 1);
    }
    let projections = start(&journal, &store);
    caught_up(&journal, &projections).await;
    let commits = store.commits();
    let scratch = MemoryReadModels::new();
    let until = ReplayUntil::Position(Position::new(20));
    let (replayed, steps) = replay(&projections, until, Some(18), &scratch).await.unwrap();
    assert_eq!(replayed.events, 20);
    assert_eq!((tally(&scratch, "a"), tally(&scratch, "b")), (Some(14), Some(6)));
    let positions: Vec<_> = steps.iter().map(|step| step.event.position.get()).collect();
    assert_eq!(positions, [18, 19, 20]);
    let [row] = &steps[0].rows[..] else { panic!("{:?}", steps[0]) };
    assert_eq!(row.key, [Value::Text("b".into())]);
    assert_eq!(row.before, Some(vec![Value::Integer(5)]));
    assert_eq!(row.after, Some(vec![Value::Integer(6)]));
    assert_eq!(
        (store.commits(), store.tally("a")),
        (commits, Some(20)),
        "the live one is not touched"
    );
    // The same store again would count twice.
    let again = replay(&projections, ReplayUntil::Head, None, &scratch).await.unwrap_err();
    assert!(matches!(again, ReplayError::NotEmpty(_)), "{again}");
}

#[tokio::test(start_paused = true)]
async fn a_replay_ends_at_a_time() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    for _ in 0..10 {
        record(&journal, "a", 1);
        sleep(Duration::from_secs(1)).await;
    }
    let projections = start(&journal, &store);
    let fifth = journal.everything()[4].header.time;
    let scratch = MemoryReadModels::new();
    let (replayed, steps) =
        replay(&projections, ReplayUntil::Time(fifth), None, &scratch).await.unwrap();
    assert_eq!((replayed.events, steps.len(), tally(&scratch, "a")), (5, 0, Some(5)));
    let scratch = MemoryReadModels::new();
    let (replayed, _) = replay(&projections, ReplayUntil::Head, None, &scratch).await.unwrap();
    assert_eq!((replayed.events, tally(&scratch, "a")), (10, Some(10)));
}

#[tokio::test(start_paused = true)]
async fn a_replay_of_what_is_not_there_is_refused() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    let projections = start(&journal, &store);
    let replay =
        Replay { projection: "others".to_owned(), until: ReplayUntil::Head, steps_from: None };
    let scratch: SharedReadModelStore = Arc::new(MemoryReadModels::new());
    let refused = projections.replay(&replay, scratch, mpsc::channel(1).0).await.unwrap_err();
    assert!(matches!(refused, ReplayError::NotFound(_)), "{refused}");
}
