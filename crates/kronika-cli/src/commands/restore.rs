//! `kronika restore`: a data directory from a backup.

use crate::{arguments::Restore, failure::Failure, output, place, progress::Bar};
use kronika_log::{RestoreReport, RestoreTo, restore};

pub fn run(arguments: &Restore) -> Result<(), Failure> {
    let files = place::files(&arguments.from)?;
    let to = match (arguments.position, arguments.time) {
        (Some(position), _) => RestoreTo::Position(position),
        (None, Some(time)) => RestoreTo::Time(time),
        (None, None) => RestoreTo::Whole,
    };
    // Nothing is made where nothing can be restored.
    kronika_log::Scanner::new(&files)?;
    place::must_be_new(&arguments.data)?;
    let (_lock, destination) = place::locked(&arguments.data)?;
    let bar = Bar::new("restoring", &arguments.form.quiet);
    let report = restore(&files, &destination, to, &mut |progress| bar.at(progress))?;
    drop(bar);
    output::print(&arguments.form, &report, text(&report))
}

fn text(report: &RestoreReport) -> String {
    let RestoreReport { incarnation, from, head, commits, events_rounded_off, .. } = report;
    let mut text = format!("restored to position {head}, {commits} commits");
    if let Some(time) = report.last_time {
        text += &format!(", the last one of {}", output::time(time));
    }
    if *events_rounded_off > 0 {
        text += &format!(
            "; {events_rounded_off} events before the position that was asked for belong to an append that goes \
             beyond it, and were left out"
        );
    }
    text += &match incarnation == from {
        true => format!("; the same history, {incarnation}"),
        false => format!("; a new history, {incarnation}, made from {from}"),
    };
    text
}
