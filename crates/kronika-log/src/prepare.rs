//! Making the next segment ready: zero-filled and synced, on a thread of its own, before it is needed.
//!
//! The pace follows the filling of the present segment, so that an idle journal prepares nothing and a busy one
//! has its next segment when half of this one is full. A full disk shows here, before an append is written.

#[cfg(feature = "planted-faults")]
use crate::PlantedFault;
use crate::{
    disk::{Disk, DiskFile, OpenMode, write_full},
    format::SegmentHeader,
    segments::{segment_path, unready_path},
};
use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Zeros written at once.
const CHUNK_BYTES: u64 = 256 << 10;
static ZEROS: [u8; CHUNK_BYTES as usize] = [0; CHUNK_BYTES as usize];
/// Zeros synced at once: a sync of the commits beside it waits for no more than this.
const SYNC_BYTES: u64 = 1 << 20;
/// Between two tries to make a segment, so that writes come back soon after there is room.
const RETRY: Duration = Duration::from_millis(200);

/// A segment that commits can be placed in.
#[derive(Debug, Clone)]
pub(crate) struct ReadySegment {
    pub(crate) header: SegmentHeader,
    pub(crate) file: Arc<dyn DiskFile>,
}

/// Makes a segment: zeros, then the header, synced, then its name. `go_on` is asked before each chunk, with the
/// bytes done; `None` if it said no.
pub(crate) fn make_segment(
    disk: &dyn Disk,
    mut making: Making,
    mut go_on: impl FnMut(u64) -> bool,
) -> io::Result<Option<ReadySegment>> {
    loop {
        if making.is_filling() && !go_on(making.done) {
            making.abandon(disk);
            return Ok(None);
        }
        match making.go_on(disk) {
            Ok(None) => {}
            Ok(ready) => return Ok(ready),
            Err(error) => {
                making.abandon(disk);
                return Err(error);
            }
        }
    }
}

/// A segment that is being made.
#[derive(Debug)]
pub(crate) struct Making {
    header: SegmentHeader,
    unready: PathBuf,
    directory: PathBuf,
    file: Option<Arc<dyn DiskFile>>,
    /// Zeros written, in bytes.
    done: u64,
    synced: bool,
    named: bool,
    #[cfg(feature = "planted-faults")]
    planted: Option<PlantedFault>,
}

impl Making {
    pub(crate) fn new(directory: &Path, header: SegmentHeader) -> Self {
        let unready = unready_path(directory, header.segment);
        let (file, done, synced, named) = (None, 0, false, false);
        Self {
            header,
            unready,
            directory: directory.to_owned(),
            file,
            done,
            synced,
            named,
            #[cfg(feature = "planted-faults")]
            planted: None,
        }
    }

    fn is_filling(&self) -> bool {
        self.file.is_some() && self.done < self.header.bytes
    }

    /// Does the next part of the work; the segment once it is ready.
    pub(crate) fn go_on(&mut self, disk: &dyn Disk) -> io::Result<Option<ReadySegment>> {
        let header = self.header;
        let Some(file) = &self.file else {
            self.file = Some(disk.open(&self.unready, OpenMode::WriteEmpty)?);
            return Ok(None);
        };
        if self.done < header.bytes {
            let bytes = (header.bytes - self.done).min(CHUNK_BYTES);
            write_full(&**file, &ZEROS[..bytes as usize], self.done)?;
            self.done += bytes;
            if self.done.is_multiple_of(SYNC_BYTES) {
                file.sync_data()?;
            }
        } else if !self.synced {
            write_full(&**file, &header.encode(), 0)?;
            self.synced = true;
            #[cfg(feature = "planted-faults")]
            if self.planted == Some(PlantedFault::ZerosNotSynced) {
                return Ok(None);
            }
            file.sync_data()?;
        } else if !self.named {
            disk.rename(&self.unready, &segment_path(&self.directory, header.segment))?;
            self.named = true;
        } else {
            #[cfg(feature = "planted-faults")]
            if self.planted == Some(PlantedFault::NameNotSynced) {
                return Ok(Some(ReadySegment { header, file: Arc::clone(file) }));
            }
            disk.sync_directory(&self.directory)?;
            return Ok(Some(ReadySegment { header, file: Arc::clone(file) }));
        }
        Ok(None)
    }

    /// It only takes up room; the next opening removes it too.
    pub(crate) fn abandon(&self, disk: &dyn Disk) {
        if self.file.is_some() {
            let _ = disk.remove(&self.unready);
        }
    }
}

/// Whoever waits for a segment is not left waiting when the preparing thread panicked.
struct FailOnPanic<'a>(&'a Preparation);

impl Drop for FailOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.state().failure = Some("the preparing thread panicked".to_owned());
            self.0.changed.notify_all();
        }
    }
}

/// The next segment, as the commit thread and the preparing thread share it.
#[derive(Debug)]
pub(crate) struct Preparation {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
    #[cfg(feature = "planted-faults")]
    pub(crate) planted: Option<PlantedFault>,
    #[cfg(feature = "simulation")]
    pub(crate) stepped: crate::stepped::SteppedMaking,
}

#[derive(Debug)]
struct State {
    /// The segment to make; none while the commit thread turns to the one it took.
    wanted: Option<SegmentHeader>,
    ready: Option<ReadySegment>,
    /// Why the last try failed.
    failure: Option<String>,
    /// Share of the present segment that is used, in 1/1024.
    used: u64,
    /// The present segment has a commit. Before that nothing is made: recovery takes a segment without commits
    /// that has another one behind it for damage.
    begun: bool,
    /// The share that the preparing thread waits for; none when it does not, so that it is not woken for nothing.
    awaited: Option<u64>,
    /// The commit thread waits.
    hurry: bool,
    closed: bool,
}

impl Preparation {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        directory: &Path,
        wanted: SegmentHeader,
        ready: Option<ReadySegment>,
    ) -> Self {
        let (failure, used, begun, awaited, hurry, closed) = (None, 0, true, None, false, false);
        let wanted = Some(wanted);
        let state = State { wanted, ready, failure, used, begun, awaited, hurry, closed };
        let directory = directory.to_owned();
        Self {
            disk,
            directory,
            state: Mutex::new(state),
            changed: Condvar::new(),
            #[cfg(feature = "planted-faults")]
            planted: None,
            #[cfg(feature = "simulation")]
            stepped: crate::stepped::SteppedMaking::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells how much of the present segment is used.
    pub(crate) fn used(&self, used: u64, bytes: u64) {
        let mut state = self.state();
        (state.used, state.begun) = (used * 1024 / bytes, true);
        let failed = state.failure.is_some();
        if state.awaited.is_some_and(|awaited| failed || state.used >= awaited) {
            self.changed.notify_all();
        }
    }

    /// Takes the next segment, of at least so many bytes, waiting until it is made; or why it cannot be made now.
    pub(crate) fn take(&self, bytes_min: u64) -> Result<ReadySegment, String> {
        let mut state = self.state();
        loop {
            if let Some(ready) = state.ready.take() {
                if ready.header.bytes >= bytes_min {
                    state.wanted = None;
                    return Ok(ready);
                }
                // One append needs more than a usual segment: make it anew under the same number.
                let bytes = bytes_min.next_multiple_of(4096);
                state.wanted = Some(SegmentHeader { bytes, ..ready.header });
            } else if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if state.closed {
                return Err("the log is being closed".to_owned());
            }
            #[cfg(feature = "simulation")]
            if self.stepped.is_on() {
                state.hurry = true;
                drop(state);
                self.step();
                state = self.state();
                continue;
            }
            state.hurry = true;
            self.changed.notify_all();
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Says which segment will be next, after one was taken.
    pub(crate) fn want(&self, wanted: SegmentHeader) {
        let mut state = self.state();
        state.wanted = Some(wanted);
        (state.used, state.begun, state.hurry) = (0, false, false);
        self.changed.notify_all();
    }

    /// Ends the preparing thread.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    /// Makes segments until it is closed: the preparing thread.
    pub(crate) fn run(&self) {
        let _guard = FailOnPanic(self);
        loop {
            let mut state = self.state();
            let wanted = loop {
                match state.wanted {
                    _ if state.closed => return,
                    Some(wanted) if state.ready.is_none() => break wanted,
                    _ => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                }
            };
            drop(state);
            let go_on = |done| self.wait_for_turn(done, wanted.bytes);
            let made = make_segment(&*self.disk, self.begin(wanted), go_on);
            let failed = made.is_err();
            let Some(made) = made.transpose() else { return };
            self.made(made);
            if failed {
                let closed = |state: &mut State| !state.closed;
                let waited = self.changed.wait_timeout_while(self.state(), RETRY, closed);
                drop(waited.unwrap_or_else(PoisonError::into_inner));
            }
        }
    }

    fn begin(&self, wanted: SegmentHeader) -> Making {
        #[cfg_attr(not(feature = "planted-faults"), allow(unused_mut))]
        let mut making = Making::new(&self.directory, wanted);
        #[cfg(feature = "planted-faults")]
        {
            making.planted = self.planted;
        }
        making
    }

    /// Tells what came of making a segment.
    fn made(&self, made: io::Result<ReadySegment>) {
        let mut state = self.state();
        match made {
            Ok(ready) => (state.ready, state.failure) = (Some(ready), None),
            Err(error) => {
                state.failure = Some(format!("no room could be made for more: {error}"));
            }
        }
        self.changed.notify_all();
    }

    /// Does one part of making a segment; false if none is wanted, or it is not its turn yet.
    #[cfg(feature = "simulation")]
    pub(crate) fn step(&self) -> bool {
        let wanted = {
            let state = self.state();
            state.wanted.filter(|_| state.ready.is_none())
        };
        let Some(wanted) = wanted else { return false };
        let Some(making) = self.stepped.begin() else { return false };
        let mut making = making.unwrap_or_else(|| self.begin(wanted));
        if making.is_filling() && !self.state().is_turn(making.done, wanted.bytes) {
            self.stepped.end(Some(making));
            return false;
        }
        let made = making.go_on(&*self.disk);
        if made.is_err() {
            making.abandon(&*self.disk);
        }
        let unfinished = matches!(made, Ok(None)).then_some(making);
        self.stepped.end(unfinished);
        if let Some(made) = made.transpose() {
            self.made(made);
        }
        true
    }

    /// Waits until the present segment is used half as far as the next one is made; false if it is closed.
    fn wait_for_turn(&self, done: u64, bytes: u64) -> bool {
        let mut state = self.state();
        while !state.closed && !state.is_turn(done, bytes) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.awaited = None;
        !state.closed
    }
}

impl State {
    /// Whether so many bytes of a segment are to be followed by more now.
    fn is_turn(&mut self, done: u64, bytes: u64) -> bool {
        let awaited = (done * 512 / bytes).max(1);
        self.awaited = Some(awaited);
        self.hurry || (self.begun && (self.failure.is_some() || self.used >= awaited))
    }
}
