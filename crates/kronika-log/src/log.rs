//! Opening a log, its threads, and where a read is done.
//!
//! Nothing here decides what is recorded, and no read blocks an asynchronous worker.

use crate::{
    admit::Admission,
    commit::Committer,
    disk::{Disk, FileSystem, OpenMode, write_full},
    error::OpenError,
    format::{FIRST_COMMIT, HEAD_BYTES, SegmentHeader},
    handoff::Handoff,
    index::{Hasher, Index, RunSet},
    lock::DirectoryLock,
    place::Place,
    pool::Pool,
    prepare::{Making, Preparation, make_segment},
    queue::Queue,
    random::Random,
    real_disk::{self, RealDisk},
    recent::Recent,
    recover::{HEAD_FILE, Recovered, Recovery, recover},
    seal_segment::Sealed,
    sealing::{Sealer, Sealing},
    segments::{SegmentInfo, Segments},
    settings::Settings,
    shared::{Durable, Shared},
    stats::{Counters, LogStats},
    write::{Tail, Writer, next_segment_bytes},
};
use kronika_core::{Incarnation, Position};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, RwLock},
    thread::{self, JoinHandle},
};
use tokio::sync::watch;

/// The embedded journal.
///
/// Cheap to clone. When the last clone is dropped, what was queued is still written, then the files are closed: that
/// waits for the writes, and for the segment that is being sealed, if one is.
///
/// ```
/// use kronika_core::Journal;
/// # let directory = tempfile::tempdir()?;
/// let log = kronika_log::Log::open(&directory.path().join("journal"), Default::default())?;
/// assert!(log.capabilities().durable);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Log {
    pub(crate) shared: Arc<Shared>,
    pub(crate) threads: Arc<Threads>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("incarnation", &self.shared.incarnation).finish_non_exhaustive()
    }
}

impl Log {
    /// Opens the journal in the directory `path`, which is made if it is absent, and holds `lock` beside it.
    ///
    /// # Errors
    /// See [`OpenError`]: each kind says what to do. Of a log that cannot be opened no segment was changed.
    pub fn open(path: &Path, settings: Settings) -> Result<Self, OpenError> {
        let directory = match path.parent() {
            Some(directory) if directory != Path::new("") => directory,
            _ => Path::new("."),
        };
        Self::open_locked(path, Arc::new(DirectoryLock::acquire(directory)?), settings)
    }

    /// As [`Log::open`], under a lock that the caller holds already; the log keeps it too.
    pub fn open_locked(
        path: &Path,
        lock: Arc<DirectoryLock>,
        settings: Settings,
    ) -> Result<Self, OpenError> {
        if path.exists() && !path.is_dir() {
            return Err(OpenError::NotADirectory { path: path.to_owned() });
        }
        Self::open_with(Arc::new(RealDisk), path, Some(lock), settings).and_then(Duties::start)
    }

    /// Opens a journal on a disk of any kind. Nobody else may have it open: there is no lock.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        path: &Path,
        settings: Settings,
    ) -> Result<Self, OpenError> {
        Self::open_with(disk, path, None, settings).and_then(Duties::start)
    }

    pub(crate) fn open_with(
        disk: Arc<dyn Disk>,
        path: &Path,
        lock: Option<Arc<DirectoryLock>>,
        settings: Settings,
    ) -> Result<Duties, OpenError> {
        if let Some(reason) = settings.refusal() {
            return Err(OpenError::Settings(reason));
        }
        let failed = |error| OpenError::from_io(path, error);
        disk.create_directory(path).map_err(failed)?;
        let mut notes = Vec::new();
        match disk.file_system(path).map_err(failed)? {
            FileSystem::Network(kind) => {
                return Err(OpenError::NetworkFileSystem { path: path.to_owned(), kind });
            }
            FileSystem::CopyOnWrite(kind) => notes.push(format!(
                "{} is on {kind}, which copies on write: space made ahead does not make writes faster",
                path.display()
            )),
            FileSystem::Local => {}
        }
        let mut random = Random::new(settings.seed);
        let recovered = match recover(&*disk, path, Recovery::of(&settings))? {
            Some(recovered) => recovered,
            None => create(&*disk, path, &settings, &mut random).map_err(failed)?,
        };
        if let Some(parent) = path.parent().filter(|parent| *parent != Path::new("")) {
            disk.sync_directory(parent).map_err(failed)?;
        }
        Duties::assemble(disk, path, lock, settings, notes, random, recovered)
    }

    /// What an operator should know of the place that the journal is in; mostly nothing.
    pub fn notes(&self) -> &[String] {
        &self.shared.notes
    }

    /// What was made durable since it was opened, and what it holds in memory.
    pub fn stats(&self) -> LogStats {
        let runs = self.shared.index.runs();
        LogStats {
            sealed_segments: runs.covered(),
            runs: runs.runs.len(),
            filter_bytes: runs.memory_bytes(),
            streams_in_memory: self.shared.index.streams_in_memory(),
            sealing_failure: self.shared.sealing.failure(),
            ..self.shared.counters.read()
        }
    }
}

/// What a log has to do once it is open: each is a thread's, or all are done in steps on one.
pub(crate) struct Duties {
    path: PathBuf,
    pub(crate) shared: Arc<Shared>,
    pub(crate) committer: Committer,
    pub(crate) handoff: Arc<Handoff>,
    pub(crate) preparation: Arc<Preparation>,
    pub(crate) sealer: Sealer,
    pub(crate) pool: Arc<Pool>,
}

impl Duties {
    fn assemble(
        disk: Arc<dyn Disk>,
        path: &Path,
        lock: Option<Arc<DirectoryLock>>,
        settings: Settings,
        notes: Vec<String>,
        mut random: Random,
        recovered: Recovered,
    ) -> Result<Self, OpenError> {
        let head_path = path.join(HEAD_FILE);
        let head_failed = |error| OpenError::from_io(&head_path, error);
        let head_file = disk.open(&head_path, OpenMode::Write).map_err(head_failed)?;
        let Recovered { incarnation, active, end, state, .. } = recovered;
        let mark = state.mark;
        let next = SegmentHeader {
            segment: active.header.segment + 1,
            bytes: next_segment_bytes(active.header.bytes, &settings),
            salt: random.next(),
            ..active.header
        };
        #[cfg_attr(not(feature = "planted-faults"), allow(unused_mut))]
        let mut preparation = Preparation::new(Arc::clone(&disk), path, next, recovered.ready);
        #[cfg(feature = "planted-faults")]
        {
            preparation.planted = settings.planted_fault;
        }
        let preparation = Arc::new(preparation);
        #[cfg_attr(not(feature = "planted-faults"), allow(unused_mut))]
        let mut segments = Segments::new(Arc::clone(&disk), path, recovered.segments);
        #[cfg(feature = "planted-faults")]
        {
            segments.footers_unchecked = settings.plants(crate::PlantedFault::FooterNotChecked);
        }
        let durable = Durable { end, mark, failed: None };
        let shared = Arc::new(Shared {
            incarnation,
            index: recovered.index,
            recent: recovered.recent,
            segments,
            durable: watch::Sender::new(durable),
            epochs: RwLock::new(state.epochs.clone()),
            queue: Queue::new(settings.queue_bytes),
            counters: Counters::default(),
            notes,
            sealing: Arc::new(Sealing::new(recovered.full)),
            disk,
            directory: path.to_owned(),
            _lock: lock,
            settings,
        });
        #[cfg_attr(not(feature = "planted-faults"), allow(unused_mut))]
        let mut admission = Admission::new(state.epochs);
        #[cfg(feature = "planted-faults")]
        {
            admission.planted = shared.settings.planted_fault;
        }
        let tail = Tail {
            active,
            closed: recovered.closed,
            offset: end.offset(),
            number: state.number,
            previous: state.previous,
            mark,
            time: state.time,
        };
        let time = tail.time;
        let (for_writer, prepared) = (Arc::clone(&shared), Arc::clone(&preparation));
        let writer = Writer { shared: for_writer, preparation: prepared, random, tail };
        let handoff = Arc::new(Handoff::new(writer));
        let committer =
            Committer::new(Arc::clone(&shared), Arc::clone(&handoff), head_file, admission, time);
        let pool = Pool::new(shared.settings.reads_waiting_max);
        let path = path.to_owned();
        let sealer = Sealer::new(Arc::clone(&shared), recovered.sealed);
        Ok(Self { path, shared, committer, handoff, preparation, sealer, pool })
    }

    /// Gives each duty its thread.
    fn start(self) -> Result<Log, OpenError> {
        let Self { path, shared, committer, handoff, preparation, sealer, pool } = self;
        let mut threads =
            Threads::new(Arc::clone(&shared), Arc::clone(&preparation), Arc::clone(&pool));
        let queue = Arc::clone(&shared);
        // A follower may be opened as soon as the log is.
        let begun = committer.begin();
        let spawned =
            threads.spawn("kronika-commit", move || committer.run(begun)).and_then(|()| {
                threads.spawn("kronika-write", move || handoff.run(&queue.queue))?;
                threads.spawn("kronika-prepare", move || preparation.run())?;
                threads.spawn("kronika-seal", move || {
                    real_disk::stand_back();
                    sealer.run()
                })?;
                (0..shared.settings.reader_threads).try_for_each(|_| {
                    let pool = Arc::clone(&pool);
                    threads.spawn("kronika-read", move || pool.run())
                })
            });
        spawned.map_err(|error| OpenError::from_io(&path, error))?;
        Ok(Log { shared, threads: Arc::new(threads) })
    }
}

/// A new journal: its first segment is small, so that this takes a few milliseconds.
fn create(
    disk: &dyn Disk,
    path: &Path,
    settings: &Settings,
    random: &mut Random,
) -> std::io::Result<Recovered> {
    let incarnation = u128::from(random.next()) << 64 | u128::from(random.next());
    let incarnation = Incarnation::new(incarnation);
    let bytes = settings.first_segment_bytes.min(settings.segment_bytes);
    let header = SegmentHeader { incarnation, segment: 1, bytes, salt: random.next() };
    let making = Making::new(path, header);
    let active = make_segment(disk, making, |_| true)?.expect("nothing stopped it");
    // What an earlier try left behind belongs to no history.
    let head = disk.open(&path.join(HEAD_FILE), OpenMode::Write)?;
    write_full(&*head, &[0; HEAD_BYTES], 0)?;
    let sealed = Sealed::new();
    let hasher = Hasher::new(header.salt);
    let first = Position::new(1);
    Ok(Recovered {
        incarnation,
        segments: vec![SegmentInfo { seal: header.seal(), first, end: FIRST_COMMIT }],
        active,
        closed: false,
        ready: None,
        end: Place::new(1, FIRST_COMMIT),
        state: sealed.state.clone(),
        index: Arc::new(Index::new(hasher, RunSet::default(), settings.streams_remembered_max)),
        recent: Arc::new(Recent::new(settings.recent_bytes)),
        sealed,
        full: Vec::new(),
    })
}

/// The log's threads, ended and joined when the last handle is gone.
pub(crate) struct Threads {
    shared: Arc<Shared>,
    preparation: Arc<Preparation>,
    pub(crate) pool: Arc<Pool>,
    running: Vec<JoinHandle<()>>,
}

impl Threads {
    pub(crate) fn new(shared: Arc<Shared>, preparation: Arc<Preparation>, pool: Arc<Pool>) -> Self {
        Self { shared, preparation, pool, running: Vec::new() }
    }
    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        self.running.push(thread::Builder::new().name(name.to_owned()).spawn(run)?);
        Ok(())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.queue.close();
        self.shared.sealing.close();
        self.pool.close();
        // The commit thread goes first: what is on its way may wait for a segment.
        for thread in self.running.drain(..1.min(self.running.len())) {
            let _ = thread.join();
        }
        self.preparation.close();
        for thread in self.running.drain(..) {
            // A panic was told to whoever waited, when their answers were dropped.
            let _ = thread.join();
        }
    }
}
