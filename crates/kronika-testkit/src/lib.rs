//! What tests of Kronika stand on: given / when / then, a journal in memory that injects faults, the
//! conformance suite of journals, checkers of what callers saw, and the lock file of shapes.
//!
//! Only for tests: it panics where something is not as it should be, and depends on no back end and not on
//! the runtime.

mod checking;
mod conformance;
mod given;
mod memory;
mod moment;
mod read_models;
mod shapes;
mod snapshots;

pub use checking::{
    Account, AccountEvent, Action, Answer, Broken, Deposit, DepositInParts, Ended, Evidence,
    History, Invocation, Invoked, Operation, Overdrawn, Read, Violation, Violations, Withdraw,
};
pub use conformance::{Case, Failure, Failures, Injection, MakeJournal, cases, run_all, run_one};
pub use given::{Given, Projected, Then, given, projected};
pub use memory::{
    Fault, MemoryJournal, MemorySettings, Plan, PlantedFault, ReadFault, Recorded, Sent, Writer,
};
pub use moment::{Moment, Moments};
pub use read_models::MemoryReadModels;
pub use shapes::{Renewal, Shapes, ShapesError, shapes};
pub use snapshots::{MemorySnapshots, SnapshotFault};
