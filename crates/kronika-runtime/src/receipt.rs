//! What a caller gets for a command that was accepted.

use kronika_core::{Token, Version};

/// A reply, and what the caller has seen with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt<R> {
    /// The aggregate's answer.
    pub reply: R,
    /// The aggregate's version after the command.
    pub version: Version,
    /// Hand it to a query to read your own write.
    pub token: Token,
    /// Whether this is the recorded receipt of an earlier sending with the same idempotency key.
    pub replayed: bool,
}

impl<R> Receipt<R> {
    /// The same receipt with the reply changed.
    pub fn map<S>(self, reply: impl FnOnce(R) -> S) -> Receipt<S> {
        let Self { reply: from, version, token, replayed } = self;
        Receipt { reply: reply(from), version, token, replayed }
    }
}
