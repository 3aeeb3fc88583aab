//! What a user writes for the write side: an aggregate, and how it handles each command.
//!
//! All of it is synchronous and pure. What needs I/O happens before a command is sent, or in a process
//! manager; nothing here can reach a store or a clock but through [`Context`].

use crate::{
    command::{Command, Rejection, Shape},
    decision::{Context, Decision},
    event::Event,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt::Display, hash::Hash, str::FromStr};

/// A consistency boundary: the state that commands are checked against, and how events change it.
///
/// `Serialize` and `DeserializeOwned` make snapshots, the state view and the weight in memory possible;
/// `Clone` is never asked for. The default value is the state before the first event; whether an
/// aggregate exists is told by [`Context::is_new`], not by its state.
///
/// # Contract
///
/// `apply` is a pure function of state and event and accepts every event that was ever recorded: it
/// decides nothing. A panic in it makes the aggregate unloadable until the code is mended.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an aggregate",
    note = "implement `Aggregate`: a `TYPE`, an `Id`, an `Event` and `apply`"
)]
pub trait Aggregate: Default + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Stable name of the type, part of every stream's name: `a-z`, `0-9`, `-`, at most 64 bytes.
    const TYPE: &'static str;

    /// Raise when `apply` or the state's shape changes: older snapshots are then ignored.
    const STATE_SCHEMA: u32 = 1;

    /// A snapshot of the state is taken when so many events were recorded since the last one; 0 is never.
    ///
    /// Loading then reads the snapshot and less than twice as many events instead of all. It must give the
    /// same state as all events do: serde has to keep all of it, which the testkit's `given` checks. A state
    /// that is large beside its events is saved less often: not before the events since the last snapshot have
    /// a quarter of that snapshot's bytes.
    const SNAPSHOT_EVERY: u32 = 256;

    /// How one aggregate is told from another, for example `String` or a newtype of `u64`.
    type Id: AggregateId;

    /// What it records: an enum with `#[derive(Event)]`.
    type Event: Event;

    /// Changes the state by an event that has happened.
    fn apply(&mut self, event: &Self::Event);

    /// Bytes that the state takes in memory, where the encoded size is a bad estimate of it.
    /// `None`, the default, takes the encoded size.
    fn weight_bytes(&self) -> Option<usize> {
        None
    }
}

/// What an id must do, in one name, so that no bound leaks into the user's own generics.
/// Implemented for every type that fits: `Display` and `FromStr` must be each other's inverse.
pub trait AggregateId:
    Display + FromStr<Err: Display> + Clone + Eq + Hash + Send + Sync + 'static
{
}
impl<T: Display + FromStr<Err: Display> + Clone + Eq + Hash + Send + Sync + 'static> AggregateId
    for T
{
}

/// What an aggregate does with one command.
///
/// `&self`: the state cannot change before the decision is whole, so a rejection leaves no trace by its
/// type, without rollback or `Clone`. It may be called again for the same command, after a conflict or
/// to ask "what if", and must then depend on nothing but state, command and context.
///
/// ```
/// # use kronika_core::*;
/// # use kronika_macros::{Command, Event, Rejection};
/// # use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize};
/// #[derive(Default, Serialize, Deserialize)]
/// struct Counter { count: u32 }
///
/// #[derive(Event, Serialize, Deserialize)]
/// enum CounterEvent { Incremented }
///
/// impl Aggregate for Counter {
///     const TYPE: &'static str = "counter";
///     type Id = String;
///     type Event = CounterEvent;
///     fn apply(&mut self, CounterEvent::Incremented: &CounterEvent) { self.count += 1 }
/// }
///
/// #[derive(Command, Serialize, Deserialize, JsonSchema)]
/// struct Increment {}
///
/// #[derive(Rejection, thiserror::Error, Serialize, Deserialize, JsonSchema, Debug)]
/// #[error("the counter is full")]
/// struct Full;
///
/// impl Handle<Increment> for Counter {
///     type Reply = u32;
///     type Rejection = Full;
///     fn handle(&self, _: &Increment, context: &Context<Self>) -> Outcome<Self, Increment> {
///         ensure(self.count < 10, Full)?;
///         Ok(context.record(CounterEvent::Incremented).reply_from(|counter| counter.count))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle the command `{C}`",
    note = "implement `Handle<{C}>` for `{Self}`"
)]
pub trait Handle<C: Command>: Aggregate {
    /// What the caller gets once the events are durable.
    type Reply: Shape;
    /// Why the command may be refused; [`crate::Never`] where it never is.
    type Rejection: Rejection;

    /// Checks the command against the state and decides.
    fn handle(&self, command: &C, context: &Context<'_, Self>) -> Outcome<Self, C>;
}

/// A decision, or a typed refusal.
pub type Outcome<A, C> = Result<Decision<A, <A as Handle<C>>::Reply>, <A as Handle<C>>::Rejection>;
