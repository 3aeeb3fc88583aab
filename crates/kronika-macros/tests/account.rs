//! All that a user writes for an account, by the derives: three events, three commands, typed refusals;
//! and what one more command takes. `cargo xtask lines` counts both.

#![expect(missing_docs, reason = "the names say what an account does")]

// lines: begin account
use kronika_core::{Aggregate, Context, Handle, Outcome, ensure};
use kronika_macros::{Command, Event, Rejection};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
        let owner = open.owner.clone();
        Ok(context.record(AccountEvent::Opened { owner }))
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

// lines: begin command
#[derive(Command, Serialize, Deserialize, JsonSchema)]
pub struct TakeFee {
    pub cents: u32,
}

impl Handle<TakeFee> for Account {
    type Reply = i64;
    type Rejection = Refused;

    fn handle(&self, fee: &TakeFee, context: &Context<Self>) -> Outcome<Self, TakeFee> {
        ensure(self.open, Refused::NotOpen)?;
        let withdrawn = AccountEvent::Withdrawn { cents: fee.cents };
        Ok(context.record(withdrawn).reply_from(|account| account.cents))
    }
}
// lines: end command

use kronika_core::{Timestamp, Version};

type Decided<C> = Result<(Vec<AccountEvent>, <Account as Handle<C>>::Reply), Refused>;

/// Decides on the state after so many events, applies the decision, and gives its events and reply.
fn decide<C>(account: &mut Account, version: u64, command: C) -> Decided<C>
where
    C: kronika_core::Command,
    Account: Handle<C, Rejection = Refused>,
{
    let id = "a".to_owned();
    let context = Context::new(&id, Version::new(version), Timestamp::new(0));
    let effect = account.handle(&command, &context)?.take_effect(account);
    Ok((effect.events, effect.reply))
}

#[test]
fn an_account_decides_by_its_state() {
    let mut account = Account::default();
    assert_eq!(decide(&mut account, 0, Deposit { cents: 5 }), Err(Refused::NotOpen));
    let opened = AccountEvent::Opened { owner: "ann".into() };
    let open = Open { owner: "ann".into() };
    assert_eq!(decide(&mut account, 0, open), Ok((vec![opened], ())));
    let deposited = vec![AccountEvent::Deposited { cents: 700 }];
    assert_eq!(decide(&mut account, 1, Deposit { cents: 700 }), Ok((deposited, 700)));
    let refused = decide(&mut account, 2, Withdraw { cents: 900 });
    assert_eq!(refused, Err(Refused::Insufficient(700)));
    let withdrawn = vec![AccountEvent::Withdrawn { cents: 1 }];
    assert_eq!(decide(&mut account, 2, TakeFee { cents: 1 }), Ok((withdrawn, 699)));
}
