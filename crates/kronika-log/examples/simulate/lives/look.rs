//! Reading a log and comparing what it gives with the model: pages of streams both ways, pages of the partition
//! through filters, single appends by id and by key, head and epochs.
//!
//! Where steps were done in the midst of a read, its answer must be right for some moment between its beginning and
//! its end. Where bytes may be damaged, an error that names segment and offset is right too.

use super::{
    model::{Checked, Model},
    now,
};
use kronika_core::{
    AppendBy, AppendId, Direction, Epoch, EventFilter, Journal, Mark, PartitionId, Position,
    ReadError, ReadPartition, ReadStream, RecordedAppend, SLICES, Slice, SliceRange, StreamCursor,
    Version,
};
use kronika_log::Log;
use std::sync::{Arc, LazyLock};

/// A slice of each number, by the name of a stream in it.
static EVERY_SLICE: LazyLock<Vec<Slice>> = LazyLock::new(|| {
    let mut slices = vec![None; usize::from(SLICES)];
    let mut missing = slices.len();
    for slice in (0..).map(|number| Slice::of(&format!("any/{number}"))) {
        missing -= usize::from(slices[usize::from(slice.get())].replace(slice).is_none());
        if missing == 0 {
            break;
        }
    }
    slices.into_iter().flatten().collect()
});

/// Which errors a read may give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// None.
    Nothing,
    /// The disk may fail to be read.
    Unavailable,
    /// What is read may be damaged, too.
    Damaged,
}

impl Allowed {
    /// What was read; none if it could not be, and that is right.
    fn take<T>(self, read: Result<T, ReadError>, what: &str) -> Checked<Option<T>> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(ReadError::Unavailable(_)) if self != Self::Nothing => Ok(None),
            Err(ReadError::Corrupt(where_it_is)) if self == Self::Damaged => {
                let named = where_it_is.starts_with("segment ") && where_it_is.contains(" offset ");
                if named { Ok(None) } else { Err(format!("{what}: no place in {where_it_is:?}")) }
            }
            Err(error) => Err(format!("{what}: {error}")),
        }
    }
}

pub fn head(log: &Log) -> Checked<Mark> {
    now(log.head(PartitionId::default()))?.map_err(|error| format!("the head: {error}"))
}

pub fn epochs(log: &Log) -> Checked<Vec<Epoch>> {
    let epoch = |slice: &Slice| {
        now(log.epoch(*slice))?.map_err(|error| format!("the epoch of {}: {error}", slice.get()))
    };
    EVERY_SLICE.iter().map(epoch).collect()
}

/// Tells the model of everything that a stream has beyond what was told of it.
pub fn catch_up(model: &mut Model, log: &Log, stream: usize, allowed: Allowed) -> Checked<bool> {
    loop {
        let known = &model.streams[stream];
        let version = Version::new(known.version);
        let stands = |id: &&AppendId| model.sent[id].append.expected == version;
        let skip = known.told.iter().rev().take_while(stands).count();
        let from = StreamCursor { version, skip };
        let read = ReadStream::forwards(known.id.clone()).from(from).limit_appends(7);
        let page = now(log.read_stream(read))?;
        let Some(page) = allowed.take(page, "catching up with a stream")? else {
            return Ok(false);
        };
        for append in &page.appends {
            tell(model, append)?;
        }
        if page.next.is_none() {
            return Ok(true);
        }
        if page.appends.is_empty() {
            return Err("a page is empty and another one follows".to_owned());
        }
    }
}

fn tell(model: &mut Model, append: &RecordedAppend) -> Checked {
    let header = &append.header;
    let first = append.events.first().map_or(Position::ZERO, |event| event.position);
    model.told(header.id, header.expected, first, header.time.get())?;
    is_told(model, append)
}

/// An append that was read is one that was told, at the place that was told.
fn is_told(model: &Model, append: &RecordedAppend) -> Checked {
    model.read(append)?;
    let (id, sent) = (append.header.id, &model.sent[&append.header.id]);
    let places = append.events.iter().map(|event| event.position.get());
    let same = places.eq((sent.first.get()..).take(append.events.len()))
        && append.header.time.get() == sent.time;
    if same { Ok(()) } else { Err(format!("{id} was read at another place than before")) }
}

/// A read of a stream, and what it may give: with so many of its appends told.
pub fn stream(
    model: &Model,
    read: &ReadStream,
    page: Result<kronika_core::StreamPage, ReadError>,
    told: std::ops::RangeInclusive<usize>,
    allowed: Allowed,
) -> Checked {
    let Some(page) = allowed.take(page, "a page of a stream")? else { return Ok(()) };
    for append in &page.appends {
        is_told(model, append)?;
    }
    let number = model.number(&read.stream)?;
    let found = page.appends.iter().map(|append| append.header.id).collect::<Vec<_>>();
    let fits = told.into_iter().any(|told| {
        let all = &model.streams[number].told[..told];
        let (expected, more) = expected_page(model, all, read);
        let newest = all.last().map_or(0, |id| end(model, *id));
        found == expected && page.newest.get() == newest && page.next.is_some() == more
    });
    if fits { Ok(()) } else { Err(format!("{read:?} gave {found:?}, {:?}", page.next)) }
}

fn end(model: &Model, id: AppendId) -> u64 {
    let append = &model.sent[&id].append;
    append.expected.get() + append.events.len() as u64
}

/// The appends of a page by the words of [`StreamCursor`], and whether there are more.
fn expected_page(model: &Model, all: &[AppendId], read: &ReadStream) -> (Vec<AppendId>, bool) {
    let StreamCursor { version, skip } = read.from;
    let mut chosen = all.to_vec();
    match read.direction {
        Direction::Forwards => chosen.retain(|id| {
            end(model, *id) > version.get() || model.sent[id].append.expected >= version
        }),
        Direction::Backwards => {
            chosen.retain(|id| model.sent[id].append.expected <= version);
            chosen.reverse();
        }
    }
    let mut page = Vec::new();
    let mut bytes = 0;
    let mut rest = chosen.into_iter().skip(skip);
    for id in rest.by_ref().take(read.limit_appends) {
        if bytes >= read.limit_bytes && !page.is_empty() {
            return (page, true);
        }
        bytes += model.sent[&id].append.events.iter().map(|event| event.body.len()).sum::<usize>();
        page.push(id);
    }
    let more = rest.next().is_some();
    (page, more)
}

/// A page of the partition.
pub fn partition(
    model: &Model,
    read: &ReadPartition,
    page: Result<kronika_core::PartitionPage, ReadError>,
    heads: std::ops::RangeInclusive<u64>,
    allowed: Allowed,
) -> Checked {
    let Some(page) = allowed.take(page, "a page of the partition")? else { return Ok(()) };
    let (after, scanned) = (read.after.get(), page.scanned.position.get());
    let wrong = |what: &str| {
        let found = page.events.iter().map(|event| event.position.get()).collect::<Vec<_>>();
        Err(format!("{what}: {read:?} scanned to {scanned} of {heads:?} and gave {found:?}"))
    };
    if scanned > *heads.end() || (page.at_head && !heads.contains(&scanned)) {
        return wrong("the head is not right");
    }
    if !page.at_head && (scanned <= after || scanned >= *heads.end()) {
        return wrong("the page does not advance");
    }
    let mut expected = Vec::new();
    for position in after + 1..=scanned {
        let told = model.events.get(position as usize - 1).copied().flatten();
        let Some((id, index)) = told else { return wrong("it was not told before") };
        let append = &model.sent[&id].append;
        let tags = &append.events[index].tags;
        if read.filter.admits_stream(&append.stream) && read.filter.admits_tags(tags) {
            expected.push((id, position));
        }
    }
    let found = page.events.iter().map(|event| (event.append.id, event.position.get()));
    if !found.eq(expected) {
        return wrong("other events were to be given");
    }
    for event in &page.events {
        let (id, index) = model.events[event.position.get() as usize - 1].expect("it was told");
        let sent = &model.sent[&id];
        let same = Arc::ptr_eq(&event.append, &event.append)
            && event.body == sent.append.events[index].body
            && event.tags == sent.append.events[index].tags
            && event.version == sent.append.expected.plus(index as u64 + 1)
            && *event.stream() == sent.append.stream
            && event.time().get() == sent.time;
        if !same {
            return wrong("an event is not what was sent");
        }
    }
    let limit = read.limit_events.max(1);
    if page.events.len() > limit { wrong("there are too many") } else { Ok(()) }
}

/// One append by its id or its key.
pub fn one(
    model: &Model,
    stream: usize,
    by: &AppendBy,
    found: Result<Option<RecordedAppend>, ReadError>,
    told: std::ops::RangeInclusive<usize>,
    allowed: Allowed,
) -> Checked {
    let Some(found) = allowed.take(found, "a search for an append")? else { return Ok(()) };
    if let Some(append) = &found {
        is_told(model, append)?;
    }
    let found = found.map(|append| append.header.id);
    let is_it = |id: &AppendId| match by {
        AppendBy::Id(searched) => id == searched,
        AppendBy::Key { principal, key } => {
            let more = model.sent[id].append.more.as_deref();
            more.is_some_and(|more| {
                more.origin.principal == *principal
                    && more.keyed.as_ref().is_some_and(|keyed| keyed.key == *key)
            })
        }
    };
    let all = &model.streams[stream].told;
    let mut expected = told.into_iter().map(|told| all[..told].iter().rev().find(|id| is_it(id)));
    if expected.any(|expected| expected.copied() == found) {
        return Ok(());
    }
    Err(format!("{by:?} in {} gave {found:?}", model.streams[stream].id))
}

/// Reads everything in every way and compares it with what was told.
pub fn everything(
    model: &Model,
    log: &Log,
    random: &mut fastrand::Rng,
    allowed: Allowed,
) -> Checked {
    let head = head(log)?;
    if head != model.head() {
        let (head, told) = (head.position, model.events.len());
        return Err(format!("the head is {head}, and {told} events were told"));
    }
    if let Some(hole) = model.events.iter().position(Option::is_none) {
        return Err(format!("there is a hole at position {}", hole + 1));
    }
    let mut read = ReadPartition::after(PartitionId::default(), Position::ZERO);
    read.limit_events = random.usize(1..200);
    loop {
        let page = now(log.read_partition(read.clone()))?;
        let next = page.as_ref().ok().map(|page| (page.scanned.position, page.at_head));
        partition(model, &read, page, head.position.get()..=head.position.get(), allowed)?;
        match next {
            Some((scanned, false)) => read.after = scanned,
            _ => break,
        }
    }
    for number in 0..model.streams.len() {
        for direction in [Direction::Forwards, Direction::Backwards] {
            whole_stream(model, log, number, direction, random.usize(1..40), allowed)?;
        }
    }
    let told = random.usize(..=model.events.len());
    if let Some(Some((id, _))) = model.events.get(told) {
        let stream = model.number(&model.sent[id].append.stream)?;
        let by = AppendBy::Id(*id);
        let found = now(log.read_append(&model.streams[stream].id, by.clone()))?;
        let all = model.streams[stream].told.len();
        one(model, stream, &by, found, all..=all, allowed)?;
    }
    Ok(())
}

fn whole_stream(
    model: &Model,
    log: &Log,
    number: usize,
    direction: Direction,
    limit: usize,
    allowed: Allowed,
) -> Checked {
    let known = &model.streams[number];
    let mut read = match direction {
        Direction::Forwards => ReadStream::forwards(known.id.clone()),
        Direction::Backwards => ReadStream::backwards(known.id.clone()),
    };
    read.limit_appends = limit;
    loop {
        let page = now(log.read_stream(read.clone()))?;
        let next = page.as_ref().ok().and_then(|page| page.next);
        stream(model, &read, page, known.told.len()..=known.told.len(), allowed)?;
        match next {
            Some(next) => read = read.from(next),
            None => return Ok(()),
        }
    }
}

/// Filters that are worth a try.
pub fn filter(random: &mut fastrand::Rng) -> EventFilter {
    let mut filter = EventFilter::default();
    match random.u8(..6) {
        0 => filter.tags.push(format!("tag{}", random.u8(..4))),
        1 => filter.types.push("account".to_owned()),
        2 => filter.types.push("nothing".to_owned()),
        3 => {
            let (one, other) = (random.u16(..SLICES), random.u16(..SLICES));
            filter.slices =
                SliceRange::new(one.min(other), one.max(other)).expect("the first is not greater");
        }
        _ => {}
    }
    filter
}
