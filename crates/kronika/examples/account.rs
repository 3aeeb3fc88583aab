//! An account: three events, three commands, typed refusals. All that a user writes for the write side, and
//! below it a service that uses it: `cargo run -p kronika --example account`.
#![allow(missing_docs, clippy::print_stdout, reason = "an example speaks for itself")]

use kronika::{
    Aggregate, Command, CommandError, Commands, Context, Embedded, Event, Handle, Kronika, Outcome,
    Rejection, ensure,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

// lines: begin account
#[derive(Default, Serialize, Deserialize, JsonSchema)]
pub struct Account {
    open: bool,
    cents: i64,
}

#[derive(Event, Serialize, Deserialize, JsonSchema, Debug, PartialEq)]
pub enum AccountEvent {
    Opened { owner: String },
    Deposited { cents: u32 },
    Withdrawn { cents: u32 },
}

#[derive(Rejection, thiserror::Error, Serialize, Deserialize, JsonSchema, Debug, PartialEq)]
pub enum Refused {
    #[error("already open")]
    AlreadyOpen,
    #[error("not open")]
    NotOpen,
    #[error("only {0} cents left")]
    Insufficient(i64),
}

impl Aggregate for Account {
    const TYPE: &'static str = "account";
    type Id = String;
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Opened { .. } => self.open = true,
            AccountEvent::Deposited { cents } => self.cents += i64::from(*cents),
            AccountEvent::Withdrawn { cents } => self.cents -= i64::from(*cents),
        }
    }
}

#[derive(Command, Serialize, Deserialize, JsonSchema)]
pub struct Open {
    pub owner: String,
}

impl Handle<Open> for Account {
    type Reply = ();
    type Rejection = Refused;

    fn handle(&self, open: &Open, context: &Context<Self>) -> Outcome<Self, Open> {
        ensure(context.is_new(), Refused::AlreadyOpen)?;
        Ok(context.record(AccountEvent::Opened { owner: open.owner.clone() }))
    }
}

#[derive(Command, Serialize, Deserialize, JsonSchema)]
pub struct Deposit {
    pub cents: u32,
}

impl Handle<Deposit> for Account {
    type Reply = i64;
    type Rejection = Refused;

    fn handle(&self, deposit: &Deposit, context: &Context<Self>) -> Outcome<Self, Deposit> {
        ensure(self.open, Refused::NotOpen)?;
        let deposited = AccountEvent::Deposited { cents: deposit.cents };
        Ok(context.record(deposited).reply_from(|account| account.cents))
    }
}

#[derive(Command, Serialize, Deserialize, JsonSchema)]
pub struct Withdraw {
    pub cents: u32,
}

impl Handle<Withdraw> for Account {
    type Reply = i64;
    type Rejection = Refused;

    fn handle(&self, withdraw: &Withdraw, context: &Context<Self>) -> Outcome<Self, Withdraw> {
        ensure(self.open, Refused::NotOpen)?;
        ensure(self.cents >= withdraw.cents.into(), Refused::Insufficient(self.cents))?;
        let withdrawn = AccountEvent::Withdrawn { cents: withdraw.cents };
        Ok(context.record(withdrawn).reply_from(|account| account.cents))
    }
}
// lines: end account

// lines: begin command balance
#[derive(Command, Serialize, Deserialize, JsonSchema)]
pub struct Balance {}

impl Handle<Balance> for Account {
    type Reply = i64;
    type Rejection = Refused;

    fn handle(&self, _: &Balance, context: &Context<Self>) -> Outcome<Self, Balance> {
        ensure(self.open, Refused::NotOpen)?;
        Ok(context.nothing().reply(self.cents))
    }
}
// lines: end command balance

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let service = Kronika::builder()
        .store(Embedded::open(directory.path())?)
        .aggregate(Commands::<Account>::default().on::<Open>().on::<Deposit>().on::<Withdraw>())
        .start()
        .await?;
    let accounts = service.aggregates::<Account>();
    let id = "ann".to_owned();
    accounts.send(&id, Open { owner: "Ann".to_owned() }).await?;
    // Sent again with the same key, it is recorded once.
    for _ in 0..2 {
        accounts.send(&id, Deposit { cents: 700 }).idempotency_key("salary-1").await?;
    }
    match accounts.send(&id, Withdraw { cents: 900 }).await {
        Err(CommandError::Rejected(Refused::Insufficient(left))) => println!("only {left} left"),
        other => println!("{other:?}"),
    }
    let receipt = accounts.send(&id, Withdraw { cents: 200 }).receipt().await?;
    println!("{} cents left at version {}", receipt.reply, receipt.version);
    service.stop().await;
    Ok(())
}
