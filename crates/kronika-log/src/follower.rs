//! A journal that another process writes, opened for reading: up to its durable head and never beyond.

use crate::{
    disk::Disk,
    error::OpenError,
    following::{Following, OpenSegment},
    format::FIRST_COMMIT,
    place::Place,
    pool::Pool,
    queue::Queue,
    reading::Reading,
    real_disk::RealDisk,
    recent::Recent,
    recover::{HEAD_FILE, Recovery, numbers, read_head},
    replay::Replay,
    sealed_prefix::{SealedPrefix, open_segment},
    sealing::Sealing,
    segments::{SegmentInfo, Segments},
    settings::Settings,
    shared::{Durable, Shared},
    stats::Counters,
    watch::{StopWatch, Watch},
};
use kronika_core::{
    Append, AppendBy, AppendError, Appended, Capabilities, ClaimError, Epoch, Incarnation, Journal,
    Mark, Ownership, PartitionId, PartitionPage, Position, ReadError, ReadPartition, ReadStream,
    RecordedAppend, Slice, SliceRange, StreamId, StreamPage,
};
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock},
    thread::{self, JoinHandle},
};
use tokio::sync::watch;

/// Why nothing is written here.
const READ_ONLY: &str = "a follower only reads: send it to the process that writes the journal";

/// A journal that another process writes, opened for reading.
///
/// It takes no lock and changes nothing. It sees what the writer has published as durable, in order, shortly after
/// the writer's own readers do; waiting for more costs no polling. Appends and claims are refused.
///
/// ```
/// use kronika_core::{Journal, PartitionId};
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("journal");
/// let log = kronika_log::Log::open(&path, Default::default())?;
/// let follower = kronika_log::Follower::open(&path, Default::default())?;
/// assert_eq!(follower.incarnation(), log.incarnation());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Follower {
    shared: Arc<Shared>,
    pool: Arc<Pool>,
    following: Arc<Mutex<Following>>,
    stop: Option<StopWatch>,
    threads: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let incarnation = &self.shared.incarnation;
        f.debug_struct("Follower").field("incarnation", incarnation).finish_non_exhaustive()
    }
}

impl Follower {
    /// Opens the journal in the directory `path`.
    ///
    /// # Errors
    /// [`OpenError::Unpublished`] where no process has opened it for writing yet; else see [`OpenError`].
    pub fn open(path: &Path, settings: Settings) -> Result<Self, OpenError> {
        if path.exists() && !path.is_dir() {
            return Err(OpenError::NotADirectory { path: path.to_owned() });
        }
        let mut follower = Self::open_on(Arc::new(RealDisk), path, settings)?;
        let failed = |error| OpenError::from_io(path, error);
        let watch = Watch::new(&path.join(HEAD_FILE)).map_err(failed)?;
        follower.stop = Some(watch.stop());
        // What came between opening and watching.
        follower.refresh().map_err(|error| failed(std::io::Error::other(error)))?;
        let (shared, following) = (Arc::clone(&follower.shared), Arc::clone(&follower.following));
        follower
            .spawn("kronika-follow", move || follow(&watch, &shared, &following))
            .map_err(failed)?;
        for _ in 0..follower.shared.settings.reader_threads {
            let pool = Arc::clone(&follower.pool);
            follower.spawn("kronika-read", move || pool.run()).map_err(failed)?;
        }
        Ok(follower)
    }

    /// Opens a journal on a disk of any kind, without threads: it stands where it is until [`Follower::refresh`],
    /// and reads are done by whoever asks, where the feature `simulation` is on; else nothing is read from files.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        path: &Path,
        settings: Settings,
    ) -> Result<Self, OpenError> {
        if let Some(reason) = settings.refusal() {
            return Err(OpenError::Settings(reason));
        }
        let unpublished = || OpenError::Unpublished { path: path.to_owned() };
        let names = disk.list(path).map_err(|error| OpenError::from_io(path, error))?;
        let count = numbers(&names)?;
        let head = read_head(&*disk, path)?.filter(|_| count > 0).ok_or_else(unpublished)?;
        let recovery = Recovery::of(&settings);
        let prefix = SealedPrefix::open(&*disk, path, &names, count, recovery, head.number)?;
        let SealedPrefix { incarnation, sealed, mut infos, index, .. } = prefix;
        if head.incarnation != incarnation.get() {
            return Err(unpublished());
        }
        let next = infos.len() as u32 + 1;
        let mode = crate::disk::OpenMode::Read;
        // The one behind all that is sealed is there, or else nothing is behind.
        let number = next.min(count);
        let opened = open_segment(&*disk, path, number, mode, Some(incarnation))?;
        let (seal, bytes) = (opened.header.seal(), opened.header.bytes);
        let place = if number == next {
            let first = sealed.state.mark.position.plus(1);
            infos.push(SegmentInfo { seal, first, end: FIRST_COMMIT });
            Place::new(number, FIRST_COMMIT)
        } else {
            Place::new(number, infos[number as usize - 1].end)
        };
        let recent = Arc::new(Recent::new(settings.recent_bytes));
        let state = sealed.state;
        let durable = Durable { end: place, mark: state.mark, failed: None };
        let queue = Queue::new(settings.queue_bytes);
        queue.close();
        let pool = Pool::new(settings.reads_waiting_max);
        #[cfg(feature = "simulation")]
        pool.read_inline(settings.reader_threads);
        let shared = Arc::new(Shared {
            incarnation,
            index: Arc::clone(&index),
            recent: Arc::clone(&recent),
            segments: Segments::new(Arc::clone(&disk), path, infos),
            durable: watch::Sender::new(durable),
            epochs: RwLock::new(state.epochs.clone()),
            queue,
            counters: Counters::default(),
            notes: Vec::new(),
            sealing: Arc::new(Sealing::new(Vec::new())),
            disk,
            directory: path.to_owned(),
            _lock: None,
            settings,
        });
        let segment = OpenSegment { file: opened.file, seal, bytes };
        let replay = Replay { state, index, recent };
        let following = Following::new(Arc::clone(&shared), replay, place, segment);
        let following = Arc::new(Mutex::new(following));
        let (stop, threads) = (None, Vec::new());
        let follower = Self { shared, pool, following, stop, threads };
        follower.refresh().map_err(|error| match error {
            ReadError::Corrupt(what) => {
                OpenError::Failed { path: path.to_owned(), source: std::io::Error::other(what) }
            }
            other => OpenError::from_io(path, std::io::Error::other(other)),
        })?;
        Ok(follower)
    }

    /// Reads on to the published head now; whether it has moved.
    ///
    /// # Errors
    /// `Corrupt` with the place of the damage; `Closed` where another history is in its place.
    pub fn refresh(&self) -> Result<bool, ReadError> {
        self.following.lock().unwrap_or_else(PoisonError::into_inner).advance()
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        self.threads.push(thread::Builder::new().name(name.to_owned()).spawn(run)?);
        Ok(())
    }

    fn reading(&self) -> Reading<'_> {
        Reading { shared: &self.shared, pool: &self.pool }
    }
}

/// Reads on whenever the head has moved: the following thread.
fn follow(watch: &Watch, shared: &Shared, following: &Mutex<Following>) {
    loop {
        let waited = watch.wait();
        let advanced = following.lock().unwrap_or_else(PoisonError::into_inner).advance();
        let failure = match (waited, advanced) {
            (Ok(false), _) => Some("the follower is closed".to_owned()),
            (Err(error), _) => Some(format!("the head cannot be watched: {error}")),
            // It may be there the next time.
            (_, Ok(_) | Err(ReadError::Unavailable(_))) => None,
            (_, Err(error)) => Some(error.to_string()),
        };
        if let Some(failure) = failure {
            let failure = Some(Arc::from(failure.as_str()));
            return shared.durable.send_modify(|durable| durable.failed = failure);
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        if let Some(stop) = &self.stop {
            stop.stop();
        }
        self.pool.close();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Journal for Follower {
    fn capabilities(&self) -> Capabilities {
        Capabilities { partitions: 1, finds_keys: true, durable: true, leases: false }
    }

    fn incarnation(&self) -> Incarnation {
        self.shared.incarnation
    }

    fn append(&self, group: Vec<Append>) -> impl Future<Output = Vec<Appended>> + Send + use<> {
        let refused = vec![Err(AppendError::Failed(READ_ONLY.to_owned())); group.len()];
        std::future::ready(refused)
    }

    async fn claim(&self, _: SliceRange, _: Option<Epoch>) -> Result<Ownership, ClaimError> {
        Err(ClaimError::Failed(READ_ONLY.to_owned()))
    }

    async fn epoch(&self, slice: Slice) -> Result<Epoch, ReadError> {
        self.reading().epoch(slice)
    }

    async fn read_stream(&self, read: ReadStream) -> Result<StreamPage, ReadError> {
        self.reading().stream(read).await
    }

    async fn read_partition(&self, read: ReadPartition) -> Result<PartitionPage, ReadError> {
        self.reading().partition(read).await
    }

    async fn read_append(
        &self,
        stream: &StreamId,
        by: AppendBy,
    ) -> Result<Option<RecordedAppend>, ReadError> {
        self.reading().one(stream, by).await
    }

    async fn head(&self, partition: PartitionId) -> Result<Mark, ReadError> {
        self.reading().head(partition)
    }

    async fn wait_beyond(
        &self,
        partition: PartitionId,
        position: Position,
    ) -> Result<Mark, ReadError> {
        self.reading().wait_beyond(partition, position).await
    }
}
