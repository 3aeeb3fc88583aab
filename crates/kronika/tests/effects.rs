//! A service with a handler that reaches out is killed again and again: each event reaches the other side, with one
//! key each time, in order by stream, and few of them more than once.
#![allow(clippy::unwrap_used)]

use kronika::{
    About, Aggregates, Commands, EffectError, EffectKey, Effects, Embedded, Kronika, Perform,
    Token, Waited,
};
use kronika_testkit::{Account, AccountEvent, Deposit};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

const DIRECTORY: &str = "KRONIKA_TEST_EFFECTS_DIRECTORY";
const ACCOUNTS: u64 = 5;
const ROUNDS: u64 = 6;

/// The other side: lines in a file, each written at once.
struct Slips(File);

impl Effects for Slips {
    const NAME: &'static str = "slips";
    type Follows = (Account,);
}

impl Perform<Account> for Slips {
    async fn perform(
        &self,
        _: &AccountEvent,
        about: &About<'_>,
        key: &EffectKey,
    ) -> Result<(), EffectError> {
        let line = format!("{key} {} {}\n", about.id(), about.version);
        Ok((&self.0).write_all(line.as_bytes())?)
    }
}

async fn start(directory: &Path) -> (Kronika, Aggregates<Account>) {
    let slips = OpenOptions::new().create(true).append(true).open(directory.join("slips"));
    let store = Embedded::open(directory.join("data")).unwrap();
    let builder = Kronika::builder().store(store).effects(Slips(slips.unwrap()));
    let commands = Commands::<Account>::default().on::<Deposit>();
    let service = builder.aggregate(commands).start().await.unwrap();
    let accounts = service.aggregates();
    (service, accounts)
}

async fn deposit(accounts: &Aggregates<Account>, operation: u64) -> Token {
    let id = format!("a{}", operation % ACCOUNTS);
    accounts.send(&id, Deposit { operation, cents: 1 }).receipt().await.unwrap().token
}

/// Deposits without end. Only a child process of the test below does so.
async fn deposit_for_ever(directory: &Path) {
    let (_service, accounts) = start(directory).await;
    let mut out = std::io::stdout();
    for operation in 0.. {
        deposit(&accounts, operation).await;
        writeln!(out, "acknowledged {operation}").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_service_reaches_out_about_each_event_and_seldom_twice() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        return deposit_for_ever(Path::new(&directory)).await;
    }
    let directory = tempfile::tempdir().unwrap();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_killed_service_reaches_out_about_each_event_and_seldom_twice"])
            .arg("--nocapture")
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let told = lines.filter(|line| line.as_ref().unwrap().starts_with("acknowledged"));
        let many = 60 + 17 * round as usize;
        assert_eq!(told.take(many).count(), many);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let (service, accounts) = start(directory.path()).await;
    let token = deposit(&accounts, 0).await;
    let waited = service.projections().wait_for(&["slips"], &token, Duration::from_secs(60)).await;
    assert_eq!(waited, Waited::There);
    let mut versions = BTreeMap::new();
    for number in 0..ACCOUNTS {
        let id = format!("a{number}");
        let look = accounts.look(&id, Account::cents).await.unwrap();
        versions.insert(id, look.version.get());
    }
    service.stop().await;

    let (mut came, mut keys, mut newest) = (0, BTreeSet::new(), BTreeMap::new());
    for line in std::fs::read_to_string(directory.path().join("slips")).unwrap().lines() {
        let [key, id, version] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        assert!(key.starts_with("slips/"), "{key}");
        came += 1;
        keys.insert(key.to_owned());
        let (version, newest) =
            (version.parse::<u64>().unwrap(), newest.entry(id.to_owned()).or_insert(0));
        assert!(version <= *newest + 1, "{id}: {version} after {newest}");
        *newest = version.max(*newest);
    }
    assert_eq!(newest, versions, "up to the newest event of each");
    let recorded = versions.values().sum::<u64>();
    assert_eq!(keys.len() as u64, recorded, "one key for each event");
    assert!(came - recorded <= ROUNDS * 64, "{came} slips about {recorded} events");
}
