//! What a mailbox holds: a command with its answer, its types erased.
//!
//! A work is decided as often as needed and settled once. Nothing here knows of journals or queues.

use crate::{
    error::{CommandError, Failure, widen},
    receipt::Receipt,
    request::{CommandOptions, Withdrawal, key_hash},
};
use bytes::Bytes;
use kronika_core::{
    Aggregate, AppendId, Command, Context, Event, Handle, NewEvent, RecordedAppend, Timer, Token,
    Version, decode_json, encode_json,
};
use std::{
    any::Any,
    cell::Cell,
    error::Error,
    fmt::Write,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// What came of a command: its receipt, or why there is none.
pub(crate) type Answer<R, E> = Result<Receipt<R>, CommandError<E>>;

/// What the shard needs to know of a work beside its types.
pub(crate) struct Request {
    /// Name of the command; `None` for a read.
    pub command: Option<&'static str>,
    pub options: CommandOptions,
    /// Hash of principal and idempotency key.
    pub key: Option<u128>,
    pub withdrawal: Option<Withdrawal>,
    /// The same over all decisions of this work; given when it is first decided.
    pub append: Option<AppendId>,
    /// How often it was decided.
    pub decisions: u32,
    /// Whether the command's body is recorded.
    pub records_body: bool,
}

impl Request {
    pub fn new(command: Option<&'static str>, options: CommandOptions) -> Self {
        let principal = options.origin.principal.as_deref();
        let key = options.idempotency_key.as_deref().map(|key| key_hash(principal, key));
        Self {
            command,
            options,
            key,
            withdrawal: None,
            append: None,
            decisions: 0,
            records_body: false,
        }
    }
}

/// What became of one decision.
pub(crate) enum Decided {
    /// To be recorded; without events there is nothing to record but a key.
    Record(Record),
    /// An answer that records nothing: a rejection, a read.
    Answer,
    /// Likewise: a panic in `handle`, which has changed nothing.
    Panicked,
    /// The state is not to be trusted: load again, and never decide this one again.
    Spoiled,
}

/// What an accepted command records.
pub(crate) struct Record {
    pub events: Vec<NewEvent>,
    pub timers: Vec<Timer>,
    /// The reply as JSON, for a command with an idempotency key.
    pub reply: Option<Bytes>,
    /// The command as JSON, where bodies are recorded.
    pub body: Option<Bytes>,
}

/// How an answer is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Counted {
    Accepted,
    Rejected,
    Failed,
    Read,
}

pub(crate) trait Work<A: Aggregate>: Send {
    fn request(&mut self) -> &mut Request;
    /// Decides on the state and applies what it decided.
    fn decide(&mut self, state: &mut A, context: &Context<'_, A>) -> Decided;
    /// Decides by refusing, for what the runtime itself refuses in turn.
    fn refuse(&mut self, failure: Failure);
    /// Tells the answer that was decided, now that what it saw is durable; or why there is none.
    fn settle(self: Box<Self>, durable: Result<(Version, Token), Failure>) -> Counted;
    /// Tells the receipt that was recorded for an earlier sending.
    fn replay(self: Box<Self>, recorded: &RecordedAppend, token: Token) -> Counted;
}

/// A typed command on its way.
pub(crate) struct Sent<A: Handle<C>, C: Command, F> {
    pub command: C,
    pub request: Request,
    pub decided: Option<Result<A::Reply, CommandError<A::Rejection>>>,
    pub answer: F,
}

impl<A: Handle<C>, C: Command, F> Work<A> for Sent<A, C, F>
where
    F: FnOnce(Answer<A::Reply, A::Rejection>) + Send,
{
    fn request(&mut self) -> &mut Request {
        &mut self.request
    }

    fn decide(&mut self, state: &mut A, context: &Context<'_, A>) -> Decided {
        let outcome = catch_unwind(AssertUnwindSafe(|| state.handle(&self.command, context)));
        let (decided, told) = match outcome {
            Err(panic) => (Err(panicked(C::NAME, &*panic)), Decided::Panicked),
            Ok(Err(rejection)) => (Err(CommandError::Rejected(rejection)), Decided::Answer),
            Ok(Ok(decision)) => {
                let (keyed, bodied) = (self.request.key.is_some(), self.request.records_body);
                // All of the user's code that a command runs is run in here.
                let effect = catch_unwind(AssertUnwindSafe(|| {
                    let events = encode_events::<A>(decision.events());
                    let alone = events.is_empty() && !decision.timers().is_empty();
                    assert!(!alone, "a timer needs an event beside it, through which it is found");
                    let body = bodied.then(|| to_json(&self.command));
                    let (timers, reply) = decision.settle(state);
                    let reply_json = keyed.then(|| to_json(&reply));
                    (Record { events, timers, reply: reply_json, body }, reply)
                }));
                match effect {
                    Err(panic) => (Err(panicked(C::NAME, &*panic)), Decided::Spoiled),
                    Ok((record, reply)) => (Ok(reply), Decided::Record(record)),
                }
            }
        };
        self.decided = Some(decided);
        told
    }

    fn refuse(&mut self, failure: Failure) {
        self.decided = Some(Err(widen(failure)));
    }

    fn settle(self: Box<Self>, durable: Result<(Version, Token), Failure>) -> Counted {
        let answer = match (durable, self.decided) {
            (Err(failure), _) => Err(widen(failure)),
            (Ok((version, token)), Some(Ok(reply))) => {
                Ok(Receipt { reply, version, token, replayed: false })
            }
            (Ok(_), Some(Err(error))) => Err(error),
            (Ok(_), None) => unreachable!("a work is settled as durable only after it was decided"),
        };
        let counted = match &answer {
            Ok(_) => Counted::Accepted,
            Err(CommandError::Rejected(_)) => Counted::Rejected,
            Err(_) => Counted::Failed,
        };
        (self.answer)(answer);
        counted
    }

    fn replay(self: Box<Self>, recorded: &RecordedAppend, token: Token) -> Counted {
        let keyed = recorded.header.more.as_ref().and_then(|more| more.keyed.as_ref());
        let answer = match keyed {
            Some(keyed) if Some(keyed.fingerprint) != self.request.options.fingerprint => {
                Err(CommandError::KeyReused)
            }
            Some(keyed) => match catch_unwind(|| decode_json(&keyed.reply)) {
                Ok(Ok(reply)) => {
                    Ok(Receipt { reply, version: recorded.version(), token, replayed: true })
                }
                Ok(Err(error)) => Err(CommandError::UnreadableReply(error)),
                Err(panic) => Err(panicked(C::NAME, &*panic)),
            },
            None => unreachable!("an append found by its key has a key"),
        };
        let counted = if answer.is_ok() { Counted::Accepted } else { Counted::Failed };
        (self.answer)(answer);
        counted
    }
}

/// A look at the state, through the mailbox: it sees all that was decided before it.
pub(crate) struct Look<L, T, F> {
    pub look: L,
    pub request: Request,
    pub seen: Option<Result<T, Failure>>,
    pub answer: F,
}

impl<A, L, T, F> Work<A> for Look<L, T, F>
where
    A: Aggregate,
    L: FnMut(&A) -> T + Send,
    T: Send,
    F: FnOnce(Result<Receipt<T>, Failure>) + Send,
{
    fn request(&mut self) -> &mut Request {
        &mut self.request
    }

    fn decide(&mut self, state: &mut A, _: &Context<'_, A>) -> Decided {
        let seen = catch_unwind(AssertUnwindSafe(|| (self.look)(state)));
        self.seen = Some(seen.map_err(|panic| panicked("read", &*panic)));
        Decided::Answer
    }

    fn refuse(&mut self, failure: Failure) {
        self.seen = Some(Err(failure));
    }

    fn settle(self: Box<Self>, durable: Result<(Version, Token), Failure>) -> Counted {
        (self.answer)(match (durable, self.seen) {
            (Err(failure), _) | (Ok(_), Some(Err(failure))) => Err(failure),
            (Ok((version, token)), Some(Ok(reply))) => {
                Ok(Receipt { reply, version, token, replayed: false })
            }
            (Ok(_), None) => unreachable!("a work is settled as durable only after it was decided"),
        });
        Counted::Read
    }

    fn replay(self: Box<Self>, _: &RecordedAppend, _: Token) -> Counted {
        unreachable!("a read has no idempotency key")
    }
}

thread_local! {
    /// Bodies are encoded here and then copied to their size: one allocation instead of growing ones.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A scratch buffer that grew beyond this is given back.
const SCRATCH_BYTES_MAX: usize = 64 << 10;

fn encode_events<A: Aggregate>(events: &[A::Event]) -> Vec<NewEvent> {
    let mut scratch = SCRATCH.take();
    let mut encode = |event: &A::Event| {
        let kind = event.kind();
        scratch.clear();
        event.encode(&mut scratch).unwrap_or_else(|error| panic!("event {}: {error}", kind.name));
        let mut tags = Vec::new();
        event.tags(&mut |tag| tags.push(tag.to_owned()));
        NewEvent {
            name: kind.name.into(),
            schema: kind.schema,
            body: Bytes::copy_from_slice(&scratch),
            tags,
            ..NewEvent::default()
        }
    };
    let encoded = events.iter().map(&mut encode).collect();
    if scratch.capacity() <= SCRATCH_BYTES_MAX {
        SCRATCH.set(scratch);
    }
    encoded
}

/// Called only where a panic costs one command: what cannot be encoded must not be recorded as something else.
fn to_json(value: &impl serde::Serialize) -> Bytes {
    let mut bytes = Vec::new();
    encode_json(value, &mut bytes).unwrap_or_else(|error| panic!("{error}"));
    bytes.into()
}

pub(crate) fn panicked<R>(command: &'static str, panic: &(dyn Any + Send)) -> CommandError<R> {
    CommandError::Panicked { command, message: panic_message(panic) }
}

/// What a panic said, where it said anything.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no message".to_owned())
}

/// An error with its causes, in one line.
pub(crate) fn causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.ends_with(&text) {
            write!(line, ": {text}").expect("a string takes everything");
        }
        cause = error.source();
    }
    line
}
