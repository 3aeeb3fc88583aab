//! Healing the end of a log: what a torn write left behind is made zeros again, and the last commit durable.

use crate::{
    disk::{DiskFile, read_full, write_full},
    recent::StoredCommit,
};
use std::io;

/// A range that a torn write left behind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Torn {
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

/// Overwrites what was torn with zeros, and makes the end of the log durable.
pub(super) fn heal(
    file: &dyn DiskFile,
    torn: Option<Torn>,
    last: Option<&StoredCommit>,
) -> io::Result<()> {
    let mut residue = vec![0; torn.map_or(0, |torn| torn.bytes as usize)];
    if let Some(torn) = torn {
        read_full(file, &mut residue, torn.offset)?;
        write_full(file, &vec![0; residue.len()], torn.offset)?;
    }
    // After a failed sync the last commit may be in the page cache only, as if it were written.
    if let Some(last) = last {
        write_full(file, &last.bytes, last.place.offset())?;
    }
    // Also when nothing was written here: zeros of an opening that was killed may not be durable yet.
    let synced = file.sync_data();
    if let (Err(_), Some(torn)) = (&synced, torn) {
        // The page cache may call zeros clean that never reached the disk. The next opening is to see what is
        // torn, and to write them anew.
        let _ = write_full(file, &residue, torn.offset);
    }
    synced
}
