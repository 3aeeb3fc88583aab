//! Callers of the simulation: each sends operations in its own time, notes what it was told, and sends again
//! under the same key what it is unsure of.

use kronika_core::{StreamId, Timestamp};
use kronika_runtime::{Aggregates, CommandError, Receipt};
use kronika_testkit::{
    Account, Action, Deposit, DepositInParts, History, Invocation, Operation, Overdrawn, Withdraw,
};
use std::{sync::Mutex, time::Duration};
use tokio::time::sleep;

/// Where commands go now: changes when the service is started anew.
pub struct Door(Mutex<Aggregates<Account>>);

impl Door {
    pub fn new(accounts: Aggregates<Account>) -> Self {
        Self(Mutex::new(accounts))
    }
    pub fn change(&self, accounts: Aggregates<Account>) {
        *self.0.lock().expect("nothing panics under it") = accounts;
    }
    fn accounts(&self) -> Aggregates<Account> {
        self.0.lock().expect("nothing panics under it").clone()
    }
}

pub struct Caller {
    pub history: History,
    pub random: fastrand::Rng,
    pub accounts: usize,
    pub operations: usize,
}

enum Told {
    Settled,
    /// It may or may not be recorded: worth sending again under its key.
    Unsure,
}

impl Caller {
    pub async fn call(mut self, door: &Door) {
        for _ in 0..self.operations {
            if self.random.bool() {
                sleep(Duration::from_micros(self.random.u64(..20_000))).await;
            }
            let id = format!("a{}", self.random.usize(..self.accounts));
            let operation = self.history.new_operation();
            let action = self.action();
            if action == Action::Read {
                self.read(door, &id, operation).await;
                continue;
            }
            let key = self.random.bool().then(|| format!("key-{}", operation.0));
            let mut repeats = match &key {
                // Sometimes again although the answer came: a receipt is given again.
                Some(_) => self.random.usize(..3),
                None => 0,
            };
            loop {
                let told = self.send(door, &id, operation, action, key.as_deref()).await;
                match told {
                    Told::Unsure if key.is_some() && repeats < 6 => repeats += 2,
                    _ if repeats == 0 => break,
                    _ => repeats -= 1,
                }
                if repeats > 5 {
                    break;
                }
                sleep(Duration::from_micros(self.random.u64(..30_000))).await;
            }
        }
    }

    fn action(&mut self) -> Action {
        match self.random.u32(..10) {
            0..3 => Action::Deposit { cents: self.random.u32(..50), parts: 1 },
            3 => Action::Deposit { cents: self.random.u32(..20), parts: self.random.u32(1..4) },
            4..8 => Action::Withdraw { cents: self.random.u32(1..120) },
            _ => Action::Read,
        }
    }

    async fn read(&mut self, door: &Door, id: &String, operation: Operation) {
        let invocation = self.history.invoke(&stream(id), operation, Action::Read);
        match door.accounts().look(id, Account::cents).await {
            Ok(receipt) => answered(invocation, receipt),
            Err(_) => invocation.failed(),
        }
    }

    async fn send(
        &mut self,
        door: &Door,
        id: &String,
        operation: Operation,
        action: Action,
        key: Option<&str>,
    ) -> Told {
        let (accounts, number) = (door.accounts(), operation.0);
        let invocation = match key {
            Some(key) => self.history.invoke_keyed(&stream(id), operation, action, None, key),
            None => self.history.invoke(&stream(id), operation, action),
        };
        let within = match self.random.u32(..5) {
            0 => Duration::from_micros(self.random.u64(1..40_000)),
            _ => Duration::from_secs(60),
        };
        macro_rules! send {
            ($command:expr) => {{
                let send = accounts.send(id, $command).within(within);
                match key {
                    Some(key) => send.idempotency_key(key).receipt().await,
                    None => send.receipt().await,
                }
            }};
        }
        match action {
            Action::Deposit { cents, parts: 1 } => {
                let deposit = Deposit { operation: number, cents };
                told(invocation, send!(deposit).map_err(|error| error.map(|never| match never {})))
            }
            Action::Deposit { cents, parts } => {
                let deposit = DepositInParts { operation: number, cents, parts };
                told(invocation, send!(deposit).map_err(|error| error.map(|never| match never {})))
            }
            Action::Withdraw { cents } => {
                told(invocation, send!(Withdraw { operation: number, cents }))
            }
            Action::Read => unreachable!("reads are sent apart"),
        }
    }
}

fn told(invocation: Invocation, answer: Result<Receipt<i64>, CommandError<Overdrawn>>) -> Told {
    match answer {
        Ok(receipt) => answered(invocation, receipt),
        Err(CommandError::Rejected(Overdrawn { cents })) => invocation.rejected(cents),
        Err(CommandError::UnknownOutcome) => {
            invocation.unknown();
            return Told::Unsure;
        }
        Err(_) => {
            invocation.failed();
            return Told::Unsure;
        }
    }
    Told::Settled
}

fn answered(invocation: Invocation, receipt: Receipt<i64>) {
    let mark = receipt.token.marks().next();
    invocation.answered(receipt.reply, receipt.version, mark);
}

pub fn stream(id: &str) -> StreamId {
    StreamId::new("account", id).expect("ids of the simulation are plain")
}

/// The wall clock of the simulation, from the paused one.
pub fn clock() -> impl Fn() -> Timestamp + Send + Sync + Clone {
    let began = tokio::time::Instant::now();
    move || Timestamp::new(1_700_000_000_000_000).plus(began.elapsed())
}
