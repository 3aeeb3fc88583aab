//! What came of a command, and what a test asserts of it.

use super::{Given, codecs, show};
use kronika_core::{Command, Effect, Handle, Timer, Timestamp};
use serde::Serialize;

/// What came of a command. Every assertion gives it back, so that they chain; `when` sends the next
/// command to the state that this one left.
pub struct Then<A: Handle<C>, C: Command> {
    given: Given<A>,
    command: String,
    outcome: Result<Effect<A, A::Reply>, A::Rejection>,
}

impl<A: Handle<C>, C: Command> Then<A, C> {
    pub(super) fn new(
        given: Given<A>,
        command: String,
        outcome: Result<Effect<A, A::Reply>, A::Rejection>,
    ) -> Self {
        Self { given, command, outcome }
    }

    /// It was accepted and records these events, in order, and no others.
    #[track_caller]
    pub fn then_events(self, expected: impl IntoIterator<Item = A::Event>) -> Self {
        let expected = expected.into_iter().collect::<Vec<_>>();
        let alike = self.outcome.as_ref().is_ok_and(|effect| {
            let came = effect.events.iter().map(codecs::new_event);
            came.eq(expected.iter().map(codecs::new_event))
        });
        if !alike {
            self.fail(&show::events(&expected));
        }
        self
    }

    /// It was accepted, and records nothing.
    #[track_caller]
    pub fn then_nothing(self) -> Self {
        self.then_events([])
    }

    /// It was accepted with this reply.
    #[track_caller]
    pub fn then_reply(self, expected: A::Reply) -> Self {
        match &self.outcome {
            Ok(effect) if same(&effect.reply, &expected) => self,
            _ => self.fail(&format!("the reply {}", show::json(&expected))),
        }
    }

    /// It was refused like this.
    #[track_caller]
    pub fn then_rejection(self, expected: A::Rejection) -> Self {
        match &self.outcome {
            Err(rejection) if same(rejection, &expected) => self,
            _ => self.fail(&format!("the rejection {} ({expected})", show::json(&expected))),
        }
    }

    /// It sets these timers, in order, and no others.
    #[track_caller]
    pub fn then_timers(self, expected: impl IntoIterator<Item = Timer>) -> Self {
        let expected = expected.into_iter().collect::<Vec<_>>();
        if self.outcome.as_ref().is_ok_and(|effect| effect.timers == expected) {
            return self;
        }
        self.fail(&format!("the timers {}", timers(&expected)))
    }

    /// Looks at the state that it left.
    #[track_caller]
    pub fn then_state(self, look: impl FnOnce(&A)) -> Self {
        look(self.given.fold.state());
        self
    }

    /// When the next command is decided.
    pub fn at(self, now: Timestamp) -> Self {
        Self { given: self.given.at(now), ..self }
    }

    /// Lets the aggregate handle the next command.
    #[track_caller]
    pub fn when<N: Command>(self, command: N) -> Then<A, N>
    where
        A: Handle<N>,
    {
        self.given.when(command)
    }

    #[track_caller]
    fn fail(&self, expected: &str) -> ! {
        let came = match &self.outcome {
            Ok(effect) => {
                let events = show::events(&effect.events);
                let timers = match effect.timers.as_slice() {
                    [] => String::new(),
                    set => format!(", the timers {}", timers(set)),
                };
                format!("{events}{timers}, the reply {}", show::json(&effect.reply))
            }
            Err(rejection) => format!("the rejection {} ({rejection})", show::json(rejection)),
        };
        let state = codecs::state_value(self.given.fold.state());
        panic!(
            "{} came to something else\n    expected: {expected}\n        came: {came}\n  state after: {state}",
            self.command
        );
    }
}

fn timers(timers: &[Timer]) -> String {
    let timers = timers.iter().map(|timer| {
        format!("{} {} at {} us", timer.command, String::from_utf8_lossy(&timer.body), timer.due)
    });
    format!("[{}]", timers.collect::<Vec<_>>().join(", "))
}

fn same(one: &impl Serialize, other: &impl Serialize) -> bool {
    codecs::json("it", one) == codecs::json("it", other)
}
