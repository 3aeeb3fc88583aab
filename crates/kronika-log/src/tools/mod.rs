//! Operations on a journal beside, or instead of, the process that writes it: verify, backup, restore, export,
//! import, figures.
//!
//! What only reads needs no lock and changes nothing. It reads what was durable when it began, and no further: up
//! to the published head where a process has the journal open, up to the sound end where nobody has. All of it is
//! bounded in memory, apart from what a tool says it keeps for each stream.

mod assemble;
mod backup;
mod copy;
mod derived;
mod error;
mod export;
mod extent;
mod files;
mod import;
mod line;
mod report;
mod reseal;
mod restore;
mod scan;
mod scanned;
mod stats;
mod streams;
mod time;
mod verify;
#[cfg(feature = "simulation")]
mod verify_one;
#[cfg(test)]
mod verify_tests;
mod wait;

pub use backup::{BackupReport, backup};
pub use error::ToolError;
pub use export::{ExportFilter, ExportReport, export};
pub use files::JournalFiles;
pub use import::{ImportOptions, ImportReport, import};
pub use line::write_lines;
pub use report::{Finding, FindingKind, VerifyReport};
pub use restore::{RestoreReport, RestoreTo, restore};
pub use scan::{Progress, Scanner};
pub use scanned::{ScannedAppends, ScannedCommit};
pub use stats::{JournalStats, NameStats, TypeStats, stats};
pub use verify::verify;
#[cfg(feature = "simulation")]
pub use verify_one::{verify_derived_file, verify_segment};
