//! The embedded journal: a segmented, durable, recovering log that implements [`kronika_core::Journal`].
//!
//! Begin with [`Log`]. The format is drawn byte by byte in `docs/formats/log.md`. This crate keeps events and,
//! beside them, derived and never needed, [`Snapshots`]: no read models, no policy about who may write.

mod admit;
mod batch;
mod by_footer;
mod commit;
mod commit_at;
#[cfg(test)]
mod commit_tests;
mod disk;
mod error;
mod follower;
mod following;
mod footer;
mod format;
#[cfg(feature = "simulation")]
mod fuzzing;
mod handoff;
mod index;
mod journal;
mod lock;
mod log;
mod pace;
mod place;
mod pool;
mod prepare;
mod queue;
mod random;
mod read;
mod read_partition;
mod reading;
mod real_disk;
mod recent;
mod recover;
#[cfg(test)]
mod recover_tests;
mod replay;
mod returning;
mod seal_segment;
mod sealed_prefix;
mod sealing;
#[cfg(test)]
mod sealing_tests;
mod segments;
mod settings;
mod shared;
#[cfg(feature = "simulation")]
mod simulated_disk;
mod snapshots;
mod state;
mod stats;
#[cfg(feature = "simulation")]
mod stepped;
mod tail;
mod tools;
mod watch;
mod window;
mod write;

pub use disk::{Disk, DiskFile, FileSystem, OpenMode};
pub use error::{Damage, OpenError};
pub use follower::Follower;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub use fuzzing::{Belief, decode as fuzz_decode, open as fuzz_open};
pub use lock::DirectoryLock;
pub use log::Log;
pub use real_disk::RealDisk;
#[cfg(feature = "planted-faults")]
pub use settings::PlantedFault;
pub use settings::Settings;
#[cfg(feature = "simulation")]
pub use simulated_disk::{Call, Corruption, Fault, FaultKind, Misread, SimulatedDisk};
pub use snapshots::{SnapshotSettings, Snapshots};
pub use stats::LogStats;
#[cfg(feature = "simulation")]
pub use stepped::{Beside, Step, Stepper};
pub use tools::{
    BackupReport, ExportFilter, ExportReport, Finding, FindingKind, ImportOptions, ImportReport,
    JournalFiles, JournalStats, NameStats, Progress, RestoreReport, RestoreTo, ScannedAppends,
    ScannedCommit, Scanner, ToolError, TypeStats, VerifyReport, backup, export, import, restore,
    stats, verify, write_lines,
};
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub use tools::{verify_derived_file, verify_segment};
