//! The exclusive lock on a data directory: one process writes, a second one is told who the first is.
//!
//! The file is never deleted: a lock on a deleted file excludes nobody. It holds the process id for the message
//! only; what excludes is the lock that the operating system drops when the process ends, however it ends.

use crate::{error::OpenError, real_disk::create_directory};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// A holder that was killed an instant ago may still be on its way out.
const TRIES: usize = 5;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// The exclusive lock on a data directory, held as long as this lives.
///
/// ```
/// # let directory = tempfile::tempdir()?;
/// let lock = kronika_log::DirectoryLock::acquire(directory.path())?;
/// assert!(kronika_log::DirectoryLock::acquire(directory.path()).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct DirectoryLock {
    directory: PathBuf,
    _file: File,
}

impl DirectoryLock {
    /// Takes the lock `directory/lock`; the directory is made if it is absent.
    ///
    /// # Errors
    /// [`OpenError::InUse`] with the holder's process id within 100 ms, or why the file cannot be written.
    pub fn acquire(directory: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::from_io(directory, source);
        if directory.exists() && !directory.is_dir() {
            return Err(OpenError::NotADirectory { path: directory.to_owned() });
        }
        create_directory(directory).map_err(failed)?;
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(directory.join("lock")).map_err(failed)?;
        for tried in 1.. {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if tried < TRIES => thread::sleep(BETWEEN_TRIES),
                Err(TryLockError::WouldBlock) => {
                    let mut text = String::new();
                    let holder = file.read_to_string(&mut text).ok();
                    let holder = holder.and_then(|_| text.trim().parse().ok());
                    return Err(OpenError::InUse { directory: directory.to_owned(), holder });
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        file.set_len(0).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { directory: directory.to_owned(), _file: file })
    }

    /// Whether a process holds the lock of a directory, without taking it: nothing is made, and a process that
    /// opens the directory at this very instant tries again.
    pub(crate) fn is_held(directory: &Path) -> io::Result<bool> {
        let file = match File::open(directory.join("lock")) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match file.try_lock_shared() {
            // It is given back when the file is closed, here.
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The directory that is locked.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}
