//! A service with embedded snapshots is killed again and again: whatever became of its snapshots, the next one has
//! the state that all recorded events come to.
#![allow(clippy::unwrap_used)]

use kronika::{Aggregates, Commands, Embedded, Kronika, Limits};
use kronika_testkit::{Account, Deposit};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

const DIRECTORY: &str = "KRONIKA_TEST_SNAPSHOTS_DIRECTORY";
const ACCOUNTS: u64 = 5;

async fn start(directory: &Path, every: u32) -> (Kronika, Aggregates<Account>, Embedded) {
    let store = Embedded::open(directory).unwrap();
    let mut limits = Limits::default();
    limits.snapshot_every = Some(every);
    let builder = Kronika::builder().store(store.clone()).limits(limits);
    let commands = Commands::<Account>::default().on::<Deposit>();
    let service = builder.aggregate(commands).start().await.unwrap();
    let accounts = service.aggregates();
    (service, accounts, store)
}

fn id(number: u64) -> String {
    format!("a{}", number % ACCOUNTS)
}

/// Deposits without end and tells each balance. Only a child process of the test below does so.
async fn deposit_for_ever(directory: &Path) {
    let (_service, accounts, store) = start(directory, 3).await;
    let mut out = std::io::stdout();
    for operation in 0.. {
        let deposit = Deposit { operation, cents: operation as u32 % 100 + 1 };
        let sent = accounts.send(&id(operation), deposit).idempotency_key(format!("{operation}"));
        sent.await.unwrap();
        if operation % 40 == 39 {
            store.snapshots().sync().await.unwrap();
        }
        writeln!(out, "acknowledged {operation}").unwrap();
    }
}

async fn balances(accounts: &Aggregates<Account>) -> Vec<(u64, i64)> {
    let mut balances = Vec::new();
    for number in 0..ACCOUNTS {
        let look = accounts.look(&id(number), Account::cents).await.unwrap();
        balances.push((look.version.get(), look.reply));
    }
    balances
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_service_has_the_state_of_all_events_whatever_its_snapshots_are() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        return deposit_for_ever(Path::new(&directory)).await;
    }
    let directory = tempfile::tempdir().unwrap();
    let (mut used, mut ignored) = (0, 0);
    for round in 0..8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "a_killed_service_has_the_state_of_all_events_whatever_its_snapshots_are",
                "--nocapture",
            ])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let told = lines.filter(|line| line.as_ref().unwrap().starts_with("acknowledged"));
        assert_eq!(told.take(60 + 17 * round).count(), 60 + 17 * round);
        child.kill().unwrap();
        child.wait().unwrap();
        let (service, accounts, store) = start(directory.path(), 0).await;
        let folded = balances(&accounts).await;
        assert_eq!(accounts.stats().snapshots_used, 0);
        service.stop().await;
        drop((service, accounts, store));
        let (service, accounts, store) = start(directory.path(), 3).await;
        assert_eq!(balances(&accounts).await, folded, "round {round}");
        used += accounts.stats().snapshots_used;
        ignored += accounts.stats().snapshots_ignored;
        service.stop().await;
        drop((service, accounts, store));
    }
    assert!(used >= ACCOUNTS, "{used} of 40 loadings began from a snapshot");
    assert_eq!(ignored, 0, "what a kill leaves behind is true");
}
