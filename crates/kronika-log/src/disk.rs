//! The one way to files, small enough that a simulated disk can lose, tear, reorder and corrupt.
//!
//! Nothing here keeps a lock, a path or a position: a file is bytes at offsets, and what is not synced may be
//! lost.

use std::{fmt::Debug, io, path::Path, sync::Arc};

/// A disk: directories and files.
pub trait Disk: Debug + Send + Sync + 'static {
    /// Makes a directory and those above it, durably; nothing if it is there.
    fn create_directory(&self, path: &Path) -> io::Result<()>;
    /// Names of the files in a directory, in any order.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;
    /// Gives a file another name in its directory, at once.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;
    /// What kind of file system a directory is on.
    fn file_system(&self, directory: &Path) -> io::Result<FileSystem>;
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// To read, and it must be there.
    Read,
    /// To read and write; it is made if it is absent.
    Write,
    /// To read and write, empty.
    WriteEmpty,
}

/// What is known of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    /// A local one, or one that is not known.
    Local,
    /// A local one that writes every block to a new place, so that space made ready does not help.
    CopyOnWrite(&'static str),
    /// One over a network.
    Network(&'static str),
}

/// An open file.
pub trait DiskFile: Debug + Send + Sync + 'static {
    /// Reads bytes at an offset; fewer at the end of the file, or for no reason.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes bytes at an offset; possibly fewer.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Makes the contents and the length durable. To be called once for each write: after a failure a second
    /// call may succeed although the bytes are lost.
    fn sync_data(&self) -> io::Result<()>;
    /// Bytes in the file.
    fn length(&self) -> io::Result<u64>;
    /// Says that these bytes will be read soon, so that several reads may be under way at once. Only a hint.
    fn will_read(&self, _offset: u64, _bytes: u64) {}
    /// Whether a read that takes long had to wait for a device. Not so where contents are in memory: then it says only
    /// that somebody else had the core.
    fn waits_for_device(&self) -> bool {
        true
    }
}

/// Reads until the buffer is full or the file ends; gives the number of bytes.
pub(crate) fn read_full(file: &dyn DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Writes all bytes, going on after short writes.
pub(crate) fn write_full(file: &dyn DiskFile, bytes: &[u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        match file.write_at(&bytes[done..], offset + done as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => done += written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
