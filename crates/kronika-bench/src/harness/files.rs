//! Files of a store: how large they are, and out of the page cache with them.

use rustix::fs::{Advice, fadvise};
use std::{fs, io, path::Path};

/// Calls `each` for the files below a directory. Those that went away meanwhile are left out.
fn walk(directory: &Path, each: &mut impl FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let done = if path.is_dir() { walk(&path, each) } else { each(&path) };
        match done {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => done?,
        }
    }
    Ok(())
}

/// Asks the kernel to forget the pages of all files below a directory, after they were written to the disk. Pages
/// that a process has mapped stay.
pub fn drop_page_cache(directory: &Path) -> io::Result<()> {
    walk(directory, &mut |path| {
        let file = fs::File::open(path)?;
        file.sync_all()?;
        Ok(fadvise(&file, 0, None, Advice::DontNeed)?)
    })
}

/// Bytes of all files below a directory.
pub fn bytes_in(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    walk(directory, &mut |path| {
        bytes += fs::metadata(path)?.len();
        Ok(())
    })?;
    Ok(bytes)
}
