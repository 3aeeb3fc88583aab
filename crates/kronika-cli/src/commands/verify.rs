//! `kronika verify`: whether all is as it was written.

use crate::{arguments::Verify, failure::Failure, output, place, progress::Bar};
use kronika_log::{FindingKind, VerifyReport, verify};
use serde::Serialize;
use std::fmt;

#[derive(Serialize)]
struct Told<'a> {
    sound: bool,
    #[serde(flatten)]
    report: &'a VerifyReport,
}

pub fn run(arguments: &Verify) -> Result<(), Failure> {
    let files = place::files(&arguments.data.data)?;
    let bar = Bar::new("verifying", &arguments.form.quiet);
    let report = verify(&files, &mut |progress| bar.at(progress))?;
    drop(bar);
    let result = Told { sound: report.is_sound(), report: &report };
    output::print(&arguments.form, &result, Text(&report))?;
    if report.is_sound() {
        return Ok(());
    }
    let path = files.path().display();
    let found = report.findings.len() as u64 + report.findings_left_out;
    let damaged = report.findings.iter().any(|finding| finding.kind == FindingKind::Damage);
    Err(Failure::Words(match damaged {
        true => format!(
            "{path} is damaged in {found} places; `kronika restore` makes a journal from a backup"
        ),
        false => format!(
            "{path} has derived data that is wrong in {found} places; stop the service and remove those files, they \
             are made anew"
        ),
    }))
}

struct Text<'a>(&'a VerifyReport);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        for finding in &report.findings {
            writeln!(f, "{finding}")?;
        }
        if report.findings_left_out > 0 {
            writeln!(f, "and {} places more", report.findings_left_out)?;
        }
        for note in &report.notes {
            writeln!(f, "note: {note}")?;
        }
        let VerifyReport { commits, appends, events, streams, segments, .. } = report;
        let verdict = if report.is_sound() { "sound" } else { "not sound" };
        write!(
            f,
            "{verdict}: {events} events in {appends} appends to {streams} streams; {commits} commits in {segments} \
             segments, {}; up to position {}, history {}",
            output::bytes(report.commit_bytes),
            report.head,
            report.incarnation
        )
    }
}
