//! The commit thread: lets appends in, writes what waits with one write and one sync, and tells the callers.
//!
//! One write is in flight at a time. After a failed write or sync nothing is acknowledged any more and the sync
//! is never tried again: the page cache may call the pages clean that never reached the disk.

use crate::{
    admit::Admission,
    disk::{DiskFile, write_full},
    format::{
        COMMIT_BYTES_MAX, COMMIT_HEADER_BYTES, Claim, CommitHeader, CommitKind, FIRST_COMMIT,
        PublishedHead, SegmentHeader, bytes_estimate, encode_append, encode_claim, seal_body,
    },
    index::{Admitted, AppendEntry, VERSION_MAX},
    place::Place,
    prepare::{Preparation, ReadySegment},
    queue::{ClaimRequest, Group, Work},
    random::Random,
    recent::StoredCommit,
    segments::SegmentInfo,
    shared::{Durable, Shared},
};
use bytes::Bytes;
use kronika_core::{
    Append, AppendError, AppendId, Appended, ClaimError, Committed, Lease, Loading, Mark,
    Ownership, PartitionId, Position, StreamId, Timestamp, Version,
};
use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError},
};
use tokio::sync::oneshot;

/// Segments grow by this factor until they have the size that is set.
const GROWTH: u64 = 4;

static STATS: std::sync::Mutex<Vec<(u32,u32,u32,std::time::Instant)>> = std::sync::Mutex::new(Vec::new());
/// Why a commit was not written.
enum WriteFault {
    /// There is no room: nothing was written, and it may be tried again.
    NoRoom(String),
    /// A write or sync failed: it may have been written.
    Failed(String),
}

/// An append in the commit that is being filled.
struct Pending {
    stream: StreamId,
    loading: Loading,
    admitted: Admitted,
    /// Place of its record in the buffer.
    at: usize,
    id: AppendId,
    end: Version,
    key: Option<u64>,
}

/// A group that is not answered yet.
struct OpenGroup {
    reply: oneshot::Sender<Vec<Appended>>,
    results: Vec<Appended>,
    bytes: usize,
    /// Results from here on depend on the commit that is being filled.
    from: usize,
    whole: bool,
}

/// Where the log goes on.
pub(crate) struct Tail {
    pub(crate) active: ReadySegment,
    pub(crate) offset: u64,
    pub(crate) number: u64,
    pub(crate) previous: u32,
    pub(crate) mark: Mark,
    pub(crate) time: Timestamp,
}

/// The commit thread's own.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    preparation: Arc<Preparation>,
    head_file: Arc<dyn DiskFile>,
    random: Random,
    admission: Admission,
    tail: Tail,
    /// The commit that is being filled: room for its header, then records.
    buffer: Vec<u8>,
    records: u32,
    /// Its last event so far, and its time.
    mark: Mark,
    time: Timestamp,
    pending: Vec<Pending>,
    open: Vec<OpenGroup>,
    failed: Option<String>,
}

impl Committer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        preparation: Arc<Preparation>,
        head_file: Arc<dyn DiskFile>,
        random: Random,
        admission: Admission,
        tail: Tail,
    ) -> Self {
        Self {
            shared,
            preparation,
            head_file,
            random,
            admission,
            mark: tail.mark,
            time: tail.time,
            tail,
            buffer: vec![0; COMMIT_HEADER_BYTES],
            records: 0,
            pending: Vec::new(),
            open: Vec::new(),
            failed: None,
        }
    }

    /// Works until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        let guard = AbandonOnDrop(Arc::clone(&self.shared));
        self.publish_head();
        let mut work = VecDeque::new();
        while self.shared.queue.take(&mut work) {
            for one in work.drain(..) {
                match one {
                    Work::Group(group) => self.group(group),
                    Work::Claim(claim) => {
                        self.flush();
                        self.claim(claim);
                    }
                    Work::Refused(appends) => {
                        for (stream, loading) in appends {
                            self.admission.broke(&stream, loading);
                        }
                    }
                    Work::RefusedUpTo(loading) => self.admission.broke_up_to(loading),
                }
            }
            self.flush();
        }
        drop(guard);
        let stats = STATS.lock().unwrap();
        let n = stats.len();
        let mut r: Vec<u32> = stats.iter().map(|s| s.0).collect(); r.sort();
        let mut w: Vec<u32> = stats.iter().map(|s| s.1).collect(); w.sort();
        let mut y: Vec<u32> = stats.iter().map(|s| s.2).collect(); y.sort();
        let mut g: Vec<u32> = stats.windows(2).map(|p| (p[1].3 - p[0].3).as_micros() as u32 - p[0].1 - p[0].2).filter(|g| *g < 100000).collect(); g.sort();
        eprintln!("commits {n} records p50 {} p90 {} avg {}; write p50 {} avg {}; sync p50 {} p90 {} avg {}; gap p50 {} p90 {} avg {}", r[n/2], r[n*9/10], r.iter().map(|x| *x as usize).sum::<usize>()/n, w[n/2], w.iter().map(|x| *x as usize).sum::<usize>()/n, y[n/2], y[n*9/10], y.iter().map(|x| *x as usize).sum::<usize>()/n, g[g.len()/2], g[g.len()*9/10], g.iter().map(|x| *x as usize).sum::<usize>()/g.len());
    }

    fn group(&mut self, group: Group) {
        let Group { appends, bytes, reply } = group;
        let results = Vec::with_capacity(appends.len());
        self.open.push(OpenGroup { reply, results, bytes, from: 0, whole: false });
        for append in appends {
            if self.records > 0 && self.buffer.len() + bytes_estimate(&append) > self.commit_bytes()
            {
                self.flush();
            }
            let (stream, loading) = (append.stream.clone(), append.loading);
            let result = self.admit(append);
            if result.is_err() {
                self.admission.broke(&stream, loading);
            }
            self.open.last_mut().expect("this group is open").results.push(result);
        }
        self.open.last_mut().expect("this group is open").whole = true;
    }

    /// Bytes after which a commit is closed: what fits the next segment too.
    fn commit_bytes(&self) -> usize {
        let room = self.next_segment_bytes() - FIRST_COMMIT - COMMIT_HEADER_BYTES as u64;
        self.shared.settings.commit_bytes.min(room as usize)
    }

    fn next_segment_bytes(&self) -> u64 {
        let grown = self.tail.active.header.bytes.saturating_mul(GROWTH);
        grown.min(self.shared.settings.segment_bytes)
    }

    /// Puts an append into the commit, or says why not.
    fn admit(&mut self, append: Append) -> Appended {
        if let Some(reason) = &self.failed {
            return Err(AppendError::Failed(reason.clone()));
        }
        self.admission.check(&append)?;
        let events = append.events.len() as u64;
        if append.expected.get() > VERSION_MAX - events {
            let found = self.shared.index.stream(&append.stream, newest);
            return Err(conflict(append, found));
        }
        let admitted = match self.shared.index.admit(&append.stream, append.expected, events) {
            Ok(admitted) => admitted,
            Err(found) => return Err(conflict(append, found)),
        };
        if self.records == 0 {
            self.time = (self.shared.settings.clock)().max(self.tail.time);
        }
        let at = self.buffer.len();
        let first = self.mark.position.plus(1);
        let encoded = encode_append(&mut self.buffer, &append, first, self.time).and_then(|()| {
            let bytes = self.buffer.len() - at;
            let most = COMMIT_BYTES_MAX - 2 * COMMIT_HEADER_BYTES;
            if bytes > most {
                return Err(AppendError::TooLarge(format!("{bytes} bytes, at most {most}")));
            }
            Ok(())
        });
        if let Err(error) = encoded {
            self.buffer.truncate(at);
            self.shared.index.withdraw(&append.stream, admitted);
            return Err(error);
        }
        self.records += 1;
        let mark = append.events.last().map(|event| {
            let id = event.id.unwrap_or_else(|| append.id.event(append.events.len() - 1));
            Mark::at(PartitionId::default(), self.mark.position.plus(events), id)
        });
        self.mark = mark.unwrap_or(self.mark);
        let end = append.expected.plus(events);
        let more = append.more.as_deref();
        let key = more.and_then(|more| {
            let principal = more.origin.principal.as_deref();
            let key = &more.keyed.as_ref()?.key;
            Some(self.shared.index.key_hash(&append.stream, principal, key))
        });
        let Append { id, stream, loading, .. } = append;
        self.pending.push(Pending { stream, loading, admitted, at, id, end, key });
        Ok(Committed { version: end, time: self.time, mark })
    }

    /// Writes the commit that was filled, and answers the groups that are whole.
    fn flush(&mut self) {
        #[cfg(feature = "planted-faults")]
        if self.shared.settings.plants(crate::PlantedFault::ReplyBeforeSync) {
            self.answer();
        }
        if self.records > 0 {
            match self.write(CommitKind::Appends) {
                Ok(commit) => self.publish(commit),
                Err(WriteFault::NoRoom(reason)) => self.take_back(&reason),
                Err(WriteFault::Failed(reason)) => self.poison(reason),
            }
        }
        self.answer();
    }

    fn answer(&mut self) {
        let mut settled = 0;
        for group in self.open.extract_if(.., |group| group.whole) {
            settled += group.bytes;
            // Whoever dropped the future does not want to know.
            let _ = group.reply.send(group.results);
        }
        if let Some(unfinished) = self.open.last_mut() {
            unfinished.from = unfinished.results.len();
        }
        if settled > 0 {
            self.shared.queue.settled(settled);
        }
    }

    /// Writes and syncs the buffer as one commit.
    fn write(&mut self, kind: CommitKind) -> Result<StoredCommit, WriteFault> {
        let bytes = self.buffer.len().next_multiple_of(COMMIT_HEADER_BYTES) as u64;
        if self.tail.offset + bytes > self.tail.active.header.bytes {
            self.roll(bytes)?;
        }
        let (offset, seal) = (self.tail.offset, self.tail.active.header.seal());
        let (sparse_sectors, body_check) = seal_body(&mut self.buffer, self.records, seal, offset);
        let first = self.tail.mark.position.plus(1).get();
        let header = CommitHeader {
            kind,
            extended: false,
            sparse_sectors,
            body_bytes: u32::try_from(self.buffer.len() - COMMIT_HEADER_BYTES)
                .expect("a commit is bounded"),
            first_position: first,
            time: self.time.get(),
            records: self.records,
            events: u32::try_from(self.mark.position.plus(1).get() - first)
                .expect("a commit is bounded"),
            number: self.tail.number + 1,
            previous: self.tail.previous,
            body_check,
        };
        let (head, check) = header.encode(seal, offset);
        self.buffer[..COMMIT_HEADER_BYTES].copy_from_slice(&head);
        assert!(self.buffer.len() <= COMMIT_BYTES_MAX, "a commit is bounded");
        let file = &*self.tail.active.file;
        let t0 = std::time::Instant::now();
        write_full(file, &self.buffer, offset)
            .map_err(|error| WriteFault::Failed(format!("a write failed: {error}")))?;
        let t1 = std::time::Instant::now();
        self.sync().map_err(|error| WriteFault::Failed(format!("a sync failed: {error}")))?;
        let t2 = std::time::Instant::now();
        STATS.lock().unwrap().push((self.records, (t1 - t0).as_micros() as u32, (t2 - t1).as_micros() as u32, t0));
        self.tail.offset += self.buffer.len() as u64;
        self.tail.number += 1;
        self.tail.previous = check;
        (self.tail.mark, self.tail.time) = (self.mark, self.time);
        let bytes = Bytes::copy_from_slice(&self.buffer);
        Ok(StoredCommit { place: Place::new(seal.segment, offset), header, bytes })
    }

    fn sync(&self) -> std::io::Result<()> {
        let synced = self.tail.active.file.sync_data();
        #[cfg(feature = "planted-faults")]
        if synced.is_err() && self.shared.settings.plants(crate::PlantedFault::SyncAgain) {
            return self.tail.active.file.sync_data();
        }
        synced
    }

    /// Goes on in the next segment.
    fn roll(&mut self, bytes: u64) -> Result<(), WriteFault> {
        let ready = self.preparation.take(FIRST_COMMIT + bytes).map_err(WriteFault::NoRoom)?;
        let info = SegmentInfo { seal: ready.header.seal(), end: FIRST_COMMIT };
        self.shared.segments.roll(self.tail.offset, info);
        self.tail.active = ready;
        self.tail.offset = FIRST_COMMIT;
        let next = SegmentHeader {
            segment: self.tail.active.header.segment + 1,
            bytes: self.next_segment_bytes(),
            salt: self.random.next(),
            ..self.tail.active.header
        };
        self.preparation.want(next);
        Ok(())
    }

    /// A commit is durable: readers see it, and the buffer is free.
    fn publish(&mut self, commit: StoredCommit) {
        let (segment, start) = (commit.place.segment(), commit.place.offset());
        let index = &self.shared.index;
        index.record_commit(Position::new(commit.header.first_position), commit.place);
        self.shared.counters.commit(commit.header.events, commit.bytes.len());
        self.shared.recent.push(commit);
        for pending in self.pending.drain(..) {
            let place = Place::new(segment, start + pending.at as u64);
            let entry = AppendEntry::new(place, pending.end, pending.id);
            index.record(pending.admitted, entry, pending.key);
        }
        let end = Place::new(segment, self.tail.offset);
        let mark = self.tail.mark;
        self.shared.durable.send_replace(Durable { end, mark, failed: None });
        self.publish_head();
        self.preparation.used(self.tail.offset, self.tail.active.header.bytes);
        self.empty();
    }

    /// For followers in other processes and for recovery. Not synced, and a failure loses nothing: what is
    /// published stays behind the truth until the next commit.
    fn publish_head(&self) {
        let head = PublishedHead {
            incarnation: self.shared.incarnation.get(),
            end: Place::new(self.tail.active.header.segment, self.tail.offset),
            number: self.tail.number,
            position: self.tail.mark.position.get(),
            previous: self.tail.previous,
        };
        let _ = write_full(&*self.head_file, &head.encode(), 0);
    }

    fn empty(&mut self) {
        self.pending.clear();
        self.buffer.truncate(COMMIT_HEADER_BYTES);
        self.records = 0;
        (self.mark, self.time) = (self.tail.mark, self.tail.time);
    }

    /// There is no room for the commit: nothing of it was recorded.
    fn take_back(&mut self, reason: &str) {
        for pending in self.pending.drain(..).rev() {
            self.shared.index.withdraw(&pending.stream, pending.admitted);
            self.admission.broke(&pending.stream, pending.loading);
        }
        self.empty();
        for group in &mut self.open {
            for result in &mut group.results[group.from..] {
                // A conflict may have been with an append that was taken back.
                if matches!(result, Ok(_) | Err(AppendError::Conflict { .. })) {
                    *result = Err(AppendError::Unavailable(reason.to_owned()));
                }
            }
        }
    }

    /// The commit failed: nothing is acknowledged any more.
    fn poison(&mut self, reason: String) {
        for group in &mut self.open {
            for result in &mut group.results[group.from..] {
                match result {
                    Ok(_) => *result = Err(AppendError::UnknownOutcome),
                    // It may have been with an append whose outcome is not known.
                    Err(AppendError::Conflict { .. }) => {
                        *result = Err(AppendError::Failed(reason.clone()));
                    }
                    Err(_) => {}
                }
            }
        }
        self.empty();
        let failed = Some(Arc::from(reason.as_str()));
        self.shared.durable.send_modify(|durable| durable.failed = failed);
        self.failed = Some(reason);
    }

    /// Raises an epoch, in a commit of its own.
    fn claim(&mut self, request: ClaimRequest) {
        let answer = self.try_claim(&request);
        let _ = request.reply.send(answer);
    }

    fn try_claim(&mut self, request: &ClaimRequest) -> Result<Ownership, ClaimError> {
        if let Some(reason) = &self.failed {
            return Err(ClaimError::Failed(reason.clone()));
        }
        let present = self.admission.epochs(request.slices);
        let newest = *present.iter().max().expect("a range of slices is not empty");
        if let Some(held) = request.held
            && present.iter().any(|epoch| *epoch != held)
        {
            return Err(ClaimError::Fenced { held, now: newest });
        }
        let claim = Claim { slices: request.slices, epoch: newest.next() };
        self.time = (self.shared.settings.clock)().max(self.tail.time);
        encode_claim(&mut self.buffer, &claim);
        self.records = 1;
        match self.write(CommitKind::Control) {
            Ok(commit) => {
                self.admission.claimed(claim.slices, claim.epoch);
                let mut epochs = self.shared.epochs.write().unwrap_or_else(PoisonError::into_inner);
                epochs.copy_from_slice(self.admission.all_epochs());
                drop(epochs);
                self.publish(commit);
                Ok(Ownership { epoch: claim.epoch, lease: Lease::Exclusive })
            }
            Err(WriteFault::NoRoom(reason)) => {
                self.empty();
                Err(ClaimError::Unavailable(reason))
            }
            Err(WriteFault::Failed(reason)) => {
                self.poison(reason.clone());
                Err(ClaimError::Failed(reason))
            }
        }
    }
}

fn newest(appends: &[AppendEntry]) -> Version {
    Version::new(appends.last().map_or(0, |last| last.end()))
}

fn conflict(append: Append, found: Version) -> AppendError {
    AppendError::Conflict { stream: append.stream, expected: append.expected, found }
}

/// Whatever ends the commit thread, callers are not left waiting.
struct AbandonOnDrop(Arc<Shared>);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.0.queue.abandon();
        self.0.durable.send_modify(|durable| {
            durable.failed.get_or_insert_with(|| "the log is closed".into());
        });
    }
}
