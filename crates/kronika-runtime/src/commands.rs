//! Commands by name: for routes, timers, process managers and other nodes.

use crate::{
    aggregates::{Aggregates, Running, sent, wait},
    error::CommandError,
    receipt::Receipt,
    request::CommandOptions,
    shard::Common,
    stats::Stats,
    work::Answer,
};
use kronika_core::{
    Aggregate, BoxFuture, CodecError, Command, Handle, Rejection, RejectionKind, Shape, Token,
    Version, decode_json, encode_json,
};
use schemars::{Schema, SchemaGenerator};
use std::{collections::BTreeMap, marker::PhantomData, sync::Arc};
use tokio::sync::oneshot;

/// A rejection as JSON, with its kind and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedRejection {
    /// The rejection as JSON.
    pub json: Vec<u8>,
    /// Whether the state stood against it, or the command is wrong in itself.
    pub kind: RejectionKind,
    /// What it says of itself.
    pub message: String,
}

impl std::fmt::Display for EncodedRejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for EncodedRejection {}

/// What came of a command by name: the reply as JSON.
pub type EncodedAnswer = Result<Receipt<Vec<u8>>, CommandError<EncodedRejection>>;

type SendEncoded<A> = fn(
    &Aggregates<A>,
    <A as Aggregate>::Id,
    &[u8],
    CommandOptions,
) -> BoxFuture<'static, EncodedAnswer>;
type MakeId<A> = Arc<dyn Fn(u128) -> <A as Aggregate>::Id + Send + Sync>;

/// What is known of a command beside how to send it.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct CommandInfo {
    /// Its stable name.
    pub name: &'static str,
    /// JSON schema of its body.
    pub body: fn(&mut SchemaGenerator) -> Schema,
    /// JSON schema of its reply.
    pub reply: fn(&mut SchemaGenerator) -> Schema,
    /// JSON schema of its rejection.
    pub rejection: fn(&mut SchemaGenerator) -> Schema,
}

/// The commands of an aggregate type, for its registration:
/// `Commands::<Account>::default().on::<Open>().on::<Deposit>()`.
pub struct Commands<A: Aggregate> {
    by_name: BTreeMap<&'static str, (CommandInfo, SendEncoded<A>)>,
    creating: Option<(&'static str, MakeId<A>)>,
    records_bodies: bool,
    aggregate: PhantomData<fn(A)>,
}

impl<A: Aggregate> Default for Commands<A> {
    fn default() -> Self {
        Self {
            by_name: BTreeMap::new(),
            creating: None,
            records_bodies: false,
            aggregate: PhantomData,
        }
    }
}

impl<A: Aggregate> Commands<A> {
    /// Registers a command.
    ///
    /// # Panics
    /// If another command of the same name is registered.
    pub fn on<C: Command>(mut self) -> Self
    where
        A: Handle<C>,
    {
        let info = CommandInfo {
            name: C::NAME,
            body: SchemaGenerator::subschema_for::<C>,
            reply: SchemaGenerator::subschema_for::<A::Reply>,
            rejection: SchemaGenerator::subschema_for::<A::Rejection>,
        };
        let earlier = self.by_name.insert(C::NAME, (info, send_encoded::<A, C>));
        assert!(earlier.is_none(), "{} has two commands named {}", A::TYPE, C::NAME);
        self
    }

    /// Registers the one command for which the service may make the id itself, from 128 bits: random, or
    /// derived from principal and idempotency key.
    pub fn creates<C: Command>(self, id: impl Fn(u128) -> A::Id + Send + Sync + 'static) -> Self
    where
        A: Handle<C>,
    {
        assert!(self.creating.is_none(), "{} has two creating commands", A::TYPE);
        let mut commands = self.on::<C>();
        commands.creating = Some((C::NAME, Arc::new(id)));
        commands
    }

    /// Keeps the body of each command with its append: intentions, not only outcomes.
    pub fn recording_bodies(mut self) -> Self {
        self.records_bodies = true;
        self
    }

    pub(crate) fn start(self, common: Common) -> (Arc<Registered<A>>, Running<A>) {
        let common = Common { records_bodies: self.records_bodies, ..common };
        let (aggregates, running) = Aggregates::start(common);
        let Self { by_name, creating, .. } = self;
        (Arc::new(Registered { aggregates, by_name, creating }), running)
    }
}

/// An aggregate type that serves commands by name.
pub(crate) struct Registered<A: Aggregate> {
    pub aggregates: Aggregates<A>,
    by_name: BTreeMap<&'static str, (CommandInfo, SendEncoded<A>)>,
    creating: Option<(&'static str, MakeId<A>)>,
}

/// The state of an aggregate as JSON, with what was seen.
pub type EncodedState = Receipt<Vec<u8>>;

/// Aggregates of one type with the type erased: for routers, tools and other nodes.
pub trait DynAggregates: Send + Sync + 'static {
    /// The aggregate type.
    fn aggregate_type(&self) -> &'static str;
    /// Its commands, by name in order.
    fn commands(&self) -> Vec<CommandInfo>;
    /// The command for which the service may make the id.
    fn creating(&self) -> Option<&'static str>;
    /// An id for a new aggregate from 128 bits, as text; `None` without a creating command.
    fn make_id(&self, seed: u128) -> Option<String>;
    /// What its shards have counted since the start.
    fn stats(&self) -> Stats;
    /// Sends a command by name. Its body is JSON; empty for a command without fields.
    fn send(
        &self,
        id: &str,
        command: &str,
        body: &[u8],
        options: CommandOptions,
    ) -> BoxFuture<'static, EncodedAnswer>;
    /// The present state, through the mailbox. Version 0 if nothing was ever recorded.
    fn state(&self, id: &str) -> BoxFuture<'static, EncodedAnswer>;
    /// The state as it was at a version; `None` if it never had that version.
    fn state_at(
        &self,
        id: &str,
        version: Version,
    ) -> BoxFuture<'static, Result<Option<EncodedState>, CommandError<EncodedRejection>>>;
}

impl<A: Aggregate> Registered<A> {
    fn id(&self, id: &str) -> Result<A::Id, CommandError<EncodedRejection>> {
        kronika_core::check_id(id).map_err(CommandError::BadId)?;
        id.parse().map_err(|reason: <A::Id as std::str::FromStr>::Err| CommandError::UnfitId {
            aggregate_type: A::TYPE,
            id: id.to_owned(),
            reason: reason.to_string(),
        })
    }
}

impl<A: Aggregate> DynAggregates for Registered<A> {
    fn aggregate_type(&self) -> &'static str {
        A::TYPE
    }

    fn commands(&self) -> Vec<CommandInfo> {
        self.by_name.values().map(|(info, _)| *info).collect()
    }

    fn creating(&self) -> Option<&'static str> {
        self.creating.as_ref().map(|(name, _)| *name)
    }

    fn make_id(&self, seed: u128) -> Option<String> {
        self.creating.as_ref().map(|(_, make)| make(seed).to_string())
    }

    fn stats(&self) -> Stats {
        self.aggregates.stats()
    }

    fn send(
        &self,
        id: &str,
        command: &str,
        body: &[u8],
        options: CommandOptions,
    ) -> BoxFuture<'static, EncodedAnswer> {
        let id = match self.id(id) {
            Ok(id) => id,
            Err(error) => return Box::pin(async { Err(error) }),
        };
        match self.by_name.get(command) {
            Some((_, send)) => send(&self.aggregates, id, body, options),
            None => {
                let command = command.to_owned();
                let error = CommandError::UnknownCommand { aggregate_type: A::TYPE, command };
                Box::pin(async { Err(error) })
            }
        }
    }

    fn state(&self, id: &str) -> BoxFuture<'static, EncodedAnswer> {
        let (aggregates, id) = (self.aggregates.clone(), self.id(id));
        Box::pin(async move {
            let seen = aggregates.look(&id?, |state: &A| json(state)).await;
            seen.map_err(|failure| failure.map(|never| match never {}))
        })
    }

    fn state_at(
        &self,
        id: &str,
        version: Version,
    ) -> BoxFuture<'static, Result<Option<EncodedState>, CommandError<EncodedRejection>>> {
        let (aggregates, id) = (self.aggregates.clone(), self.id(id));
        Box::pin(async move {
            let loaded = aggregates.history(&id?, version).await;
            let loaded = loaded.map_err(|failure| failure.map(|never| match never {}))?;
            let mut token: Token = aggregates.empty_token();
            token.see(loaded.mark);
            let seen = Receipt { reply: json(&loaded.state), version, token, replayed: false };
            Ok((loaded.version == version).then_some(seen))
        })
    }
}

fn send_encoded<A: Handle<C>, C: Command>(
    aggregates: &Aggregates<A>,
    id: A::Id,
    body: &[u8],
    mut options: CommandOptions,
) -> BoxFuture<'static, EncodedAnswer> {
    // Both an empty body and `{}` are a command without fields.
    let body = if body.is_empty() { b"{}" } else { body };
    let decoded = match body.trim_ascii_start().first() {
        // Serde reads a struct's fields from a list too; a command's body names them.
        Some(b'[') => Err(CodecError::shape("a command's body is an object, not a list")),
        _ => decode_json::<C>(body),
    };
    let prepared = decoded.map_err(CommandError::BadBody).and_then(|command| {
        if options.idempotency_key.is_some() && options.fingerprint.is_none() {
            options.fingerprint = Some(crate::request::fingerprint(C::NAME, body));
        }
        let (sender, receiver) = oneshot::channel();
        let answer = move |answer: Answer<A::Reply, A::Rejection>| {
            let _ = sender.send(answer); // the caller may have gone
        };
        let (work, patience) = sent::<A, C, EncodedRejection>(command, options, answer)?;
        aggregates.deliver(id, work)?;
        Ok((receiver, patience))
    });
    Box::pin(async move {
        let (receiver, patience) = prepared?;
        // Encoded by the caller's task: what cannot be encoded costs nobody else anything.
        encode(wait(receiver, patience).await)
    })
}

fn encode<R: Shape, E: Rejection>(answer: Answer<R, E>) -> EncodedAnswer {
    match answer {
        Ok(Receipt { reply, version, token, replayed }) => {
            let mut json = Vec::new();
            encode_json(&reply, &mut json).map_err(CommandError::UnreadableReply)?;
            Ok(Receipt { reply: json, version, token, replayed })
        }
        Err(CommandError::Rejected(rejection)) => {
            let (mut json, kind) = (Vec::new(), rejection.kind());
            encode_json(&rejection, &mut json).map_err(CommandError::UnreadableReply)?;
            let message = rejection.to_string();
            Err(CommandError::Rejected(EncodedRejection { json, kind, message }))
        }
        Err(other) => Err(other.map(|_| unreachable!("a rejection is handled above"))),
    }
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    match encode_json(value, &mut bytes) {
        Ok(()) => bytes,
        Err(error) => panic!("{error}"),
    }
}
