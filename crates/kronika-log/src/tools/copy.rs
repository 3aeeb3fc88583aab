//! Making a segment's file in another directory, commit by commit: under a name that no opening takes for a segment
//! until it is whole and durable.

use super::{error::ToolError, files::JournalFiles};
use crate::{
    disk::{Disk, DiskFile, OpenMode, write_full},
    format::{FIRST_COMMIT, PublishedHead, SEGMENT_HEADER_BYTES, SegmentHeader},
    recover::HEAD_FILE,
    segments::{segment_path, unready_path},
};
use std::{path::PathBuf, sync::Arc};

/// Bytes written at once.
const CHUNK_BYTES: usize = 1 << 20;

/// A segment that is being made. Dropped before it is finished, it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct SegmentCopy {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    header: SegmentHeader,
    file: Arc<dyn DiskFile>,
    /// Written to the file, and what follows it.
    written: u64,
    waiting: Vec<u8>,
    finished: bool,
}

impl SegmentCopy {
    /// A segment that begins with this header, as the file has it.
    pub(crate) fn begin(
        destination: &JournalFiles,
        sector: &[u8; SEGMENT_HEADER_BYTES],
        header: &SegmentHeader,
    ) -> Result<Self, ToolError> {
        let (disk, directory) = (Arc::clone(&destination.disk), destination.path.clone());
        let path = unready_path(&directory, header.segment);
        let file = disk
            .open(&path, OpenMode::WriteEmpty)
            .map_err(|error| ToolError::writing(&path, error))?;
        let mut waiting = Vec::with_capacity(CHUNK_BYTES);
        waiting.extend_from_slice(sector);
        waiting.resize(FIRST_COMMIT as usize, 0);
        Ok(Self { disk, directory, header: *header, file, written: 0, waiting, finished: false })
    }

    /// Where the next commit stands.
    pub(crate) fn end(&self) -> u64 {
        self.written + self.waiting.len() as u64
    }

    /// Puts a commit behind what is there.
    pub(crate) fn commit(&mut self, commit: &[u8]) -> Result<(), ToolError> {
        self.waiting.extend_from_slice(commit);
        if self.waiting.len() >= CHUNK_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), ToolError> {
        let path = unready_path(&self.directory, self.header.segment);
        write_full(&*self.file, &self.waiting, self.written)
            .map_err(|error| ToolError::writing(&path, error))?;
        self.written += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    /// Fills the rest with zeros, makes it durable, and gives it its name, in place of one that has it.
    pub(crate) fn finish(mut self) -> Result<(), ToolError> {
        loop {
            self.flush()?;
            let left = self.header.bytes - self.written;
            if left == 0 {
                break;
            }
            self.waiting.resize(left.min(CHUNK_BYTES as u64) as usize, 0);
        }
        let unready = unready_path(&self.directory, self.header.segment);
        let failed = |error| ToolError::writing(&unready, error);
        self.file.sync_data().map_err(failed)?;
        self.disk
            .rename(&unready, &segment_path(&self.directory, self.header.segment))
            .map_err(failed)?;
        self.finished = true;
        self.disk.sync_directory(&self.directory).map_err(failed)
    }
}

impl Drop for SegmentCopy {
    fn drop(&mut self) {
        if !self.finished {
            // It only takes up room; the next opening removes it too.
            let _ = self.disk.remove(&unready_path(&self.directory, self.header.segment));
        }
    }
}

/// Writes the published head of a journal that nobody has open, durably.
pub(crate) fn write_head(files: &JournalFiles, head: &PublishedHead) -> Result<(), ToolError> {
    let path = files.path.join(HEAD_FILE);
    let opened = files.disk.open(&path, OpenMode::Write);
    let written = opened.and_then(|file| {
        write_full(&*file, &head.encode(), 0)?;
        file.sync_data()?;
        files.disk.sync_directory(&files.path)
    });
    written.map_err(|error| ToolError::writing(&path, error))
}

/// Makes the directory of a journal that is to be.
pub(crate) fn make_directory(files: &JournalFiles) -> Result<(), ToolError> {
    let made = files.disk.create_directory(&files.path);
    made.map_err(|error| ToolError::writing(&files.path, error))
}
