//! Given / when / then: domain code tested without a runtime, a store or a clock.
//!
//! Beside what a test asserts, everything goes through its codec and comes back, and the state is folded
//! again from snapshots taken at every version: what serde does not keep shows here and not after a restart.
//! That `STATE_SCHEMA` was raised is not seen here but by the lock file of shapes: no old snapshot is at hand.

mod codecs;
mod fold;
mod projected;
mod show;
mod then;

pub use projected::{Projected, projected};
pub use then::Then;

use codecs::decided_alike;
use fold::Fold;
use kronika_core::{Aggregate, Command, Context, Handle, Timestamp, Version};

/// When commands are decided, unless a test says otherwise: 2023-11-14T22:13:20Z.
const NOW: Timestamp = Timestamp::new(1_700_000_000_000_000);

/// An aggregate to which these events have happened.
///
/// ```
/// use kronika_testkit::{Account, Deposit, AccountEvent, Overdrawn, Withdraw, given};
///
/// let deposited = |operation, cents| AccountEvent::Deposited { operation, cents };
/// given::<Account>([deposited(1, 300)])
///     .when(Withdraw { operation: 2, cents: 500 })
///     .then_rejection(Overdrawn { cents: 300 })
///     .when(Withdraw { operation: 3, cents: 100 })
///     .then_events([AccountEvent::Withdrawn { operation: 3, cents: 100 }])
///     .then_reply(200)
///     .then_state(|account| assert_eq!(account.cents(), 200));
/// ```
#[track_caller]
pub fn given<A: Aggregate>(events: impl IntoIterator<Item = A::Event>) -> Given<A> {
    let mut given = Given { id: None, now: NOW, fold: Fold::default() };
    events.into_iter().for_each(|event| given.fold.event(event));
    given
}

/// An aggregate, its history, and what a command would be told beside.
pub struct Given<A: Aggregate> {
    id: Option<A::Id>,
    now: Timestamp,
    fold: Fold<A>,
}

impl<A: Aggregate> Given<A> {
    /// The aggregate's id; without, what `1` is parsed as.
    pub fn id(self, id: impl Into<A::Id>) -> Self {
        Self { id: Some(id.into()), ..self }
    }

    /// When the next command is decided.
    pub fn at(self, now: Timestamp) -> Self {
        Self { now, ..self }
    }

    /// Looks at the state after the events.
    #[track_caller]
    pub fn then_state(self, look: impl FnOnce(&A)) -> Self {
        look(self.fold.state());
        self
    }

    /// Lets the aggregate handle a command.
    ///
    /// # Panics
    /// Where a codec does not keep something, where the handler is not pure, and where the journal or the
    /// runtime would refuse the decision.
    #[track_caller]
    pub fn when<C: Command>(mut self, command: C) -> Then<A, C>
    where
        A: Handle<C>,
    {
        let id = self.id.take().unwrap_or_else(default_id::<A>);
        let context = Context::new(&id, Version::new(self.fold.version()), self.now);
        let read_again = codecs::round_trip("the command", &command);
        let decided = self.fold.state().handle(&command, &context);
        decided_alike::<A, C>(
            "the same command on the same state",
            &decided,
            &self.fold.state().handle(&command, &context),
        );
        let again = self.fold.restarted().handle(&read_again, &context);
        decided_alike::<A, C>(
            "the command as read again, on the state as read from its snapshot",
            &decided,
            &again,
        );
        let shown = show::command(&command);
        let outcome = match (decided, again) {
            (Ok(decision), Ok(again)) => Ok(self.fold.decision(decision, again)),
            (Err(rejection), _) => {
                codecs::round_trip("the rejection", &rejection);
                Err(rejection)
            }
            (Ok(_), Err(_)) => unreachable!("the decisions are alike"),
        };
        self.id = Some(id);
        Then::new(self, shown, outcome)
    }
}

#[track_caller]
fn default_id<A: Aggregate>() -> A::Id {
    let parsed = "1".parse::<A::Id>();
    parsed.unwrap_or_else(|why| panic!("`1` is no id of {} ({why}): set one with `id`", A::TYPE))
}
