//! Parked keys and letters: they change with the checkpoint, in order, or not at all.

use crate::common::*;
use kronika_core::{
    Act, CommitError, ParkedChange, ParkedKey, ParkedRequest, ReadModelStore, StoreFault, Timestamp,
};
use kronika_sqlite::SqliteReadModels;

async fn parked(read_models: &SqliteReadModels) -> Vec<ParkedKey> {
    read_models.parked(&id(1, 1), None, 100).await.unwrap()
}

#[tokio::test]
async fn a_parked_key_has_its_letters_in_the_order_in_which_they_came() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    let (id, begun) = (id(1, 1), take_over(&read_models, 1, 1).await.checkpoint);
    let changes = vec![park("b", 3), park("a", 2), hold("b", 9), hold("b", 4)];
    advance(&read_models, &id, &begun, mark(0, 9), changes).await;
    let found = parked(&read_models).await;
    let expected = |text, position, letters| ParkedKey {
        key: key(text),
        cause: "no".into(),
        first: letter(position),
        letters,
        parked: Timestamp::new(99),
        attempts: 1,
        asked: None,
    };
    assert_eq!(found, [expected("a", 2, 1), expected("b", 3, 3)]);
    let letters = |skip, limit| read_models.letters(&id, key("b"), skip, limit);
    assert_eq!(letters(0, 10).await.unwrap(), [letter(3), letter(9), letter(4)]);
    assert_eq!(letters(1, 1).await.unwrap(), [letter(9)]);
    assert_eq!(read_models.parked(&id, Some(key("a")), 9).await.unwrap(), found[1..]);
    assert_eq!(read_models.parked(&id, None, 1).await.unwrap(), found[..1]);
    let read_model = read_model(&read_models, &id).await;
    assert_eq!((read_model.parked, read_model.letters), (2, 4));
    assert_eq!(take_over(&read_models, 1, 1).await.parked, found, "its new owner is told");
}

#[tokio::test]
async fn letters_are_taken_and_the_last_change_lifts() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    let (id, begun) = (id(1, 1), take_over(&read_models, 1, 1).await.checkpoint);
    let changes = vec![park("a", 1), hold("a", 2), hold("a", 3)];
    let stands = advance(&read_models, &id, &begun, mark(0, 3), changes).await;
    read_models.commit(drain(&id, &stands, vec![take("a", 1), fail("a", "two")])).await.unwrap();
    let [found] = &parked(&read_models).await[..] else { panic!("one is parked") };
    let seen = (found.first.clone(), found.letters, found.attempts, &*found.cause);
    assert_eq!(seen, (letter(2), 2, 1, "two"));
    // What comes meanwhile stands behind.
    let stands = advance(&read_models, &id, &stands, mark(0, 4), vec![hold("a", 4)]).await;
    let rest = vec![take("a", 2), take("a", 3), take("a", 4), lift("a")];
    read_models.commit(drain(&id, &stands, rest)).await.unwrap();
    assert_eq!(parked(&read_models).await, []);
    assert_eq!(read_models.letters(&id, key("a"), 0, 10).await.unwrap(), []);
    // And it can be parked again.
    advance(&read_models, &id, &stands, mark(0, 5), vec![park("a", 5)]).await;
    assert_eq!(read_models.letters(&id, key("a"), 0, 10).await.unwrap(), [letter(5)]);
}

#[tokio::test]
async fn lifting_leaves_the_other_letters_out() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    let (id, begun) = (id(1, 1), take_over(&read_models, 1, 1).await.checkpoint);
    let changes = vec![park("a", 1), hold("a", 2), park("b", 3)];
    let stands = advance(&read_models, &id, &begun, mark(0, 3), changes).await;
    read_models.commit(drain(&id, &stands, vec![lift("a")])).await.unwrap();
    assert_eq!(read_models.letters(&id, key("a"), 0, 10).await.unwrap(), []);
    assert_eq!(parked(&read_models).await.len(), 1);
}

/// A change that does not fit what is stored: somebody changed it by hand, or is not its only owner.
#[tokio::test]
async fn changes_that_do_not_fit_are_refused_with_all_of_their_batch() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    let (id, begun) = (id(1, 1), take_over(&read_models, 1, 1).await.checkpoint);
    let stands = advance(&read_models, &id, &begun, mark(0, 3), vec![park("a", 1)]).await;
    let check = async |change: ParkedChange, expected: &str| {
        let before = parked(&read_models).await;
        let changes = vec![park("z", 4), change];
        let error = read_models.commit(drain(&id, &stands, changes)).await.unwrap_err();
        let CommitError::Store(StoreFault::Changed { table, what }) = error else {
            panic!("{error:?}")
        };
        assert_eq!(table, "kronika_parked");
        assert!(what.contains(expected), "{what}");
        assert_eq!(parked(&read_models).await, before, "nothing of it stays");
    };
    check(park("a", 5), "key a of counts (generation 1, run 1) is parked already").await;
    check(hold("b", 5), "is not parked").await;
    check(hold("a", 1), "has its letter 1 already").await;
    check(take("b", 5), "has no letter 5").await;
    check(take("a", 5), "has no letter 5").await;
    check(fail("b", "no"), "is not parked").await;
}

#[tokio::test]
async fn what_is_asked_stands_until_it_is_done_or_failed() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    let (id, begun) = (id(1, 1), take_over(&read_models, 1, 1).await.checkpoint);
    let changes = vec![park("a", 1), hold("a", 2), hold("a", 3), park("b", 4)];
    let stands = advance(&read_models, &id, &begun, mark(0, 4), changes).await;
    let asked = async || {
        let found = parked(&read_models).await;
        found.into_iter().map(|parked| parked.asked).collect::<Vec<_>>()
    };
    act(&read_models, Act::AllParked(id.clone(), ParkedRequest::Retry)).await.unwrap();
    assert_eq!(asked().await, [Some(ParkedRequest::Retry); 2]);
    act(&read_models, Act::Parked(id.clone(), key("a"), ParkedRequest::Skip)).await.unwrap();
    assert_eq!(asked().await, [Some(ParkedRequest::Skip), Some(ParkedRequest::Retry)]);
    // The first is left out. Whoever begins again leaves no other out.
    read_models.commit(drain(&id, &stands, vec![take("a", 1)])).await.unwrap();
    assert_eq!(asked().await, [Some(ParkedRequest::Retry); 2]);
    // Nor does who asks while the next one was not tried: it is not what he has seen fail.
    let skip = || Act::Parked(id.clone(), key("a"), ParkedRequest::Skip);
    act(&read_models, skip()).await.unwrap();
    assert_eq!(asked().await, [Some(ParkedRequest::Retry); 2]);
    read_models.commit(drain(&id, &stands, vec![fail("a", "no")])).await.unwrap();
    assert_eq!(asked().await, [None, Some(ParkedRequest::Retry)]);
    act(&read_models, skip()).await.unwrap();
    assert_eq!(asked().await, [Some(ParkedRequest::Skip), Some(ParkedRequest::Retry)]);
}
