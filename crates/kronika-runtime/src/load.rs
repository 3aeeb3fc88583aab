//! From the journal to a state: loading an aggregate, now or as it was, from its newest snapshot on where there
//! is one that fits.

use crate::{
    error::{CommandError, Failure},
    keys::KeyMemory,
    request::key_hash,
    shard::Common,
    snapshots::Progress,
    stats::Counters,
    work::panic_message,
};
use kronika_core::{
    Aggregate, CodecError, Event, Mark, ReadError, ReadStream, RecordedAppend, RecordedEvent,
    Snapshot, StreamCursor, StreamId, StreamPage, Version,
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Appends that are read before a snapshot is looked for: most streams are short and have none.
const FIRST_LOOK: usize = 16;

/// A state folded from the journal.
pub(crate) struct Loaded<A> {
    pub state: A,
    pub version: Version,
    /// The last event's place.
    pub mark: Mark,
    pub keys: KeyMemory,
    /// The snapshot that it began from, and what was folded since.
    pub progress: Progress,
}

impl<A: Aggregate> Loaded<A> {
    fn new() -> Self {
        Self {
            state: A::default(),
            version: Version::ZERO,
            mark: Mark::default(),
            keys: KeyMemory::new(),
            progress: Progress::default(),
        }
    }

    fn begun(snapshot: &Snapshot, state: A) -> Self {
        Self {
            state,
            version: snapshot.version,
            mark: snapshot.mark,
            keys: KeyMemory::after_snapshot(snapshot.keyed),
            progress: Progress::taken(snapshot.version, snapshot.state.len()),
        }
    }

    fn take(&mut self, append: &RecordedAppend, until: Version) -> Result<(), Failure> {
        let header = &append.header;
        if header.expected != self.version {
            let reason = format!("an append stands on version {}", header.expected);
            return Err(not_loadable(&header.stream, self.version, reason));
        }
        if let Some(keyed) = header.more.as_ref().and_then(|more| more.keyed.as_ref()) {
            let principal = header.more.as_ref().and_then(|more| more.origin.principal.as_deref());
            self.keys.remember(key_hash(principal, &keyed.key), header.id);
        }
        append.events.iter().take_while(|event| event.version <= until).try_for_each(|event| {
            self.apply(event)?;
            self.version = event.version;
            self.mark = event.mark();
            self.progress.since += event.body.len() + 128;
            Ok(())
        })
    }

    fn apply(&mut self, event: &RecordedEvent) -> Result<(), Failure> {
        let refuse = |reason| Err(not_loadable(event.stream(), event.version, reason));
        let applied = catch_unwind(AssertUnwindSafe(|| {
            let decoded = A::Event::decode(&event.name, event.schema, &event.body)?;
            self.state.apply(&decoded);
            Ok::<(), CodecError>(())
        }));
        match applied {
            Ok(Ok(())) => Ok(()),
            // What is too new, too old or cannot be lifted names the event itself.
            Ok(Err(error @ (CodecError::Syntax(_) | CodecError::Shape { .. }))) => {
                refuse(format!("event {} of schema {}: {error}", event.name, event.schema))
            }
            Ok(Err(error)) => refuse(error.to_string()),
            Err(panic) => {
                let said = panic_message(&*panic);
                refuse(format!("decoding or applying event {} panicked: {said}", event.name))
            }
        }
    }
}

fn not_loadable(stream: &StreamId, version: Version, reason: String) -> Failure {
    CommandError::NotLoadable { stream: stream.to_string(), version, reason }
}

/// Folds the stream up to `until`, all of it with `None`.
///
/// A long one is folded from its newest snapshot on, if that is not beyond `until` and fits; what is found
/// wrong with a snapshot costs a warning and the reading of all events.
pub(crate) async fn load<A: Aggregate>(
    common: &Common,
    stream: &StreamId,
    until: Option<Version>,
) -> Result<Loaded<A>, Failure> {
    let mut loaded = Loaded::new();
    let mut cursor = Some(StreamCursor::at(Version::ZERO));
    let until = until.unwrap_or(Version::new(u64::MAX));
    let every = common.snapshots.every::<A>();
    let mut looks = every > 0;
    while let Some(from) = cursor {
        let mut read = ReadStream::forwards(stream.clone()).from(from);
        if looks {
            read = read.limit_appends(FIRST_LOOK.min(every as usize));
        }
        let page = page(common, read, loaded.version).await?;
        // What stands behind the version that was asked for no longer joins on.
        for append in page.appends.iter().take_while(|append| append.header.expected < until) {
            loaded.take(append, until)?;
        }
        cursor = page.next.filter(|_| loaded.version < until);
        let newest = page.newest.min(until);
        let may_have_one = newest.get() >= u64::from(leaving(every));
        if std::mem::take(&mut looks)
            && may_have_one
            && cursor.is_some()
            && let Some(loaded) = load_from_snapshot(common, stream, until).await?
        {
            return Ok(loaded);
        }
        if cursor.is_some() {
            tokio::task::yield_now().await; // a long history does not hold up a worker
        }
    }
    Ok(loaded)
}

/// Events after which an aggregate that is let go leaves a snapshot behind.
pub(crate) fn leaving(every: u32) -> u32 {
    every.div_ceil(4)
}

async fn page(common: &Common, read: ReadStream, at: Version) -> Result<StreamPage, Failure> {
    let stream = read.stream.clone();
    common.journal.read_stream(read).await.map_err(|error| match error {
        ReadError::Corrupt(what) => not_loadable(&stream, at, what),
        other => CommandError::Unavailable(other.to_string()),
    })
}

/// The newest snapshot with the events after it; `None` where none serves.
async fn load_from_snapshot<A: Aggregate>(
    common: &Common,
    stream: &StreamId,
    until: Version,
) -> Result<Option<Loaded<A>>, Failure> {
    let found = common.snapshots.find::<A>(&common.counters, stream, until).await;
    let Some((snapshot, state)) = found else { return Ok(None) };
    let why = match read_on(common, &snapshot, state, until).await {
        Ok(loaded) => {
            Counters::add(&common.counters.snapshots_used, 1);
            return Ok(Some(loaded));
        }
        Err(Misfit::History(why)) => why,
        // Perhaps its state is to blame: all events tell.
        Err(Misfit::Failure(failure @ CommandError::NotLoadable { .. })) => failure.to_string(),
        Err(Misfit::Failure(failure)) => return Err(failure),
    };
    Ok(common.snapshots.ignore(&common.counters, stream, &why))
}

/// Why reading on from a snapshot came to nothing.
enum Misfit {
    /// It is of another history.
    History(String),
    Failure(Failure),
}

impl From<Failure> for Misfit {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// Reads from the append that the snapshot stands on: its last event must be the snapshot's.
async fn read_on<A: Aggregate>(
    common: &Common,
    snapshot: &Snapshot,
    state: A,
    until: Version,
) -> Result<Loaded<A>, Misfit> {
    let at = snapshot.version;
    let mut loaded = Loaded::begun(snapshot, state);
    let mut met = common.snapshots.trusts();
    let mut cursor = Some(StreamCursor::at(Version::new(at.get() - 1)));
    while let Some(from) = cursor {
        let read = ReadStream::forwards(snapshot.stream.clone()).from(from);
        let page = page(common, read, loaded.version).await?;
        for append in page.appends.iter().take_while(|append| append.header.expected < until) {
            if append.header.expected >= at {
                if !met {
                    break;
                }
                loaded.take(append, until)?;
            } else if append.version() >= at {
                let last = (append.version(), append.mark());
                met |= last == (at, Some(snapshot.mark));
                if !met {
                    break;
                }
            }
        }
        cursor = page.next.filter(|_| !met || loaded.version < until);
        if cursor.is_some() {
            tokio::task::yield_now().await;
        }
        // Those that stand before it may fill a page; what has come further must have met it.
        let passed = page.appends.last().is_some_and(|append| append.version() >= at);
        if !met && (passed || cursor.is_none()) {
            let version = snapshot.version;
            return Err(Misfit::History(format!(
                "the journal has another event, or none, at version {version}"
            )));
        }
    }
    Ok(loaded)
}
