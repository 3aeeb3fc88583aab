//! `kronika events`: events to be read by people, also as they happen.

use crate::{arguments::Events, failure::Failure, output, place};
use kronika_core::{RecordedAppend, RecordedEvent};
use kronika_log::{ExportFilter, Scanner, write_lines};
use std::{
    io::{self, BufWriter, Write},
    thread,
    time::Duration,
};

/// Between two looks for more.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

pub fn run(arguments: &Events) -> Result<(), Failure> {
    let files = place::files(&arguments.data.data)?;
    let streams = arguments.stream.iter().cloned().collect();
    let (types, after) = (arguments.types.clone(), arguments.after);
    let filter = ExportFilter { streams, types, after };
    let mut scanner = Scanner::after(&files, arguments.after)?;
    let left = arguments.limit.unwrap_or(u64::MAX);
    let out = BufWriter::new(io::stdout().lock());
    let mut printer = Printer { arguments, filter, left, out };
    loop {
        let printed = printer.all(&mut scanner)?;
        // What comes before damage was printed by now.
        let flushed = printed.and_then(|()| printer.out.flush());
        let gone = flushed.is_err();
        output::enough(flushed)?;
        if gone || printer.left == 0 || !arguments.follow {
            return Ok(());
        }
        while !scanner.follow()? {
            thread::sleep(BETWEEN_LOOKS);
        }
    }
}

struct Printer<'a, W: Write> {
    arguments: &'a Events,
    filter: ExportFilter,
    left: u64,
    out: W,
}

impl<W: Write> Printer<'_, W> {
    /// Prints what the scan gives; how the output took it.
    fn all(&mut self, scanner: &mut Scanner) -> Result<io::Result<()>, Failure> {
        for commit in scanner {
            let commit = match commit {
                Ok(commit) => commit,
                Err(error) => {
                    output::enough(self.out.flush())?;
                    return Err(error.into());
                }
            };
            let mut before = commit.position_before();
            for append in commit.appends()? {
                let append = append?;
                let last = append.events.last().map_or(before, |event| event.position);
                if self.filter.admits(&append, before)
                    && let Err(error) = self.append(&append)
                {
                    return Ok(Err(error));
                }
                before = last;
                if self.left == 0 {
                    return Ok(Ok(()));
                }
            }
        }
        Ok(Ok(()))
    }

    fn append(&mut self, append: &RecordedAppend) -> io::Result<()> {
        if append.events.is_empty() {
            return Ok(());
        }
        let after = self.filter.after;
        if self.arguments.json {
            let mut lines = Vec::new();
            write_lines(append, after, &mut lines)?;
            for line in lines.split_inclusive(|byte| *byte == b'\n') {
                self.line(|out| out.write_all(line))?;
            }
            return Ok(());
        }
        for event in append.events.iter().filter(|event| event.position > after) {
            self.line(|out| text(out, event))?;
        }
        Ok(())
    }

    /// Writes a line, unless enough are written.
    fn line(&mut self, write: impl FnOnce(&mut W) -> io::Result<()>) -> io::Result<()> {
        if self.left == 0 {
            return Ok(());
        }
        self.left -= 1;
        write(&mut self.out)
    }
}

/// An event on one line.
pub fn text(out: &mut impl Write, event: &RecordedEvent) -> io::Result<()> {
    let RecordedEvent { position, version, name, schema, .. } = event;
    let (time, stream) = (output::time(event.time()), event.stream());
    let body = output::plain(&String::from_utf8_lossy(&event.body));
    writeln!(out, "{position:>8}  {time}  {stream} v{version}  {name}#{schema}  {body}")
}
