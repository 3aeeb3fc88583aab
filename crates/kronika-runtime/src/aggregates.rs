//! What a user holds to send commands to aggregates of one type.

use crate::{
    error::{CommandError, Failure, overloaded, widen},
    load::{Loaded, load},
    receipt::Receipt,
    request::{CommandOptions, ExpectedVersion, Withdrawal, fingerprint, is_idempotency_key},
    shard::{Common, Mail, Shard},
    stats::Stats,
    work::{Answer, Look, Request, Sent, Work, panic_message, panicked},
};
use futures_util::FutureExt;
use kronika_core::{
    Aggregate, Command, Handle, Outcome, SLICES, Slice, StreamId, Token, Version, canonical_json,
    check_id,
};
use std::{
    fmt,
    fmt::Write,
    future::IntoFuture,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};

/// Sends commands to aggregates of one type. Cheap to clone, `Send + Sync`, fits an axum state.
pub struct Aggregates<A: Aggregate> {
    inner: Arc<Inner<A>>,
}

struct Inner<A: Aggregate> {
    /// Weak: the shards end when the owner of the strong senders drops them.
    shards: Vec<mpsc::WeakSender<Mail<A>>>,
    common: Arc<Common>,
}

impl<A: Aggregate> Clone for Aggregates<A> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<A: Aggregate> fmt::Debug for Aggregates<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aggregates").field("type", &A::TYPE).finish_non_exhaustive()
    }
}

/// The shards of one aggregate type, as the runtime owns them: they end when this is stopped.
pub(crate) struct Running<A: Aggregate> {
    senders: Vec<mpsc::Sender<Mail<A>>>,
    loops: Vec<JoinHandle<()>>,
}

impl<A: Aggregate> Running<A> {
    /// No new commands; ends when everything that was taken is answered.
    pub fn stop(self) -> impl Future<Output = ()> + Send {
        drop(self.senders);
        async move {
            for shard in self.loops {
                if let Err(error) = shard.await {
                    tracing::error!(aggregate = A::TYPE, %error, "a shard did not end by itself");
                }
            }
        }
    }
}

impl<A: Aggregate> Aggregates<A> {
    pub(crate) fn start(common: Common) -> (Self, Running<A>) {
        let common = Arc::new(common);
        let (mut senders, mut loops) = (Vec::new(), Vec::new());
        for _ in 0..common.limits.shards.clamp(1, usize::from(SLICES)) {
            let (sender, mailbox) = mpsc::channel(common.limits.mailbox_commands.max(1));
            let (shard, common) = (Shard::new(common.clone(), mailbox), common.clone());
            loops.push(tokio::spawn(async move {
                if let Err(panic) = AssertUnwindSafe(shard.run()).catch_unwind().await {
                    let said = panic_message(&*panic);
                    common.ownership.fail(&format!("a shard of {} panicked: {said}", A::TYPE));
                }
            }));
            senders.push(sender);
        }
        let shards = senders.iter().map(mpsc::Sender::downgrade).collect();
        (Self { inner: Arc::new(Inner { shards, common }) }, Running { senders, loops })
    }

    /// A command on its way: `.await` gives the reply, [`SendCommand::receipt`] also version and token.
    ///
    /// ```
    /// # use kronika_runtime::{Aggregates, CommandError};
    /// # use kronika_core::{Aggregate, Command, Handle};
    /// # async fn example<A: Handle<C>, C: Command>(accounts: Aggregates<A>, id: A::Id, withdraw: C)
    /// # -> Result<(), CommandError<A::Rejection>> {
    /// let reply = accounts.send(&id, withdraw).idempotency_key("order-17").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send<C: Command>(&self, id: &A::Id, command: C) -> SendCommand<A, C>
    where
        A: Handle<C>,
    {
        let options = CommandOptions::default();
        SendCommand { to: self.clone(), id: id.clone(), command, options }
    }

    /// What the aggregate holds now, seen through its mailbox: after all commands sent before. The closure may
    /// be called again where the state had to be loaded again.
    pub async fn look<T: Send + 'static>(
        &self,
        id: &A::Id,
        look: impl FnMut(&A) -> T + Send + 'static,
    ) -> Result<Receipt<T>, Failure> {
        let (sender, receiver) = oneshot::channel();
        let answer = move |answer| {
            let _ = sender.send(answer); // the caller may have gone
        };
        let request = Request::new(None, CommandOptions::default());
        self.deliver(id.clone(), Box::new(Look { look, request, seen: None, answer }))?;
        receiver.await.unwrap_or(Err(CommandError::Stopping))
    }

    /// The state as it was at a version, folded from the journal; `None` if it never had that version.
    pub async fn at_version(&self, id: &A::Id, version: Version) -> Result<Option<A>, Failure> {
        let loaded = self.history(id, version).await?;
        Ok((loaded.version == version).then_some(loaded.state))
    }

    pub(crate) async fn history(&self, id: &A::Id, until: Version) -> Result<Loaded<A>, Failure> {
        let stream = StreamId::new(A::TYPE, &id.to_string()).map_err(CommandError::BadId)?;
        load(&self.inner.common, &stream, Some(until)).await
    }

    /// What a command would do to the present state: nothing is recorded and nobody is told.
    pub async fn what_if<C: Command>(
        &self,
        id: &A::Id,
        command: C,
    ) -> Result<Outcome<A, C>, Failure>
    where
        A: Handle<C>,
    {
        let Loaded { state, version, .. } = self.history(id, Version::new(u64::MAX)).await?;
        let now = self.inner.common.environment.now();
        let context = kronika_core::Context::new(id, version, now);
        catch_unwind(AssertUnwindSafe(|| state.handle(&command, &context)))
            .map_err(|panic| panicked(C::NAME, &*panic))
    }

    /// What the shards have counted since the start.
    pub fn stats(&self) -> Stats {
        self.inner.common.counters.read()
    }

    /// The token of a receipt that has seen nothing yet.
    pub(crate) fn empty_token(&self) -> Token {
        Token::new(self.inner.common.journal.incarnation())
    }

    pub(crate) fn deliver<R>(
        &self,
        id: A::Id,
        work: Box<dyn Work<A>>,
    ) -> Result<(), CommandError<R>> {
        let shard = self.shard(&id).map_err(widen)?;
        let Some(shard) = shard.upgrade() else { return Err(CommandError::Stopping) };
        shard.try_send(Mail { id, work }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => overloaded("the mailbox"),
            mpsc::error::TrySendError::Closed(_) => CommandError::Stopping,
        })
    }

    /// By slice, so that a stream is always served by the same loop.
    fn shard(&self, id: &A::Id) -> Result<&mpsc::WeakSender<Mail<A>>, Failure> {
        let mut name = Name::default();
        if write!(name, "{}/", A::TYPE).and_then(|()| write!(name, "{id}")).is_err() {
            return Err(CommandError::BadId(kronika_core::StreamIdError::TooLong(
                id.to_string().len(),
            )));
        }
        let name = name.text();
        check_id(&name[A::TYPE.len() + 1..]).map_err(CommandError::BadId)?;
        let shards = &self.inner.shards;
        let index = usize::from(Slice::of(name).get()) * shards.len() / usize::from(SLICES);
        Ok(&shards[index])
    }
}

/// A stream's name on the stack.
struct Name {
    bytes: [u8; 384],
    length: usize,
}

impl Default for Name {
    fn default() -> Self {
        Self { bytes: [0; 384], length: 0 }
    }
}

impl Name {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).expect("only text was written")
    }
}

impl Write for Name {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// A command on its way. Owns what it needs, so that it can be spawned.
#[must_use = "a command is sent when it is awaited"]
pub struct SendCommand<A: Aggregate, C> {
    to: Aggregates<A>,
    id: A::Id,
    command: C,
    options: CommandOptions,
}

impl<A: Handle<C>, C: Command> SendCommand<A, C> {
    /// Recorded once, however often it is sent with this key; 1 to 255 visible ASCII characters.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.options.idempotency_key = Some(key.into());
        self
    }
    /// Refused unless the aggregate has this version.
    pub fn expected_version(mut self, expected: impl Into<ExpectedVersion>) -> Self {
        self.options.expected_version = Some(expected.into());
        self
    }
    /// Time from now in which it is decided and answered.
    pub fn within(mut self, time: Duration) -> Self {
        // Beyond what the clock can tell there is no deadline.
        self.options.deadline = Instant::now().checked_add(time);
        self
    }
    /// Who sends it, as authentication named them.
    pub fn principal(mut self, principal: impl Into<String>) -> Self {
        self.options.origin.principal = Some(principal.into());
        self
    }
    /// What conversation it belongs to.
    pub fn correlation(mut self, correlation: impl Into<String>) -> Self {
        self.options.origin.correlation = Some(correlation.into());
        self
    }
    /// What caused it.
    pub fn causation(mut self, causation: impl Into<String>) -> Self {
        self.options.origin.causation = Some(causation.into());
        self
    }
    /// All options at once.
    pub fn options(mut self, options: CommandOptions) -> Self {
        self.options = options;
        self
    }

    /// Reply, version and token.
    pub async fn receipt(self) -> Answer<A::Reply, A::Rejection> {
        let Self { to, id, command, options } = self;
        let (sender, receiver) = oneshot::channel();
        let answer = move |answer| {
            let _ = sender.send(answer); // the caller may have gone
        };
        let (work, patience) = sent(command, options, answer)?;
        to.deliver(id, work)?;
        wait(receiver, patience).await
    }
}

type Prepared<A> = (Box<dyn Work<A>>, Patience);

/// How long a caller waits for its answer.
pub(crate) struct Patience {
    withdrawal: Option<Withdrawal>,
    deadline: Option<Instant>,
    keyed: bool,
}

/// A work from a typed command and its options; refuses what can be refused without the aggregate.
pub(crate) fn sent<A: Handle<C>, C: Command, R>(
    command: C,
    mut options: CommandOptions,
    answer: impl FnOnce(Answer<A::Reply, A::Rejection>) + Send + 'static,
) -> Result<Prepared<A>, CommandError<R>> {
    if let Some(key) = &options.idempotency_key {
        if !is_idempotency_key(key) {
            return Err(CommandError::BadKey);
        }
        if options.fingerprint.is_none() {
            let body = canonical_json(&command).map_err(CommandError::BadBody)?;
            options.fingerprint = Some(fingerprint(C::NAME, &body));
        }
    }
    let deadline = options.deadline;
    let mut request = Request::new(Some(C::NAME), options);
    request.withdrawal = deadline.map(|_| Withdrawal::default());
    let (withdrawal, keyed) = (request.withdrawal.clone(), request.key.is_some());
    let patience = Patience { withdrawal, deadline, keyed };
    Ok((Box::new(Sent { command, request, decided: None, answer }), patience))
}

/// The answer, or what the deadline makes of it: a command that was decided can no longer be withdrawn.
pub(crate) async fn wait<R, E>(
    receiver: oneshot::Receiver<Answer<R, E>>,
    patience: Patience,
) -> Answer<R, E> {
    let Patience { withdrawal, deadline, keyed } = patience;
    // A shard that is gone without an answer has panicked: what it decided may be recorded.
    let gone = || Err(CommandError::UnknownOutcome);
    let (Some(withdrawal), Some(deadline)) = (withdrawal, deadline) else {
        return receiver.await.unwrap_or_else(|_| gone());
    };
    match tokio::time::timeout_at(deadline, receiver).await {
        Ok(answer) => answer.unwrap_or_else(|_| gone()),
        // By this sending nothing will be recorded; but by an earlier one with its key something may be.
        Err(_) if withdrawal.withdraw() && !keyed => Err(CommandError::DeadlinePassed),
        Err(_) => Err(CommandError::UnknownOutcome),
    }
}

impl<A: Handle<C>, C: Command> IntoFuture for SendCommand<A, C> {
    type Output = Result<A::Reply, CommandError<A::Rejection>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async { self.receipt().await.map(|receipt| receipt.reply) })
    }
}
