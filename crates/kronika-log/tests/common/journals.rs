//! A journal of many small segments with everything in it, closed in good order: what tests change one bit of.
#![allow(dead_code)]

use crate::common::{block_on, event};
use kronika_core::{
    Append, AppendBy, AppendId, AppendMore, Epoch, EventFilter, Journal, Keyed, Loading, Origin,
    PartitionId, Position, ReadError, ReadPartition, ReadStream, RecordedAppend, RecordedEvent,
    SliceRange, StreamId, Timestamp, Version,
};
use kronika_log::{JournalFiles, Log, OpenError, Scanner, Settings, SimulatedDisk, Step, Stepper};
use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

pub const PATH: &str = "/data/journal";

/// What reads come from files for, and nothing is remembered.
pub fn settings() -> Settings {
    Settings {
        segment_bytes: 16 << 10,
        first_segment_bytes: 8 << 10,
        recent_bytes: 0,
        streams_remembered_max: 0,
        reader_threads: 1,
        clock: || Timestamp::new(1_700_000_000_000_000),
        seed: Some(5),
        ..Settings::small()
    }
}

pub fn open(disk: &SimulatedDisk, settings: Settings) -> Result<(Log, Stepper), OpenError> {
    Log::open_stepped(Arc::new(disk.clone()), Path::new(PATH), settings)
}

pub fn segment(number: u32) -> PathBuf {
    PathBuf::from(format!("{PATH}/{number:08}.segment"))
}

/// A commit, and what it holds.
pub struct Commit {
    pub segment: u32,
    pub bytes: Range<u64>,
    pub appends: Vec<RecordedAppend>,
}

/// A journal that nobody has open, and what it holds.
pub struct Image {
    pub disk: SimulatedDisk,
    pub commits: Vec<Commit>,
    pub events: Vec<RecordedEvent>,
    pub versions: BTreeMap<StreamId, Version>,
    /// The segment in which the log ends.
    pub active: u32,
}

impl Image {
    /// One whose segments have at least so many bytes, the last of them half full and the next one ready.
    pub fn new(bytes_min: usize) -> Self {
        let disk = SimulatedDisk::new(5);
        let (log, mut stepper) = open(&disk, settings()).unwrap();
        let mut filler = Filler::new();
        let segments = |disk: &SimulatedDisk| {
            let files = disk.files();
            let bytes = files.iter().filter(|path| is_segment(path));
            bytes.map(|path| disk.contents(path).len()).sum::<usize>()
        };
        while segments(&disk) < bytes_min {
            filler.send(&log, &mut stepper);
        }
        // On until another one was begun and is half full.
        let begun = disk.files().into_iter().filter(|path| is_segment(path)).count();
        loop {
            filler.send(&log, &mut stepper);
            let now = disk.files().into_iter().filter(|path| is_segment(path)).count();
            if now > begun {
                break;
            }
        }
        (0..12).for_each(|_| filler.send(&log, &mut stepper));
        while stepper.step(Step::Seal) || stepper.step(Step::Prepare) {}
        stepper.finish();
        drop(log);
        Self::of(disk)
    }

    fn of(disk: SimulatedDisk) -> Self {
        let mut commits = Vec::new();
        let (mut events, mut versions) = (Vec::new(), BTreeMap::new());
        for commit in Scanner::new(&files(&disk)).unwrap().map(Result::unwrap) {
            let appends = commit.appends().unwrap().map(Result::unwrap).collect::<Vec<_>>();
            for append in &appends {
                events.extend(append.events.iter().cloned());
                versions.insert(append.header.stream.clone(), append.version());
            }
            let bytes = commit.offset()..commit.offset() + commit.bytes();
            commits.push(Commit { segment: commit.segment(), bytes, appends });
        }
        let active = commits.last().expect("there are commits").segment;
        // The head is never synced.
        disk.files().iter().for_each(|path| disk.replace(path, &disk.contents(path)));
        Self { disk, commits, events, versions, active }
    }

    /// The commit that a byte of a segment belongs to.
    pub fn commit_at(&self, segment: u32, byte: u64) -> Option<&Commit> {
        let first = self
            .commits
            .partition_point(|commit| (commit.segment, commit.bytes.end) <= (segment, byte));
        self.commits
            .get(first)
            .filter(|commit| commit.segment == segment && commit.bytes.contains(&byte))
    }

    /// Where the last commit of a segment ends.
    pub fn end_of(&self, segment: u32) -> u64 {
        let last = self.commits.iter().rfind(|commit| commit.segment == segment);
        last.map_or(4096, |commit| commit.bytes.end)
    }

    /// Files that follow from the segments, by name.
    pub fn derived(&self) -> Vec<String> {
        let names = self.disk.files().into_iter().filter_map(|path| {
            let is_derived = path.extension().is_some_and(|ext| ext == "footer" || ext == "run");
            is_derived.then(|| path.file_name()?.to_str().map(str::to_owned)).flatten()
        });
        names.collect()
    }

    /// Whether everything that a log gives is right; what is wrong, or why it cannot be read now.
    pub fn compare(&self, log: &Log) -> Result<(), Wrong> {
        let all = EventFilter::default();
        self.compare_filtered(log, &all, 1000)?;
        for filter in [
            EventFilter { tags: vec!["rare".into()], ..all.clone() },
            EventFilter { types: vec!["order".into()], ..all.clone() },
            EventFilter { slices: SliceRange::new(100, 300).expect("it is one"), ..all },
        ] {
            self.compare_filtered(log, &filter, 40)?;
        }
        for (stream, version) in &self.versions {
            let read = ReadStream::backwards(stream.clone()).limit_appends(3);
            let page = block_on(log.read_stream(read))?;
            let last = self.events.iter().rfind(|event| event.stream() == stream);
            if page.newest != *version || page.appends[0].events.last() != last {
                return Err(Wrong::Other(format!("{stream} has another version or other appends")));
            }
            let append = &page.appends[page.appends.len() - 1];
            self.find(log, append)?;
        }
        Ok(())
    }

    /// Whether an append is found by its id, and by its key.
    pub fn find(&self, log: &Log, append: &RecordedAppend) -> Result<(), Wrong> {
        let stream = &append.header.stream;
        let by_id = block_on(log.read_append(stream, AppendBy::Id(append.header.id)))?;
        if by_id.as_ref() != Some(append) {
            return Err(Wrong::Other(format!("{} is not found by its id", append.header.id)));
        }
        let keyed = append.header.more.as_ref().and_then(|more| more.keyed.as_ref());
        if let Some(Keyed { key, .. }) = keyed {
            let by_key = AppendBy::Key { principal: Some("ann".into()), key: key.clone() };
            if block_on(log.read_append(stream, by_key))?.as_ref() != Some(append) {
                return Err(Wrong::Other(format!("{} is not found by its key", append.header.id)));
            }
        }
        Ok(())
    }

    fn compare_filtered(&self, log: &Log, filter: &EventFilter, limit: usize) -> Result<(), Wrong> {
        let passes = |event: &&RecordedEvent| {
            filter.admits_stream(event.stream()) && filter.admits_tags(&event.tags)
        };
        let mut expected = self.events.iter().filter(passes);
        let mut after = Position::ZERO;
        loop {
            let read = ReadPartition::after(PartitionId::default(), after)
                .filter(filter.clone())
                .limit_events(limit);
            let page = block_on(log.read_partition(read))?;
            if !page.events.iter().all(|event| expected.next() == Some(event)) {
                return Err(Wrong::Other(format!("other events after {after} for {filter:?}")));
            }
            after = page.scanned.position;
            if page.at_head {
                break;
            }
        }
        match expected.next() {
            None => Ok(()),
            Some(event) => Err(Wrong::Other(format!("{:?} is not given", event.position))),
        }
    }
}

/// Why a log does not give what it should.
#[derive(Debug)]
pub enum Wrong {
    /// An error was told.
    Told(ReadError),
    /// It gave something else.
    Other(String),
}

impl From<ReadError> for Wrong {
    fn from(error: ReadError) -> Self {
        Self::Told(error)
    }
}

pub fn files(disk: &SimulatedDisk) -> JournalFiles {
    JournalFiles::on(Arc::new(disk.clone()), Path::new(PATH))
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "segment")
}

/// Appends of every kind to two dozen streams, the same ones each time.
pub struct Filler {
    random: fastrand::Rng,
    versions: BTreeMap<StreamId, u64>,
    epoch: Epoch,
    sent: u64,
}

impl Filler {
    pub fn new() -> Self {
        let random = fastrand::Rng::with_seed(3);
        Self { random, versions: BTreeMap::new(), epoch: Epoch::default(), sent: 0 }
    }

    /// A group that is not sent yet.
    pub fn group(&mut self) -> Vec<Append> {
        (0..self.random.usize(1..4)).map(|_| self.append()).collect()
    }

    fn append(&mut self) -> Append {
        let (random, number) = (&mut self.random, self.sent);
        self.sent += 1;
        let kind = if random.u8(..3) == 0 { "order" } else { "account" };
        let stream = StreamId::new(kind, &format!("s{}", random.u8(..12))).unwrap();
        let version = self.versions.entry(stream.clone()).or_default();
        let count = random.usize(1..4);
        let mut events = Vec::new();
        for _ in 0..count {
            let body = (0..random.usize(20..200)).map(|_| random.alphanumeric());
            let mut event = event(body.collect::<String>());
            if random.u8(..20) == 0 {
                event.tags = vec!["rare".to_owned()];
            }
            events.push(event);
        }
        let keyed = (random.u8(..4) == 0).then(|| {
            let keyed = Keyed { key: format!("k{number}"), fingerprint: 1, reply: "1".into() };
            let origin = Origin { principal: Some("ann".into()), ..Origin::default() };
            Box::new(AppendMore { keyed: Some(keyed), origin, ..AppendMore::default() })
        });
        let expected = Version::new(*version);
        *version += count as u64;
        Append {
            id: AppendId::from_parts(Timestamp::new(1_700_000_000_000_000), number + 1),
            stream,
            expected,
            epoch: self.epoch,
            loading: Loading::new(1),
            events,
            command: "deposit".into(),
            more: keyed,
        }
    }

    /// Sends a group, now and then behind a claim, and does all that there is to do.
    pub fn send(&mut self, log: &Log, stepper: &mut Stepper) {
        if self.sent % 97 == 5 {
            let mut claim = Box::pin(log.claim(SliceRange::ALL, None));
            assert!(now(claim.as_mut()).is_none(), "it waits for its turn");
            do_all(stepper);
            self.epoch = block_on(claim).unwrap().epoch;
        }
        let answer = log.append(self.group());
        do_all(stepper);
        assert!(block_on(answer).iter().all(Result::is_ok));
    }
}

/// What a future gives at once.
pub fn now<T>(future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

/// Does all that there is to do.
pub fn do_all(stepper: &mut Stepper) {
    while Step::ALL.iter().any(|step| stepper.step(*step)) {}
}

/// A derived file is changed before the log is opened, or under it: everything is answered right; or whoever asks is told
/// that it is made anew, and then it is. Whether it was made anew.
pub fn answers(
    image: &Image,
    disk: &SimulatedDisk,
    path: &Path,
    before: bool,
    change: impl Fn(&SimulatedDisk),
) -> bool {
    answers_with(image, disk, settings(), before, change)
        .unwrap_or_else(|wrong| panic!("{}: {wrong}", path.display()))
}

/// The same with other settings; what is wrong.
pub fn answers_with(
    image: &Image,
    disk: &SimulatedDisk,
    settings: Settings,
    before: bool,
    change: impl Fn(&SimulatedDisk),
) -> Result<bool, String> {
    /// Files that may have to be made anew, one after the other.
    const TRIES: usize = 4;
    let disk = disk.copy(1);
    if before {
        change(&disk);
    }
    let (log, mut stepper) = open(&disk, settings).map_err(|error| error.to_string())?;
    if !before {
        change(&disk);
    }
    for tried in 0..TRIES {
        match image.compare(&log) {
            Ok(()) => return Ok(tried > 0),
            Err(Wrong::Told(ReadError::Unavailable(what))) if what.contains("made anew") => {
                do_all(&mut stepper);
            }
            Err(wrong) => return Err(format!("{wrong:?}")),
        }
    }
    Err("it is made anew again and again".to_owned())
}
