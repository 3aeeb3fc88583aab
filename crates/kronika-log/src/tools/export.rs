//! Export: events as lines of JSON in order of position, with what `import` needs to record them again.

use super::{
    error::ToolError,
    files::JournalFiles,
    line::write_lines,
    scan::{Progress, Scanner},
};
use kronika_core::{Position, RecordedAppend, StreamId};
use serde::Serialize;
use std::io;

/// Which events to export. Empty lists let everything through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportFilter {
    /// Events of these streams.
    pub streams: Vec<StreamId>,
    /// Events of streams of these aggregate types.
    pub types: Vec<String>,
    /// Events after this position.
    pub after: Position,
}

/// What an export came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ExportReport {
    /// Lines that were written.
    pub lines: u64,
    /// Appends that they belong to.
    pub appends: u64,
    /// Whether the reader of the output went away before the end.
    pub reader_gone: bool,
}

impl ExportFilter {
    /// Whether an append's lines are written. `before` is the position of the last event before it.
    pub fn admits(&self, append: &RecordedAppend, before: Position) -> bool {
        let stream = &append.header.stream;
        let last = append.events.last().map(|event| event.position);
        let later = last.map_or(before >= self.after, |last| last > self.after);
        let types = &self.types;
        later
            && (self.streams.is_empty() || self.streams.contains(stream))
            && (types.is_empty() || types.iter().any(|name| name == stream.aggregate_type()))
    }
}

/// Writes events as lines of JSON. A reader that goes away ends it, which is no failure.
///
/// # Errors
/// The journal is damaged: then all before the damage was written. Or the output fails.
pub fn export(
    files: &JournalFiles,
    filter: &ExportFilter,
    out: &mut dyn io::Write,
    progress: &mut dyn FnMut(Progress),
) -> Result<ExportReport, ToolError> {
    let mut scanner = Scanner::after(files, filter.after)?;
    let mut report = ExportReport { lines: 0, appends: 0, reader_gone: false };
    let mut write = |append: &RecordedAppend, report: &mut ExportReport| {
        report.lines += write_lines(append, filter.after, &mut *out)?;
        report.appends += 1;
        Ok(())
    };
    let exported = each(&mut scanner, filter, &mut report, &mut write, progress);
    // What comes before the damage is told in any case.
    let flushed = out.flush();
    match exported.and_then(|()| flushed.map_err(ToolError::Output)) {
        Err(ToolError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            Ok(ExportReport { reader_gone: true, ..report })
        }
        other => other.map(|()| report),
    }
}

fn each(
    scanner: &mut Scanner,
    filter: &ExportFilter,
    report: &mut ExportReport,
    write: &mut dyn FnMut(&RecordedAppend, &mut ExportReport) -> io::Result<()>,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), ToolError> {
    while let Some(commit) = scanner.next() {
        let commit = commit?;
        let mut before = commit.position_before();
        for append in commit.appends()? {
            let append = append?;
            if filter.admits(&append, before) {
                write(&append, report).map_err(ToolError::Output)?;
            }
            before = append.events.last().map_or(before, |last| last.position);
        }
        progress(scanner.progress());
    }
    Ok(())
}
