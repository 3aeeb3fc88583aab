//! What a handler is told, and what it answers with.

use crate::{
    aggregate::{Aggregate, Handle},
    codec::encode_json,
    command::Command,
    event::Event,
    ids::{Timestamp, Version},
};

/// What a handler may know beside the state. It knows the aggregate's type, so that decisions begun from
/// it need no annotation.
pub struct Context<'a, A: Aggregate> {
    id: &'a A::Id,
    version: Version,
    now: Timestamp,
}

impl<'a, A: Aggregate> Context<'a, A> {
    /// For tests and tools that call handlers themselves; the runtime makes its own.
    pub fn new(id: &'a A::Id, version: Version, now: Timestamp) -> Self {
        Self { id, version, now }
    }
    /// The aggregate's id.
    pub fn id(&self) -> &'a A::Id {
        self.id
    }
    /// Version of the state: the number of events recorded so far.
    pub fn version(&self) -> Version {
        self.version
    }
    /// The wall clock when the command was decided, to the microsecond.
    pub fn now(&self) -> Timestamp {
        self.now
    }
    /// Whether nothing was ever recorded for this id.
    pub fn is_new(&self) -> bool {
        self.version == Version::ZERO
    }
    /// A decision to record one event. Its reply is `()` until [`Decision::reply`] gives another.
    pub fn record(&self, event: A::Event) -> Decision<A, ()> {
        self.record_all([event])
    }
    /// A decision to record several events, all or none.
    pub fn record_all(&self, events: impl IntoIterator<Item = A::Event>) -> Decision<A, ()> {
        Decision { events: Events::from_iter(events), timers: Vec::new(), reply: Reply::Unit(()) }
    }
    /// A decision that there is nothing to do: a success that records no event.
    pub fn nothing(&self) -> Decision<A, ()> {
        self.record_all([])
    }
}

/// Almost every decision records one event, so that one costs no allocation.
enum Events<E> {
    One(E),
    Many(Vec<E>),
}

impl<E> FromIterator<E> for Events<E> {
    fn from_iter<I: IntoIterator<Item = E>>(events: I) -> Self {
        let mut events = events.into_iter();
        match (events.next(), events.next()) {
            (None, _) => Self::Many(Vec::new()),
            (Some(one), None) => Self::One(one),
            (Some(first), Some(second)) => {
                Self::Many([first, second].into_iter().chain(events).collect())
            }
        }
    }
}

enum Reply<A, R> {
    Unit(R),
    From(Box<dyn FnOnce(&A) -> R + Send>),
}

/// Events to record and timers to set, all or none, and the reply, computed after `apply`.
///
/// An ordinary value: it may be held in a variable, added to in a branch, and dropped.
#[must_use = "a decision does nothing unless it is returned from `handle`"]
pub struct Decision<A: Aggregate, R> {
    events: Events<A::Event>,
    timers: Vec<Timer>,
    reply: Reply<A, R>,
}

/// A command due at a time, recorded with the append that sets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// When it is due; it fires then or later, once.
    pub due: Timestamp,
    /// Name of the command.
    pub command: std::borrow::Cow<'static, str>,
    /// The command's body as JSON.
    pub body: Vec<u8>,
}

impl<A: Aggregate, R> std::fmt::Debug for Decision<A, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let events = match &self.events {
            Events::One(event) => std::slice::from_ref(event),
            Events::Many(events) => events,
        };
        let kinds: Vec<_> = events.iter().map(|event| event.kind().name).collect();
        f.debug_struct("Decision").field("events", &kinds).field("timers", &self.timers).finish()
    }
}

impl<A: Aggregate, R: 'static> Decision<A, R> {
    /// One more event.
    pub fn and(mut self, event: A::Event) -> Self {
        self.events = match self.events {
            Events::Many(mut events) => {
                events.push(event);
                Events::Many(events)
            }
            Events::One(first) => Events::Many(vec![first, event]),
        };
        self
    }

    /// A command to the same aggregate, due at a time. Only beside an event: the timer is found through it.
    ///
    /// # Panics
    /// If the command cannot be encoded as JSON; that costs the command being handled, nothing else.
    pub fn at<C: Command>(mut self, due: Timestamp, command: &C) -> Self
    where
        A: Handle<C>,
    {
        let mut body = Vec::new();
        encode_json(command, &mut body).expect("a command is a `Shape`, which encodes");
        self.timers.push(Timer { due, command: C::NAME.into(), body });
        self
    }

    /// The reply, known already.
    pub fn reply<T: Send + 'static>(self, reply: T) -> Decision<A, T> {
        Decision { events: self.events, timers: self.timers, reply: Reply::Unit(reply) }
    }

    /// The reply, from the state after the events.
    pub fn reply_from<T>(self, reply: impl FnOnce(&A) -> T + Send + 'static) -> Decision<A, T> {
        Decision { events: self.events, timers: self.timers, reply: Reply::From(Box::new(reply)) }
    }

    /// The events that it would record, in order.
    pub fn events(&self) -> &[A::Event] {
        match &self.events {
            Events::One(event) => std::slice::from_ref(event),
            Events::Many(events) => events,
        }
    }

    /// The timers that it would set.
    pub fn timers(&self) -> &[Timer] {
        &self.timers
    }

    /// Applies the events to the state and computes the reply: gives events, timers and reply.
    /// For the runtime, tests and tools; a panic in between leaves a state that is not to be trusted.
    pub fn take_effect(self, state: &mut A) -> Effect<A, R> {
        let (events, timers, reply) = self.apply_to(state);
        let events = match events {
            Events::One(event) => vec![event],
            Events::Many(events) => events,
        };
        Effect { events, timers, reply }
    }

    /// As [`Decision::take_effect`], for who has encoded the events already: gives timers and reply.
    #[doc(hidden)]
    pub fn settle(self, state: &mut A) -> (Vec<Timer>, R) {
        let (_, timers, reply) = self.apply_to(state);
        (timers, reply)
    }

    fn apply_to(self, state: &mut A) -> (Events<A::Event>, Vec<Timer>, R) {
        self.events().iter().for_each(|event| state.apply(event));
        let reply = match self.reply {
            Reply::Unit(reply) => reply,
            Reply::From(reply) => reply(state),
        };
        (self.events, self.timers, reply)
    }
}

/// What a decision comes to.
#[derive(Debug)]
pub struct Effect<A: Aggregate, R> {
    /// Events to record, in order.
    pub events: Vec<A::Event>,
    /// Timers to set.
    pub timers: Vec<Timer>,
    /// The reply, from the state after the events.
    pub reply: R,
}
