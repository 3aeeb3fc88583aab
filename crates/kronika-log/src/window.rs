//! Reading ahead in one file: small requests cost one large read.

use crate::disk::{DiskFile, read_full};
use bytes::Bytes;
use std::{
    io,
    time::{Duration, Instant},
};

/// A read that takes longer, and a nanosecond for each four bytes, had to wait for the disk.
const SLOW: Duration = Duration::from_micros(20);

/// The bytes of a file that were read last.
#[derive(Debug, Default)]
pub(crate) struct Window {
    segment: u32,
    start: u64,
    bytes: Bytes,
    /// The last read had to wait for the disk.
    pub(crate) is_slow: bool,
}

impl Window {
    /// Bytes of a segment's file at an offset: fewer than asked for where `limit`, an offset, or the file ends.
    pub(crate) fn get(
        &mut self,
        (segment, file): (u32, &dyn DiskFile),
        offset: u64,
        bytes: usize,
        limit: u64,
        ahead: usize,
    ) -> io::Result<Bytes> {
        let inside = segment == self.segment
            && offset >= self.start
            && offset + bytes as u64 <= self.start + self.bytes.len() as u64;
        if !inside {
            let there = usize::try_from(limit.saturating_sub(offset)).unwrap_or(usize::MAX);
            let mut buffer = vec![0; bytes.max(ahead).min(there)];
            let begun = Instant::now();
            let read = read_full(file, &mut buffer, offset)?;
            let is_slow = begun.elapsed() > SLOW + Duration::from_nanos(read as u64 / 4)
                && file.waits_for_device();
            buffer.truncate(read);
            *self = Self { segment, start: offset, bytes: Bytes::from(buffer), is_slow };
        }
        let from = (offset - self.start) as usize;
        Ok(self.bytes.slice(from..(from + bytes).min(self.bytes.len())))
    }
}
