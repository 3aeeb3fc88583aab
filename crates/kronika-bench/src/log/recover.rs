//! `recover`: a process that appends is killed with `kill -9`; how long it then takes to open its log and read.

use super::{Bench, Fault};
use crate::{
    harness::{Bodies, LogStore, bytes_in, drop_page_cache, group_of, resident_bytes},
    report::{Row, median},
};
use kronika_core::{Journal, PartitionId, Position, ReadPartition};
use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

/// Events in one group, and in each stream at the end of a log of 10 GB.
const GROUP_EVENTS: u64 = 1_000;
const EVENTS_EACH: u64 = 10;
/// Bytes that an event takes, roughly: it sets the number of streams.
const EVENT_BYTES: u64 = 384;

/// Two rows in milliseconds: with the log's files out of the page cache, and in it.
pub fn run(bench: &Bench<'_>, directory: &Path) -> Result<(), Fault> {
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    let mut bytes = bench.options.recover_bytes;
    for _ in 0..bench.options.recover_rounds {
        bytes = append_and_kill(directory, bytes)?;
        drop_page_cache(directory)?;
        cold.push(open_and_read(bench, directory)?);
        bytes = append_and_kill(directory, bytes)?;
        warm.push(open_and_read(bench, directory)?);
    }
    let events = {
        let store = LogStore::open_with(directory, kronika::LogSettings::default())?;
        bench.runtime.block_on(store.log.head(PartitionId::default()))?.position.get()
    };
    for (name, figures) in [("recover", cold), ("recover-warm", warm)] {
        let row = Row::new(name, 1, median(figures), "ms");
        let (events, bytes) = (Some(events), Some(bytes_in(directory)?));
        let resident_bytes = Some(resident_bytes());
        bench.report.row(&Row { events, bytes, resident_bytes, ..row })?;
    }
    Ok(())
}

/// Opens the log and reads its last event; gives the milliseconds.
fn open_and_read(bench: &Bench<'_>, directory: &Path) -> Result<f64, Fault> {
    let started = Instant::now();
    let store = LogStore::open_with(directory, kronika::LogSettings::default())?;
    let found = bench.runtime.block_on(async {
        let partition = PartitionId::default();
        let head = store.log.head(partition).await?;
        let before = Position::new(head.position.get() - 1);
        let read = ReadPartition::after(partition, before).limit_events(1);
        store.log.read_partition(read).await
    })?;
    let milliseconds = started.elapsed().as_secs_f64() * 1_000.0;
    if found.events.is_empty() {
        Err("the last event is not there".into())
    } else {
        Ok(milliseconds)
    }
}

/// Starts this very program as one that appends, and kills it in the midst of it; gives the bytes there are then.
fn append_and_kill(directory: &Path, bytes: u64) -> Result<u64, Fault> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("be-killed").arg(directory).arg(bytes.to_string());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut told = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
    // It goes on after the first line: the second one comes from the midst of its next appends.
    let reached = [told.next(), told.next()];
    child.kill()?;
    child.wait()?;
    for line in reached {
        line.ok_or("the process that appends ended by itself")??;
    }
    Ok(bytes_in(directory)?.max(bytes))
}

/// Appends to the log in `directory` until somebody kills this process, telling when there are so many bytes.
pub fn be_killed(directory: &Path, bytes: u64) -> Result<(), Fault> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let _entered = runtime.enter();
    let store = LogStore::open_with(directory, kronika::LogSettings::default())?;
    let streams = (bytes / EVENT_BYTES / EVENTS_EACH / GROUP_EVENTS).max(1) * GROUP_EVENTS;
    let begun = runtime.block_on(store.log.head(PartitionId::default()))?.position.get();
    let mut bodies = Bodies::new(256, begun);
    let mut under_way = VecDeque::new();
    // Streams of their own for each start, so that versions are known.
    let first = u32::try_from(begun)?;
    for event in (0..).step_by(GROUP_EVENTS as usize) {
        let version = event / streams;
        let numbers = event % streams..event % streams + GROUP_EVENTS;
        let group = numbers.map(|number| (first + number as u32, version));
        under_way.push_back(store.log.append(group_of(group, &mut bodies)));
        if under_way.len() > 4
            && let Some(oldest) = under_way.pop_front()
        {
            for appended in runtime.block_on(oldest) {
                appended?;
            }
            if bytes_in(directory)? >= bytes {
                writeln!(std::io::stdout(), "{event} events sent")?;
            }
        }
    }
    Ok(())
}
