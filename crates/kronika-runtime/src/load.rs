//! From the journal to a state: loading an aggregate, now or as it was.

use crate::{
    error::{CommandError, Failure},
    keys::KeyMemory,
    request::key_hash,
    work::panic_message,
};
use kronika_core::{
    Aggregate, CodecError, DynJournal, Event, Mark, ReadError, ReadStream, RecordedAppend,
    RecordedEvent, StreamCursor, StreamId, Version,
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A state folded from the journal.
pub(crate) struct Loaded<A> {
    pub state: A,
    pub version: Version,
    /// The last event's place.
    pub mark: Mark,
    pub keys: KeyMemory,
}

impl<A: Aggregate> Loaded<A> {
    fn new() -> Self {
        Self {
            state: A::default(),
            version: Version::ZERO,
            mark: Mark::default(),
            keys: KeyMemory::new(),
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
            Ok(Err(error)) => refuse(format!("event {}: {error}", event.name)),
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
pub(crate) async fn load<A: Aggregate>(
    journal: &dyn DynJournal,
    stream: &StreamId,
    until: Option<Version>,
) -> Result<Loaded<A>, Failure> {
    let mut loaded = Loaded::new();
    let mut cursor = Some(StreamCursor::at(Version::ZERO));
    let until = until.unwrap_or(Version::new(u64::MAX));
    while let Some(from) = cursor {
        let read = ReadStream::forwards(stream.clone()).from(from);
        let page = journal.read_stream(read).await.map_err(|error| match error {
            ReadError::Corrupt(what) => not_loadable(stream, loaded.version, what),
            other => CommandError::Unavailable(other.to_string()),
        })?;
        // What stands behind the version that was asked for no longer joins on.
        for append in page.appends.iter().take_while(|append| append.header.expected < until) {
            loaded.take(append, until)?;
        }
        cursor = page.next.filter(|_| loaded.version < until);
        if cursor.is_some() {
            tokio::task::yield_now().await; // a long history does not hold up a worker
        }
    }
    Ok(loaded)
}
