//! The store by itself: what it refuses, and that a refusal leaves nothing behind.

use crate::common::*;
use kronika_core::{
    Checkpoint, Column, Commit, CommitError, Epoch, Generation, Incarnation, Kind, Mark,
    PartitionId, Position, ProjectionName, ReadModelId, ReadModelSpec, ReadModelStore, StoreFault,
    Takeover, Value,
};
use kronika_sqlite::SqliteReadModels;
use std::sync::Arc;

const HERE: Incarnation = Incarnation::new(7);

fn spec() -> ReadModelSpec {
    let column = |name, kind| Column { name, kind, nullable: false };
    ReadModelSpec {
        name: ProjectionName::new("counts").unwrap(),
        generation: Generation::new(1),
        key: vec![column("key", Kind::Integer)],
        row: vec![column("count", Kind::Integer)],
    }
}

fn mark(partition: u16, position: u64) -> Mark {
    let partition = PartitionId::new(partition);
    Mark { partition, position: Position::new(position), check: position as u32 }
}

async fn take_over(read_models: &SqliteReadModels) -> (ReadModelId, Checkpoint) {
    ReadModelStore::open(read_models, spec(), Takeover::whole(HERE, 2)).await.unwrap()
}

fn commit(id: &ReadModelId, expected: &Checkpoint, to: Mark, rows: &[(i64, i64)]) -> Arc<Commit> {
    let row = |&(key, count)| vec![Value::Integer(key), Value::Integer(count)];
    Arc::new(Commit {
        read_model: id.clone(),
        partition: to.partition,
        expected: expected.clone(),
        next: expected.advanced(to, rows.len() as u64, None),
        upserts: rows.iter().map(row).collect(),
        deletes: vec![],
    })
}

async fn count(read_models: &SqliteReadModels, id: &ReadModelId, key: i64) -> Option<i64> {
    let rows = read_models.load(id, vec![vec![Value::Integer(key)]]).await;
    match rows.unwrap().remove(0)?[..] {
        [Value::Integer(count)] => Some(count),
        ref other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_checkpoint_advances_only_from_where_it_stands_and_by_its_owner() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    let (id, begun) = take_over(&read_models).await;
    assert_eq!((begun.epoch, begun.events, begun.seen.marks().count()), (Epoch::new(1), 0, 0));
    let first = commit(&id, &begun, mark(0, 5), &[(1, 1)]);
    read_models.commit(first.clone()).await.unwrap();
    // Sent again: its own checkpoint is found, so the sender knows that it took place.
    let Err(CommitError::Stale { found, .. }) = read_models.commit(first.clone()).await else {
        panic!("it was committed twice")
    };
    assert_eq!(*found, first.next);
    let stale = commit(&id, &begun, mark(0, 9), &[(1, 100)]);
    assert!(matches!(read_models.commit(stale).await, Err(CommitError::Stale { .. })));
    // Another partition is another part of the same checkpoint.
    let other = commit(&id, &first.next, mark(1, 3), &[(2, 2)]);
    read_models.commit(other.clone()).await.unwrap();
    let (_, taken) = take_over(&read_models).await;
    assert_eq!(taken, Checkpoint { epoch: Epoch::new(2), ..other.next.clone() });
    let late = commit(&id, &other.next, mark(0, 6), &[(1, 100)]);
    assert!(matches!(read_models.commit(late).await, Err(CommitError::Stale { .. })));
    assert_eq!(count(&read_models, &id, 1).await, Some(1));
    assert_eq!(count(&read_models, &id, 2).await, Some(2));
    assert_eq!(count(&read_models, &id, 3).await, None);
}

#[tokio::test]
async fn rows_that_are_refused_take_the_checkpoint_with_them() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    let (id, begun) = take_over(&read_models).await;
    let mut wrong = Arc::unwrap_or_clone(commit(&id, &begun, mark(0, 5), &[(1, 1)]));
    wrong.upserts.push(vec![Value::Integer(2), Value::Null]);
    let error = read_models.commit(Arc::new(wrong)).await.unwrap_err();
    assert!(matches!(error, CommitError::Store(StoreFault::Changed { .. })), "{error:?}");
    assert_eq!(count(&read_models, &id, 1).await, None);
    read_models.commit(commit(&id, &begun, mark(0, 5), &[(1, 1)])).await.unwrap();
}

#[tokio::test]
async fn a_checkpoint_that_has_seen_nothing_is_of_any_history() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    let elsewhere = Takeover::whole(Incarnation::new(8), 2);
    let (id, begun) = ReadModelStore::open(&read_models, spec(), elsewhere).await.unwrap();
    assert_eq!(begun.seen.incarnation(), Incarnation::new(8));
    let (_, begun) = take_over(&read_models).await;
    assert_eq!(begun.seen.incarnation(), HERE);
    read_models.commit(commit(&id, &begun, mark(0, 5), &[])).await.unwrap();
    let (_, seen) = ReadModelStore::open(&read_models, spec(), elsewhere).await.unwrap();
    assert_eq!(seen.seen.incarnation(), HERE, "it is told, not changed");
}
