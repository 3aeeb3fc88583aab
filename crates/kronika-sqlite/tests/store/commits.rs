//! Commits: what they refuse, and that a refusal leaves nothing behind.

use crate::common::*;
use kronika_core::{
    Checkpoint, Commit, CommitError, Epoch, ReadModelStore, StoreFault, Timestamp, Value,
};
use std::sync::Arc;

#[tokio::test]
async fn a_checkpoint_advances_only_from_where_it_stands_and_by_its_owner() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    let (id, begun) = (id(1, 1), take_over(&read_models, 1, 1).await.checkpoint);
    assert_eq!((begun.epoch, begun.events, begun.seen.marks().count()), (Epoch::new(1), 0, 0));
    let first = Arc::new(commit(&id, &begun, mark(0, 5), &[(1, 1)]));
    read_models.commit(first.clone()).await.unwrap();
    // Sent again: its own checkpoint is found, so the sender knows that it took place.
    let Err(CommitError::Stale { found, .. }) = read_models.commit(first.clone()).await else {
        panic!("it was committed twice")
    };
    assert_eq!(*found, first.next);
    let stale = commit(&id, &begun, mark(0, 9), &[(1, 100)]);
    let refused = read_models.commit(Arc::new(stale)).await;
    assert!(matches!(refused, Err(CommitError::Stale { .. })));
    // Another partition is another part of the same checkpoint.
    let other = Arc::new(commit(&id, &first.next, mark(1, 3), &[(2, 2)]));
    read_models.commit(other.clone()).await.unwrap();
    let taken = take_over(&read_models, 1, 1).await.checkpoint;
    assert_eq!(taken, Checkpoint { epoch: Epoch::new(2), ..other.next.clone() });
    let late = commit(&id, &other.next, mark(0, 6), &[(1, 100)]);
    let refused = read_models.commit(Arc::new(late)).await;
    assert!(matches!(refused, Err(CommitError::Stale { .. })));
    assert_eq!(count(&read_models, &id, 1).await, Some(1));
    assert_eq!(count(&read_models, &id, 2).await, Some(2));
    assert_eq!(count(&read_models, &id, 3).await, None);
}

#[tokio::test]
async fn rows_that_are_refused_take_the_checkpoint_and_what_is_parked_with_them() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    let (id, begun) = (id(1, 1), take_over(&read_models, 1, 1).await.checkpoint);
    let mut wrong = commit(&id, &begun, mark(0, 5), &[(1, 1)]);
    wrong.upserts.push(vec![Value::Integer(2), Value::Null]);
    wrong.parked = vec![park("3", 5)];
    let error = read_models.commit(Arc::new(wrong)).await.unwrap_err();
    assert!(matches!(error, CommitError::Store(StoreFault::Changed { .. })), "{error:?}");
    assert_eq!(count(&read_models, &id, 1).await, None);
    assert_eq!(read_models.parked(&id, None, 10).await.unwrap(), []);
    read_models.commit(Arc::new(commit(&id, &begun, mark(0, 5), &[(1, 1)]))).await.unwrap();
}

#[tokio::test]
async fn a_checkpoint_that_has_seen_nothing_is_of_any_history() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    let begun = take_over_of(&read_models, 1, 1, ELSEWHERE).await.checkpoint;
    assert_eq!(begun.seen.incarnation(), ELSEWHERE);
    let begun = take_over(&read_models, 1, 1).await.checkpoint;
    assert_eq!(begun.seen.incarnation(), HERE);
    let id = id(1, 1);
    read_models.commit(Arc::new(commit(&id, &begun, mark(0, 5), &[]))).await.unwrap();
    let seen = take_over_of(&read_models, 1, 1, ELSEWHERE).await.checkpoint;
    assert_eq!(seen.seen.incarnation(), HERE, "it is told, not changed");
}

/// A drain: rows and what is parked change, the checkpoint stays, and its owner is the only one all the same.
#[tokio::test]
async fn a_commit_may_leave_the_checkpoint_where_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    let (id, begun) = (id(1, 1), take_over(&read_models, 1, 1).await.checkpoint);
    let stands = advance(&read_models, &id, &begun, mark(0, 5), vec![park("2", 5)]).await;
    let mut drained = Arc::unwrap_or_clone(drain(&id, &stands, vec![take("2", 5), lift("2")]));
    drained.upserts = vec![vec![Value::Integer(2), Value::Integer(20)]];
    assert_eq!(drained.expected, drained.next);
    read_models.commit(Arc::new(drained.clone())).await.unwrap();
    assert_eq!(count(&read_models, &id, 2).await, Some(20));
    assert_eq!(read_models.parked(&id, None, 10).await.unwrap(), []);
    assert_eq!(read_model(&read_models, &id).await.checkpoint, Some(stands));
    take_over(&read_models, 1, 1).await;
    let refused = read_models.commit(Arc::new(Commit { parked: vec![], ..drained })).await;
    assert!(matches!(refused, Err(CommitError::Stale { .. })), "under an older epoch");
}

#[tokio::test]
async fn of_two_handles_the_one_that_took_over_first_is_stale() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rm");
    let (first, second) = (open(&path), open(&path));
    let id = id(1, 1);
    let of_first = take_over(&first, 1, 1).await.checkpoint;
    let of_second = take_over(&second, 1, 1).await.checkpoint;
    let late = commit(&id, &of_first, mark(0, 5), &[(1, 1)]);
    let refused = first.commit(Arc::new(late)).await;
    let Err(CommitError::Stale { found, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(*found, of_second);
    advance(&second, &id, &of_second, mark(0, 5), vec![]).await;
    assert_eq!(count(&first, &id, 1).await, Some(5), "and reads what the other wrote");
}

/// The next of a number has rows of its own, and an owner of the one before is not its owner.
#[tokio::test]
async fn who_owned_a_dropped_read_model_does_not_own_the_next_of_its_number() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rm");
    let (read_models, other) = (open(&path), open(&path));
    take_over(&read_models, 1, 1).await;
    rebuild(&read_models, true).await.unwrap();
    let second = id(1, 2);
    let owned = take_over(&other, 1, 2).await.checkpoint;
    act(&read_models, kronika_core::Act::Drop(second.clone())).await.unwrap();
    let late = Arc::new(commit(&second, &owned, mark(0, 5), &[(1, 1)]));
    let refused = other.commit(late.clone()).await.unwrap_err().to_string();
    assert!(refused.contains("counts (generation 1, run 2) is not there any more"), "{refused}");
    let refused = other.load(&second, vec![vec![Value::Integer(1)]]).await.unwrap_err();
    assert!(refused.to_string().contains("is not there any more"), "{refused}");
    rebuild(&read_models, true).await.unwrap();
    let owned = take_over(&read_models, 1, 2).await.checkpoint;
    assert_eq!(owned.epoch, Epoch::new(2));
    assert!(matches!(other.commit(late).await, Err(CommitError::Stale { .. })));
}

#[tokio::test]
async fn the_time_and_number_of_events_come_with_the_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    let (id, begun) = (id(1, 1), take_over(&read_models, 1, 1).await.checkpoint);
    let mut timed = commit(&id, &begun, mark(0, 5), &[(1, 1), (2, 2)]);
    timed.next.time = Some(Timestamp::new(17));
    read_models.commit(Arc::new(timed.clone())).await.unwrap();
    advance(&read_models, &id, &timed.next, mark(1, 4), vec![]).await;
    let checkpoint = read_model(&read_models, &id).await.checkpoint.unwrap();
    assert_eq!((checkpoint.events, checkpoint.time), (3, Some(Timestamp::new(17))));
}
