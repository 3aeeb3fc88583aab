//! The simulated disk as a [`Disk`]: names, and files by their names.

use super::{FaultKind, SimulatedDisk, State, file::SimulatedFile, inode::Inode};
use crate::disk::{Disk, DiskFile, FileSystem, OpenMode};
use std::{io, path::Path, sync::Arc};

impl Disk for SimulatedDisk {
    fn create_directory(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut state = self.call(FaultKind::Directory, 0);
        let called = state.begin_directory();
        state.note_path("list", directory, called.is_ok());
        called?;
        let inside = state.names.all().filter(|(path, _)| path.parent() == Some(directory));
        let names = inside.filter_map(|(path, _)| path.file_name()?.to_str().map(str::to_owned));
        Ok(names.collect())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.call(FaultKind::Directory, 0);
        let called = state.begin_directory();
        state.note_path("open", path, called.is_ok());
        let found = state.names.get(path);
        if mode != OpenMode::Read && !state.is_done(&called) {
            return Err(called.expect_err("what was called well is done"));
        }
        let inode = match (found, mode) {
            (None, OpenMode::Read) => {
                return Err(called.err().unwrap_or(io::ErrorKind::NotFound.into()));
            }
            (Some(inode), OpenMode::Read | OpenMode::Write) => inode,
            (Some(inode), OpenMode::WriteEmpty) => {
                state.inodes[inode].empty();
                inode
            }
            (None, OpenMode::Write | OpenMode::WriteEmpty) => {
                let inode = state.inodes.len();
                state.inodes.push(Inode::default());
                state.names.add(path, inode);
                inode
            }
        };
        called?;
        let writable = mode != OpenMode::Read;
        let generation = state.generation;
        Ok(Arc::new(SimulatedFile { disk: self.clone(), inode, generation, writable }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.call(FaultKind::Directory, 0);
        let called = state.begin_directory();
        state.note_path("rename", from, called.is_ok());
        if state.is_done(&called) {
            let inode = state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
            state.names.rename(from, to, inode);
        }
        called
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.call(FaultKind::Directory, 0);
        let called = state.begin_directory();
        state.note_path("remove", path, called.is_ok());
        if state.is_done(&called) {
            let inode = state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
            state.names.remove(path, inode);
        }
        called
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        let mut state = self.call(FaultKind::Directory, 0);
        let called = state.begin_directory();
        state.note_path("sync directory", directory, called.is_ok());
        let State { names, random, faults, .. } = &mut *state;
        match &called {
            Ok(()) => names.sync(directory),
            Err(_) if faults.has_power() => names.sync_failing(directory, random),
            Err(_) => {}
        }
        called
    }

    fn file_system(&self, _directory: &Path) -> io::Result<FileSystem> {
        Ok(FileSystem::Local)
    }
}
