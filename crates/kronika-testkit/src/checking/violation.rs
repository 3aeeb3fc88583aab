//! What can be found wrong, with the seed and the story of the stream.

use super::history::{Ended, Invoked, Operation};
use super::operation::Effects;
use kronika_core::{Epoch, PartitionId, Position, RecordedAppend, StreamId, Version};
use std::fmt;

/// What is broken. Numbers in the messages are versions, unless they say otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Broken {
    /// Versions of a stream have a gap, or one comes twice.
    #[error("an append stands on version {expected}, but the stream has {found}")]
    Versions {
        /// What the append stands on.
        expected: Version,
        /// What the stream has there.
        found: Version,
    },
    /// Positions of a partition have a gap, or one comes twice.
    #[error("in partition {partition} position {found} comes after {before}")]
    Positions {
        /// The partition.
        partition: PartitionId,
        /// A position.
        before: Position,
        /// The one behind it.
        found: Position,
    },
    /// A partition and its streams do not hold the same events.
    #[error("streams and partitions do not hold the same events")]
    Disagreement,
    /// Time goes back within a partition.
    #[error("time goes back at position {0}")]
    Time(Position),
    /// An append under an older epoch stands behind one under a newer epoch of the same slice.
    #[error("epoch {found} comes after {before} in one slice")]
    Epochs {
        /// The newer epoch.
        before: Epoch,
        /// The older one behind it.
        found: Epoch,
    },
    /// An event cannot be read, or an append mixes operations.
    #[error("an append holds what no operation records: {0}")]
    Unreadable(String),
    /// Recorded more than once.
    #[error("{0} is recorded {1} times")]
    RecordedTwice(Operation, usize),
    /// Acknowledged, and not there.
    #[error("{0} was acknowledged and is not recorded")]
    Lost(Operation),
    /// Told as refused or failed, and there.
    #[error("{0} was told as {1} and is recorded")]
    RecordedAfterAll(Operation, &'static str),
    /// There, and never sent.
    #[error("{0} is recorded and was never sent")]
    NeverSent(Operation),
    /// There, but not as it was sent.
    #[error("{0} is not recorded as it was sent: {1}")]
    RecordedOtherwise(Operation, String),
    /// Told before it was durable.
    #[error("{0} was acknowledged before it was recorded")]
    ToldTooEarly(Operation),
    /// The receipt names another version than the journal.
    #[error("{0} was told version {1} and is recorded at {2}")]
    WrongVersion(Operation, Version, Version),
    /// The receipt's token is not the mark of its event.
    #[error("{0} was told a token that is not that of its events")]
    WrongToken(Operation),
    /// The reply is not what the events up to its version come to.
    #[error("{0} was told a balance of {1} at version {2}, where it is {3}")]
    WrongReply(Operation, i64, Version, i64),
    /// What was told to somebody before this was sent is not in it.
    #[error(
        "{0} was decided on version {1}, although version {2} had been told before it was sent"
    )]
    Stale(Operation, Version, Version),
    /// It was told what did not exist, or does not exist any more.
    #[error("{0} was told version {1}, but then there were only {2}")]
    NotThere(Operation, Version, Version),
    /// No state that existed while it waited refuses it like this.
    #[error(
        "{0} was rejected for a balance of {1}, which no state between versions {2} and {3} has"
    )]
    ImpossibleRejection(Operation, i64, Version, Version),
    /// The state that it names does not refuse it.
    #[error("{0} was rejected for a balance of {1}, which is enough")]
    NeedlessRejection(Operation, i64),
    /// One idempotency key is recorded more than once.
    #[error("the key {0:?} is recorded {1} times")]
    KeyRecordedTwice(String, usize),
    /// Repeats under one key got other receipts.
    #[error("{0} was sent again under its key and got another receipt")]
    ReceiptsDiffer(Operation),
    /// A snapshot is not what the events up to it come to.
    #[error("a snapshot was saved at version {0} that the recorded events do not come to")]
    UntrueSnapshot(Version),
    /// Its sender was never told anything.
    #[error("{0} was never answered")]
    Unanswered(Operation),
}

/// Something broken, where, and what led to it.
#[derive(Debug, Clone)]
pub struct Violation {
    /// The seed of the simulation.
    pub seed: u64,
    /// The stream, where it is about one.
    pub stream: Option<StreamId>,
    /// What is broken.
    pub broken: Broken,
    /// The history of the stream: what was sent and told, and what is recorded.
    pub story: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, stream, broken, story } = self;
        match stream {
            Some(stream) => write!(f, "seed {seed}, {stream}: {broken}\n{story}"),
            None => write!(f, "seed {seed}: {broken}\n{story}"),
        }
    }
}

impl std::error::Error for Violation {}

/// Everything that was found broken, at least one.
#[derive(Debug, Clone)]
pub struct Violations(pub Vec<Violation>);

impl Violations {
    /// Whether something like this is among them.
    pub fn any(&self, like: impl Fn(&Broken) -> bool) -> bool {
        self.0.iter().any(|violation| like(&violation.broken))
    }
}

impl std::error::Error for Violations {}

/// All in a line each, then the first with its story.
impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Violation { seed, stream, broken, .. } in &self.0 {
            let stream = stream.as_ref().map(|stream| format!(", {stream}")).unwrap_or_default();
            writeln!(f, "seed {seed}{stream}: {broken}")?;
        }
        match self.0.first() {
            Some(first) => write!(f, "the first of them:\n{first}"),
            None => Ok(()),
        }
    }
}

/// What was sent to a stream and what it holds, in lines.
pub(super) fn story(invoked: &[&Invoked], appends: &[RecordedAppend]) -> String {
    let mut lines = Vec::new();
    for Invoked { operation, action, key, at, ended, .. } in invoked {
        let key = key.as_ref().map(|(_, key)| format!(" key {key:?}")).unwrap_or_default();
        lines.push((*at, format!("{at:>8} sent      {operation}: {action:?}{key}")));
        let Some((at, ended)) = ended else { continue };
        let told = match ended {
            Ended::Answered(answer) => {
                format!("balance {} at version {}", answer.cents, answer.version)
            }
            Ended::Rejected { cents } => format!("rejected for a balance of {cents}"),
            Ended::Failed => "failed".into(),
            Ended::Unknown => "unknown".into(),
        };
        lines.push((*at, format!("{at:>8} told      {operation}: {told}")));
    }
    lines.sort();
    let mut story = lines.into_iter().map(|(_, line)| line + "\n").collect::<String>();
    for append in appends {
        let effects = match Effects::of(append) {
            Ok(effects) => effects.to_string(),
            Err(why) => why,
        };
        let (version, epoch) = (append.version(), append.header.epoch);
        let id = append.header.id;
        story +=
            &format!(" recorded up to version {version} under epoch {epoch}: {effects} [{id}]\n");
    }
    story
}
