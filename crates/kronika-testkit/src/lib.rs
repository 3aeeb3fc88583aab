//! What tests of Kronika stand on: given / when / then, a journal in memory that injects faults, the
//! conformance suite of journals, and checkers of what callers saw.
//!
//! Only for tests: it panics where something is not as it should be, and depends on no back end and not on
//! the runtime.

mod memory;
mod moment;

pub use memory::{
    Fault, MemoryJournal, MemorySettings, Plan, PlantedFault, ReadFault, Recorded, Sent, Writer,
};
pub use moment::{Moment, Moments};
