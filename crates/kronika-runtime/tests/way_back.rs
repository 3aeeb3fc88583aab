//! Promises 1, 2, 4 and 10 where the journal misbehaves: nothing twice, nothing guessed, order kept.
mod common;

use common::{Cart, add, id, service, small};
use kronika_core::{AppendBy, StreamId};
use kronika_runtime::{Aggregates, CommandError, Standing};
use kronika_testkit::{Fault, MemoryJournal, MemorySettings, Plan, ReadFault};
use std::{future::IntoFuture, time::Duration};

fn slow() -> MemoryJournal {
    let plan = Plan { effect_within: Duration::from_millis(20), ..Plan::calm() };
    MemoryJournal::open(MemorySettings { seed: 3, plan, ..MemorySettings::default() })
}

/// The items of the cart as they are recorded.
fn recorded(journal: &MemoryJournal) -> Vec<String> {
    let everything = journal.everything();
    let events = everything.iter().flat_map(|append| &append.events);
    let item = |body: &[u8]| serde_json::from_slice::<serde_json::Value>(body).ok();
    events.map(|event| item(&event.body).expect("bodies are JSON")["item"].to_string()).collect()
}

/// Sends three commands at once while the first append is struck; gives what each was told.
async fn struck(
    journal: &MemoryJournal,
    carts: &Aggregates<Cart>,
    fault: Fault,
) -> Vec<Result<usize, String>> {
    carts.send(&id("a"), add(&["first"])).await.expect("the journal behaves so far");
    journal.fail_append(1, fault);
    let send = |item| tokio::spawn(carts.send(&id("a"), add(&[item])).into_future());
    let sent = ["x", "y", "z"].map(send);
    let mut told = Vec::new();
    for sent in sent {
        told.push(sent.await.expect("a sender does not panic").map_err(|error| error.to_string()));
    }
    told
}

#[tokio::test(start_paused = true)]
async fn after_a_conflict_all_unanswered_are_decided_again_in_order() {
    let journal = slow();
    let (_service, carts) = service(&journal, small()).await;
    let told = struck(&journal, &carts, Fault::Conflict).await;
    // A stranger wrote "x" first: the owner's three follow it.
    assert_eq!(told, [Ok(3), Ok(4), Ok(5)]);
    assert_eq!(recorded(&journal), [r#""first""#, r#""x""#, r#""x""#, r#""y""#, r#""z""#]);
    assert_eq!(carts.stats().recoveries, 1);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_fenced_read_back_and_never_recorded_twice() {
    for fault in [
        Fault::UnknownBefore,
        Fault::UnknownAfter,
        Fault::UnknownLater(Duration::from_millis(1)),
        Fault::UnknownLater(Duration::from_secs(5)),
    ] {
        let journal = slow();
        let (_service, carts) = service(&journal, small()).await;
        let told = struck(&journal, &carts, fault).await;
        assert_eq!(told, [Ok(2), Ok(3), Ok(4)], "{fault:?}");
        journal.settled().await;
        assert_eq!(recorded(&journal).len(), 4, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_tried_again_keeps_its_append_id() {
    let journal = slow();
    let (_service, carts) = service(&journal, small()).await;
    struck(&journal, &carts, Fault::UnknownBefore).await;
    let sent = journal.sent();
    let struck = sent.iter().find(|sent| sent.fault.is_some()).unwrap();
    assert_eq!(sent.iter().filter(|sent| sent.id == struck.id).count(), 2);
    let stream = StreamId::new("cart", "a").unwrap();
    let found = kronika_core::Journal::read_append(&journal, &stream, AppendBy::Id(struck.id));
    assert!(found.await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn what_was_surely_not_recorded_is_told_as_unavailable_and_the_next_goes_on() {
    let journal = slow();
    let (_service, carts) = service(&journal, small()).await;
    let told = struck(&journal, &carts, Fault::Unavailable).await;
    assert!(told[0].as_ref().is_err_and(|error| error.starts_with("unavailable")), "{told:?}");
    assert_eq!(told[1..], [Ok(2), Ok(3)]);
    assert_eq!(recorded(&journal), [r#""first""#, r#""y""#, r#""z""#]);
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_another_fenced_decides_nothing_more() {
    let journal = slow();
    let (service, carts) = service(&journal, small()).await;
    let told = struck(&journal, &carts, Fault::Fenced).await;
    assert!(
        told.iter().all(|told| told.as_ref().is_err_and(|error| error.contains("own"))),
        "{told:?}"
    );
    assert_eq!(recorded(&journal).len(), 1);
    assert!(matches!(carts.send(&id("b"), add(&["x"])).await, Err(CommandError::NotOwner)));
    assert_eq!(*service.standing().borrow(), Standing::Lost);
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_write_nothing_is_acknowledged() {
    let journal = slow();
    let (service, carts) = service(&journal, small()).await;
    let told = struck(&journal, &carts, Fault::FailedWrite).await;
    assert!(told.iter().all(Result::is_err), "{told:?}");
    assert!(told[0].as_ref().unwrap_err().contains("unknown"), "{told:?}");
    let after = carts.send(&id("a"), add(&["x"])).await.unwrap_err();
    assert!(
        matches!(after, CommandError::JournalFailed(_) | CommandError::Unavailable(_)),
        "{after}"
    );
    assert!(matches!(*service.standing().borrow(), Standing::Failed(_)));
}

#[tokio::test(start_paused = true)]
async fn loading_one_aggregate_holds_up_no_other_and_its_failure_is_its_own() {
    let journal = slow();
    let (_service, carts) = service(&journal, small()).await;
    carts.send(&id("b"), add(&["x"])).await.unwrap();
    journal.fail_read(1, ReadFault::Slow(Duration::from_secs(3600)));
    let loading = tokio::spawn(carts.send(&id("a"), add(&["x"])).into_future());
    tokio::task::yield_now().await;
    for count in 2..=9 {
        assert_eq!(carts.send(&id("b"), add(&["x"])).await.unwrap(), count);
    }
    assert!(!loading.is_finished());
    journal.fail_read(1, ReadFault::Unavailable);
    let failed = carts.send(&id("c"), add(&["x"])).await;
    assert!(matches!(failed, Err(CommandError::Unavailable(_))));
    assert_eq!(carts.send(&id("c"), add(&["x"])).await.unwrap(), 1);
    assert_eq!(loading.await.unwrap().unwrap(), 1);
}
