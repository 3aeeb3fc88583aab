//! Handlers that reach out: a mail, a call to another service, a payment.
//!
//! What they do cannot be taken back, so it is no part of a read model: no rebuild repeats it. This file says what
//! a user writes; when an effect takes place and what becomes of one that fails is the runtime's.

use crate::{
    aggregate::Aggregate, codec::CodecError, dyn_journal::BoxFuture, event::Event, ids::EventId,
    parking::Order, projection::About, read_model::ProjectionName, recorded::RecordedEvent,
};
use std::{error::Error, fmt, future::Future, sync::Arc};

/// A handler of events that reaches out of the service, with [`Perform`] for each aggregate type that it follows.
///
/// # Guarantees
///
/// * **At least once.** Each event is handled until it succeeds, or waits for an operator. It is handled again
///   where the process ends between an effect and the note of it, and where a try that failed, or took longer than
///   it may, has reached the other side all the same. Each time with the same [`EffectKey`]: the other side takes
///   the effect once by refusing, or answering as before, a key that it has seen.
/// * **In order**, as [`Effects::ORDER`] says. Streams are handled beside each other, the events of one stream one
///   after the other.
/// * **Never by a rebuild.** It has one checkpoint by its name and no generation.
///
/// ```
/// # use kronika_core::*;
/// # use kronika_macros::Event;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Default, Serialize, Deserialize)]
/// # struct Purchase {}
/// # #[derive(Event, Serialize, Deserialize)]
/// # enum PurchaseEvent { Placed { mail: String }, Paid {} }
/// # impl Aggregate for Purchase {
/// #     const TYPE: &'static str = "purchase";
/// #     type Id = String;
/// #     type Event = PurchaseEvent;
/// #     fn apply(&mut self, _: &PurchaseEvent) {}
/// # }
/// # #[derive(Debug, thiserror::Error)]
/// # #[error("the mail server is away")]
/// # struct Away;
/// # enum Sent { Taken, NoSuchMailbox }
/// # struct MailServer;
/// # impl MailServer {
/// #     async fn send(&self, _: &str, _: String, _: &str) -> Result<Sent, Away> { Ok(Sent::Taken) }
/// # }
/// /// Thanks for each purchase.
/// struct Thanks {
///     server: MailServer,
/// }
///
/// impl Effects for Thanks {
///     const NAME: &'static str = "thanks";
///     type Follows = (Purchase,);
/// }
///
/// impl Perform<Purchase> for Thanks {
///     async fn perform(
///         &self,
///         event: &PurchaseEvent,
///         about: &About<'_>,
///         key: &EffectKey,
///     ) -> Result<(), EffectError> {
///         let PurchaseEvent::Placed { mail } = event else { return Ok(()) };
///         let text = format!("Thank you for purchase {}.", about.id());
///         // Any error by `?` is tried again.
///         match self.server.send(mail, text, key.as_str()).await? {
///             Sent::Taken => Ok(()),
///             Sent::NoSuchMailbox => Err(EffectError::refused("there is no such mailbox")),
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handler of effects",
    note = "implement `Effects`: a `NAME` and the aggregates that it `Follows`"
)]
pub trait Effects: Send + Sync + Sized + 'static {
    /// Stable name, that of its checkpoint and the beginning of its keys: `a-z`, `0-9` and `_`, beginning with a
    /// letter. Under another name it begins anew, and its keys are others.
    const NAME: &'static str;
    /// What order it keeps, and what waits when an event fails: its stream, the default, or all. It has no keys.
    const ORDER: Order = Order::Stream;
    /// Which event is the first one that it handles.
    const BEGINS: Begins = Begins::AtHead;
    /// The aggregates whose events it handles, as a tuple: `(Purchase,)`. One that is added later is followed from
    /// where the handler stands then.
    type Follows: EffectsOf<Self>;
}

/// What a handler of effects does about the events of one aggregate type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does nothing about the events of `{A}`",
    note = "implement `Perform<{A}>` for `{Self}`"
)]
pub trait Perform<A: Aggregate>: Effects {
    /// Does what is to be done about one event; nothing about those that do not matter to it.
    ///
    /// It may be called again for the same event, and dropped at any of its waits: when it takes longer than it
    /// may, and when the service stops. It must not block its thread, which other effects use too.
    ///
    /// # Errors
    /// Any error by `?` is tried again, with growing waits, up to a limit; [`EffectError::refused`] is not. Then
    /// the event's stream is parked, or, with [`Order::Total`], the handler stops before the event.
    fn perform(
        &self,
        event: &A::Event,
        about: &About<'_>,
        key: &EffectKey,
    ) -> impl Future<Output = Result<(), EffectError>> + Send;
}

/// Where a handler of effects begins when it is first started.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Begins {
    /// With what is recorded after its first start: nobody wants a mail about each purchase of ten years.
    #[default]
    AtHead,
    /// With the first event of the journal.
    AtStart,
}

/// Names one effect: `NAME/EVENT-ID`. The same at each delivery of an event to a handler, and no other's.
///
/// Visible ASCII of at most 81 bytes: it fits a header `Idempotency-Key`, that of a Kronika service as well.
///
/// ```
/// use kronika_core::{EffectKey, EventId, ProjectionName};
///
/// let key = EffectKey::of(&ProjectionName::new("thanks").unwrap(), EventId::new(7));
/// assert_eq!(key.as_str(), "thanks/00000000000000000000000000000007");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EffectKey(Arc<str>);

impl EffectKey {
    /// Of a handler and an event. Its form is frozen: receivers remember it.
    pub fn of(handler: &ProjectionName, event: EventId) -> Self {
        Self(format!("{handler}/{event}").into())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EffectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why an effect did not take place, by what is to be done about it.
///
/// Not an error type itself, so that any error becomes one by `?`, which means to try again.
#[derive(Debug)]
#[non_exhaustive]
pub enum EffectError {
    /// It may succeed later: the other side is away, or has too much to do.
    Again(Box<dyn Error + Send + Sync>),
    /// It will not succeed as it is: the event waits for an operator at once.
    Refused(Box<dyn Error + Send + Sync>),
}

impl EffectError {
    /// Trying again gives the same answer.
    pub fn refused(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Refused(cause.into())
    }

    /// What went wrong.
    pub fn cause(&self) -> &(dyn Error + Send + Sync + 'static) {
        match self {
            Self::Again(cause) | Self::Refused(cause) => &**cause,
        }
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for EffectError {
    fn from(cause: E) -> Self {
        Self::Again(cause.into())
    }
}

impl fmt::Display for EffectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.cause(), f)
    }
}

/// The aggregates that a handler of effects follows. Implemented for tuples of one to six aggregates, where the
/// handler has [`Perform`] for each.
#[diagnostic::on_unimplemented(
    message = "`{E}` cannot follow `{Self}`",
    note = "`Follows` is a tuple of aggregates, `(Purchase,)`, and the handler implements `Perform` for each"
)]
pub trait EffectsOf<E: Effects> {
    /// Their types.
    fn types() -> Vec<&'static str>;

    /// Decodes an event of one of them; `None` if it is of another type.
    fn decode(event: &RecordedEvent) -> Option<Result<Box<dyn Occasion<E>>, CodecError>>;
}

/// One decoded event with its type erased, ready to be acted on.
pub trait Occasion<E: Effects>: Send + Sync {
    /// See [`Perform::perform`].
    fn perform<'a>(
        &'a self,
        effects: &'a E,
        about: &'a About<'a>,
        key: &'a EffectKey,
    ) -> BoxFuture<'a, Result<(), EffectError>>;
}

struct Typed<A: Aggregate>(A::Event);

impl<A: Aggregate, E: Perform<A>> Occasion<E> for Typed<A> {
    fn perform<'a>(
        &'a self,
        effects: &'a E,
        about: &'a About<'a>,
        key: &'a EffectKey,
    ) -> BoxFuture<'a, Result<(), EffectError>> {
        Box::pin(effects.perform(&self.0, about, key))
    }
}

fn decode_as<A: Aggregate, E: Perform<A>>(
    event: &RecordedEvent,
) -> Option<Result<Box<dyn Occasion<E>>, CodecError>> {
    if event.stream().aggregate_type() != A::TYPE {
        return None;
    }
    let decoded = A::Event::decode(&event.name, event.schema, &event.body);
    Some(decoded.map(|decoded| Box::new(Typed::<A>(decoded)) as Box<dyn Occasion<E>>))
}

macro_rules! effects_of {
    ($($aggregate:ident),*) => {
        impl<E: Effects, $($aggregate: Aggregate),*> EffectsOf<E> for ($($aggregate,)*)
        where
            $(E: Perform<$aggregate>),*
        {
            fn types() -> Vec<&'static str> {
                vec![$($aggregate::TYPE),*]
            }
            fn decode(event: &RecordedEvent) -> Option<Result<Box<dyn Occasion<E>>, CodecError>> {
                None$(.or_else(|| decode_as::<$aggregate, E>(event)))*
            }
        }
    };
}
effects_of!(A);
effects_of!(A, B);
effects_of!(A, B, C);
effects_of!(A, B, C, D);
effects_of!(A, B, C, D, F);
effects_of!(A, B, C, D, F, G);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_key_is_visible_ascii_that_fits_a_header() {
        let name = ProjectionName::new(&"a".repeat(48)).unwrap();
        let key = EffectKey::of(&name, EventId::new(u128::MAX));
        assert_eq!(key.as_str().len(), 81);
        assert!(key.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
    }

    #[test]
    fn any_error_means_to_try_again_and_only_a_refusal_does_not() {
        fn by_question_mark() -> Result<(), EffectError> {
            Ok("x".parse::<u64>().map(drop)?)
        }
        fn by_text() -> Result<(), EffectError> {
            Err("busy")?
        }
        let again = |error| matches!(error, Err(EffectError::Again(_)));
        assert!(again(by_question_mark()) && again(by_text()));
        let refused = EffectError::refused("no such mailbox");
        assert!(matches!(refused, EffectError::Refused(_)));
        assert_eq!(refused.to_string(), "no such mailbox");
    }
}
