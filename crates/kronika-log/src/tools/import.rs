//! Import: lines of JSON, as `export` writes them, into an open journal.
//!
//! Appends are recorded as they were, with their ids, versions, keys and times of the domain; position, epoch and the
//! time of recording are new. An append whose id is recorded in its stream already is left out, so an import that was
//! interrupted is simply started again.

use super::{
    assemble::{Assembler, ReadAppend},
    error::ToolError,
    wait::wait,
};
use crate::{format::bytes_estimate, log::Log};
use kronika_core::{
    Append, AppendBy, AppendError, Appended, Epoch, Journal, Loading, PartitionId, Position,
    SliceRange,
};
use serde::Serialize;
use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read},
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
};

/// A line is at most so long: as long as an append can be, with every byte of it escaped.
const LINE_BYTES_MAX: u64 = 64 << 20;
/// Bytes that are read at once.
const BUFFER_BYTES: usize = 256 << 10;
/// Appends, and about how many bytes of them, that are sent together.
const GROUP_APPENDS_MAX: usize = 1024;
const GROUP_BYTES_MAX: usize = 1 << 20;
/// Groups on their way at a time.
const GROUPS_UNDER_WAY: usize = 4;

/// Every append is a loading of its own, so that one which fails breaks no other.
static LOADINGS: AtomicU64 = AtomicU64::new(1);

/// How an import is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// An event without a time of its own keeps the time at which it was recorded before as that.
    pub keep_times: bool,
}

/// What an import came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ImportReport {
    /// Lines that were read.
    pub lines: u64,
    /// Appends that were recorded.
    pub appends: u64,
    /// Events in them.
    pub events: u64,
    /// Appends that were there already.
    pub appends_skipped: u64,
    /// Position of the journal's last event.
    pub head: Position,
}

/// Records what lines of JSON tell. Claims all slices, since every writer has an epoch: whoever wrote before is
/// refused from then on. It blocks: call it on a thread of its own. `progress` is told the bytes that were read.
///
/// # Errors
/// A line is not what it should be, or its append does not fit the journal: what stands before it was recorded, of
/// its append nothing, of what follows at most the appends to other streams that were on their way. Or the journal
/// takes no appends.
pub fn import(
    log: &Log,
    input: &mut dyn Read,
    options: ImportOptions,
    progress: &mut dyn FnMut(u64),
) -> Result<ImportReport, ToolError> {
    let claimed = wait(log.claim(SliceRange::ALL, None));
    let epoch = claimed.map_err(|error| ToolError::NotTaken(error.to_string()))?.epoch;
    let mut import = Import::new(log, epoch);
    let mut assembler = Assembler::new(options.keep_times);
    let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
    let (mut text, mut bytes) = (Vec::new(), 0);
    let read = loop {
        match read_line(&mut input, &mut text, assembler.number() + 1) {
            Ok(true) => {}
            Ok(false) => break assembler.end(),
            Err(error) => break Err(error),
        }
        bytes += text.len() as u64;
        let taken = match assembler.line(&text) {
            Ok(Some(read)) => import.take(read),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        // The next read may wait for long, as one of a pipe does: what is there goes on its way.
        let sent =
            taken.and_then(|()| if input.buffer().is_empty() { import.send() } else { Ok(()) });
        if let Err(error) = sent {
            break Err(error);
        }
        progress(bytes);
    };
    // What stands before a bad line is recorded all the same.
    let settled = import.finish();
    read.and(settled)?;
    import.report.lines = assembler.number();
    let head = wait(log.head(PartitionId::default()));
    import.report.head = head.map_err(|error| ToolError::NotTaken(error.to_string()))?.position;
    Ok(import.report)
}

/// Reads a line, without what ends it; false at the end of the input.
fn read_line(input: &mut impl BufRead, text: &mut Vec<u8>, line: u64) -> Result<bool, ToolError> {
    text.clear();
    let mut bounded = input.take(LINE_BYTES_MAX + 1);
    let read = bounded.read_until(b'\n', text).map_err(ToolError::Input)?;
    if text.last() == Some(&b'\n') {
        text.pop();
    } else if read as u64 > LINE_BYTES_MAX {
        let what = format!("the line has more than {LINE_BYTES_MAX} bytes");
        return Err(ToolError::Line { line, what });
    }
    Ok(read > 0)
}

type Results = Pin<Box<dyn Future<Output = Vec<Appended>> + Send>>;

/// Appends on their way into a journal.
struct Import<'a> {
    log: &'a Log,
    epoch: Epoch,
    group: Vec<ReadAppend>,
    group_bytes: usize,
    under_way: VecDeque<(Vec<ReadAppend>, Results)>,
    /// The last append was there already, so the next one probably is: it is looked for before it is sent.
    repeats: bool,
    report: ImportReport,
}

impl<'a> Import<'a> {
    fn new(log: &'a Log, epoch: Epoch) -> Self {
        let (appends, events, appends_skipped) = (0, 0, 0);
        let report =
            ImportReport { lines: 0, appends, events, appends_skipped, head: Position::ZERO };
        let (group, under_way) = (Vec::new(), VecDeque::new());
        Self { log, epoch, group, group_bytes: 0, under_way, repeats: false, report }
    }

    fn take(&mut self, mut read: ReadAppend) -> Result<(), ToolError> {
        // Without events it conflicts with nothing: only its id tells that it is there already.
        let without_events = read.append.events.is_empty();
        let mut sent = self.under_way.iter().flat_map(|(group, _)| group).chain(&self.group);
        if without_events && sent.any(|sent| sent.append.id == read.append.id) {
            self.finish()?;
        }
        if self.repeats || without_events {
            self.repeats = self.is_recorded(&read)?;
            if self.repeats {
                self.report.appends_skipped += 1;
                return Ok(());
            }
        }
        read.append.epoch = self.epoch;
        read.append.loading = Loading::new(LOADINGS.fetch_add(1, Ordering::Relaxed));
        self.group_bytes += bytes_estimate(&read.append);
        self.group.push(read);
        let full = self.group.len() >= GROUP_APPENDS_MAX || self.group_bytes >= GROUP_BYTES_MAX;
        if full { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<(), ToolError> {
        if self.group.is_empty() {
            return Ok(());
        }
        if self.under_way.len() >= GROUPS_UNDER_WAY {
            self.settle()?;
        }
        self.group_bytes = 0;
        let group = std::mem::take(&mut self.group);
        let appends: Vec<Append> = group.iter().map(|read| read.append.clone()).collect();
        self.under_way.push_back((group, Box::pin(self.log.append(appends))));
        Ok(())
    }

    /// Waits for the oldest group on its way.
    fn settle(&mut self) -> Result<(), ToolError> {
        let Some((group, results)) = self.under_way.pop_front() else { return Ok(()) };
        for (read, result) in group.iter().zip(wait(results)) {
            let line = read.line;
            match result {
                Ok(_) => {
                    self.report.appends += 1;
                    self.report.events += read.append.events.len() as u64;
                }
                Err(AppendError::Conflict { .. }) if self.is_recorded(read)? => {
                    self.repeats = true;
                    self.report.appends_skipped += 1;
                }
                Err(error @ (AppendError::Conflict { .. } | AppendError::TooLarge(_))) => {
                    return Err(ToolError::Line { line, what: error.to_string() });
                }
                Err(error) => return Err(ToolError::NotTaken(error.to_string())),
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ToolError> {
        self.send()?;
        while !self.under_way.is_empty() {
            self.settle()?;
        }
        Ok(())
    }

    /// Whether an append is recorded already; one of another content under its id is refused.
    fn is_recorded(&self, read: &ReadAppend) -> Result<bool, ToolError> {
        let Append { id, stream, expected, events, .. } = &read.append;
        let found = wait(self.log.read_append(stream, AppendBy::Id(*id)));
        let found = found.map_err(|error| ToolError::NotTaken(error.to_string()))?;
        let Some(found) = found else { return Ok(false) };
        let same = found.header.expected == *expected
            && found.events.len() == events.len()
            && found.events.iter().zip(events).all(|(one, other)| {
                *one.name == *other.name && one.schema == other.schema && one.body == other.body
            });
        if same {
            return Ok(true);
        }
        let what = format!("append {id} is recorded in {stream} with other events");
        Err(ToolError::Line { line: read.line, what })
    }
}
