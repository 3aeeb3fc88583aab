//! The embedded journal: a segmented, durable, recovering log that implements [`kronika_core::Journal`].
//!
//! Begin with [`Log`]. The format is drawn byte by byte in `docs/formats/log.md`. This crate keeps events and,
//! beside them, derived and never needed, [`Snapshots`]: no read models, no policy about who may write.

mod admit;
mod batch;
mod commit;
mod disk;
mod error;
mod format;
mod index;
mod journal;
mod lock;
mod log;
mod place;
mod pool;
mod prepare;
mod queue;
mod random;
mod read;
mod read_partition;
mod real_disk;
mod recent;
mod recover;
#[cfg(test)]
mod recover_tests;
mod replay;
mod segments;
mod settings;
mod shared;
#[cfg(feature = "simulation")]
mod simulated_disk;
mod snapshots;
mod stats;
mod tail;
mod window;
mod write;

pub use disk::{Disk, DiskFile, FileSystem, OpenMode};
pub use error::{Damage, OpenError};
pub use lock::DirectoryLock;
pub use log::Log;
pub use real_disk::RealDisk;
#[cfg(feature = "planted-faults")]
pub use settings::PlantedFault;
pub use settings::Settings;
#[cfg(feature = "simulation")]
pub use simulated_disk::{Fault, FaultKind, SimulatedDisk};
pub use snapshots::{SnapshotSettings, Snapshots};
pub use stats::LogStats;
