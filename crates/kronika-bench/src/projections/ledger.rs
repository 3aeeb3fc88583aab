//! What is folded: accounts with deposits, and three read models of them.

use kronika::{
    About, Aggregate, Command, Context, Event, Folded, Handle, Never, On, Outcome, Projection,
    RegisteredProjection, Row,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Branches that deposits are made at.
pub const BRANCHES: i64 = 1_000;

/// The account whose deposits cannot be folded, where one is to be poisoned.
pub const POISONED: u32 = 0;

/// Only counts: the read models are what is measured.
#[derive(Default, Serialize, Deserialize)]
pub struct Account {
    deposits: u64,
}

/// An event of two fields.
#[derive(Event, Serialize, Deserialize)]
pub enum AccountEvent {
    /// Somebody brought money.
    Deposited {
        /// How much.
        cents: i64,
        /// Where.
        branch: i64,
    },
}

impl Aggregate for Account {
    const TYPE: &'static str = "account";
    type Id = String;
    type Event = AccountEvent;

    fn apply(&mut self, _: &AccountEvent) {
        self.deposits += 1;
    }
}

/// Brings money.
#[derive(Command, Serialize, Deserialize, JsonSchema)]
pub struct Deposit {
    cents: i64,
    branch: i64,
}

impl Deposit {
    /// Some amount at some branch.
    pub fn some(random: &mut fastrand::Rng) -> Self {
        Self { cents: random.i64(1..100_000), branch: random.i64(0..BRANCHES) }
    }

    /// What it records.
    pub fn event(&self) -> AccountEvent {
        AccountEvent::Deposited { cents: self.cents, branch: self.branch }
    }
}

impl Handle<Deposit> for Account {
    type Reply = ();
    type Rejection = Never;

    fn handle(&self, deposit: &Deposit, context: &Context<Self>) -> Outcome<Self, Deposit> {
        Ok(context.record(deposit.event()).reply(()))
    }
}

/// The id of an account by its number.
pub fn account(number: u32) -> String {
    format!("account-{number:08}")
}

/// What lies on each account.
#[derive(Default)]
pub struct Balances {
    /// Whether the deposits of one account cannot be folded.
    pub poisoned: bool,
}

/// A row of [`Balances`].
#[derive(Row)]
pub struct Balance {
    cents: i64,
    deposits: u64,
    branch: i64,
}

impl Projection for Balances {
    const NAME: &'static str = "balances";
    type Key = String;
    type Row = Balance;
    type Follows = (Account,);
}

impl On<Account> for Balances {
    fn keys(&self, _: &AccountEvent, about: &About<'_>) -> impl IntoIterator<Item = String> {
        [about.id().to_owned()]
    }

    fn on(
        &self,
        row: &mut Option<Balance>,
        key: &String,
        event: &AccountEvent,
        _: &About<'_>,
    ) -> Folded {
        if self.poisoned && *key == account(POISONED) {
            return Err("it is poisoned".into());
        }
        let AccountEvent::Deposited { cents, branch } = event;
        let row = row.get_or_insert(Balance { cents: 0, deposits: 0, branch: 0 });
        row.cents += cents;
        row.deposits += 1;
        row.branch = *branch;
        Ok(())
    }
}

/// The largest deposit of each account.
pub struct Largest;

/// A row of [`Largest`].
#[derive(Row)]
pub struct LargestDeposit {
    cents: i64,
    branch: i64,
}

impl Projection for Largest {
    const NAME: &'static str = "largest";
    type Key = String;
    type Row = LargestDeposit;
    type Follows = (Account,);
}

impl On<Account> for Largest {
    fn keys(&self, _: &AccountEvent, about: &About<'_>) -> impl IntoIterator<Item = String> {
        [about.id().to_owned()]
    }

    fn on(
        &self,
        row: &mut Option<LargestDeposit>,
        _: &String,
        event: &AccountEvent,
        _: &About<'_>,
    ) -> Folded {
        let &AccountEvent::Deposited { cents, branch } = event;
        match row {
            Some(row) if row.cents >= cents => {}
            row => *row = Some(LargestDeposit { cents, branch }),
        }
        Ok(())
    }
}

/// What was deposited at each branch.
pub struct Branches;

/// A row of [`Branches`].
#[derive(Row)]
pub struct Branch {
    cents: i64,
    deposits: u64,
}

impl Projection for Branches {
    const NAME: &'static str = "branches";
    type Key = i64;
    type Row = Branch;
    type Follows = (Account,);
}

impl On<Account> for Branches {
    fn keys(&self, event: &AccountEvent, _: &About<'_>) -> impl IntoIterator<Item = i64> {
        let AccountEvent::Deposited { branch, .. } = event;
        [*branch]
    }

    fn on(&self, row: &mut Option<Branch>, _: &i64, event: &AccountEvent, _: &About<'_>) -> Folded {
        let AccountEvent::Deposited { cents, .. } = event;
        let row = row.get_or_insert(Branch { cents: 0, deposits: 0 });
        row.cents += cents;
        row.deposits += 1;
        Ok(())
    }
}

/// The one that most rows are about.
pub fn balances(poisoned: bool) -> RegisteredProjection {
    RegisteredProjection::keyed(Balances { poisoned })
}

/// All three.
pub fn three() -> Vec<RegisteredProjection> {
    vec![
        balances(false),
        RegisteredProjection::keyed(Largest),
        RegisteredProjection::keyed(Branches),
    ]
}
