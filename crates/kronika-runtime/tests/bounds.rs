//! Promise 11, and residents bounded by bytes: what does not fit is refused and told, never dropped.
mod common;

use common::{add, id, service, small};
use kronika_runtime::CommandError;
use kronika_testkit::{MemoryJournal, MemorySettings, Plan};
use std::{future::IntoFuture, time::Duration};

fn slow() -> MemoryJournal {
    let plan = Plan { effect_within: Duration::from_millis(50), ..Plan::calm() };
    MemoryJournal::open(MemorySettings { seed: 3, plan, ..MemorySettings::default() })
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_and_a_full_aggregate_refuse_with_a_time_to_come_back() {
    let journal = slow();
    let mut limits = small();
    limits.mailbox_commands = 8;
    limits.pending_commands = 4;
    let (_service, carts) = service(&journal, limits).await;
    let sent: Vec<_> =
        (0..20).map(|_| tokio::spawn(carts.send(&id("a"), add(&[])).into_future())).collect();
    let (mut done, mut overloaded) = (0, 0);
    for sent in sent {
        match sent.await.unwrap() {
            Ok(_) => done += 1,
            Err(CommandError::Overloaded { retry_after, .. }) => {
                assert!(retry_after > Duration::ZERO);
                overloaded += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(done >= 4 && overloaded >= 8 && done + overloaded == 20, "{done} {overloaded}");
    assert!(carts.send(&id("a"), add(&["x"])).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn residents_are_bounded_by_bytes_and_what_is_used_most_stays() {
    let journal = MemoryJournal::new(1);
    let mut limits = small();
    limits.resident_bytes = 20_000;
    let (_service, carts) = service(&journal, limits).await;
    for round in 0..400 {
        carts.send(&id("hot"), add(&[])).await.unwrap();
        carts.send(&format!("cold-{round}"), add(&["x"])).await.unwrap();
    }
    let stats = carts.stats();
    assert!(stats.residents < 40 && stats.resident_bytes < 21_000, "{stats:?}");
    assert!(stats.passivations > 300);
    // The hot one was loaded once or nearly so; every cold one still answers.
    assert!(stats.loadings <= 400 + 5, "{stats:?}");
    assert_eq!(carts.send(&id("cold-0"), add(&["y"])).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn idle_residents_go_and_come_back_with_their_state() {
    let journal = MemoryJournal::new(1);
    let (_service, carts) = service(&journal, small()).await;
    carts.send(&id("a"), add(&["x"])).await.unwrap();
    assert_eq!(carts.stats().residents, 1);
    tokio::time::sleep(Duration::from_secs(1200)).await;
    assert_eq!(carts.stats().residents, 0);
    assert_eq!(carts.send(&id("a"), add(&["y"])).await.unwrap(), 2);
}
