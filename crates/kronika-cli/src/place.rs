//! Data directories by their paths.

use crate::failure::Failure;
use kronika_log::{DirectoryLock, JournalFiles, RealDisk};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The journal's directory below a data directory.
pub fn journal(data: &Path) -> PathBuf {
    data.join("journal")
}

/// The file of the read models of a data directory, which must be there.
pub fn read_models(data: &Path) -> Result<PathBuf, Failure> {
    must_be_a_directory(data)?;
    let path = data.join("read-models.sqlite");
    let unreadable = |error| Failure::Words(format!("{} cannot be read: {error}", path.display()));
    if path.try_exists().map_err(unreadable)? {
        return Ok(path);
    }
    let words = format!(
        "there are no read models in {}; name the data directory of a service, which makes them when it starts",
        path.display()
    );
    Err(Failure::Words(words))
}

/// The journal of a data directory, to be read, also while somebody has it open.
pub fn files(data: &Path) -> Result<JournalFiles, Failure> {
    must_be_a_directory(data)?;
    Ok(JournalFiles::new(&journal(data)))
}

fn must_be_a_directory(data: &Path) -> Result<(), Failure> {
    if data.exists() && !data.is_dir() {
        let words = format!("{} is not a directory; name the data directory", data.display());
        return Err(Failure::Words(words));
    }
    Ok(())
}

/// The journal of a data directory that is locked by this process.
pub fn locked(data: &Path) -> Result<(DirectoryLock, JournalFiles), Failure> {
    let lock = DirectoryLock::acquire(data)?;
    Ok((lock, JournalFiles::on(Arc::new(RealDisk), &journal(data))))
}

/// Refuses to copy a journal onto itself, by whatever name.
pub fn must_be_another(data: &Path, to: &Path) -> Result<(), Failure> {
    let (from, there) = (fs::canonicalize(journal(data)), fs::canonicalize(journal(to)));
    if from.is_ok() && from.ok() == there.ok() {
        let words = "is the journal itself; name another directory";
        return Err(Failure::Words(format!("{} {words}", to.display())));
    }
    Ok(())
}

/// Refuses a data directory that holds anything but a lock, which is left behind when a restore fails.
pub fn must_be_new(data: &Path) -> Result<(), Failure> {
    let entries = match fs::read_dir(data) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries,
    };
    let unreadable = |error| Failure::Words(format!("{} cannot be read: {error}", data.display()));
    for entry in entries.map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_empty = || fs::read_dir(&path).is_ok_and(|mut inside| inside.next().is_none());
        if !path.ends_with("lock") && !is_empty() {
            let words = "is not empty; name a directory that is empty or not there";
            return Err(Failure::Words(format!("{} {words}", data.display())));
        }
    }
    Ok(())
}
