//! How projections stand.

use super::heads::Heads;
use kronika_core::{
    CommitError, EventFailure, Generation, HistoryDiverged, Incarnation, KeyText, Mark,
    OpenReadModelError, Order, ProjectionName, ReadError, ReadModelId, Stage, SwitchError,
    Timestamp, Token,
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// What a projection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProjectionState {
    /// Makes its tables and takes its checkpoint over.
    Starting,
    /// Follows the journal.
    Running,
    /// Its store or the journal is away: it tries again, with growing waits.
    Retrying,
    /// Somebody paused it: it goes on when it is resumed.
    Paused,
    /// Its handler is not part of this build: it stands where it was left.
    Frozen,
    /// Does not go on: see the error.
    Failed,
    /// Ended with the service.
    Stopped,
}

impl ProjectionState {
    /// In one word, for metrics and tools.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Paused => "paused",
            Self::Frozen => "frozen",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }

    /// Whether it handles no more events.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Failed | Self::Stopped)
    }
}

/// What went wrong with a projection, by where the fault is to be looked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProjectionError {
    /// An event cannot be handled: the projection stands before it.
    #[error(transparent)]
    Event(#[from] Box<EventFailure>),
    /// The checkpoint is of another history of the journal.
    #[error("{0}, so the read model must be built anew")]
    Incarnation(#[from] HistoryDiverged),
    /// The journal has another event, or none, where the checkpoint stands.
    #[error(
        "history diverged: the read model has seen position {} of partition {}, where the journal has \
         another event or none, so the read model must be built anew",
        .0.position, .0.partition
    )]
    Diverged(Mark),
    /// The read model cannot be taken over.
    #[error(transparent)]
    Open(#[from] OpenReadModelError),
    /// A batch cannot be committed.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] ReadError),
    /// One event takes its fold longer than it may.
    #[error(
        "{failure} within {time_max:?}, and its thread is lost: mend the handler and start again"
    )]
    Stuck {
        /// The event.
        failure: Box<EventFailure>,
        /// How long it may take.
        time_max: Duration,
    },
    /// So many keys are parked that it is not their events' fault.
    #[error(
        "{parked} keys are parked, more than {max}: mend the handler and retry them, or drop them, and start again"
    )]
    TooManyParked {
        /// Keys that are parked.
        parked: usize,
        /// How many may be.
        max: usize,
    },
    /// It cannot become the live one yet.
    #[error(transparent)]
    Switch(#[from] SwitchError),
    /// A fault of Kronika or of a back end.
    #[error("the projection panicked: {0}")]
    Panicked(String),
}

impl ProjectionError {
    /// Whether the read model is of another history than the journal.
    pub fn is_diverged(&self) -> bool {
        matches!(self, Self::Incarnation(_) | Self::Diverged(_))
    }
}

/// How a projection stands.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ProjectionStatus {
    /// Its name.
    pub name: ProjectionName,
    /// Its handler's number.
    pub generation: Generation,
    /// Which building of that generation, from 1.
    pub run: u32,
    /// What order it keeps, and so what its parked keys are.
    pub order: Order,
    /// What its read model is for.
    pub stage: Stage,
    /// What it does.
    pub state: ProjectionState,
    /// Everything of the journal up to here is in its read model.
    pub seen: Token,
    /// Events of any type between there and the journal's head, as last heard of.
    pub lag_events: u64,
    /// Age of the oldest event that it is to handle and has not; zero where there is none.
    pub lag: Duration,
    /// Events handled since its read model was begun, those that wait for parked keys included.
    pub events: u64,
    /// Events handled in a second, over the last seconds.
    pub events_per_second: f64,
    /// Keys that wait: their rows are not what the checkpoint says.
    pub parked: Arc<BTreeSet<KeyText>>,
    /// What went wrong last, also if it went well since.
    pub error: Option<ProjectionError>,
    pub(super) oldest_waiting: Option<Timestamp>,
}

impl ProjectionStatus {
    pub(super) fn starting(
        id: &ReadModelId,
        order: Order,
        stage: Stage,
        incarnation: Incarnation,
    ) -> Self {
        Self {
            name: id.name.clone(),
            generation: id.generation,
            run: id.run,
            order,
            stage,
            state: ProjectionState::Starting,
            seen: Token::new(incarnation),
            lag_events: 0,
            lag: Duration::ZERO,
            events: 0,
            events_per_second: 0.0,
            parked: Arc::default(),
            error: None,
            oldest_waiting: None,
        }
    }

    /// Whose it is.
    pub fn id(&self) -> ReadModelId {
        let (name, generation, run) = (self.name.clone(), self.generation, self.run);
        ReadModelId { name, generation, run }
    }

    /// Time until it has caught up at its present rate; `None` where that cannot be said.
    pub fn time_left(&self) -> Option<Duration> {
        let moves = self.lag_events == 0 || self.events_per_second > 0.0;
        let seconds = self.lag_events as f64 / self.events_per_second.max(f64::MIN_POSITIVE);
        moves.then(|| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }

    pub(super) fn measure(&mut self, heads: &Heads, now: Timestamp) {
        self.lag_events = heads.lag_events(&self.seen);
        let oldest = self.oldest_waiting.filter(|_| self.lag_events > 0);
        self.lag = oldest.map(|oldest| now.since(oldest)).unwrap_or_default();
    }

    /// Whether the read model has everything that the token has seen.
    pub fn has(&self, token: &Token) -> bool {
        token.incarnation() == self.seen.incarnation()
            && token.marks().all(|mark| mark.position <= self.seen.mark(mark.partition).position)
    }
}
