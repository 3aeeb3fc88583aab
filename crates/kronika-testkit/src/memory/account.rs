//! The account of what was sent to a journal in memory: what struck each append, and what its sender was told.

use super::settings::Fault;
use crate::moment::Moment;
use kronika_core::{AppendId, Appended, StreamId};

/// One append that was sent. Whether it is recorded is told by `MemoryJournal::recorded`.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The append.
    pub id: AppendId,
    /// Its stream.
    pub stream: StreamId,
    /// When `append` was called.
    pub called: Moment,
    /// What struck it.
    pub fault: Option<Fault>,
    /// When its outcome was settled, and what it is; `None` while it is on its way, and after a crash.
    pub told: Option<(Moment, Appended)>,
}
