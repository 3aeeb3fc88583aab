//! An open file of the simulated disk.

use super::{FaultKind, Misread, SECTOR_BYTES, SimulatedDisk, State};
use crate::disk::DiskFile;
use std::io;

#[derive(Debug)]
pub(super) struct SimulatedFile {
    pub(super) disk: SimulatedDisk,
    pub(super) inode: usize,
    pub(super) generation: u64,
    pub(super) writable: bool,
}

impl DiskFile for SimulatedFile {
    // Else the same seed would not make the same calls.
    fn waits_for_device(&self) -> bool {
        false
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.call(FaultKind::Read, offset);
        let called = state.begin(FaultKind::Read, self.generation);
        state.note("read", [self.inode as u64, offset, buffer.len() as u64], &[]);
        called?;
        let State { inodes, random, faults, .. } = &mut *state;
        let stored = inodes[self.inode].bytes();
        let there = stored.get(offset as usize..).unwrap_or_default();
        let read = there.len().min(buffer.len());
        buffer[..read].copy_from_slice(&there[..read]);
        if read > 0
            && let Some(misread) = faults.misreads()
        {
            misread.strike(&mut buffer[..read], offset as usize, stored, random);
        }
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut state = self.disk.call(FaultKind::Write, offset);
        let called = state.begin(FaultKind::Write, self.generation);
        state.note("write", [self.inode as u64, offset, u64::from(called.is_ok())], bytes);
        if self.generation != state.generation {
            return called.map(|()| 0);
        }
        let (mut written, start) = (bytes.len(), offset as usize);
        if called.is_err() || (state.writes_short && state.random.u8(..3) == 0) {
            // A failed write too may have written some of it, up to the end of a sector.
            let cut = start + state.random.usize(..=written);
            let cut = (cut / SECTOR_BYTES * SECTOR_BYTES).saturating_sub(start);
            written = if cut == 0 && called.is_ok() { written } else { cut };
        }
        let grown = (start + written).saturating_sub(state.inodes[self.inode].bytes().len());
        if !state.has_room(grown) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let State { inodes, random, .. } = &mut *state;
        inodes[self.inode].write(&bytes[..written], start, random);
        called.map(|()| written)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.call(FaultKind::Sync, 0);
        let called = state.begin(FaultKind::Sync, self.generation);
        state.note("sync", [self.inode as u64, 0, u64::from(called.is_ok())], &[]);
        let State { inodes, random, generation, faults, .. } = &mut *state;
        if self.generation == *generation && faults.has_power() {
            match &called {
                Ok(()) => inodes[self.inode].sync(),
                Err(_) => inodes[self.inode].sync_failing(random),
            }
        }
        called
    }

    fn length(&self) -> io::Result<u64> {
        let mut state = self.disk.call(FaultKind::Read, 0);
        let called = state.begin(FaultKind::Read, self.generation);
        state.note("length", [self.inode as u64, 0, u64::from(called.is_ok())], &[]);
        called?;
        Ok(state.inodes[self.inode].bytes().len() as u64)
    }
}

impl Misread {
    /// Changes what was read at an offset of a file.
    fn strike(self, read: &mut [u8], offset: usize, stored: &[u8], random: &mut fastrand::Rng) {
        let at = offset + random.usize(..read.len());
        if self == Self::BitFlip {
            read[at - offset] ^= 1 << random.u8(..8);
            return;
        }
        let sector = at / SECTOR_BYTES;
        let another = random.usize(..stored.len().div_ceil(SECTOR_BYTES));
        for place in sector * SECTOR_BYTES..(sector + 1) * SECTOR_BYTES {
            let found = place.checked_sub(offset).and_then(|index| read.get_mut(index));
            if let Some(byte) = found {
                let other = another * SECTOR_BYTES + place % SECTOR_BYTES;
                let misdirected = self == Self::Misdirected;
                *byte = stored.get(other).copied().filter(|_| misdirected).unwrap_or_default();
            }
        }
    }
}
