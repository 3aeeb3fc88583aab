//! Promise 5: once per command, whatever is sent again.
mod common;

use common::{add, id, service, small};
use kronika_runtime::{CommandError, ExpectedVersion};
use kronika_testkit::{MemoryJournal, MemorySettings, Plan};
use std::{future::IntoFuture, time::Duration};

fn slow(finds_keys: bool) -> MemoryJournal {
    let plan = Plan { effect_within: Duration::from_millis(50), ..Plan::calm() };
    MemoryJournal::open(MemorySettings { seed: 3, plan, finds_keys, ..MemorySettings::default() })
}

#[tokio::test(start_paused = true)]
async fn a_repeat_gets_the_recorded_receipt_and_records_nothing() {
    let journal = MemoryJournal::new(1);
    let (_service, carts) = service(&journal, small()).await;
    let send = || carts.send(&id("a"), add(&["x"])).idempotency_key("k").receipt();
    let first = send().await.unwrap();
    carts.send(&id("a"), add(&["y"])).await.unwrap();
    let again = send().await.unwrap();
    assert!(again.replayed && !first.replayed);
    assert_eq!(
        (again.reply, again.version, &again.token),
        (first.reply, first.version, &first.token)
    );
    assert_eq!(journal.everything().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_key_comes_before_version_and_deadline_and_is_kept_over_a_restart() {
    let journal = MemoryJournal::new(1);
    let (first, carts) = service(&journal, small()).await;
    carts.send(&id("a"), add(&["x"])).idempotency_key("k").await.unwrap();
    first.stop().await;
    let (_second, carts) = service(&journal, small()).await;
    let again = carts.send(&id("a"), add(&["x"])).idempotency_key("k");
    let again = again.expected_version(ExpectedVersion::New);
    assert!(again.receipt().await.unwrap().replayed);
}

#[tokio::test(start_paused = true)]
async fn another_command_under_the_key_is_refused_and_another_principal_is_another_scope() {
    let journal = MemoryJournal::new(1);
    let (_service, carts) = service(&journal, small()).await;
    let send = |item, principal: &str| {
        carts.send(&id("a"), add(&[item])).idempotency_key("k").principal(principal)
    };
    send("x", "ann").await.unwrap();
    assert!(matches!(send("y", "ann").await, Err(CommandError::KeyReused)));
    assert_eq!(send("y", "bob").await.unwrap(), 2);
    assert_eq!(carts.send(&id("b"), add(&["x"])).idempotency_key("k").await.unwrap(), 1);
    let bad = carts.send(&id("a"), add(&["x"])).idempotency_key("with space").await;
    assert!(matches!(bad, Err(CommandError::BadKey)));
}

#[tokio::test(start_paused = true)]
async fn while_the_first_is_pending_others_wait_for_its_outcome() {
    let journal = slow(true);
    let (_service, carts) = service(&journal, small()).await;
    let send =
        |item| tokio::spawn(carts.send(&id("a"), add(&[item])).idempotency_key("k").receipt());
    let (first, second, other) = (send("x"), send("x"), send("y"));
    let first = first.await.unwrap().unwrap();
    let second = second.await.unwrap().unwrap();
    assert!(second.replayed);
    assert_eq!((second.reply, second.version), (first.reply, first.version));
    assert!(matches!(other.await.unwrap(), Err(CommandError::KeyReused)));
    assert_eq!(journal.everything().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rejection_records_nothing_and_the_repeat_is_decided_afresh() {
    let journal = MemoryJournal::new(1);
    let (_service, carts) = service(&journal, small()).await;
    let send = || carts.send(&id("a"), add(&["x"; 10])).idempotency_key("k").into_future();
    let (first, second) = tokio::join!(send(), send());
    assert!(matches!(first, Err(CommandError::Rejected(_))));
    assert!(matches!(second, Err(CommandError::Rejected(_))));
    assert!(journal.everything().is_empty());
    assert!(carts.send(&id("a"), add(&["x"])).idempotency_key("k").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_success_without_events_is_remembered_too() {
    let journal = MemoryJournal::new(1);
    let (_service, carts) = service(&journal, small()).await;
    let send = || carts.send(&id("a"), add(&[])).idempotency_key("k").receipt();
    carts.send(&id("a"), add(&["x"])).await.unwrap();
    let first = send().await.unwrap();
    carts.send(&id("a"), add(&["y"])).await.unwrap();
    let again = send().await.unwrap();
    assert_eq!((again.reply, again.replayed, again.version.get()), (1, true, 1));
    assert_eq!(again.token, first.token);
}

#[tokio::test(start_paused = true)]
async fn what_memory_forgets_the_journal_finds() {
    let journal = MemoryJournal::new(1);
    let mut limits = small();
    limits.key_bytes = 48 * 4;
    let (_service, carts) = service(&journal, limits).await;
    for key in 0..9 {
        let sent = carts.send(&id("a"), add(&["x"])).idempotency_key(key.to_string());
        sent.await.unwrap();
    }
    for key in 0..9 {
        let sent = carts.send(&id("a"), add(&["x"])).idempotency_key(key.to_string());
        assert!(sent.receipt().await.unwrap().replayed, "{key}");
    }
    assert_eq!(journal.everything().len(), 9);
}

#[tokio::test(start_paused = true)]
async fn what_memory_forgets_and_the_journal_cannot_find_is_refused_as_overloaded() {
    let journal = slow(false);
    let mut limits = small();
    limits.key_bytes = 48 * 4;
    let (_service, carts) = service(&journal, limits).await;
    for key in 0..5 {
        let sent = carts.send(&id("a"), add(&["x"])).idempotency_key(key.to_string());
        sent.await.unwrap();
    }
    let new = carts.send(&id("a"), add(&["x"])).idempotency_key("new").await;
    assert!(matches!(new, Err(CommandError::Overloaded { .. })));
}
