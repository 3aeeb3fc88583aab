//! A commit on its way: its bytes, the appends in it, and who is to be answered when it is durable.

use crate::{
    format::{COMMIT_BYTES_MAX, COMMIT_HEADER_BYTES, CommitKind, encode_append},
    index::Admitted,
};
use kronika_core::{
    Append, AppendError, AppendId, Appended, Committed, Loading, Mark, PartitionId, StreamId,
    Timestamp, Version,
};
use tokio::sync::oneshot;

/// A buffer that grew beyond this is not kept.
const KEPT_BYTES_MAX: usize = 8 << 20;

/// Whom to answer.
pub(crate) type Reply = oneshot::Sender<Vec<Appended>>;

/// An append in a commit.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) stream: StreamId,
    pub(crate) loading: Loading,
    pub(crate) admitted: Admitted,
    /// Place of its record in the commit.
    pub(crate) at: usize,
    pub(crate) id: AppendId,
    pub(crate) end: Version,
    pub(crate) key: Option<u128>,
}

/// Results of a group that depend on one commit. A large group has parts in several commits.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) results: Vec<Appended>,
    /// Whom to answer; the last part of a group has it.
    pub(crate) reply: Option<Reply>,
    /// What the group took of the queue, given back with the last part.
    pub(crate) bytes: usize,
}

/// A commit on its way. One without records stands for answers that depend on those before it.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) kind: CommitKind,
    /// Room for the header, then records.
    pub(crate) buffer: Vec<u8>,
    pub(crate) records: u32,
    /// Its last event, or the one before it.
    pub(crate) mark: Mark,
    pub(crate) time: Timestamp,
    pub(crate) pending: Vec<Pending>,
    pub(crate) parts: Vec<Part>,
    /// Whether the last part's group goes on.
    open: bool,
}

impl Batch {
    pub(crate) fn new() -> Self {
        Self {
            kind: CommitKind::Appends,
            buffer: vec![0; COMMIT_HEADER_BYTES],
            records: 0,
            mark: Mark::default(),
            time: Timestamp::default(),
            pending: Vec::new(),
            parts: Vec::new(),
            open: false,
        }
    }

    /// Whether nothing waits for it.
    pub(crate) fn is_empty(&self) -> bool {
        self.records == 0 && self.parts.is_empty()
    }

    /// Empties it to be filled anew.
    pub(crate) fn clear(&mut self) {
        self.kind = CommitKind::Appends;
        self.buffer.truncate(COMMIT_HEADER_BYTES);
        self.buffer.shrink_to(KEPT_BYTES_MAX);
        self.records = 0;
        self.pending.clear();
        self.parts.clear();
        self.open = false;
    }

    /// Takes the next result of a group, and with the last one whom to answer and what the group took of the queue.
    /// The batch may have been taken in the midst of a group: then a part of it begins here.
    pub(crate) fn push(&mut self, result: Option<Appended>, last: Option<(Reply, usize)>) {
        if !self.open {
            self.parts.push(Part { results: Vec::new(), reply: None, bytes: 0 });
        }
        let part = self.parts.last_mut().expect("a part is open");
        part.results.extend(result);
        self.open = last.is_none();
        if let Some((reply, bytes)) = last {
            (part.reply, part.bytes) = (Some(reply), bytes);
        }
    }

    /// Encodes an append into it, or leaves it as it was.
    pub(crate) fn put(
        &mut self,
        append: &Append,
        admitted: Admitted,
        key: Option<u128>,
    ) -> Appended {
        let at = self.buffer.len();
        let events = append.events.len();
        let encoded =
            encode_append(&mut self.buffer, append, self.mark.position.plus(1), self.time);
        let (bytes, most) = (self.buffer.len() - at, COMMIT_BYTES_MAX - 2 * COMMIT_HEADER_BYTES);
        let encoded = match encoded {
            Ok(()) if bytes > most => {
                Err(AppendError::TooLarge(format!("{bytes} bytes, at most {most}")))
            }
            encoded => encoded,
        };
        if let Err(error) = encoded {
            self.buffer.truncate(at);
            return Err(error);
        }
        let mark = append.events.last().map(|event| {
            let id = event.id.unwrap_or_else(|| append.id.event(events - 1));
            Mark::at(PartitionId::default(), self.mark.position.plus(events as u64), id)
        });
        self.mark = mark.unwrap_or(self.mark);
        self.records += 1;
        let (id, stream, loading) = (append.id, append.stream.clone(), append.loading);
        let end = append.expected.plus(events as u64);
        self.pending.push(Pending { stream, loading, admitted, at, id, end, key });
        Ok(Committed { version: end, time: self.time, mark })
    }

    /// Drops its appends, and keeps who is to be answered.
    pub(crate) fn drop_appends(&mut self) {
        let (parts, open) = (std::mem::take(&mut self.parts), self.open);
        self.clear();
        (self.parts, self.open) = (parts, open);
    }

    /// The commit will not be: gives its appends another result. A conflict may have been with one of them, so
    /// it is not told either.
    pub(crate) fn spoil(&mut self, append: &AppendError, conflict: &AppendError) {
        for result in self.parts.iter_mut().flat_map(|part| &mut part.results) {
            match result {
                Ok(_) => *result = Err(append.clone()),
                Err(AppendError::Conflict { .. }) => *result = Err(conflict.clone()),
                Err(_) => {}
            }
        }
    }
}
