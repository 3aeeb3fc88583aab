//! What a journal in memory is told: its seed, what it can do, and which faults it injects by chance.
//!
//! Plain data. What happens when a fault strikes stands in `effect.rs`.

use std::time::Duration;

/// How a [`crate::MemoryJournal`] is made. Everything that it does by chance follows from the seed.
#[derive(Debug, Clone)]
pub struct MemorySettings {
    /// From which every chance is drawn.
    pub seed: u64,
    /// Delays and faults by chance; none by default.
    pub plan: Plan,
    /// For how long a claim excludes others; without, a lease is exclusive and a claim is never refused for it.
    pub lease: Option<Duration>,
    /// Whether appends are found by idempotency key, as `Capabilities::finds_keys` declares it.
    pub finds_keys: bool,
}

impl Default for MemorySettings {
    fn default() -> Self {
        Self { seed: 0, plan: Plan::default(), lease: None, finds_keys: true }
    }
}

/// Delays, and chances of faults between 0 and 1. Durations are upper bounds of the virtual clock; one of
/// zero means that the effect takes place at the next turn of the runtime.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// From the call of `append` to its effect. Groups take effect in the order of the calls.
    pub effect_within: Duration,
    /// From the effect to the answer: others see the events before the sender is told.
    pub answer_within: Duration,
    /// How long a read or a claim takes.
    pub read_within: Duration,
    /// For each append, [`Fault::Conflict`].
    pub conflict: f64,
    /// For each append, [`Fault::Fenced`]. With leases only where the lease is over.
    pub fenced: f64,
    /// For each append, [`Fault::Unavailable`].
    pub unavailable: f64,
    /// For each append, [`Fault::UnknownBefore`].
    pub unknown_before: f64,
    /// For each append, [`Fault::UnknownAfter`].
    pub unknown_after: f64,
    /// For each append, [`Fault::UnknownLater`], within [`Plan::later_within`].
    pub unknown_later: f64,
    /// How much later, at most.
    pub later_within: Duration,
    /// For each read, [`ReadFault::Unavailable`].
    pub read_unavailable: f64,
    /// For each claim, that it is `Unavailable` and changes nothing.
    pub claim_unavailable: f64,
}

impl Plan {
    /// Some delay, so that several groups are in flight, and no fault.
    pub fn calm() -> Self {
        Self {
            effect_within: Duration::from_millis(5),
            answer_within: Duration::from_millis(2),
            read_within: Duration::from_millis(3),
            later_within: Duration::from_millis(50),
            ..Self::default()
        }
    }

    /// Some delay, and every fault that a journal recovers from by itself, about one append in eight.
    /// Fencing by a stranger is left out: a writer that was fenced has nothing more to do.
    pub fn stormy() -> Self {
        Self {
            conflict: 0.03,
            unavailable: 0.02,
            unknown_before: 0.02,
            unknown_after: 0.03,
            unknown_later: 0.02,
            read_unavailable: 0.02,
            claim_unavailable: 0.05,
            ..Self::calm()
        }
    }
}

/// What strikes one append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// A stranger writes to the stream first, at its present epoch: the append finds a conflict.
    Conflict,
    /// A stranger claims all slices first: the append finds a newer epoch. It asks for no lease, as if
    /// the writer had been paused for longer than it had one.
    Fenced,
    /// Nothing is recorded, and the sender is told so.
    Unavailable,
    /// Nothing is recorded, and the sender is told that the outcome is unknown.
    UnknownBefore,
    /// It is recorded, and the sender is told that the outcome is unknown.
    UnknownAfter,
    /// The sender is told that the outcome is unknown; so long afterwards it is recorded, unless its stream
    /// has another version then, or its slice was claimed.
    UnknownLater(Duration),
    /// Its group's write fails: all of the group are unknown, and the journal must be opened anew. Whether
    /// they were recorded shows then, and follows from the seed.
    FailedWrite,
}

/// What strikes one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadFault {
    /// It fails; another may succeed.
    Unavailable,
    /// It takes so long. What it gives is what is recorded at its end.
    Slow(Duration),
}

/// A breach of the contract, built in on purpose: a checker that does not find it checks nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlantedFault {
    /// Appends on a base that failed are let in if their versions fit.
    ChainRuleLeftOut,
    /// The chain rule is forgotten from group to group.
    ChainRuleOnlyInGroup,
    /// Appends under an older epoch are let in.
    EpochNotChecked,
    /// Epochs are not kept over a reopening.
    EpochForgotten,
    /// A claim with an epoch that is over succeeds.
    ClaimNotChecked,
    /// What was sent before a claim is still recorded after it.
    RecordedAfterClaim,
    /// Appends on a stale version are let in.
    VersionNotChecked,
    /// The newest group is acknowledged before it would survive a crash.
    ReplyBeforeDurable,
    /// A group takes its place when its future is first polled.
    PlaceWhenPolled,
    /// One failed append fails all behind it in the group.
    FailsNeighbours,
    /// The first event of an append is recorded, though the append is refused as too large.
    HalfAppend,
    /// Every third append leaves a position out.
    HoleInPositions,
    /// Time goes back by a second at every third append.
    TimeGoesBack,
    /// Metadata, tags, origin, timers and keyed reply of an append are not kept.
    DropsDetails,
    /// Appends without events are not given by reads of a stream.
    HidesEmptyAppends,
    /// A filtered page does not say how far it looked.
    ScannedStandsStill,
    /// A cursor leaves out the append where a page ended.
    CursorSkipsOne,
    /// Waiting for the head returns only when it was beyond already.
    NeverWakes,
    /// An append is found by the oldest use of its key.
    FindsOldestKey,
}
