//! Switching: one transaction, in which nothing is read backwards.

use crate::common::*;
use kronika_core::{Act, LiveHistory, ReadModelStore, Stage, StoreFault, SwitchError};
use kronika_sqlite::rusqlite::Connection;

#[tokio::test]
async fn one_that_has_seen_all_becomes_live_and_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rm");
    let read_models = open(&path);
    let (old, new) = (id(1, 1), id(2, 1));
    let mut of_old = at(&read_models, &old, 5).await;
    let of_new = at(&read_models, &new, 5).await;
    let of_new = advance(&read_models, &new, &of_new, mark(0, 6), vec![]).await;
    read_models.switch(&new, LiveHistory::Unquestioned).await.unwrap();
    assert_eq!(stages(&read_models).await, [(1, 1, Stage::Old), (2, 1, Stage::Live)]);
    assert!(!read_model(&read_models, &new).await.wanted.switch, "it took place");
    assert_eq!(shown(&read_models).await, 6);
    assert_eq!(read_models.switch(&new, LiveHistory::Unquestioned).await, Ok(()), "it is live");
    // Both are fed on. Back as soon as the old one has seen all.
    let behind = Err(SwitchError::Behind { id: old.clone() });
    assert_eq!(read_models.switch(&old, LiveHistory::Unquestioned).await, behind);
    of_old = advance(&read_models, &old, &of_old, mark(0, 9), vec![]).await;
    read_models.switch(&old, LiveHistory::Unquestioned).await.unwrap();
    assert_eq!(shown(&read_models).await, 9);
    assert_eq!(stages(&read_models).await, [(1, 1, Stage::Live), (2, 1, Stage::Old)]);
    advance(&read_models, &new, &of_new, mark(0, 9), vec![]).await;
    read_models.switch(&new, LiveHistory::Unquestioned).await.unwrap();
    // As it is after a new start.
    drop(read_models);
    let read_models = open(&path);
    take_over(&read_models, 1, 1).await;
    take_over(&read_models, 2, 1).await;
    assert_eq!(shown(&read_models).await, 9);
    assert_eq!(stages(&read_models).await, [(1, 1, Stage::Old), (2, 1, Stage::Live)]);
    assert_eq!(of_old.events, 2);
}

#[tokio::test]
async fn all_partitions_count() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    let (old, new) = (id(1, 1), id(2, 1));
    let stands = at(&read_models, &old, 5).await;
    advance(&read_models, &old, &stands, mark(1, 1), vec![]).await;
    let stands = at(&read_models, &new, 100).await;
    assert_eq!(
        read_models.switch(&new, LiveHistory::Unquestioned).await,
        Err(SwitchError::Behind { id: new.clone() })
    );
    assert_eq!(shown(&read_models).await, 1);
    advance(&read_models, &new, &stands, mark(1, 1), vec![]).await;
    read_models.switch(&new, LiveHistory::Unquestioned).await.unwrap();
}

#[tokio::test]
async fn what_was_never_opened_is_behind_and_what_is_not_there_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    read_models.begin(spec(1)).await.unwrap();
    read_models.begin(spec(2)).await.unwrap();
    assert_eq!(
        read_models.switch(&id(2, 1), LiveHistory::Unquestioned).await,
        Err(SwitchError::Behind { id: id(2, 1) })
    );
    let refused = read_models.switch(&id(3, 1), LiveHistory::Unquestioned).await;
    assert!(matches!(refused, Err(SwitchError::Store(StoreFault::Refused(_)))), "{refused:?}");
}

/// The journal was put back and went another way: the live one has seen what never was, and is replaced.
#[tokio::test]
async fn a_live_one_of_another_history_does_not_hold_it_back() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    let begun = take_over_of(&read_models, 1, 1, ELSEWHERE).await.checkpoint;
    advance(&read_models, &id(1, 1), &begun, mark(0, 50), vec![]).await;
    let begun = take_over(&read_models, 1, 1).await.checkpoint;
    assert_eq!(begun.seen.incarnation(), ELSEWHERE, "it is told");
    rebuild(&read_models, false).await.unwrap();
    let begun = take_over(&read_models, 1, 2).await.checkpoint;
    advance(&read_models, &id(1, 2), &begun, mark(0, 5), vec![park("x", 5)]).await;
    read_models.switch(&id(1, 2), LiveHistory::Unquestioned).await.unwrap();
    assert_eq!(shown(&read_models).await, 5);
    // And is no way back, whoever asks.
    let behind = Err(SwitchError::Behind { id: id(1, 1) });
    assert_eq!(read_models.switch(&id(1, 1), LiveHistory::Unquestioned).await, behind);
    assert_eq!(
        open(&directory.path().join("rm")).switch(&id(1, 1), LiveHistory::Unquestioned).await,
        behind
    );
}

#[tokio::test]
async fn a_key_that_is_parked_later_or_only_in_the_new_one_holds_it_back() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    let (old, new) = (id(1, 1), id(2, 1));
    let begun = take_over(&read_models, 1, 1).await.checkpoint;
    let changes = vec![park("a", 3), park("c", 4), park("only-old", 1)];
    let of_old = advance(&read_models, &old, &begun, mark(0, 9), changes).await;
    let begun = take_over(&read_models, 2, 1).await.checkpoint;
    let changes = vec![park("a", 3), park("b", 8), park("c", 2)];
    let of_new = advance(&read_models, &new, &begun, mark(0, 9), changes).await;
    let parked = |text| Err(SwitchError::Parked { id: new.clone(), key: key(text) });
    assert_eq!(
        read_models.switch(&new, LiveHistory::Unquestioned).await,
        parked("b"),
        "only in the new one"
    );
    read_models.commit(drain(&new, &of_new, vec![lift("b")])).await.unwrap();
    assert_eq!(
        read_models.switch(&new, LiveHistory::Unquestioned).await,
        parked("c"),
        "later in the live one"
    );
    assert_eq!(stages(&read_models).await, [(1, 1, Stage::Live), (2, 1, Stage::Building)]);
    read_models.commit(drain(&old, &of_old, vec![lift("c"), park("c", 2)])).await.unwrap();
    read_models.switch(&new, LiveHistory::Unquestioned).await.unwrap();
    // What only the old one waits for holds back the way there.
    let parked = SwitchError::Parked { id: old.clone(), key: key("only-old") };
    assert_eq!(read_models.switch(&old, LiveHistory::Unquestioned).await, Err(parked));
}

#[tokio::test]
async fn a_view_that_is_not_ours_holds_it_back_and_nothing_is_switched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rm");
    let read_models = open(&path);
    at(&read_models, &id(1, 1), 5).await;
    at(&read_models, &id(2, 1), 5).await;
    let other = Connection::open(&path).unwrap();
    other.execute_batch("DROP VIEW counts; CREATE VIEW counts AS SELECT 7 AS mine").unwrap();
    let refused = read_models.switch(&id(2, 1), LiveHistory::Unquestioned).await;
    assert!(matches!(refused, Err(SwitchError::Store(StoreFault::Changed { .. }))), "{refused:?}");
    assert_eq!(stages(&read_models).await, [(1, 1, Stage::Live), (2, 1, Stage::Building)]);
    other.execute_batch("DROP VIEW counts").unwrap();
    read_models.switch(&id(2, 1), LiveHistory::Unquestioned).await.unwrap();
    assert_eq!(shown(&read_models).await, 5);
}

#[tokio::test]
async fn what_is_dropped_leaves_nothing_and_the_live_one_stays() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    let stands = at(&read_models, &id(1, 1), 5).await;
    advance(&read_models, &id(1, 1), &stands, mark(0, 6), vec![park("a", 6)]).await;
    at(&read_models, &id(2, 1), 6).await;
    read_models.switch(&id(2, 1), LiveHistory::Unquestioned).await.unwrap();
    act(&read_models, Act::Drop(id(1, 1))).await.unwrap();
    assert_eq!(stages(&read_models).await, [(2, 1, Stage::Live)]);
    assert_eq!(shown(&read_models).await, 6);
    let left = read_models.query(|connection| {
        let of = |table| format!("(SELECT count(*) FROM {table} WHERE generation = 1)");
        let sql = format!(
            "SELECT {} + {} + {} + {} + (SELECT count(*) FROM sqlite_schema WHERE name LIKE 'counts\\__g1%' ESCAPE '\\')",
            of("kronika_checkpoints"), of("kronika_parked"), of("kronika_letters"), of("kronika_tables"),
        );
        connection.query_row(&sql, [], |row| row.get::<_, u32>(0))
    });
    assert_eq!(left.await.unwrap(), 0);
    let refused = read_models.load(&id(1, 1), vec![]).await;
    assert!(matches!(refused, Err(StoreFault::Refused(_))), "{refused:?}");
}
