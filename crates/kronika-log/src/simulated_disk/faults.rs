//! What goes wrong on the simulated disk, and when.

use std::io;

/// What a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Writes to files.
    Write,
    /// Syncs of files.
    Sync,
    /// Reads of files.
    Read,
    /// Opening, renaming, removing and listing, and syncs of directories.
    Directory,
    /// Any of these.
    Any,
}

/// A fault to come.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// What it strikes.
    pub kind: FaultKind,
    /// Which call of that kind from now on, from 1.
    pub nth: u64,
    /// Whether all calls of that kind after it fail too.
    pub forever: bool,
}

/// Damage to bytes that are durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Corruption {
    /// A bit of the byte at an offset is another one.
    BitFlip {
        /// Offset in the file.
        offset: u64,
        /// Which bit of the byte, 0 to 7.
        bit: u8,
    },
    /// A sector is zero.
    Zeroed {
        /// The sector's number in the file.
        sector: u64,
    },
    /// A sector is as it was before it was last changed: a write was lost that the disk had confirmed.
    Stale {
        /// The sector's number in the file.
        sector: u64,
    },
    /// The last write of a sector went to another one, which has its bytes now; the sector itself is stale.
    Misdirected {
        /// The sector that was to be written.
        from: u64,
        /// The one that was written.
        to: u64,
    },
}

/// What a read gives instead of what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misread {
    /// One bit is another one.
    BitFlip,
    /// A sector is zero.
    Zeroed,
    /// A sector has the bytes of another one of the file.
    Misdirected,
}

/// The faults to come.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    faults: Vec<Fault>,
    misreads: Vec<(u64, Misread)>,
    calls: u64,
    power_fails_at: Option<u64>,
}

impl Faults {
    /// Counts a call and lets it fail if that is its fate.
    pub(super) fn begin(&mut self, kind: FaultKind) -> io::Result<()> {
        if kind != FaultKind::Read {
            self.calls += 1;
        }
        if !self.has_power() {
            return Err(io::Error::other("the power has failed"));
        }
        let mut struck = false;
        for fault in &mut self.faults {
            if fault.kind == kind || fault.kind == FaultKind::Any {
                struck |= fault.nth == 1 || (fault.nth == 0 && fault.forever);
                fault.nth = fault.nth.saturating_sub(1);
            }
        }
        self.faults.retain(|fault| fault.nth > 0 || fault.forever);
        if struck { Err(io::Error::other("injected failure")) } else { Ok(()) }
    }

    /// Whether a read that begins now gives other bytes.
    pub(super) fn misreads(&mut self) -> Option<Misread> {
        for (nth, _) in &mut self.misreads {
            *nth = nth.saturating_sub(1);
        }
        let now = self.misreads.iter().position(|(nth, _)| *nth == 0)?;
        Some(self.misreads.swap_remove(now).1)
    }

    pub(super) fn add(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub(super) fn misread(&mut self, nth: u64, misread: Misread) {
        self.misreads.push((nth, misread));
    }

    pub(super) fn power_fails_at(&mut self, call: u64) {
        self.power_fails_at = Some(self.calls + call);
    }

    pub(super) fn has_power(&self) -> bool {
        self.power_fails_at.is_none_or(|at| self.calls < at)
    }

    pub(super) fn power_is_back(&mut self) {
        self.power_fails_at = None;
    }

    pub(super) fn end(&mut self) {
        *self = Self { calls: self.calls, ..Self::default() };
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls
    }
}
