//! A seeded disk in memory that does what real ones do at the worst moment: loses what was not synced, tears and
//! reorders it sector by sector, drops names, fills up, fails, writes short, and keeps pages whose sync failed as
//! if they were clean. For tests of this crate and of others; nothing here is fast.

use crate::disk::{Disk, DiskFile, FileSystem, OpenMode};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

const SECTOR_BYTES: usize = 512;

/// What a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Writes to files.
    Write,
    /// Syncs of files.
    Sync,
    /// Reads of files.
    Read,
    /// Opening, renaming, removing and listing, and syncs of directories.
    Directory,
    /// Any of these.
    Any,
}

/// A fault to come.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// What it strikes.
    pub kind: FaultKind,
    /// Which call of that kind from now on, from 1.
    pub nth: u64,
    /// Whether all calls of that kind after it fail too.
    pub forever: bool,
}

/// A disk in memory. Clones are the same disk.
#[derive(Debug, Clone)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

#[derive(Debug, Clone)]
struct State {
    random: fastrand::Rng,
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    renamings: Vec<Renaming>,
    faults: Vec<Fault>,
    calls: u64,
    power_fails_at: Option<u64>,
    bytes_max: Option<usize>,
    writes_short: bool,
    /// Files that were opened before the last crash or restart are dead.
    generation: u64,
}

#[derive(Debug, Clone, Default)]
struct Inode {
    cached: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
}

/// A change of a name that is not durable.
#[derive(Debug, Clone)]
enum Renaming {
    Add(PathBuf, usize),
    Remove(PathBuf),
    Move(PathBuf, PathBuf),
}

impl SimulatedDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            random: fastrand::Rng::with_seed(seed),
            inodes: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            renamings: Vec::new(),
            faults: Vec::new(),
            calls: 0,
            power_fails_at: None,
            bytes_max: None,
            writes_short: false,
            generation: 0,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another disk with the same contents, with chances of its own.
    pub fn copy(&self, seed: u64) -> Self {
        let mut state = self.state().clone();
        state.random = fastrand::Rng::with_seed(seed);
        Self(Arc::new(Mutex::new(state)))
    }

    /// The power fails and comes back: of what was not synced any part may be there. Open files are dead.
    pub fn crash(&self) {
        self.state().crash();
    }

    /// The process ends and another one begins: the page cache stays. Open files are dead.
    pub fn restart(&self) {
        let mut state = self.state();
        state.generation += 1;
        state.power_fails_at = None;
    }

    /// Lets a call fail.
    pub fn fail(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.power_fails_at = None;
    }

    /// The power fails at this call that changes something, from 1: it and all after it fail, until a crash.
    pub fn power_fails_at(&self, call: u64) {
        let mut state = self.state();
        state.power_fails_at = Some(state.calls + call);
    }

    /// How many calls that change something there were.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// The disk has room for so many bytes.
    pub fn limit(&self, bytes: Option<usize>) {
        self.state().bytes_max = bytes;
    }

    /// Writes write less than they were asked to, now and then.
    pub fn write_short(&self, short: bool) {
        self.state().writes_short = short;
    }

    /// Names of all files.
    pub fn files(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }

    /// A file's bytes, as a reader would see them.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn contents(&self, path: &Path) -> Vec<u8> {
        let state = self.state();
        state.inodes[state.names[path]].cached.clone()
    }

    /// Replaces a file's bytes, durably: damage.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn replace(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state();
        let inode = state.names[path];
        let (cached, durable) = (bytes.to_vec(), bytes.to_vec());
        state.inodes[inode] = Inode { cached, durable, dirty: BTreeSet::new() };
    }

    /// Removes a file, durably.
    pub fn lose(&self, path: &Path) {
        let mut state = self.state();
        state.names.remove(path);
        state.durable_names.remove(path);
    }
}

impl State {
    /// Counts a call and lets it fail if that is its fate.
    fn call(&mut self, kind: FaultKind, generation: u64) -> io::Result<()> {
        if generation != self.generation {
            return Err(io::Error::other("the process that opened this file has ended"));
        }
        if kind != FaultKind::Read {
            self.calls += 1;
        }
        if self.power_fails_at.is_some_and(|at| self.calls >= at) {
            return Err(io::Error::other("the power has failed"));
        }
        let mut struck = false;
        for fault in &mut self.faults {
            if fault.kind == kind || fault.kind == FaultKind::Any {
                struck |= fault.nth == 1 || (fault.nth == 0 && fault.forever);
                fault.nth = fault.nth.saturating_sub(1);
            }
        }
        self.faults.retain(|fault| fault.nth > 0 || fault.forever);
        if struck { Err(io::Error::other("injected failure")) } else { Ok(()) }
    }

    fn crash(&mut self) {
        let kept = [0.0, 0.1, 0.5, 0.9, 1.0][self.random.usize(..5)];
        let Self { inodes, random, .. } = self;
        for inode in inodes.iter_mut() {
            inode.keep_some(|| random.f64() < kept);
            inode.cached = inode.durable.clone();
        }
        let kept = self.random.usize(..=self.renamings.len());
        let renamings = std::mem::take(&mut self.renamings);
        for renaming in renamings.into_iter().take(kept) {
            renaming.apply(&mut self.durable_names);
        }
        self.names = self.durable_names.clone();
        self.generation += 1;
        self.power_fails_at = None;
    }

    fn rename(&mut self, renaming: Renaming) {
        renaming.clone().apply(&mut self.names);
        self.renamings.push(renaming);
    }
}

impl Renaming {
    fn apply(self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Add(path, inode) => drop(names.insert(path, inode)),
            Self::Remove(path) => drop(names.remove(&path)),
            Self::Move(from, to) => {
                if let Some(inode) = names.remove(&from) {
                    names.insert(to, inode);
                }
            }
        }
    }

    fn directory(&self) -> Option<&Path> {
        match self {
            Self::Add(path, _) | Self::Remove(path) | Self::Move(path, _) => path.parent(),
        }
    }
}

impl Inode {
    /// Makes some of the dirty sectors durable, and calls all of them clean.
    fn keep_some(&mut self, mut kept: impl FnMut() -> bool) {
        for sector in std::mem::take(&mut self.dirty) {
            if !kept() {
                continue;
            }
            let start = sector * SECTOR_BYTES;
            let end = (start + SECTOR_BYTES).min(self.cached.len());
            if start >= end {
                continue;
            }
            if self.durable.len() < end {
                self.durable.resize(end, 0);
            }
            self.durable[start..end].copy_from_slice(&self.cached[start..end]);
        }
    }
}

impl Disk for SimulatedDisk {
    fn create_directory(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut state = self.state();
        let generation = state.generation;
        state.call(FaultKind::Directory, generation)?;
        let inside = state.names.keys().filter(|path| path.parent() == Some(directory));
        let names = inside.filter_map(|path| path.file_name()?.to_str().map(str::to_owned));
        Ok(names.collect())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        let generation = state.generation;
        state.call(FaultKind::Directory, generation)?;
        let inode = match (state.names.get(path), mode) {
            (None, OpenMode::Read) => return Err(io::ErrorKind::NotFound.into()),
            (Some(inode), OpenMode::Read | OpenMode::Write) => *inode,
            (None, _) | (_, OpenMode::WriteEmpty) => {
                let inode = state.inodes.len();
                state.inodes.push(Inode::default());
                state.rename(Renaming::Add(path.to_owned(), inode));
                inode
            }
        };
        let writable = mode != OpenMode::Read;
        Ok(Arc::new(SimulatedFile { disk: self.clone(), inode, generation, writable }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let generation = state.generation;
        state.call(FaultKind::Directory, generation)?;
        if !state.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.rename(Renaming::Move(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let generation = state.generation;
        state.call(FaultKind::Directory, generation)?;
        if !state.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.rename(Renaming::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        let mut state = self.state();
        let generation = state.generation;
        state.call(FaultKind::Directory, generation)?;
        for renaming in std::mem::take(&mut state.renamings) {
            if renaming.directory() == Some(directory) {
                renaming.apply(&mut state.durable_names);
            } else {
                state.renamings.push(renaming);
            }
        }
        Ok(())
    }

    fn file_system(&self, _directory: &Path) -> io::Result<FileSystem> {
        Ok(FileSystem::Local)
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    inode: usize,
    generation: u64,
    writable: bool,
}

impl DiskFile for SimulatedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.call(FaultKind::Read, self.generation)?;
        let cached = &state.inodes[self.inode].cached;
        let there = cached.get(offset as usize..).unwrap_or_default();
        let read = there.len().min(buffer.len());
        buffer[..read].copy_from_slice(&there[..read]);
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut state = self.disk.state();
        let called = state.call(FaultKind::Write, self.generation);
        let State { inodes, random, bytes_max, writes_short, names, generation, .. } = &mut *state;
        if self.generation != *generation {
            return called.map(|()| 0);
        }
        let (mut written, start) = (bytes.len(), offset as usize);
        if called.is_err() || (*writes_short && random.u8(..3) == 0) {
            // A failed write too may have written some of it, up to the end of a sector.
            let cut = start + random.usize(..=written);
            let cut = (cut / SECTOR_BYTES * SECTOR_BYTES).saturating_sub(start);
            written = if cut == 0 && called.is_ok() { written } else { cut };
        }
        let end = offset as usize + written;
        let used: usize = names.values().map(|inode| inodes[*inode].cached.len()).sum();
        let inode = &mut inodes[self.inode];
        let grown = end.saturating_sub(inode.cached.len());
        if bytes_max.is_some_and(|most| grown > 0 && used + grown > most) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        inode.cached.resize(inode.cached.len().max(end), 0);
        inode.cached[offset as usize..end].copy_from_slice(&bytes[..written]);
        inode.dirty.extend(offset as usize / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES));
        called.map(|()| written)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let called = state.call(FaultKind::Sync, self.generation);
        let power = state.power_fails_at.is_none_or(|at| state.calls < at);
        let State { inodes, random, generation, .. } = &mut *state;
        if self.generation == *generation && power {
            // After a failure the pages are called clean, whatever reached the disk.
            inodes[self.inode].keep_some(|| called.is_ok() || random.bool());
        }
        called
    }

    fn length(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        state.call(FaultKind::Read, self.generation)?;
        Ok(state.inodes[self.inode].cached.len() as u64)
    }
}
