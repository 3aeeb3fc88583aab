//! The aggregates that the tests ask: an account that misbehaves on command, and a ticket numbered by `u64`.

use kronika_core::{Aggregate, Context, Handle, Outcome, ensure};
use kronika_macros::{Command, Event, Rejection};
use kronika_runtime::Commands;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Default, Serialize, Deserialize)]
pub struct Account {
    owner: Option<String>,
    cents: i64,
}

#[derive(Event, Serialize, Deserialize)]
pub enum AccountEvent {
    Opened {
        owner: String,
    },
    // Before, it was recorded as "paid-in".
    #[event(upcast(("paid-in", 1)))]
    Deposited {
        cents: u32,
    },
    Noted {
        text: String,
    },
    /// `apply` cannot take it.
    Cursed {},
}

#[derive(Rejection, thiserror::Error, Serialize, Deserialize, JsonSchema, Debug)]
pub enum Refused {
    #[error("the account is not open")]
    NotOpen,
    #[error("a deposit of {0} cents is not positive")]
    #[rejection(invalid)]
    NotPositive(u32),
}

impl Aggregate for Account {
    const TYPE: &'static str = "account";
    type Id = String;
    type Event = AccountEvent;
    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Opened { owner } => self.owner = Some(owner.clone()),
            AccountEvent::Deposited { cents } => self.cents += i64::from(*cents),
            AccountEvent::Noted { .. } => {}
            AccountEvent::Cursed {} => panic!("a secret curse"),
        }
    }
}

#[derive(Command, Serialize, Deserialize, JsonSchema)]
pub struct Open {
    owner: String,
}
#[derive(Command, Serialize, Deserialize, JsonSchema)]
pub struct Deposit {
    cents: u32,
    #[serde(default)]
    labels: Vec<u8>,
}
#[derive(Command, Serialize, Deserialize, JsonSchema)]
pub struct Touch {}
#[derive(Command, Serialize, Deserialize, JsonSchema)]
pub struct Explode {}
/// Records more than a journal takes.
#[derive(Command, Serialize, Deserialize, JsonSchema)]
pub struct Flood {}

impl Handle<Open> for Account {
    type Reply = ();
    type Rejection = Refused;
    fn handle(&self, open: &Open, context: &Context<'_, Self>) -> Outcome<Self, Open> {
        Ok(context.record(AccountEvent::Opened { owner: open.owner.clone() }))
    }
}

impl Handle<Deposit> for Account {
    type Reply = i64;
    type Rejection = Refused;
    fn handle(&self, deposit: &Deposit, context: &Context<'_, Self>) -> Outcome<Self, Deposit> {
        ensure(self.owner.is_some(), Refused::NotOpen)?;
        ensure(deposit.cents > 0, Refused::NotPositive(deposit.cents))?;
        let deposited = AccountEvent::Deposited { cents: deposit.cents };
        Ok(context.record(deposited).reply_from(|account| account.cents))
    }
}

impl Handle<Touch> for Account {
    type Reply = ();
    type Rejection = kronika_core::Never;
    fn handle(&self, _: &Touch, context: &Context<'_, Self>) -> Outcome<Self, Touch> {
        Ok(context.nothing())
    }
}

impl Handle<Explode> for Account {
    type Reply = ();
    type Rejection = kronika_core::Never;
    fn handle(&self, _: &Explode, _: &Context<'_, Self>) -> Outcome<Self, Explode> {
        panic!("a secret explosion")
    }
}

impl Handle<Flood> for Account {
    type Reply = ();
    type Rejection = kronika_core::Never;
    fn handle(&self, _: &Flood, context: &Context<'_, Self>) -> Outcome<Self, Flood> {
        Ok(context.record(AccountEvent::Noted { text: "x".repeat(2 << 20) }))
    }
}

pub fn accounts() -> Commands<Account> {
    let commands = Commands::<Account>::default();
    commands.creates::<Open>(id).on::<Deposit>().on::<Touch>().on::<Explode>().on::<Flood>()
}

fn id(seed: u128) -> String {
    format!("made/{seed:x}")
}

#[derive(Default, Serialize, Deserialize)]
pub struct Ticket {}

#[derive(Event, Serialize, Deserialize)]
pub enum TicketEvent {
    Bought {},
}

impl Aggregate for Ticket {
    const TYPE: &'static str = "ticket";
    type Id = u64;
    type Event = TicketEvent;
    fn apply(&mut self, TicketEvent::Bought {}: &TicketEvent) {}
}

#[derive(Command, Serialize, Deserialize, JsonSchema)]
pub struct Buy {}

impl Handle<Buy> for Ticket {
    type Reply = ();
    type Rejection = kronika_core::Never;
    fn handle(&self, _: &Buy, context: &Context<'_, Self>) -> Outcome<Self, Buy> {
        Ok(context.record(TicketEvent::Bought {}))
    }
}
