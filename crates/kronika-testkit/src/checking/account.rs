//! The aggregate of simulations: an account whose events name the operation that they come from.

use kronika_core::{Aggregate, Context, Handle, Never, Outcome, ensure};
use kronika_macros::{Command, Event, Rejection};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A balance in cents.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Account {
    cents: i64,
}

impl Account {
    /// The balance.
    pub fn cents(&self) -> i64 {
        self.cents
    }
}

/// What happens to an account.
#[derive(Debug, Clone, PartialEq, Eq, Event, Serialize, Deserialize)]
pub enum AccountEvent {
    /// Money came.
    Deposited {
        /// The operation, the same in all events of its command.
        operation: u64,
        /// How much.
        cents: u32,
    },
    /// Money went.
    Withdrawn {
        /// The operation.
        operation: u64,
        /// How much.
        cents: u32,
    },
}

impl AccountEvent {
    /// The operation that it comes from.
    pub fn operation(&self) -> u64 {
        match self {
            Self::Deposited { operation, .. } | Self::Withdrawn { operation, .. } => *operation,
        }
    }
}

impl Aggregate for Account {
    const TYPE: &'static str = "account";
    type Id = String;
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Deposited { cents, .. } => self.cents += i64::from(*cents),
            AccountEvent::Withdrawn { cents, .. } => self.cents -= i64::from(*cents),
        }
    }
}

/// Puts money in; of nothing, there is nothing to do. Replies with the balance.
#[derive(Debug, Clone, Command, Serialize, Deserialize, JsonSchema)]
pub struct Deposit {
    /// The operation.
    pub operation: u64,
    /// How much.
    pub cents: u32,
}

impl Handle<Deposit> for Account {
    type Reply = i64;
    type Rejection = Never;

    fn handle(&self, deposit: &Deposit, context: &Context<Self>) -> Outcome<Self, Deposit> {
        let &Deposit { operation, cents } = deposit;
        let deposited = (cents > 0).then_some(AccountEvent::Deposited { operation, cents });
        Ok(context.record_all(deposited).reply_from(|account| account.cents))
    }
}

/// Puts money in, the same amount several times: all of it or nothing; of nothing, there is nothing to do.
/// Replies with the balance.
#[derive(Debug, Clone, Command, Serialize, Deserialize, JsonSchema)]
pub struct DepositInParts {
    /// The operation.
    pub operation: u64,
    /// How much each time.
    pub cents: u32,
    /// How often.
    pub parts: u32,
}

impl Handle<DepositInParts> for Account {
    type Reply = i64;
    type Rejection = Never;

    fn handle(
        &self,
        deposit: &DepositInParts,
        context: &Context<Self>,
    ) -> Outcome<Self, DepositInParts> {
        let &DepositInParts { operation, cents, parts } = deposit;
        let parts = if cents > 0 { 0..parts } else { 0..0 };
        let parts = parts.map(|_| AccountEvent::Deposited { operation, cents });
        Ok(context.record_all(parts).reply_from(|account| account.cents))
    }
}

/// Takes money out, where there is enough. Replies with the balance.
#[derive(Debug, Clone, Command, Serialize, Deserialize, JsonSchema)]
pub struct Withdraw {
    /// The operation.
    pub operation: u64,
    /// How much.
    pub cents: u32,
}

/// There is not enough.
#[derive(
    Debug, Clone, PartialEq, Eq, thiserror::Error, Rejection, Serialize, Deserialize, JsonSchema,
)]
#[error("only {cents} cents are left")]
pub struct Overdrawn {
    /// How much there is.
    pub cents: i64,
}

impl Handle<Withdraw> for Account {
    type Reply = i64;
    type Rejection = Overdrawn;

    fn handle(&self, withdraw: &Withdraw, context: &Context<Self>) -> Outcome<Self, Withdraw> {
        let &Withdraw { operation, cents } = withdraw;
        ensure(self.cents >= i64::from(cents), Overdrawn { cents: self.cents })?;
        let withdrawn = AccountEvent::Withdrawn { operation, cents };
        Ok(context.record(withdrawn).reply_from(|account| account.cents))
    }
}

/// Replies with the balance, and records nothing.
#[derive(Debug, Clone, Command, Serialize, Deserialize, JsonSchema)]
pub struct Read {}

impl Handle<Read> for Account {
    type Reply = i64;
    type Rejection = Never;

    fn handle(&self, _: &Read, context: &Context<Self>) -> Outcome<Self, Read> {
        Ok(context.nothing().reply(self.cents))
    }
}
