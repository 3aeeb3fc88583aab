//! What a caller is told, and when, on a journal that behaves.
mod common;

use common::{add, id, service, small};
use kronika_core::Version;
use kronika_runtime::{CommandError, ExpectedVersion};
use kronika_testkit::{MemoryJournal, MemorySettings, Plan};
use std::{future::IntoFuture, time::Duration};

fn slow() -> MemoryJournal {
    let plan = Plan { effect_within: Duration::from_millis(50), ..Plan::calm() };
    MemoryJournal::open(MemorySettings { seed: 3, plan, ..MemorySettings::default() })
}

#[tokio::test(start_paused = true)]
async fn a_receipt_tells_reply_version_and_token() {
    let journal = MemoryJournal::new(1);
    let (service, carts) = service(&journal, small()).await;
    let receipt = carts.send(&id("a"), add(&["x", "y"])).receipt().await.unwrap();
    assert_eq!((receipt.reply, receipt.version, receipt.replayed), (2, Version::new(2), false));
    let mark = receipt.token.marks().next().unwrap();
    assert_eq!(mark.position.get(), 2);
    assert_eq!(carts.send(&id("b"), add(&["x"])).await.unwrap(), 1);
    assert_eq!(journal.everything().len(), 2);
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_told_before_what_it_saw_is_durable() {
    let journal = slow();
    let (_service, carts) = service(&journal, small()).await;
    let full: Vec<_> = (0..9).map(|_| "x").collect();
    let filled = tokio::spawn(carts.send(&id("a"), add(&full)).into_future());
    let refused = tokio::spawn(carts.send(&id("a"), add(&["x"])).into_future());
    let read = {
        let carts = carts.clone();
        tokio::spawn(async move { carts.look(&id("a"), |_| ()).await })
    };
    while journal.everything().is_empty() {
        assert!(!refused.is_finished() && !read.is_finished() && !filled.is_finished());
        tokio::time::advance(Duration::from_micros(100)).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(filled.await.unwrap().unwrap(), 9);
    assert!(matches!(refused.await.unwrap(), Err(CommandError::Rejected(_))));
    assert_eq!(read.await.unwrap().unwrap().version, Version::new(9));
}

#[tokio::test(start_paused = true)]
async fn commands_of_one_aggregate_are_handled_in_order_and_written_together() {
    let journal = slow();
    let (service, carts) = service(&journal, small()).await;
    let sent: Vec<_> =
        (0..9).map(|_| tokio::spawn(carts.send(&id("a"), add(&["x"])).into_future())).collect();
    let mut replies = Vec::new();
    for sent in sent {
        replies.push(sent.await.unwrap().unwrap());
    }
    assert_eq!(replies, (1..=9).collect::<Vec<_>>());
    let stats = service.aggregates::<common::Cart>().stats();
    assert!(stats.groups < stats.appends, "{stats:?}");
    assert_eq!((stats.accepted, stats.events), (9, 9));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_handler_costs_that_command_and_nothing_else() {
    let journal = MemoryJournal::new(1);
    let (_service, carts) = service(&journal, small()).await;
    carts.send(&id("a"), add(&["x"])).await.unwrap();
    let panicked = carts.send(&id("a"), add(&["panic"])).await.unwrap_err();
    assert!(
        matches!(&panicked, CommandError::Panicked { command: "add", message } if message.contains("handler is broken"))
    );
    assert_eq!(carts.send(&id("a"), add(&["y"])).await.unwrap(), 2);
    assert_eq!((carts.stats().loadings, carts.stats().recoveries), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_apply_loads_again_and_that_command_is_not_decided_again() {
    let journal = slow();
    let (_service, carts) = service(&journal, small()).await;
    let first = tokio::spawn(carts.send(&id("a"), add(&["x"])).into_future());
    let spoiled = tokio::spawn(carts.send(&id("a"), add(&["y", "spoil"])).into_future());
    let after = tokio::spawn(carts.send(&id("a"), add(&["z"])).into_future());
    assert_eq!(first.await.unwrap().unwrap(), 1);
    assert!(matches!(spoiled.await.unwrap(), Err(CommandError::Panicked { .. })));
    assert_eq!(after.await.unwrap().unwrap(), 2);
    assert_eq!((carts.stats().recoveries, journal.everything().len()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn an_expected_version_that_does_not_fit_is_told_with_the_newest() {
    let journal = MemoryJournal::new(1);
    let (_service, carts) = service(&journal, small()).await;
    let send = |expected| carts.send(&id("a"), add(&["x"])).expected_version(expected);
    assert!(send(ExpectedVersion::Existing).await.is_err());
    send(ExpectedVersion::New).await.unwrap();
    send(Version::new(1).into()).await.unwrap();
    for stale in [ExpectedVersion::New, Version::new(1).into(), Version::new(3).into()] {
        let error = send(stale).await.unwrap_err();
        assert!(matches!(error, CommandError::VersionConflict { newest } if newest.get() == 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_tells_whether_anything_can_have_been_recorded() {
    let journal = slow();
    let (_service, carts) = service(&journal, small()).await;
    let past = carts.send(&id("a"), add(&["x"])).within(Duration::ZERO).await;
    assert!(matches!(past, Err(CommandError::DeadlinePassed)));
    carts.send(&id("a"), add(&["x"])).await.unwrap();
    let short = carts.send(&id("a"), add(&["x"])).within(Duration::from_nanos(1)).await;
    let short = short.unwrap_err();
    assert!(
        matches!(short, CommandError::UnknownOutcome | CommandError::DeadlinePassed),
        "{short}"
    );
}

#[tokio::test(start_paused = true)]
async fn ids_that_cannot_be_a_streams_are_refused() {
    let journal = MemoryJournal::new(1);
    let (_service, carts) = service(&journal, small()).await;
    for bad in ["", "a\nb", &"x".repeat(256), &"x".repeat(1000)] {
        let error = carts.send(&id(bad), add(&["x"])).await.unwrap_err();
        assert!(matches!(error, CommandError::BadId(_)), "{bad:?}: {error}");
    }
    carts.send(&"ü/".repeat(85), add(&["x"])).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stopped_service_answers_what_it_took_and_takes_nothing_more() {
    let journal = slow();
    let (service, carts) = service(&journal, small()).await;
    let taken = tokio::spawn(carts.send(&id("a"), add(&["x"])).into_future());
    tokio::task::yield_now().await;
    service.stop().await;
    assert_eq!(taken.await.unwrap().unwrap(), 1);
    assert!(matches!(carts.send(&id("a"), add(&["x"])).await, Err(CommandError::Stopping)));
}

#[tokio::test(start_paused = true)]
async fn history_and_what_if_change_nothing() {
    let journal = MemoryJournal::new(1);
    let (_service, carts) = service(&journal, small()).await;
    carts.send(&id("a"), add(&["x", "y", "z"])).await.unwrap();
    let then = carts.at_version(&id("a"), Version::new(2)).await.unwrap().unwrap();
    assert_eq!(serde_json::to_string(&then).unwrap(), r#"{"items":["x","y"]}"#);
    assert!(carts.at_version(&id("a"), Version::new(4)).await.unwrap().is_none());
    let decision = carts.what_if(&id("a"), add(&["w"])).await.unwrap().unwrap();
    assert_eq!(decision.events().len(), 1);
    assert!(carts.what_if(&id("a"), add(&["w"; 9])).await.unwrap().is_err());
    assert_eq!(journal.everything().len(), 1);
}
