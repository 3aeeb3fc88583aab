use kronika_core::{Aggregate, Command, Context, Handle, Outcome};
use kronika_macros::{Command, Row};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Default, Serialize, Deserialize)]
struct Account {}

enum AccountEvent {}

impl Aggregate for Account {
    const TYPE: &'static str = "account";
    type Id = String;
    type Event = AccountEvent;
    fn apply(&mut self, _: &AccountEvent) {}
}

#[derive(Command, Serialize, Deserialize, JsonSchema)]
struct Close {}

struct Refused;

impl Handle<Close> for Account {
    type Reply = ();
    type Rejection = Refused;
    fn handle(&self, _: &Close, context: &Context<Self>) -> Outcome<Self, Close> {
        Ok(context.nothing())
    }
}

#[derive(Row)]
struct Balance {
    since: std::time::Instant,
}

struct Open {}
struct Elsewhere {}

fn command<C: Command>() {}
fn handles<A: Handle<C>, C: Command>() {}
fn aggregate<A: Aggregate>() {}

fn main() {
    command::<Open>();
    handles::<Elsewhere, Close>();
    aggregate::<Elsewhere>();
}
