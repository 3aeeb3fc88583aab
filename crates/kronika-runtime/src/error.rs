//! What a caller may be told instead of a reply.

use kronika_core::{CodecError, StreamIdError, Version};
use std::{convert::Infallible, time::Duration};

/// Why a command has no reply. Variants by what the caller should do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError<R> {
    /// The aggregate refused it: nothing was recorded.
    #[error(transparent)]
    Rejected(R),
    /// The aggregate has another version than the caller expects: nothing was recorded.
    #[error("the aggregate has version {newest}, not the expected one")]
    VersionConflict {
        /// The newest version.
        newest: Version,
    },
    /// The idempotency key was used for another command or body: nothing was recorded.
    #[error("the idempotency key was used for another command")]
    KeyReused,
    /// The idempotency key is not 1 to 255 visible ASCII characters.
    #[error("an idempotency key is 1 to 255 visible ASCII characters")]
    BadKey,
    /// The id cannot be an aggregate's.
    #[error(transparent)]
    BadId(StreamIdError),
    /// The id is not one of this aggregate type.
    #[error("{id:?} is no id of a {aggregate_type}: {reason}")]
    UnfitId {
        /// The aggregate type.
        aggregate_type: &'static str,
        /// What was given.
        id: String,
        /// What its type says.
        reason: String,
    },
    /// Too much is waiting: nothing was recorded, come back later.
    #[error("overloaded: {what}; try again in {} ms", retry_after.as_millis())]
    Overloaded {
        /// What is full.
        what: &'static str,
        /// When to come back.
        retry_after: Duration,
    },
    /// The deadline passed before the command was decided: nothing was recorded.
    #[error("the deadline passed before the command was decided; nothing was recorded")]
    DeadlinePassed,
    /// It may have been recorded. The same idempotency key tells.
    #[error(
        "the outcome is unknown; sending the command again with the same idempotency key tells"
    )]
    UnknownOutcome,
    /// Another writer owns the aggregate: nothing was recorded here.
    #[error("this node does not own the aggregate")]
    NotOwner,
    /// The journal cannot be reached or takes no writes: nothing was recorded, try again later.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// The journal failed and must be opened anew: nothing was recorded.
    #[error("the journal has failed: {0}")]
    JournalFailed(String),
    /// The service is shutting down: nothing was recorded.
    #[error("the service is shutting down")]
    Stopping,
    /// The aggregate cannot be loaded: an event is too new or damaged, or `apply` panics.
    #[error("{stream} cannot be loaded at version {version}: {reason}")]
    NotLoadable {
        /// The stream.
        stream: String,
        /// The version at which loading stopped.
        version: Version,
        /// Why.
        reason: String,
    },
    /// The code of the aggregate panicked on this command: nothing was recorded.
    #[error("the handler of {command} panicked: {message}")]
    Panicked {
        /// The command's name.
        command: &'static str,
        /// What the panic said.
        message: String,
    },
    /// The decision is beyond a limit, say an event too large: nothing was recorded.
    #[error("the decision cannot be recorded: {0}")]
    TooLarge(String),
    /// The aggregate handles no command of that name.
    #[error("{aggregate_type} has no command {command:?}")]
    UnknownCommand {
        /// The aggregate type.
        aggregate_type: &'static str,
        /// What was asked for.
        command: String,
    },
    /// The body is not the command's.
    #[error(transparent)]
    BadBody(CodecError),
    /// What was recorded as the reply cannot be read as the reply's type by this build.
    #[error("the recorded reply cannot be read: {0}")]
    UnreadableReply(CodecError),
}

/// Anything but a rejection: the same for commands of all types.
pub type Failure = CommandError<Infallible>;

impl<R> CommandError<R> {
    /// The same error with the rejection changed.
    pub fn map<S>(self, rejection: impl FnOnce(R) -> S) -> CommandError<S> {
        match self {
            Self::Rejected(rejected) => CommandError::Rejected(rejection(rejected)),
            Self::VersionConflict { newest } => CommandError::VersionConflict { newest },
            Self::KeyReused => CommandError::KeyReused,
            Self::BadKey => CommandError::BadKey,
            Self::BadId(error) => CommandError::BadId(error),
            Self::UnfitId { aggregate_type, id, reason } => {
                CommandError::UnfitId { aggregate_type, id, reason }
            }
            Self::Overloaded { what, retry_after } => {
                CommandError::Overloaded { what, retry_after }
            }
            Self::DeadlinePassed => CommandError::DeadlinePassed,
            Self::UnknownOutcome => CommandError::UnknownOutcome,
            Self::NotOwner => CommandError::NotOwner,
            Self::Unavailable(why) => CommandError::Unavailable(why),
            Self::JournalFailed(why) => CommandError::JournalFailed(why),
            Self::Stopping => CommandError::Stopping,
            Self::NotLoadable { stream, version, reason } => {
                CommandError::NotLoadable { stream, version, reason }
            }
            Self::Panicked { command, message } => CommandError::Panicked { command, message },
            Self::TooLarge(what) => CommandError::TooLarge(what),
            Self::UnknownCommand { aggregate_type, command } => {
                CommandError::UnknownCommand { aggregate_type, command }
            }
            Self::BadBody(error) => CommandError::BadBody(error),
            Self::UnreadableReply(error) => CommandError::UnreadableReply(error),
        }
    }
}

/// A failure stands for an error of any command.
pub(crate) fn widen<R>(failure: Failure) -> CommandError<R> {
    failure.map(|never| match never {})
}

/// When to come back after an overload: long enough for a mailbox to drain, short enough not to idle.
pub(crate) const RETRY_AFTER: Duration = Duration::from_millis(500);

pub(crate) fn overloaded<R>(what: &'static str) -> CommandError<R> {
    CommandError::Overloaded { what, retry_after: RETRY_AFTER }
}
