//! Checking what callers saw against what the journal holds, for simulations with faults and crashes.
//!
//! Nothing here runs a workload or knows a runtime: a simulation records each command in a [`History`] and
//! hands it, with the [`Evidence`], to [`History::check`]. All checks are linear in the history, because the
//! journal reveals the order. The aggregate is [`Account`], whose events carry the operation that caused
//! them.

mod account;
mod check;
mod evidence;
mod history;
mod operation;
mod snapshots;
mod violation;

pub use account::{Account, AccountEvent, Deposit, DepositInParts, Overdrawn, Read, Withdraw};
pub use evidence::Evidence;
pub use history::{Action, Answer, Ended, History, Invocation, Invoked, Operation};
pub use violation::{Broken, Violation, Violations};
