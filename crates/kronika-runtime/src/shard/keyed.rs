//! Idempotency keys: remembered, repeated, asked for.

use super::{Common, Report, Shard, tally};
use crate::{
    error::{CommandError, overloaded},
    resident::Phase,
    stats::Counters,
    work::{Work, panic_message},
};
use futures_util::FutureExt;
use kronika_core::{
    Aggregate, AppendBy, AppendId, DynJournal, ReadError, ReadStream, RecordedAppend,
    RecordedEvent, StreamCursor, StreamId, Token, Version,
};
use std::panic::AssertUnwindSafe;

impl<A: Aggregate> Shard<A> {
    pub(super) fn remember(&mut self, slot: usize, key: u128, id: AppendId) {
        let limit = self.common.limits.key_bytes / self.common.limits.shards.max(1);
        let resident = self.slots[slot].as_mut().expect("a slot that is spoken of is occupied");
        let before = resident.keys.bytes();
        resident.keys.remember(key, id);
        self.key_bytes += resident.keys.bytes() - before;
        if self.key_bytes > limit {
            self.key_bytes -= resident.keys.bytes();
            resident.keys.forget();
        }
    }

    /// The first with a key is answered: those that came again meanwhile are handled now, in order.
    pub(super) fn free_key(&mut self, slot: usize, key: u128) -> bool {
        let resident = self.resident(slot);
        let twins = resident.twins.remove(&key).unwrap_or_default();
        let again = !twins.is_empty();
        resident.twins_waiting -= twins.len();
        twins.into_iter().rev().for_each(|twin| resident.backlog.push_front(twin));
        again
    }

    /// A repeat while the first with its key is pending: it waits for the outcome.
    pub(super) fn wait_for_twin(&mut self, slot: usize, key: u128, work: Box<dyn Work<A>>) {
        if self.is_crowded(slot) {
            let failure = overloaded("the queue of one idempotency key");
            return self.tally.count(work.settle(Err(failure)));
        }
        self.waiting += 1;
        let resident = self.resident(slot);
        resident.twins_waiting += 1;
        resident.twins.entry(key).or_default().push_back(work);
    }

    /// Gives the recorded receipt for a repeated key.
    pub(super) fn replay(&mut self, slot: usize, work: Box<dyn Work<A>>, id: AppendId) {
        let Some(place) = self.place() else {
            return self.tally.count(work.settle(Err(overloaded("repeated commands"))));
        };
        let (common, stream) = (self.common.clone(), self.resident(slot).stream.clone());
        tokio::spawn(async move {
            replay(&common, &stream, work, id).await;
            drop(place);
        });
    }

    /// Asks the journal for a key that memory has forgotten; what comes for the aggregate waits.
    pub(super) fn ask(&mut self, slot: usize, mut work: Box<dyn Work<A>>) {
        if !self.common.journal.capabilities().finds_keys {
            let failure = overloaded("the memory for idempotency keys");
            self.tally.count(work.settle(Err(failure)));
            return;
        }
        let Some(place) = self.place() else {
            return self.tally.count(work.settle(Err(overloaded("questions to the journal"))));
        };
        let by = by_key(&mut work);
        let resident = self.resident(slot);
        resident.phase = Phase::Asking;
        resident.asking = true;
        let stream = resident.stream.clone();
        let (common, reporter) = (self.common.clone(), self.reporter.clone());
        tokio::spawn(async move {
            let found = AssertUnwindSafe(find_by_key(&*common.journal, &stream, by));
            let found = found.catch_unwind().await.unwrap_or_else(|panic| {
                let said = panic_message(&*panic);
                Err(ReadError::Unavailable(format!("looking for a key panicked: {said}")))
            });
            let _ = reporter.send(Report::Asked { slot, work, found });
            drop(place);
        });
    }

    pub(super) fn asked(&mut self, slot: usize, work: Box<dyn Work<A>>, found: Found) {
        let resident = self.resident(slot);
        resident.asking = false;
        if resident.phase == Phase::Asking {
            resident.phase = Phase::Live;
        }
        match found {
            Ok(Some((append, token))) => {
                Counters::add(&self.common.counters.replayed, 1);
                self.tally.count(work.replay(&append, token));
            }
            Ok(None) if self.resident(slot).phase == Phase::Live => self.decide_new(slot, work),
            // Broken meanwhile: it goes first when the aggregate is loaded again.
            Ok(None) => {
                self.waiting += 1;
                self.resident(slot).backlog.push_front(work);
            }
            Err(error) => {
                let failure = CommandError::Unavailable(error.to_string());
                self.tally.count(work.settle(Err(failure)));
            }
        }
        self.drain_backlog(slot);
        if self.resident(slot).phase == Phase::Broken {
            self.recover_if_settled(slot);
        }
    }
}

fn by_key<A: Aggregate>(work: &mut Box<dyn Work<A>>) -> AppendBy {
    let options = &work.request().options;
    let key =
        options.idempotency_key.clone().expect("only a keyed command is looked up by its key");
    AppendBy::Key { principal: options.origin.principal.clone(), key }
}

/// The token of a recorded receipt. An append without events takes that of the event that it stands on, which
/// its first receipt had too.
async fn recorded_token(
    journal: &dyn DynJournal,
    append: &RecordedAppend,
) -> Result<Token, ReadError> {
    let version = append.version();
    let mut token = Token::new(journal.incarnation());
    let mut mark = append.mark();
    let before = version.get().checked_sub(1).map(Version::new);
    let mut cursor = before.filter(|_| mark.is_none()).map(StreamCursor::at);
    while let Some(from) = cursor {
        let read = ReadStream::backwards(append.header.stream.clone()).from(from).limit_appends(16);
        let page = journal.read_stream(read).await?;
        let mut events = page.appends.iter().flat_map(|append| &append.events);
        mark = events.find(|event| event.version == version).map(RecordedEvent::mark);
        cursor = page.next.filter(|_| mark.is_none());
    }
    mark.into_iter().for_each(|mark| token.see(mark));
    Ok(token)
}

/// An append found by its key, with the token of its receipt.
pub(super) type Found = Result<Option<(RecordedAppend, Token)>, ReadError>;

async fn find_by_key(journal: &dyn DynJournal, stream: &StreamId, by: AppendBy) -> Found {
    let Some(append) = journal.read_append(stream, by).await? else { return Ok(None) };
    let token = recorded_token(journal, &append).await?;
    Ok(Some((append, token)))
}

/// A hit counts only when the append that is read back has the same full key.
async fn replay<A: Aggregate>(
    common: &Common,
    stream: &StreamId,
    mut work: Box<dyn Work<A>>,
    id: AppendId,
) {
    let options = &work.request().options;
    let (principal, key) = (options.origin.principal.clone(), options.idempotency_key.clone());
    let found = AssertUnwindSafe(find_by_key(&*common.journal, stream, AppendBy::Id(id)));
    let found = found.catch_unwind().await.unwrap_or_else(|panic| {
        Err(ReadError::Unavailable(format!("reading back panicked: {}", panic_message(&*panic))))
    });
    let counted = match found {
        Ok(Some((append, token))) if has_key(&append, principal.as_deref(), key.as_deref()) => {
            Counters::add(&common.counters.replayed, 1);
            work.replay(&append, token)
        }
        Ok(_) => {
            let why = "the recorded receipt of this idempotency key was not found".to_owned();
            work.settle(Err(CommandError::Unavailable(why)))
        }
        Err(error) => work.settle(Err(CommandError::Unavailable(error.to_string()))),
    };
    tally::count(&common.counters, counted);
}

fn has_key(append: &RecordedAppend, principal: Option<&str>, key: Option<&str>) -> bool {
    let more = append.header.more.as_ref();
    let recorded = more.and_then(|more| more.keyed.as_ref()).map(|keyed| keyed.key.as_str());
    recorded == key && more.and_then(|more| more.origin.principal.as_deref()) == principal
}
