//! Random reads while the log is in use, with steps of its duties in their midst.

use super::{
    in_midst,
    life::Life,
    look::{self, Allowed},
    model::{Checked, Model},
    now, sending,
};
use kronika_core::{
    AppendBy, AppendId, Direction, Journal, PartitionId, Position, ReadPartition, ReadStream,
    StreamCursor, Version,
};
use kronika_log::Log;

/// One read, compared with what was told before and after it.
pub fn read(life: &mut Life) -> Checked {
    life.tally.reads += 1;
    let Some(before) = catch_up(life)? else { return Ok(()) };
    let log = life.witness.borrow().log().clone();
    let stepper = std::rc::Rc::clone(&life.stepper);
    let beside = life.random.bool();
    let doing = |life: &mut Life, read: &dyn Fn(&Log) -> Checked| {
        let done = if beside { in_midst::with_steps(&stepper, || read(&log)) } else { read(&log) };
        done?;
        life.look()
    };
    let stream = life.random.usize(..before.streams.len());
    let allowed = life.allowed;
    match life.random.u8(..4) {
        0 => {
            let read = random_partition(life, &before);
            let page = std::cell::RefCell::new(None);
            doing(life, &|log| {
                page.replace(Some(now(log.read_partition(read.clone()))?));
                Ok(())
            })?;
            let Some(after) = catch_up(life)? else { return Ok(()) };
            let page = page.into_inner().expect("it was read");
            let model = &life.witness.borrow().model;
            look::partition(model, &read, page, before.head..=after.head, allowed)
        }
        1 | 2 => {
            let read = random_stream(life, stream);
            let page = std::cell::RefCell::new(None);
            doing(life, &|log| {
                page.replace(Some(now(log.read_stream(read.clone()))?));
                Ok(())
            })?;
            let Some(after) = catch_up(life)? else { return Ok(()) };
            let page = page.into_inner().expect("it was read");
            let told = before.streams[stream]..=after.streams[stream];
            look::stream(&life.witness.borrow().model, &read, page, told, allowed)
        }
        _ => {
            let by = random_by(life, stream);
            let id = life.witness.borrow().model.streams[stream].id.clone();
            let found = std::cell::RefCell::new(None);
            doing(life, &|log| {
                found.replace(Some(now(log.read_append(&id, by.clone()))?));
                Ok(())
            })?;
            let Some(after) = catch_up(life)? else { return Ok(()) };
            let found = found.into_inner().expect("it was read");
            let told = before.streams[stream]..=after.streams[stream];
            look::one(&life.witness.borrow().model, stream, &by, found, told, allowed)
        }
    }
}

/// How much was told of each stream, and of the partition.
struct Told {
    streams: Vec<usize>,
    events: u64,
    /// The log's head: a stream may tell of appends that are durable before the head does.
    head: u64,
}

/// Tells the model of all that is there; none if it cannot be read now.
fn catch_up(life: &mut Life) -> Checked<Option<Told>> {
    let mut witness = life.witness.borrow_mut();
    for stream in 0..witness.model.streams.len() {
        if !witness.has_in_flight(stream) {
            continue;
        }
        let log = witness.log().clone();
        if !look::catch_up(&mut witness.model, &log, stream, life.allowed)? {
            return Ok(None);
        }
    }
    witness.look()?;
    let Model { streams, events, .. } = &witness.model;
    let streams = streams.iter().map(|stream| stream.told.len()).collect();
    let events = events.len() as u64;
    let head = look::head(witness.log())?.position.get();
    Ok(Some(Told { streams, events, head }))
}

fn random_partition(life: &mut Life, told: &Told) -> ReadPartition {
    let random = &mut life.random;
    let after = match random.u8(..3) {
        0 => told.events.saturating_sub(random.u64(..5)),
        1 => 0,
        _ => random.u64(..=told.events + 1),
    };
    let mut read = ReadPartition::after(PartitionId::default(), Position::new(after))
        .limit_events(random.usize(..20))
        .filter(look::filter(random));
    read.limit_bytes = [1, 500, 4 << 20][random.usize(..3)];
    read
}

fn random_stream(life: &mut Life, stream: usize) -> ReadStream {
    let witness = life.witness.borrow();
    let (random, known) = (&mut life.random, &witness.model.streams[stream]);
    let id = known.id.clone();
    let backwards = random.bool();
    let mut read = if backwards { ReadStream::backwards(id) } else { ReadStream::forwards(id) };
    debug_assert_eq!(backwards, read.direction == Direction::Backwards);
    if random.bool() {
        let version = Version::new(random.u64(..=known.version + 1));
        read.from = StreamCursor { version, skip: random.usize(..3) };
    }
    read.limit_appends = random.usize(1..12);
    read.limit_bytes = [1, 300, 4 << 20][random.usize(..3)];
    read
}

fn random_by(life: &mut Life, stream: usize) -> AppendBy {
    let witness = life.witness.borrow();
    let (random, told) = (&mut life.random, &witness.model.streams[stream].told);
    match random.u8(..4) {
        0 => AppendBy::Id(AppendId::new(random.u128(..))),
        1 if !told.is_empty() => AppendBy::Id(told[random.usize(..told.len())]),
        _ => {
            let (principal, key) = sending::key(random);
            AppendBy::Key { principal, key }
        }
    }
}

/// Everything is read, and compared with what was told.
pub fn everything(life: &mut Life, log: &Log, allowed: Allowed) -> Checked {
    let witness = life.witness.borrow();
    look::everything(&witness.model, log, &mut life.random, allowed)
}
