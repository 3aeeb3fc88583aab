//! An account: three events, three commands, typed refusals. All that a user writes for the write side.

use kronika::{Aggregate, Command, Context, Event, Handle, Outcome, Rejection, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

// lines: begin account
#[derive(Default, Serialize, Deserialize)]
pub struct Account {
    open: bool,
    cents: i64,
}

#[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
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

// lines: begin account-further-command
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
// lines: end account-further-command
