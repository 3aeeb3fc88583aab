//! A service of accounts with its read model, and the way from a command's acknowledgement to its row.

use super::{
    Fault,
    ledger::{Account, Deposit, balances},
};
use crate::harness::Latencies;
use hdrhistogram::Histogram;
use kronika::{
    Aggregates, Commands, Kronika, Log, Receipt, SqliteReadModels, SqliteSettings, Store, Waited,
};
use kronika_core::{SharedJournal, SharedReadModelStore};
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// A row that is not visible in this time never is.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running service. Clones share it.
#[derive(Clone)]
pub struct Ledger {
    pub service: Kronika,
    pub accounts: Aggregates<Account>,
    read_models: SqliteReadModels,
}

struct Stores {
    log: Log,
    read_models: SqliteReadModels,
}

impl Store for Stores {
    fn journal(&self) -> SharedJournal {
        Arc::new(self.log.clone())
    }
    fn read_models(&self) -> Option<SharedReadModelStore> {
        Some(Arc::new(self.read_models.clone()))
    }
}

impl Ledger {
    /// Starts it on a log, with its read models in a directory.
    pub async fn start(log: &Log, directory: &Path, poisoned: bool) -> Result<Self, Fault> {
        let file = directory.join("read-models.sqlite");
        let read_models = SqliteReadModels::open(file, SqliteSettings::default())?;
        let service = Kronika::builder()
            .store(Stores { log: log.clone(), read_models: read_models.clone() })
            .aggregate(Commands::<Account>::default().on::<Deposit>())
            .registered(balances(poisoned))
            .start()
            .await?;
        let accounts = service.aggregates::<Account>();
        Ok(Self { service, accounts, read_models })
    }

    /// Ends it.
    pub async fn stop(self) {
        self.service.stop().await;
        self.read_models.close();
    }

    /// Sends a deposit to each of these accounts, a few at a time, and waits until their rows are there.
    pub async fn load(&self, accounts: impl Iterator<Item = String>) -> Result<(), Fault> {
        let mut sent = JoinSet::new();
        let mut token = self.service.empty_token();
        for account in accounts {
            let accounts = self.accounts.clone();
            sent.spawn(async move {
                let deposit = Deposit::some(&mut fastrand::Rng::new());
                accounts.send(&account, deposit).receipt().await
            });
            if sent.len() >= 256
                && let Some(receipt) = sent.join_next().await
            {
                token.merge(&receipt??.token)?;
            }
        }
        while let Some(receipt) = sent.join_next().await {
            token.merge(&receipt??.token)?;
        }
        match self.service.projections().wait_for(&[], &token, PATIENCE).await {
            Waited::There => Ok(()),
            other => Err(format!("the read model did not catch up: {other:?}").into()),
        }
    }

    /// Waits by a receipt's token and asks for its account's row, which must have the deposit.
    pub async fn see(&self, account: String, receipt: Receipt<()>) -> Result<(), Fault> {
        match self.service.projections().wait_for(&["balances"], &receipt.token, PATIENCE).await {
            Waited::There => {}
            other => return Err(format!("the row of {account} was not seen: {other:?}").into()),
        }
        let deposits = self.deposits(account.clone()).await?;
        // Each event of an account is a deposit.
        match deposits >= receipt.version.get() {
            true => Ok(()),
            false => Err(format!("{account} shows {deposits} deposits, not all of its own").into()),
        }
    }

    /// Asks for an account's row.
    pub async fn deposits(&self, account: String) -> Result<u64, Fault> {
        let found = self.read_models.query(move |connection| {
            let sql = "SELECT deposits FROM balances WHERE key = ?1";
            connection.prepare_cached(sql)?.query_row([account], |row| row.get(0))
        });
        Ok(found.await?)
    }

    /// Sends a deposit, and tells how long its row takes from the acknowledgement on, where `latencies` are given.
    pub async fn deposit(
        self,
        account: String,
        deposit: Deposit,
        number: usize,
        latencies: Option<Latencies>,
    ) -> Result<(), Fault> {
        let receipt = self.accounts.send(&account, deposit).receipt().await?;
        if let Some(latencies) = latencies {
            let acknowledged = Instant::now();
            self.see(account, receipt).await?;
            latencies.record(number, acknowledged.elapsed().as_nanos() as u64);
        }
        Ok(())
    }
}

/// What slices of commands came to: rates, and latencies in microseconds.
pub struct Figures {
    pub rate: Vec<f64>,
    pub p50: Vec<f64>,
    pub p99: Vec<f64>,
}

impl Figures {
    pub const fn new() -> Self {
        Self { rate: Vec::new(), p50: Vec::new(), p99: Vec::new() }
    }

    pub fn add(&mut self, rate: f64, latencies: &Histogram<u64>) {
        self.rate.push(rate);
        self.p50.push(latencies.value_at_quantile(0.5) as f64 / 1_000.0);
        self.p99.push(latencies.value_at_quantile(0.99) as f64 / 1_000.0);
    }
}
