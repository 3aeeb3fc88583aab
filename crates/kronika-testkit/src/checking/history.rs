//! What callers did and what they were told, in one order of moments.

use super::{Evidence, Violations, check};
use crate::moment::{Moment, Moments};
use kronika_core::{Mark, StreamId, Version};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

/// The history of one simulation. Clones record into the same.
#[derive(Clone)]
pub struct History {
    seed: u64,
    moments: Moments,
    inside: Arc<Mutex<Inside>>,
}

#[derive(Default)]
struct Inside {
    operations: u64,
    invoked: Vec<Invoked>,
}

/// Identity of an operation: the same in its command, in all its events, and when it is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Operation(pub u64);

impl Operation {
    /// What strangers write: no caller is told of it, and nobody misses it.
    pub const STRANGERS_FROM: u64 = 1 << 40;

    /// Whether a stranger wrote it.
    pub fn is_strangers(self) -> bool {
        self.0 >= Self::STRANGERS_FROM
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operation {}", self.0)
    }
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// [`super::Deposit`] and [`super::DepositInParts`].
    Deposit {
        /// How much each time.
        cents: u32,
        /// How often.
        parts: u32,
    },
    /// [`super::Withdraw`].
    Withdraw {
        /// How much.
        cents: u32,
    },
    /// [`super::Read`].
    Read,
}

impl Action {
    /// How many events it records where it is accepted.
    pub fn events(self) -> u32 {
        match self {
            Self::Deposit { cents: 0, .. } | Self::Read => 0,
            Self::Deposit { parts, .. } => parts,
            Self::Withdraw { .. } => 1,
        }
    }
}

/// One sending of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoked {
    /// To which account.
    pub stream: StreamId,
    /// Which operation.
    pub operation: Operation,
    /// What it does.
    pub action: Action,
    /// By whom, and under which idempotency key. An operation is sent again only under a key.
    pub key: Option<(Option<String>, String)>,
    /// When it was sent.
    pub at: Moment,
    /// When its sender was told, and what; `None` while it waits.
    pub ended: Option<(Moment, Ended)>,
}

/// What a sender was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was accepted.
    Answered(Answer),
    /// It was refused for this balance.
    Rejected {
        /// The balance of the rejection.
        cents: i64,
    },
    /// It was not and never will be recorded: overloaded, unavailable, past its deadline, not the owner.
    Failed,
    /// It may have been recorded.
    Unknown,
}

/// A receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The reply: a balance.
    pub cents: i64,
    /// The version that it was given at.
    pub version: Version,
    /// The mark of its token, where the caller looks at it.
    pub mark: Option<Mark>,
}

impl History {
    /// An empty history. Moments are those of the journal, where it is one in memory; the seed is printed
    /// with every violation.
    pub fn new(seed: u64, moments: Moments) -> Self {
        Self { seed, moments, inside: Arc::default() }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().expect("nothing panics while it holds the history")
    }

    /// An operation that nobody has sent yet.
    pub fn new_operation(&self) -> Operation {
        let mut inside = self.inside();
        inside.operations += 1;
        Operation(inside.operations)
    }

    /// Records that an operation is sent now. What comes of it is told to what this gives.
    pub fn invoke(&self, stream: &StreamId, operation: Operation, action: Action) -> Invocation {
        self.invoke_as(stream, operation, action, None)
    }

    /// Records that an operation is sent now under an idempotency key of a principal.
    pub fn invoke_keyed(
        &self,
        stream: &StreamId,
        operation: Operation,
        action: Action,
        principal: Option<&str>,
        key: &str,
    ) -> Invocation {
        let key = (principal.map(str::to_owned), key.to_owned());
        self.invoke_as(stream, operation, action, Some(key))
    }

    fn invoke_as(
        &self,
        stream: &StreamId,
        operation: Operation,
        action: Action,
        key: Option<(Option<String>, String)>,
    ) -> Invocation {
        let at = self.moments.now();
        let mut inside = self.inside();
        let index = inside.invoked.len();
        let stream = stream.clone();
        inside.invoked.push(Invoked { stream, operation, action, key, at, ended: None });
        Invocation { history: self.clone(), index }
    }

    /// The process has crashed: whoever waits will never be told.
    pub fn crashed(&self) {
        let at = self.moments.now();
        let mut inside = self.inside();
        let waiting = inside.invoked.iter_mut().filter(|invoked| invoked.ended.is_none());
        waiting.for_each(|invoked| invoked.ended = Some((at, Ended::Unknown)));
    }

    /// Everything that was sent so far, in order.
    pub fn invoked(&self) -> Vec<Invoked> {
        self.inside().invoked.clone()
    }

    /// Whether what callers saw agrees with what the journal holds. See [`super::Broken`] for all that is
    /// looked at.
    pub fn check(&self, evidence: &Evidence) -> Result<(), Violations> {
        check::check(self.seed, &self.invoked(), evidence)
    }
}

/// One sending that waits for its end.
///
/// Dropped without an end it stays open, which [`History::check`] reports unless the process crashed.
#[must_use = "what came of it is to be recorded"]
pub struct Invocation {
    history: History,
    index: usize,
}

impl Invocation {
    /// It was accepted, with a receipt.
    pub fn answered(self, cents: i64, version: Version, mark: Option<Mark>) {
        self.end(Ended::Answered(Answer { cents, version, mark }));
    }

    /// It was refused, for this balance.
    pub fn rejected(self, cents: i64) {
        self.end(Ended::Rejected { cents });
    }

    /// It was not and never will be recorded.
    pub fn failed(self) {
        self.end(Ended::Failed);
    }

    /// It may have been recorded.
    pub fn unknown(self) {
        self.end(Ended::Unknown);
    }

    fn end(self, ended: Ended) {
        let at = self.history.moments.now();
        let invoked = &mut self.history.inside().invoked[self.index];
        assert!(invoked.ended.is_none(), "{} ends once, or the process crashed", invoked.operation);
        invoked.ended = Some((at, ended));
    }
}
