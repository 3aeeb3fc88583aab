//! The place where data that follows from the log is held against it. Nothing here is damage: what is wrong is
//! removed and made anew.

use super::{error::ToolError, files::JournalFiles, report::VerifyReport};

/// Ends of the names of files with derived data.
const DERIVED_SUFFIXES: [&str; 2] = [".footer", ".run"];

/// Whether a file holds derived data.
pub(crate) fn is_derived(name: &str) -> bool {
    DERIVED_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

/// Holds a file of derived data against the log. Called once for each, after the log itself was verified.
pub(crate) fn verify_derived(
    _files: &JournalFiles,
    name: &str,
    report: &mut VerifyReport,
) -> Result<(), ToolError> {
    report.notes.push(format!("{name} holds derived data, which this release does not look at"));
    Ok(())
}
