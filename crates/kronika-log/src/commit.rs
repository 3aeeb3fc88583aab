//! The commit thread: lets appends in, in the order of the calls, and tells the callers when they are durable.
//!
//! What waits is put into the next commit while the one before it is being written, see `write.rs`. Nothing is told
//! before what it was decided on is durable; once a commit failed, nothing is acknowledged any more.

use crate::{
    admit::Admission,
    batch::{Batch, Part, Reply},
    disk::{DiskFile, write_full},
    format::{
        COMMIT_BYTES_MAX, Claim, CommitKind, FIRST_COMMIT, PublishedHead, bytes_estimate,
        encode_claim,
    },
    handoff::{AbandonOnDrop, Filling, Handoff},
    index::{Admitted, AppendEntry, NotAdmitted, VERSION_MAX},
    place::Place,
    queue::{ClaimRequest, Group, Work},
    recent::StoredCommit,
    returning::{Awaited, Returning},
    shared::{Durable, Shared},
    write::{Done, WriteFault, Written},
};
use bytes::Bytes;
use kronika_core::{
    Append, AppendError, Appended, ClaimError, Lease, Mark, Ownership, Position, Timestamp, Version,
};
use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError},
    time::Instant,
};

/// A batch of at most so many records is written by this thread, if nothing is being written.
const RECORDS_HERE_MAX: u32 = 4;

/// The commit thread's own.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    handoff: Arc<Handoff>,
    head_file: Arc<dyn DiskFile>,
    admission: Admission,
    /// The last event that was let in, and the time of the newest commit: durable or on its way.
    mark: Mark,
    time: Timestamp,
    /// Results of a group whose last part is still to come.
    carried: Vec<Appended>,
    done: Vec<Done>,
    pub(crate) returning: Returning,
    /// What the batch that is being filled waits for.
    awaited: Option<Awaited>,
    failed: Option<String>,
}

impl Committer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        handoff: Arc<Handoff>,
        head_file: Arc<dyn DiskFile>,
        admission: Admission,
        time: Timestamp,
    ) -> Self {
        let mark = shared.durable().mark;
        let (carried, done, failed) = (Vec::new(), Vec::new(), None);
        Self {
            shared,
            handoff,
            head_file,
            admission,
            mark,
            time,
            carried,
            done,
            returning: Returning::default(),
            awaited: None,
            failed,
        }
    }

    /// Works until the queue is closed and empty; it has begun.
    pub(crate) fn run(mut self, _guard: AbandonOnDrop) {
        let mut work = VecDeque::new();
        while self.turn(&mut work) {}
        self.drain();
    }

    /// Publishes the head; callers are not left waiting once what this gives is dropped.
    pub(crate) fn begin(&self) -> AbandonOnDrop {
        self.publish_head(&self.handoff.head());
        AbandonOnDrop(Arc::clone(&self.shared), Arc::clone(&self.handoff))
    }

    /// Waits for something to do and does all of it; false when the queue is closed and empty. `work` is empty
    /// before and after.
    pub(crate) fn turn(&mut self, work: &mut VecDeque<Work>) -> bool {
        if !self.shared.queue.take(work, &mut self.done, self.awaited) {
            return false;
        }
        self.returning.arrived(Instant::now(), work.iter().filter(|one| one.counts()).count());
        self.settle();
        if self.returning.are_awaited() {
            self.handoff.hold();
        }
        for one in work.drain(..) {
            match one {
                Work::Group(group) => self.group(group),
                Work::Claim(claim) => self.claim(claim),
                Work::Refused(appends) => {
                    for (stream, loading) in appends {
                        self.admission.broke(&stream, loading);
                    }
                }
                Work::RefusedUpTo(loading) => self.admission.broke_up_to(loading),
            }
        }
        self.awaited = self.go_on();
        true
    }

    /// Lets the batch be written, unless it waits for callers that come back: then it gives for how many, and the
    /// batch is written here, since nobody else has anything to do.
    fn go_on(&mut self) -> Option<Awaited> {
        if !self.returning.are_awaited() {
            self.offer(RECORDS_HERE_MAX);
            return None;
        }
        let awaited = match self.handoff.filling() {
            // Who is waited for is known once the one before it is settled.
            Filling::Behind => return None,
            Filling::First => self.returning.awaited(Instant::now()),
            Filling::Empty => None,
        };
        if awaited.is_none() {
            self.offer(u32::MAX);
        }
        awaited
    }

    /// No batch waits for callers: time passes in steps.
    #[cfg(feature = "simulation")]
    pub(crate) fn never_wait(&mut self) {
        self.returning.is_off = true;
    }

    /// Lets the batch be written; settles it if that was done here.
    fn offer(&mut self, records_here_max: u32) {
        if let Some(done) = self.handoff.offer(records_here_max) {
            self.done.push(done);
            self.settle();
        }
    }

    /// Waits until nothing is on its way.
    pub(crate) fn drain(&mut self) {
        loop {
            self.offer(u32::MAX);
            if self.handoff.is_idle() {
                return;
            }
            self.wait();
        }
    }

    /// Waits for a batch that is being written.
    fn wait(&mut self) {
        #[cfg(feature = "simulation")]
        self.handoff.write_if_stepped(&self.shared.queue);
        self.shared.queue.wait_done(&mut self.done);
        self.settle();
    }

    fn group(&mut self, group: Group) {
        let Group { appends, bytes, reply } = group;
        let mut answer = Some((reply, bytes));
        let mut left = appends.len();
        if left == 0 {
            self.handoff.fill(|batch| batch.push(None, answer.take()));
        }
        for append in appends {
            let estimate = bytes_estimate(&append);
            while self.is_full(estimate) {
                self.offer(0);
                self.wait();
            }
            left -= 1;
            self.append(append, if left == 0 { answer.take() } else { None });
        }
    }

    /// Whether an append of so many bytes has to wait for the next commit.
    fn is_full(&self, bytes: usize) -> bool {
        let room = self.shared.settings.segment_bytes - FIRST_COMMIT;
        let most = self.shared.settings.commit_bytes.min(room as usize).min(COMMIT_BYTES_MAX);
        self.handoff.fill(|batch| batch.records > 0 && batch.buffer.len() + bytes > most)
    }

    /// Puts an append into the commit, or says why not; `last` with the last one of its group.
    fn append(&mut self, append: Append, last: Option<(Reply, usize)>) {
        let admitted = match self.admit(&append) {
            Ok(admitted) => admitted,
            Err(error) => {
                self.admission.broke(&append.stream, append.loading);
                return self.handoff.fill(|batch| batch.push(Some(Err(error)), last));
            }
        };
        let key = append.more.as_deref().and_then(|more| {
            let principal = more.origin.principal.as_deref();
            let key = &more.keyed.as_ref()?.key;
            Some(self.shared.index.key_hash(&append.stream, principal, key))
        });
        let (clock, time, mark) = (self.shared.settings.clock, self.time, self.mark);
        let put = self.handoff.fill(|batch| {
            if batch.records == 0 {
                (batch.time, batch.mark) = (clock().max(time), mark);
            }
            let put = batch.put(&append, admitted, key);
            batch.push(Some(put.clone()), last);
            put.map(|committed| (batch.mark, committed.time))
        });
        match put {
            Ok(now) => (self.mark, self.time) = now,
            Err(_) => {
                self.shared.index.withdraw(&append.stream, admitted);
                self.admission.broke(&append.stream, append.loading);
            }
        }
    }

    /// Whether an append may be recorded.
    fn admit(&mut self, append: &Append) -> Result<Admitted, AppendError> {
        if let Some(reason) = &self.failed {
            return Err(AppendError::Failed(reason.clone()));
        }
        self.admission.check(append)?;
        let events = append.events.len() as u64;
        if append.expected.get() > VERSION_MAX - events {
            let newest = self.shared.index.newest(&append.stream);
            let found = newest
                .map_err(|error| AppendError::Unavailable(self.shared.index_failed(&error)))?;
            return Err(conflict(append, found));
        }
        #[cfg(feature = "planted-faults")]
        if self.shared.settings.plants(crate::PlantedFault::ColdLookupLeftOut) {
            let admitted = self.shared.index.replay(&append.stream, append.expected, events);
            return admitted.map_err(|found| conflict(append, found));
        }
        let admitted = self.shared.index.admit(&append.stream, append.expected, events);
        admitted.map_err(|refused| match refused {
            NotAdmitted::Found(found) => conflict(append, found),
            NotAdmitted::Failed(error) => {
                AppendError::Unavailable(self.shared.index_failed(&error))
            }
        })
    }

    /// Settles the batches that were written.
    fn settle(&mut self) {
        for done in std::mem::take(&mut self.done) {
            let Done { mut batch, result } = done;
            let mut took = None;
            match result {
                Ok(Some(written)) => {
                    took = Some(written.took);
                    self.publish(&mut batch, &written);
                }
                Ok(None) => {}
                Err(WriteFault::NoRoom(reason)) => self.take_back(&mut batch, &reason),
                Err(WriteFault::Failed(reason)) => self.poison(&mut batch, reason),
            }
            // Once for all of them: the callers that are woken next take the same lock.
            let bytes = batch.parts.iter().map(|part| part.bytes).sum();
            let queued = self.shared.queue.settled(bytes);
            if let Some(took) = took {
                let callers = batch.parts.iter().filter(|part| part.reply.is_some()).count();
                self.returning.answered(Instant::now(), callers, queued, took);
            }
            for part in batch.parts.drain(..) {
                self.answer(part);
            }
            self.handoff.settled(batch);
        }
    }

    fn answer(&mut self, part: Part) {
        let Some(reply) = part.reply else { return self.carried.extend(part.results) };
        let mut results = part.results;
        if !self.carried.is_empty() {
            self.carried.append(&mut results);
            results = std::mem::take(&mut self.carried);
        }
        // Whoever dropped the future does not want to know.
        let _ = reply.send(results);
    }

    /// A commit is durable: readers see it.
    fn publish(&self, batch: &mut Batch, written: &Written) {
        let Written { place, header, head, .. } = written;
        let index = &self.shared.index;
        self.shared.segments.grew(head.end);
        index.record_commit(Position::new(header.first_position), *place);
        let bytes = Bytes::copy_from_slice(&batch.buffer);
        self.shared.counters.commit(header.events, bytes.len());
        self.shared.recent.push(StoredCommit { place: *place, header: *header, bytes });
        for pending in batch.pending.drain(..) {
            let at = Place::new(place.segment(), place.offset() + pending.at as u64);
            let entry = AppendEntry::new(at, pending.end, pending.id);
            index.record(pending.admitted, entry, pending.key);
        }
        let durable = Durable { end: head.end, mark: batch.mark, failed: None };
        self.shared.durable.send_replace(durable);
        self.publish_head(head);
    }

    /// For followers in other processes and for recovery. Not synced, and a failure loses nothing: what is
    /// published stays behind the truth until the next commit.
    fn publish_head(&self, head: &PublishedHead) {
        let _ = write_full(&*self.head_file, &head.encode(), 0);
    }

    /// There is no room for a commit: nothing of it was recorded, nor of what was let in after it.
    fn take_back(&mut self, batch: &mut Batch, reason: &str) {
        let unavailable = AppendError::Unavailable(reason.to_owned());
        let Self { shared, admission, handoff, .. } = self;
        let mut take_back = |batch: &mut Batch| {
            for pending in batch.pending.drain(..).rev() {
                shared.index.withdraw(&pending.stream, pending.admitted);
                admission.broke(&pending.stream, pending.loading);
            }
            batch.spoil(&unavailable, &unavailable);
        };
        handoff.fill(|filling| {
            take_back(filling);
            filling.drop_appends();
        });
        take_back(batch);
        self.mark = self.shared.durable().mark;
        self.handoff.resume();
    }

    /// A commit failed: nothing is acknowledged any more.
    fn poison(&mut self, batch: &mut Batch, reason: String) {
        let failed = AppendError::Failed(reason.clone());
        batch.spoil(&AppendError::UnknownOutcome, &failed);
        self.handoff.fill(|filling| {
            filling.spoil(&failed, &failed);
            filling.drop_appends();
        });
        let told = Some(Arc::from(reason.as_str()));
        self.shared.durable.send_modify(|durable| durable.failed = told);
        self.failed = Some(reason);
        // What comes from now on has no records: it is only answered.
        self.handoff.resume();
    }

    /// Raises an epoch, in a commit of its own, when everything before it is settled.
    fn claim(&mut self, request: ClaimRequest) {
        self.drain();
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
        self.time = (self.shared.settings.clock)().max(self.time);
        let mut batch = Batch::new();
        (batch.kind, batch.records) = (CommitKind::Control, 1);
        (batch.time, batch.mark) = (self.time, self.mark);
        encode_claim(&mut batch.buffer, &claim);
        let done = self.handoff.write_alone(batch);
        let refused = match &done.result {
            Ok(_) => None,
            Err(WriteFault::NoRoom(reason)) => Some(ClaimError::Unavailable(reason.clone())),
            Err(WriteFault::Failed(reason)) => Some(ClaimError::Failed(reason.clone())),
        };
        if refused.is_none() {
            self.admission.claimed(claim.slices, claim.epoch);
            let mut epochs = self.shared.epochs.write().unwrap_or_else(PoisonError::into_inner);
            epochs.copy_from_slice(self.admission.all_epochs());
        }
        self.done.push(done);
        self.settle();
        refused.map_or(Ok(Ownership { epoch: claim.epoch, lease: Lease::Exclusive }), Err)
    }
}

fn conflict(append: &Append, found: Version) -> AppendError {
    AppendError::Conflict { stream: append.stream.clone(), expected: append.expected, found }
}
