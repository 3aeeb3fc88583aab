//! The disk of the operating system.

use crate::disk::{Disk, DiskFile, FileSystem, OpenMode};
use rustix::{fs::Advice, process::setpriority_process, thread::gettid};
use std::{
    fs::{self, File, OpenOptions},
    io,
    num::NonZero,
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};

/// The disk of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        create_directory(path)
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let names = fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name()));
        let names = names.collect::<io::Result<Vec<_>>>()?;
        Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        let write = mode != OpenMode::Read;
        let options = options.read(true).write(write).create(write);
        let file = options.truncate(mode == OpenMode::WriteEmpty).open(path)?;
        Ok(Arc::new(RealFile(file)))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }
    fn file_system(&self, directory: &Path) -> io::Result<FileSystem> {
        Ok(by_magic(rustix::fs::statfs(directory)?.f_type as u64 & 0xffff_ffff))
    }
}

/// Makes a directory and those above it; the names of those that were not there are durable.
pub(crate) fn create_directory(path: &Path) -> io::Result<()> {
    let is_missing = |path: &&Path| *path != Path::new("") && !path.exists();
    let missing = path.ancestors().take_while(is_missing).count();
    fs::create_dir_all(path)?;
    for made in path.ancestors().take(missing) {
        let above = made.parent().filter(|above| *above != Path::new(""));
        File::open(above.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

/// Lets other threads of the machine go first: for work that may take its time. Where it is not possible nothing
/// is lost.
pub(crate) fn stand_back() {
    /// Steps of nice(1): a third of what the others get where all want all.
    const NICE: i32 = 5;
    // On Linux the priority is that of one thread, by its id.
    let _ = setpriority_process(Some(gettid()), NICE);
}

/// By the numbers of statfs(2).
fn by_magic(magic: u64) -> FileSystem {
    match magic {
        0x6969 => FileSystem::Network("nfs"),
        0xff53_4d42 => FileSystem::Network("cifs"),
        0xfe53_4d42 => FileSystem::Network("smb2"),
        0x517b => FileSystem::Network("smb"),
        0x0102_1997 => FileSystem::Network("9p"),
        0x00c3_6400 => FileSystem::Network("ceph"),
        0x5346_414f => FileSystem::Network("afs"),
        0x0bd0_0bd0 => FileSystem::Network("lustre"),
        0x9123_683e => FileSystem::CopyOnWrite("btrfs"),
        0x2fc1_2fc1 => FileSystem::CopyOnWrite("zfs"),
        0xca45_1a4e => FileSystem::CopyOnWrite("bcachefs"),
        _ => FileSystem::Local,
    }
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
    fn will_read(&self, offset: u64, bytes: u64) {
        let _ = rustix::fs::fadvise(&self.0, offset, NonZero::new(bytes), Advice::WillNeed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_told_by_their_number() {
        assert_eq!(by_magic(0x6969), FileSystem::Network("nfs"));
        assert_eq!(by_magic(0x9123_683e), FileSystem::CopyOnWrite("btrfs"));
        assert_eq!(by_magic(0xef53), FileSystem::Local);
    }
}
