//! `kronika stats`: what a journal holds.

use crate::{arguments::Stats, failure::Failure, output, place, progress::Bar};
use kronika_log::{JournalStats, stats};
use std::fmt;

/// Names that the text lists; JSON has all.
const NAMES_LISTED: usize = 20;

pub fn run(arguments: &Stats) -> Result<(), Failure> {
    let files = place::files(&arguments.data.data)?;
    let bar = Bar::new("counting", &arguments.form.quiet);
    let stats = stats(&files, &mut |progress| bar.at(progress))?;
    drop(bar);
    output::print(&arguments.form, &stats, Text(&stats))
}

struct Text<'a>(&'a JournalStats);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.0;
        let JournalStats { events, appends, commits, streams, segments, head, .. } = stats;
        let used_by = if stats.in_use { ", in use" } else { "" };
        writeln!(f, "history    {}{used_by}", stats.incarnation)?;
        writeln!(f, "events     {events}, up to position {head}")?;
        writeln!(f, "appends    {appends} in {commits} commits")?;
        writeln!(f, "streams    {streams}")?;
        if let (Some(first), Some(last)) = (stats.first_time, stats.last_time) {
            writeln!(f, "recorded   {} to {}", output::time(first), output::time(last))?;
        }
        write!(
            f,
            "bytes      {} used of {} in {segments} segments; {} in bodies",
            output::bytes(stats.used_bytes),
            output::bytes(stats.file_bytes),
            output::bytes(stats.body_bytes)
        )?;
        let mut types = stats.types.iter().collect::<Vec<_>>();
        types.sort_by_key(|(_, of_type)| std::cmp::Reverse(of_type.events));
        for (name, of_type) in types.iter().take(NAMES_LISTED) {
            let (streams, events) = (of_type.streams, of_type.events);
            write!(f, "\ntype       {name}: {events} events in {streams} streams")?;
        }
        let mut names = stats.names.iter().collect::<Vec<_>>();
        names.sort_by_key(|(_, of_name)| std::cmp::Reverse(of_name.events));
        for (name, of_name) in names.iter().take(NAMES_LISTED) {
            let bytes = output::bytes(of_name.body_bytes);
            write!(f, "\nevent      {name}: {}, {bytes}", of_name.events)?;
        }
        let further =
            types.len().saturating_sub(NAMES_LISTED) + names.len().saturating_sub(NAMES_LISTED);
        if further > 0 {
            write!(f, "\nand {further} types and names more: --json tells all")?;
        }
        Ok(())
    }
}
