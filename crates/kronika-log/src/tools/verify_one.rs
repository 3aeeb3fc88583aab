//! Verification of one file alone, for tests that change one bit after the other: the same checks as in `verify`, as
//! far as they need nothing but the file.

use super::{
    error::ToolError, files::JournalFiles, report::Finding, scan::Scanner, verify::Verifying,
};
use crate::{
    footer::Footer,
    index::Run,
    segments::{footer_of, run_of},
};

/// What is wrong in one segment, and, of the last one, in those that were made ahead. What its first commit continues
/// is not known, and versions and epochs are not followed.
///
/// # Errors
/// As [`crate::verify`].
pub fn verify_segment(files: &JournalFiles, segment: u32) -> Result<Vec<Finding>, ToolError> {
    let mut scanner = Scanner::from_segment(files, segment)?;
    let mut verifying = Verifying::new(files, &scanner);
    while let Some(step) = scanner.next() {
        match step {
            Ok(commit) if commit.segment() > segment => break,
            Ok(_) => {}
            Err(error) => verifying.damage(error)?,
        }
        let is_over = scanner.ended.iter().any(|end| end.segment() >= segment);
        for ended in scanner.ended.drain(..).filter(|end| end.segment() == segment) {
            verifying.segment_ended(ended)?;
        }
        if is_over {
            break;
        }
    }
    for ended in scanner.ended.drain(..).filter(|end| end.segment() == segment) {
        verifying.segment_ended(ended)?;
    }
    if scanner.extent.end.is_some_and(|end| end.place.segment() == segment) {
        verifying.end(&scanner)?;
    }
    Ok(verifying.into_findings())
}

/// What is wrong with a footer or a run: every block of it is read.
pub fn verify_derived_file(files: &JournalFiles, name: &str) -> Result<(), String> {
    let read = match (footer_of(name), run_of(name)) {
        (Some(segment), _) => {
            Footer::open(&*files.disk, &files.path, segment).and_then(|footer| footer.read_all())
        }
        (_, Some(segments)) => Run::open(&*files.disk, &files.path, segments, u64::MAX)
            .and_then(|run| run.sums().map(drop)),
        (None, None) => return Err(format!("{name} is no footer and no run")),
    };
    read.map_err(|error| format!("{name}: {error}"))
}
