//! What may be in the journal: every append that was ever sent, what became of it, and what of it was told.
//!
//! It knows nothing of disks and files. What it is told must fit what it knows; the first thing that does not is the
//! verdict of a life.

use kronika_core::{
    Append, AppendError, AppendId, Appended, Committed, Epoch, EventId, Loading, Mark, PartitionId,
    Position, RecordedAppend, RecordedEvent, SLICES, SliceRange, StreamId, Version,
};
use std::{collections::HashMap, sync::Arc};

/// What is wrong, in words.
pub type Wrong = String;
pub type Checked<T = ()> = Result<T, Wrong>;

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nobody knows yet.
    Sent,
    /// It was told as recorded: acknowledged or read.
    Told,
    /// It may be recorded; the next opening tells.
    Unknown,
    /// It was refused, or not there after an opening: it never appears.
    Absent,
}

#[derive(Debug)]
pub struct Sent {
    pub append: Arc<Append>,
    pub state: State,
    /// Position of its first event, once it was told.
    pub first: Position,
    pub time: i64,
}

#[derive(Debug)]
pub struct Stream {
    pub id: StreamId,
    /// What was told, in order.
    pub told: Vec<AppendId>,
    /// The version after all of them.
    pub version: u64,
    /// The newest loading of it that broke since the log was opened.
    broken: Option<Loading>,
}

pub struct Model {
    pub streams: Vec<Stream>,
    pub sent: HashMap<AppendId, Sent>,
    /// Events that were told, by position: the append and the place in it.
    pub events: Vec<Option<(AppendId, usize)>>,
    pub epochs: Vec<Epoch>,
    /// Claims whose outcome is not known, in order.
    claims: Vec<SliceRange>,
    /// Appends told since this was last taken.
    pub news: Vec<AppendId>,
    pub epochs_told: bool,
    failed: bool,
}

impl Model {
    pub fn new(names: &[&str]) -> Self {
        let stream = |name: &&str| {
            let id = StreamId::parse(name).expect("the names of streams are valid");
            Stream { id, told: Vec::new(), version: 0, broken: None }
        };
        Self {
            streams: names.iter().map(stream).collect(),
            sent: HashMap::new(),
            events: Vec::new(),
            epochs: vec![Epoch::default(); usize::from(SLICES)],
            claims: Vec::new(),
            news: Vec::new(),
            epochs_told: false,
            failed: false,
        }
    }

    pub fn number(&self, stream: &StreamId) -> Checked<usize> {
        let found = self.streams.iter().position(|one| one.id == *stream);
        found.ok_or_else(|| format!("{stream} was never written to"))
    }

    pub fn send(&mut self, append: &Arc<Append>) {
        let (append, state, first, time) = (Arc::clone(append), State::Sent, Position::ZERO, 0);
        self.sent.insert(append.id, Sent { append, state, first, time });
    }

    /// Takes the result of an append; results come in the order of the calls.
    pub fn answered(&mut self, append: &Append, result: &Appended) -> Checked {
        let id = append.id;
        let number = self.number(&append.stream)?;
        let (version, broken) = (self.streams[number].version, self.streams[number].broken);
        let now = self.epochs[usize::from(append.stream.slice().get())];
        let fits = match result {
            Ok(committed) => {
                if self.failed {
                    return Err(format!("{id} was acknowledged after a write failed"));
                }
                if append.epoch < now {
                    return Err(format!("{id} was let in under epoch {} of {now}", append.epoch));
                }
                if broken.is_some_and(|broken| append.loading <= broken) {
                    return Err(format!("{id} was let in on a loading that broke"));
                }
                return self.acknowledged(append, *committed);
            }
            Err(AppendError::Conflict { expected, found, .. }) => {
                let known = found.get() <= version || self.failed;
                *expected == append.expected && found != expected && known
            }
            Err(AppendError::Predecessor) => broken.is_some_and(|broken| append.loading <= broken),
            Err(AppendError::Fenced { held, now: told }) => {
                *held == append.epoch && *told == now && *held < now
            }
            Err(AppendError::UnknownOutcome | AppendError::Failed(_)) => {
                self.failed = true;
                true
            }
            Err(AppendError::Unavailable(_)) => true,
            Err(_) => false,
        };
        if !fits {
            let expected = append.expected;
            return Err(format!(
                "{id} on version {expected} of {} (now {version}) got {result:?}",
                append.stream
            ));
        }
        let unknown = *result == Err(AppendError::UnknownOutcome);
        let state = if unknown { State::Unknown } else { State::Absent };
        let stream = &mut self.streams[number];
        stream.broken = stream.broken.max(Some(append.loading));
        let sent = self.sent.get_mut(&id).expect("it was sent");
        if sent.state == State::Told {
            return Err(format!("{id} was read and then answered with {result:?}"));
        }
        sent.state = state;
        Ok(())
    }

    fn acknowledged(&mut self, append: &Append, committed: Committed) -> Checked {
        let (id, events) = (append.id, append.events.len() as u64);
        if committed.version != append.expected.plus(events) {
            return Err(format!("{id} was acknowledged with version {}", committed.version));
        }
        if committed.mark.is_some() != (events > 0) {
            return Err(format!("{id} with {events} events has the mark {:?}", committed.mark));
        }
        let last = committed.mark.map_or(0, |mark| mark.position.get());
        let first = Position::new(last.saturating_sub(events) + u64::from(events > 0));
        self.told(id, append.expected, first, committed.time.get())?;
        let mark = append.events.last().map(|_| mark_of(append, events as usize - 1, last));
        if mark != committed.mark {
            return Err(format!("{id} was acknowledged with the mark {:?}", committed.mark));
        }
        Ok(())
    }

    /// An append is told as recorded, again or for the first time; its stream's appends are told in order.
    pub fn told(
        &mut self,
        id: AppendId,
        stands_on: Version,
        first: Position,
        time: i64,
    ) -> Checked {
        let Some(sent) = self.sent.get_mut(&id) else { return Err(format!("{id} was never sent")) };
        let append = Arc::clone(&sent.append);
        match sent.state {
            State::Told if sent.first == first && sent.time == time => return Ok(()),
            State::Told => {
                return Err(format!(
                    "{id} is at position {first}, time {time}, and was at {}, {}",
                    sent.first, sent.time
                ));
            }
            State::Absent => return Err(format!("{id} was refused or lost and came back")),
            State::Sent | State::Unknown => {}
        }
        (sent.state, sent.first, sent.time) = (State::Told, first, time);
        let number = self.number(&append.stream)?;
        let stream = &mut self.streams[number];
        if stands_on.get() != stream.version || append.expected != stands_on {
            return Err(format!(
                "{id} stands on version {stands_on}, and {} has {}",
                append.stream, stream.version
            ));
        }
        stream.version += append.events.len() as u64;
        stream.told.push(id);
        self.news.push(id);
        for index in 0..append.events.len() {
            let place = (first.get() - 1) as usize + index;
            if self.events.len() <= place {
                self.events.resize(place + 1, None);
            }
            if let Some((other, _)) = self.events[place].replace((id, index)) {
                return Err(format!("{id} and {other} both have position {}", place + 1));
            }
        }
        Ok(())
    }

    /// Compares an append that was read with what was sent.
    pub fn read(&self, read: &RecordedAppend) -> Checked {
        let header = &read.header;
        let id = header.id;
        let Some(sent) = self.sent.get(&id) else { return Err(format!("{id} was never sent")) };
        let append = &sent.append;
        let same = header.stream == append.stream
            && header.expected == append.expected
            && header.epoch == append.epoch
            && header.command == append.command
            && header.more == append.more
            && read.events.len() == append.events.len()
            && read
                .events
                .iter()
                .enumerate()
                .all(|(index, event)| same_event(append, index, event));
        if same { Ok(()) } else { Err(format!("{id} is not what was sent: {read:?}")) }
    }

    /// The mark of the newest event told.
    pub fn head(&self) -> Mark {
        let last = self.events.last().copied().flatten();
        last.map_or_else(Mark::default, |(id, index)| {
            mark_of(&self.sent[&id].append, index, self.events.len() as u64)
        })
    }

    /// A claim was sent whose outcome is not known.
    pub fn claim_unknown(&mut self, slices: SliceRange) {
        self.claims.push(slices);
    }

    /// An epoch was told as claimed.
    pub fn claimed(&mut self, slices: SliceRange, epoch: Epoch) -> Checked {
        if self.failed {
            return Err("a claim was granted after a write failed".to_owned());
        }
        let range = usize::from(slices.first())..=usize::from(slices.last());
        let newest = self.epochs[range.clone()].iter().max().copied().unwrap_or_default();
        if epoch != newest.next() {
            return Err(format!("epoch {epoch} was claimed after {newest}"));
        }
        self.epochs[range].fill(epoch);
        self.epochs_told = true;
        Ok(())
    }

    /// Takes the epochs as they are found at an opening: claims whose outcome was unknown may be there.
    pub fn epochs_found(&mut self, found: Vec<Epoch>) -> Checked {
        let highest = self.epochs.iter().max().copied().unwrap_or_default().get();
        let highest = highest + self.claims.len() as u64;
        for (slice, (now, before)) in found.iter().zip(&self.epochs).enumerate() {
            if now == before {
                continue;
            }
            let covers =
                |claim: &SliceRange| (claim.first()..=claim.last()).contains(&(slice as u16));
            let fits = now > before && now.get() <= highest && self.claims.iter().any(covers);
            if !fits {
                return Err(format!("slice {slice} has epoch {now} after {before}"));
            }
        }
        self.claims.clear();
        (self.epochs, self.epochs_told) = (found, true);
        Ok(())
    }

    /// A log was opened: no chain is broken any more, and nothing has failed.
    pub fn opened(&mut self) {
        self.failed = false;
        for stream in &mut self.streams {
            stream.broken = None;
        }
    }

    /// Everything was read after an opening: what was not there never comes back.
    pub fn settled(&mut self) {
        for sent in self.sent.values_mut() {
            if matches!(sent.state, State::Sent | State::Unknown) {
                sent.state = State::Absent;
            }
        }
    }
}

fn event_id(append: &Append, index: usize) -> EventId {
    append.events[index].id.unwrap_or_else(|| append.id.event(index))
}

fn mark_of(append: &Append, index: usize, position: u64) -> Mark {
    Mark::at(PartitionId::default(), Position::new(position), event_id(append, index))
}

/// Whether an event that was read is the one that was sent.
fn same_event(append: &Append, index: usize, read: &RecordedEvent) -> bool {
    let sent = &append.events[index];
    read.id == event_id(append, index)
        && read.version == append.expected.plus(index as u64 + 1)
        && *read.name == *sent.name
        && (read.schema, read.codec) == (sent.schema, sent.codec)
        && read.body == sent.body
        && read.tags == sent.tags
        && read.occurred == sent.occurred
        && read.metadata == sent.metadata
}
