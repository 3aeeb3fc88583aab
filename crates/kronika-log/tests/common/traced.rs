//! A simulated disk that keeps in mind which call was made of which file, so that it can be told what a fault struck.

use kronika_log::{Disk, DiskFile, FaultKind, FileSystem, OpenMode, SimulatedDisk};
use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

type Calls = Arc<Mutex<Vec<(FaultKind, PathBuf)>>>;

/// The disk, and the calls that a fault may strike, in their order.
#[derive(Debug, Clone)]
pub struct TracedDisk {
    pub disk: SimulatedDisk,
    calls: Calls,
}

#[derive(Debug)]
struct TracedFile {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    calls: Calls,
}

impl TracedDisk {
    pub fn new(seed: u64) -> Self {
        Self { disk: SimulatedDisk::new(seed), calls: Arc::default() }
    }

    /// The files of all calls of a kind.
    pub fn calls(&self, kind: FaultKind) -> Vec<PathBuf> {
        let calls = self.calls.lock().unwrap();
        let alike = calls.iter().filter(|(called, _)| *called == kind);
        alike.map(|(_, path)| path.clone()).collect()
    }

    fn called(&self, path: &Path) {
        self.calls.lock().unwrap().push((FaultKind::Directory, path.to_owned()));
    }
}

impl Disk for TracedDisk {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.disk.create_directory(path)
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.called(directory);
        self.disk.list(directory)
    }
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.called(path);
        let (path, calls) = (path.to_owned(), Arc::clone(&self.calls));
        Ok(Arc::new(TracedFile { file: self.disk.open(&path, mode)?, path, calls }))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.called(to);
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.called(path);
        self.disk.remove(path)
    }
    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.called(directory);
        self.disk.sync_directory(directory)
    }
    fn file_system(&self, directory: &Path) -> io::Result<FileSystem> {
        self.disk.file_system(directory)
    }
}

impl TracedFile {
    fn called(&self, kind: FaultKind) {
        self.calls.lock().unwrap().push((kind, self.path.clone()));
    }
}

impl DiskFile for TracedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.called(FaultKind::Read);
        self.file.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.called(FaultKind::Write);
        self.file.write_at(bytes, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.called(FaultKind::Sync);
        self.file.sync_data()
    }
    fn length(&self) -> io::Result<u64> {
        self.called(FaultKind::Read);
        self.file.length()
    }
}
