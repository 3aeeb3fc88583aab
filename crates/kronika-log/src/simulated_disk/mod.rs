//! A seeded disk in memory that does what real ones do at the worst moment: loses what was not synced, tears and
//! reorders it sector by sector, drops names one by one, fills up, fails, writes short, keeps pages whose sync
//! failed as if they were clean, and damages what was synced. For tests of this crate and of others.
//!
//! All chances come from its seed: the same calls in the same order get the same answers.

mod directory;
mod faults;
mod file;
mod inode;
mod names;

pub use faults::{Corruption, Fault, FaultKind, Misread};

use faults::Faults;
use inode::{Inode, Kept};
use names::Names;
use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

const SECTOR_BYTES: usize = 512;
/// A call that failed in a directory may have been done nevertheless: one of so many.
const DONE_THOUGH_FAILED: u8 = 4;

/// A disk in memory. Clones are the same disk.
#[derive(Clone)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
    watcher: Arc<OnceLock<Watcher>>,
}

type Watcher = Box<dyn Fn(Call) + Send + Sync>;

/// A call to the disk, as whoever watches it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// What kind of call.
    pub kind: FaultKind,
    /// Where in the file it reads or writes; 0 for other calls.
    pub offset: u64,
}

#[derive(Debug, Clone)]
struct State {
    random: fastrand::Rng,
    inodes: Vec<Inode>,
    names: Names,
    faults: Faults,
    bytes_max: Option<usize>,
    writes_short: bool,
    /// Files that were opened before the last crash or restart are dead.
    generation: u64,
    trace: u64,
    /// The calls in words, if they are recorded.
    record: Option<Vec<String>>,
}

impl fmt::Debug for SimulatedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedDisk").field("files", &self.files()).finish_non_exhaustive()
    }
}

impl SimulatedDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> Self {
        Self::of(State {
            random: fastrand::Rng::with_seed(seed),
            inodes: Vec::new(),
            names: Names::default(),
            faults: Faults::default(),
            bytes_max: None,
            writes_short: false,
            generation: 0,
            trace: 0,
            record: None,
        })
    }

    fn of(state: State) -> Self {
        Self { state: Arc::new(Mutex::new(state)), watcher: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a call: whoever watches sees the disk as it is before it.
    fn call(&self, kind: FaultKind, offset: u64) -> MutexGuard<'_, State> {
        if let Some(watcher) = self.watcher.get() {
            watcher(Call { kind, offset });
        }
        self.state()
    }

    /// Calls this before every call to the disk from now on; once for a disk, not for its copies.
    ///
    /// # Panics
    /// If somebody watches already.
    pub fn watch(&self, watcher: impl Fn(Call) + Send + Sync + 'static) {
        assert!(self.watcher.set(Box::new(watcher)).is_ok(), "nobody watched the disk before");
    }

    /// Another disk with the same contents, with chances of its own and no faults to come.
    pub fn copy(&self, seed: u64) -> Self {
        let mut state = self.state().clone();
        state.random = fastrand::Rng::with_seed(seed);
        state.record = None;
        Self::of(state)
    }

    /// A copy after a loss of power that left nothing of what was not synced: what is surely durable now. Its faults
    /// are over, and it has room.
    pub fn durable_copy(&self, seed: u64) -> Self {
        let copy = self.copy(seed);
        {
            let mut state = copy.state();
            state.lose(Kept::None, Kept::None);
            state.faults = Faults::default();
            (state.bytes_max, state.writes_short) = (None, false);
        }
        copy
    }

    /// The power fails and comes back: of what was not synced any part may be there. Open files are dead.
    pub fn crash(&self) {
        let mut state = self.state();
        let (sectors, names) = (Kept::any(&mut state.random), Kept::any(&mut state.random));
        state.lose(sectors, names);
    }

    /// The process ends and another one begins: the page cache stays, but for some of what is called clean in it.
    /// Open files are dead.
    pub fn restart(&self) {
        let mut state = self.state();
        let State { inodes, random, .. } = &mut *state;
        for inode in inodes.iter_mut() {
            if random.u8(..4) == 0 {
                inode.evict();
            }
        }
        state.generation += 1;
        state.faults.power_is_back();
    }

    /// Lets a call fail.
    pub fn fail(&self, fault: Fault) {
        self.state().faults.add(fault);
    }

    /// Lets a read give other bytes than those that are stored: the nth from now on, from 1.
    pub fn misread(&self, nth: u64, misread: Misread) {
        self.state().faults.misread(nth, misread);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.state().faults.end();
    }

    /// The power fails at this call that changes something, from 1: it and all after it fail, until a crash.
    pub fn power_fails_at(&self, call: u64) {
        self.state().faults.power_fails_at(call);
    }

    /// How many calls that change something there were.
    pub fn calls(&self) -> u64 {
        self.state().faults.calls()
    }

    /// A hash of all calls so far, with their order, places and bytes, and of what came of them.
    pub fn trace(&self) -> u64 {
        self.state().trace
    }

    /// Records all calls in words from now on: to see what led to a failure.
    pub fn record(&self) {
        self.state().record = Some(Vec::new());
    }

    /// Adds a remark to the record, if there is one.
    pub fn remark(&self, remark: impl FnOnce() -> String) {
        if let Some(record) = &mut self.state().record {
            record.push(remark());
        }
    }

    /// The calls that were recorded, and the remarks between them.
    pub fn recorded(&self) -> Vec<String> {
        self.state().record.clone().unwrap_or_default()
    }

    /// The disk has room for so many bytes.
    pub fn limit(&self, bytes: Option<usize>) {
        self.state().bytes_max = bytes;
    }

    /// Bytes of all files.
    pub fn used(&self) -> usize {
        self.state().used()
    }

    /// Writes write less than they were asked to, now and then.
    pub fn write_short(&self, short: bool) {
        self.state().writes_short = short;
    }

    /// Names of all files.
    pub fn files(&self) -> Vec<PathBuf> {
        self.state().names.all().map(|(path, _)| path.clone()).collect()
    }

    /// A file's bytes, as a reader would see them.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn contents(&self, path: &Path) -> Vec<u8> {
        let state = self.state();
        state.inodes[state.inode(path)].bytes().to_vec()
    }

    /// Replaces a file's bytes, durably: damage.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn replace(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state();
        let inode = state.inode(path);
        state.inodes[inode] = Inode::of(bytes);
    }

    /// Damages a file, durably. Gives whether any bit of it has changed.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn corrupt(&self, path: &Path, corruption: Corruption) -> bool {
        let mut state = self.state();
        let inode = state.inode(path);
        state.inodes[inode].corrupt(corruption)
    }

    /// Removes a file, durably.
    pub fn lose(&self, path: &Path) {
        self.state().names.forget(path);
    }
}

impl State {
    fn inode(&self, path: &Path) -> usize {
        self.names.get(path).unwrap_or_else(|| panic!("there is no file {}", path.display()))
    }

    /// Counts a call and lets it fail if that is its fate.
    fn begin(&mut self, kind: FaultKind, generation: u64) -> io::Result<()> {
        if generation != self.generation {
            return Err(io::Error::other("the process that opened this file has ended"));
        }
        self.faults.begin(kind)
    }

    /// Begins a call on names.
    fn begin_directory(&mut self) -> io::Result<()> {
        self.begin(FaultKind::Directory, self.generation)
    }

    /// Whether a call that failed is done nevertheless. With the power gone nothing is.
    fn is_done(&mut self, called: &io::Result<()>) -> bool {
        called.is_ok() || (self.faults.has_power() && self.random.u8(..DONE_THOUGH_FAILED) == 0)
    }

    /// Notes a call in the trace.
    fn note(&mut self, call: &str, numbers: [u64; 3], bytes: &[u8]) {
        if let Some(record) = &mut self.record {
            let [inode, offset, last] = numbers;
            record.push(format!("{call} {inode} at {offset}, {} bytes, {last}", bytes.len()));
        }
        let mut check = crc32c::crc32c(call.as_bytes());
        for number in numbers {
            check = crc32c::crc32c_append(check, &number.to_le_bytes());
        }
        check = crc32c::crc32c_append(check, bytes);
        let mixed = (self.trace ^ u64::from(check)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.trace = mixed ^ (mixed >> 29);
    }

    fn note_path(&mut self, call: &str, path: &Path, done: bool) {
        let name = path.as_os_str().as_encoded_bytes();
        if let Some(record) = &mut self.record {
            record.push(format!("{}:", path.display()));
        }
        self.note(call, [u64::from(done), 0, 0], name);
    }

    fn lose(&mut self, sectors: Kept, names: Kept) {
        let Self { inodes, random, .. } = self;
        // What stood on the disk before shows where a file grew and its contents were lost.
        let garbage = random.u8(..8) == 0;
        for inode in inodes.iter_mut() {
            inode.lose(sectors, garbage, random);
        }
        self.names.lose(names, &mut self.random);
        for (number, inode) in self.inodes.iter_mut().enumerate() {
            if !self.names.has(number) {
                *inode = Inode::default();
            }
        }
        self.generation += 1;
        self.faults.power_is_back();
    }

    /// Whether so many bytes more fit on the disk.
    fn has_room(&self, grown: usize) -> bool {
        grown == 0 || self.bytes_max.is_none_or(|most| self.used() + grown <= most)
    }

    fn used(&self) -> usize {
        self.names.all().map(|(_, inode)| self.inodes[inode].bytes().len()).sum()
    }
}
