//! Making the next segment ready: zero-filled and synced, on a thread of its own, before it is needed.
//!
//! The pace follows the filling of the present segment, so that an idle journal prepares nothing and a busy one
//! has its next segment when half of this one is full. A full disk shows here, before an append is written.

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
    directory: &Path,
    header: SegmentHeader,
    go_on: impl FnMut(u64) -> bool,
) -> io::Result<Option<ReadySegment>> {
    let path = unready_path(directory, header.segment);
    let made = fill(disk, &path, header, go_on).and_then(|file| {
        let Some(file) = file else { return Ok(None) };
        disk.rename(&path, &segment_path(directory, header.segment))?;
        disk.sync_directory(directory)?;
        Ok(Some(ReadySegment { header, file }))
    });
    if !matches!(made, Ok(Some(_))) {
        // It only takes up room; the next opening removes it too.
        let _ = disk.remove(&path);
    }
    made
}

fn fill(
    disk: &dyn Disk,
    path: &Path,
    header: SegmentHeader,
    mut go_on: impl FnMut(u64) -> bool,
) -> io::Result<Option<Arc<dyn DiskFile>>> {
    let file = disk.open(path, OpenMode::WriteEmpty)?;
    let zeros = vec![0; CHUNK_BYTES.min(header.bytes) as usize];
    let mut done = 0;
    while done < header.bytes {
        if !go_on(done) {
            return Ok(None);
        }
        let bytes = (header.bytes - done).min(CHUNK_BYTES);
        write_full(&*file, &zeros[..bytes as usize], done)?;
        done += bytes;
        if done % SYNC_BYTES == 0 {
            file.sync_data()?;
        }
    }
    write_full(&*file, &header.encode(), 0)?;
    file.sync_data()?;
    Ok(Some(file))
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
        let (failure, used, awaited, hurry, closed) = (None, 0, None, false, false);
        let wanted = Some(wanted);
        let state = State { wanted, ready, failure, used, awaited, hurry, closed };
        let directory = directory.to_owned();
        Self { disk, directory, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells how much of the present segment is used.
    pub(crate) fn used(&self, used: u64, bytes: u64) {
        let mut state = self.state();
        state.used = used * 1024 / bytes;
        if state.awaited.is_some_and(|awaited| state.used >= awaited) {
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
            state.hurry = true;
            self.changed.notify_all();
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Says which segment will be next, after one was taken.
    pub(crate) fn want(&self, wanted: SegmentHeader) {
        let mut state = self.state();
        state.wanted = Some(wanted);
        (state.used, state.hurry) = (0, false);
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
            let made = make_segment(&*self.disk, &self.directory, wanted, go_on);
            let mut state = self.state();
            match made {
                Ok(None) => return,
                Ok(made) => {
                    (state.ready, state.failure) = (made, None);
                    self.changed.notify_all();
                }
                Err(error) => {
                    state.failure = Some(format!("no room could be made for more: {error}"));
                    self.changed.notify_all();
                    let closed = |state: &mut State| !state.closed;
                    let waited = self.changed.wait_timeout_while(state, RETRY, closed);
                    drop(waited.unwrap_or_else(PoisonError::into_inner));
                }
            }
        }
    }

    /// Waits until the present segment is used half as far as the next one is made; false if it is closed.
    fn wait_for_turn(&self, done: u64, bytes: u64) -> bool {
        let mut state = self.state();
        let awaited = (done * 512 / bytes).max(1);
        state.awaited = Some(awaited);
        while !state.closed && !state.hurry && state.failure.is_none() && state.used < awaited {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.awaited = None;
        !state.closed
    }
}
