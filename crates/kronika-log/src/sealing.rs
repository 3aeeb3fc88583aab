//! The sealing thread: gives every full segment its footer and its run, and merges runs, so that memory and opening
//! do not grow with the log.
//!
//! It never touches a segment. When it fails the log goes on: more stays in memory, and it tries again.

use crate::{
    format::wrong,
    index::{Run, RunSet, Target, merge_runs},
    pace::Pace,
    seal_segment::{FullSegment, SealFault, Sealed, seal_segment},
    segments::run_path,
    shared::Shared,
};
use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Full segments that wait to be sealed, at most: then the writer waits, so that memory is bounded.
const WAITING_MAX: usize = 8;
/// With more of them sealing hurries, so that the writer does not come to wait.
const WAITING_CALMLY_MAX: usize = 2;
/// Between two tries after a failure, at first and at last: each may read much before it fails again.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(16);

/// What waits to be sealed, as the writer and the sealing thread share it.
#[derive(Debug, Default)]
pub(crate) struct Sealing {
    state: Mutex<State>,
    changed: Condvar,
    /// More segments wait than is usual.
    hurry: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct State {
    full: VecDeque<FullSegment>,
    /// Ranges of segments whose runs were found wrong.
    doubted: Vec<(u32, u32)>,
    /// Why the last try failed.
    failure: Option<String>,
    /// A segment is damaged: nothing behind it is sealed.
    given_up: bool,
    /// Nobody waits for a thread that is none.
    #[cfg(feature = "simulation")]
    never_waits: bool,
    closed: bool,
}

impl Sealing {
    /// With segments that are full already.
    pub(crate) fn new(full: Vec<FullSegment>) -> Self {
        let state = State { full: full.into(), ..State::default() };
        let hurry = Arc::new(AtomicBool::new(state.hurries()));
        Self { state: Mutex::new(state), changed: Condvar::new(), hurry }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever fills a segment goes on at once, however many wait: what seals is no thread.
    #[cfg(feature = "simulation")]
    pub(crate) fn never_wait(&self) {
        self.state().never_waits = true;
    }

    /// A segment is full. Waits where too many are, unless sealing fails.
    pub(crate) fn full(&self, segment: FullSegment) {
        let mut state = self.state();
        state.full.push_back(segment);
        self.hurry.store(state.hurries(), Ordering::Relaxed);
        self.changed.notify_all();
        #[cfg(feature = "simulation")]
        if state.never_waits {
            return;
        }
        while state.waits() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A run was found wrong: it is made anew.
    pub(crate) fn doubt(&self, run: (u32, u32)) {
        let mut state = self.state();
        if !state.doubted.contains(&run) {
            state.doubted.push(run);
            self.changed.notify_all();
        }
    }

    /// Why the last try failed, if it did.
    pub(crate) fn failure(&self) -> Option<String> {
        self.state().failure.clone()
    }

    /// Ends the sealing thread: whoever closes the log waits for it.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.hurry.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }

    fn is_closed(&self) -> bool {
        self.state().closed
    }

    fn next_full(&self) -> Option<FullSegment> {
        let state = self.state();
        state.full.front().copied().filter(|_| !state.given_up)
    }

    fn sealed(&self) {
        let mut state = self.state();
        state.full.pop_front();
        self.hurry.store(state.hurries(), Ordering::Relaxed);
        state.failure = None;
        self.changed.notify_all();
    }

    /// Something of the index was written. What keeps segments from being sealed is as it was.
    pub(crate) fn written(&self) {
        let mut state = self.state();
        if state.full.is_empty() && !state.given_up {
            state.failure = None;
        }
    }

    /// A run that was in doubt is right, or there is no such run any more.
    fn settled(&self, run: (u32, u32)) {
        self.state().doubted.retain(|doubted| *doubted != run);
    }

    pub(crate) fn failed(&self, failure: String, given_up: bool) {
        let mut state = self.state();
        state.failure = Some(failure);
        state.given_up |= given_up;
        self.changed.notify_all();
    }
}

impl State {
    /// Whether somebody waits for sealing, or soon will.
    fn hurries(&self) -> bool {
        self.closed || self.full.len() > WAITING_CALMLY_MAX
    }

    /// Whether whoever fills a segment waits.
    fn waits(&self) -> bool {
        let sealing = self.failure.is_none() && !self.given_up && !self.closed;
        sealing && self.full.len() > WAITING_MAX
    }
}

/// The sealing thread's own.
#[derive(Debug)]
pub(crate) struct Sealer {
    shared: Arc<Shared>,
    sealed: Sealed,
    pace: Pace,
}

impl Sealer {
    pub(crate) fn new(shared: Arc<Shared>, sealed: Sealed) -> Self {
        Self { shared, sealed, pace: Pace::at_once() }
    }

    /// Seals and merges until the log is closed: the sealing thread.
    pub(crate) fn run(mut self) {
        let sealing = Arc::clone(&self.shared.sealing);
        let _guard = FailOnPanic(Arc::clone(&sealing));
        self.pace = Pace::in_pieces(Arc::clone(&sealing.hurry));
        let mut retry = RETRY;
        while !sealing.is_closed() {
            match self.step() {
                Ok(true) => retry = RETRY,
                Ok(false) => {
                    let idle = |state: &mut State| {
                        let full = !state.full.is_empty() && !state.given_up;
                        !state.closed && !full && state.doubted.is_empty()
                    };
                    let waited = sealing.changed.wait_while(sealing.state(), idle);
                    drop(waited.unwrap_or_else(PoisonError::into_inner));
                }
                Err(()) => {
                    let open = |state: &mut State| !state.closed;
                    let waited = sealing.changed.wait_timeout_while(sealing.state(), retry, open);
                    drop(waited.unwrap_or_else(PoisonError::into_inner));
                    retry = (retry * 2).min(RETRY_MAX);
                }
            }
        }
    }

    /// Does one thing, if there is one to do.
    pub(crate) fn step(&mut self) -> Result<bool, ()> {
        let sealing = Arc::clone(&self.shared.sealing);
        if let Some(full) = sealing.next_full() {
            return self.seal(full).map(|()| true);
        }
        let doubted = sealing.state().doubted.first().copied();
        let done = match doubted {
            Some(run) => self.renew(run).map(|()| true),
            None => self.merge(),
        };
        match done {
            Ok(done) => {
                if done {
                    sealing.written();
                }
                Ok(done)
            }
            Err(error) => {
                // A run that cannot be merged since it is wrong is made anew first.
                let what = self.shared.index_failed(&error);
                sealing.failed(format!("runs cannot be written: {what}"), false);
                Err(())
            }
        }
    }

    fn seal(&mut self, full: FullSegment) -> Result<(), ()> {
        let shared = Arc::clone(&self.shared);
        let result =
            seal_segment(target(&shared, &self.pace), shared.index.hasher, full, &self.sealed);
        #[cfg(feature = "planted-faults")]
        if result.is_ok() && shared.settings.plants(crate::PlantedFault::RetiredEarly) {
            shared.index.retire_early(full.segment);
        }
        let sealed =
            result.and_then(|sealed| Ok((sealed, self.open((full.segment, full.segment))?)));
        match sealed {
            Ok((sealed, run)) => {
                self.sealed = sealed;
                let mut runs = RunSet::clone(&shared.index.runs());
                assert_eq!(runs.covered() + 1, full.segment, "segments are sealed in order");
                runs.runs.push(run);
                shared.index.publish(runs);
                shared.sealing.sealed();
                Ok(())
            }
            Err(SealFault::Io(error)) => {
                let segment = full.segment;
                shared
                    .sealing
                    .failed(format!("segment {segment} cannot be sealed: {error}"), false);
                Err(())
            }
            Err(SealFault::Damaged(damage)) => {
                shared.sealing.failed(format!("the journal is damaged: {damage}"), true);
                Err(())
            }
        }
    }

    fn open(&self, segments: (u32, u32)) -> io::Result<Arc<Run>> {
        let shared = &self.shared;
        let room = shared.index.runs().room(shared.settings.index_bytes, segments);
        Run::open(&*shared.disk, &shared.directory, segments, room).map(Arc::new)
    }

    /// Whether to go on with what takes long; what became full meanwhile is sealed first, for the writer may wait.
    fn goes_on(&mut self) -> bool {
        let sealing = Arc::clone(&self.shared.sealing);
        while !sealing.is_closed() {
            match sealing.next_full() {
                Some(full) if self.seal(full).is_ok() => {}
                _ => return true,
            }
        }
        false
    }

    /// Merges runs of one size, if there are enough.
    fn merge(&mut self) -> io::Result<bool> {
        let current = self.shared.index.runs();
        let Some(runs) = current.to_merge() else { return Ok(false) };
        let Some(run) = self.merged(runs)? else { return Ok(false) };
        let index = &self.shared.index;
        index.publish(index.runs().replaced(run));
        self.remove(runs);
        Ok(true)
    }

    /// One run instead of several; none if the log is closed meanwhile.
    fn merged(&mut self, runs: &[Arc<Run>]) -> io::Result<Option<Arc<Run>>> {
        let shared = Arc::clone(&self.shared);
        let pace = self.pace.clone();
        if !merge_runs(target(&shared, &pace), runs, || self.goes_on())? {
            return Ok(None);
        }
        self.open((runs[0].first, runs[runs.len() - 1].last)).map(Some)
    }

    /// Removes the files of runs that were merged: they only take up room.
    fn remove(&self, runs: &[Arc<Run>]) {
        for run in runs {
            let path = run_path(&self.shared.directory, run.first, run.last);
            let _ = self.shared.disk.remove(&path);
        }
    }

    /// Makes a run anew from its segments.
    fn renew(&mut self, (first, last): (u32, u32)) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let runs = shared.index.runs();
        if !runs.runs.iter().any(|run| (run.first, run.last) == (first, last)) {
            // It was merged meanwhile: in its place it would hide its neighbours.
            shared.sealing.settled((first, last));
            return Ok(());
        }
        let mut before = match first.checked_sub(1).filter(|before| *before > 0) {
            None => Sealed::new(),
            Some(segment) => {
                let footer = shared.segments.footer(segment)?;
                Sealed { state: footer.state()?, hash: footer.header.hash }
            }
        };
        let mut renewed = RunSet::default();
        for segment in first..=last {
            if !self.goes_on() {
                return Ok(());
            }
            let header = shared.segments.header(segment)?;
            let info = shared.segments.info_now(segment).ok_or_else(|| wrong("no such segment"))?;
            let (seal, check, end) = (info.seal, header.check(), info.end);
            let full = FullSegment { segment, seal, check, end };
            let sealed =
                seal_segment(target(&shared, &self.pace), shared.index.hasher, full, &before);
            before = sealed.map_err(|fault| match fault {
                SealFault::Io(error) => error,
                SealFault::Damaged(damage) => wrong(&damage.to_string()),
            })?;
            renewed.runs.push(self.open((segment, segment))?);
            // A few at a time, as they were merged at first; and in the end all of them.
            while let Some(runs) = renewed.to_merge().or(match &renewed.runs[..] {
                all @ [_, _, ..] if segment == last => Some(all),
                _ => None,
            }) {
                let Some(run) = self.merged(runs)? else { return Ok(()) };
                self.remove(runs);
                renewed = renewed.replaced(run);
            }
        }
        let run = Arc::clone(&renewed.runs[0]);
        shared.index.publish(shared.index.runs().replaced(run));
        shared.sealing.settled((first, last));
        Ok(())
    }
}

fn target<'a>(shared: &'a Shared, pace: &'a Pace) -> Target<'a> {
    Target {
        disk: &*shared.disk,
        directory: &shared.directory,
        incarnation: shared.incarnation,
        salt: shared.index.hasher.salt(),
        filter_bytes: shared.settings.index_bytes / 4,
        pace,
    }
}

/// Whoever waits for room is not left waiting when the sealing thread panicked.
struct FailOnPanic(Arc<Sealing>);

impl Drop for FailOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.failed("the sealing thread panicked".to_owned(), true);
        }
    }
}
