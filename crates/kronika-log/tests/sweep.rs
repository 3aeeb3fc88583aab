//! Every call to the disk in the life of a log fails in turn, once and for ever, until none is left to fail: at opening,
//! while appends are written, segments made, sealed, merged and made anew, while readers and a follower read, and at the
//! next opening. The log takes its steps on one thread, so that the same call is the same one each time.
//!
//! Nothing panics; every error is one that the contract has; nothing is acknowledged behind a failed write; what only
//! follows from the log never fails an append; reads go on; and once the disk is well again, everything that was
//! acknowledged is there.
//!
//! A plain run lets one of so many fail; `KRONIKA_SWEEP=all`, as `cargo xtask sweep` has it, lets all fail.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;
#[path = "common/journals.rs"]
mod journals;
#[path = "common/traced.rs"]
mod traced;

use common::*;
use journals::now;
use kronika_core::{
    Append, AppendBy, AppendError, AppendId, AppendMore, EventFilter, Journal, Keyed, Loading,
    Origin, PartitionId, Position, ReadError, ReadPartition, ReadStream, RecordedEvent,
};
use kronika_log::{
    Corruption, Fault, FaultKind, Finding, FindingKind, Follower, JournalFiles, Log, OpenError,
    Settings, Step, Stepper, verify,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::Instant,
};
use traced::TracedDisk;

const PATH: &str = "/data/journal";
const PARTITION: PartitionId = PartitionId::new(0);
const STREAMS: u64 = 5;
/// Odd, so that faults once and for ever take turns.
const ONE_OF: usize = 9;
/// Groups that are sent before the log is closed, and behind that.
const ROUNDS: u64 = 44;
const ROUNDS_AFTER: u64 = 6;

/// So small that a few groups fill a segment, and with so little in memory that all is looked up.
fn settings() -> Settings {
    Settings {
        segment_bytes: 8 << 10,
        first_segment_bytes: 8 << 10,
        recent_bytes: 0,
        index_bytes: 0,
        streams_remembered_max: 0,
        reader_threads: 1,
        seed: Some(1),
        ..Settings::small()
    }
}

/// A log's life, and what was told in it.
struct Life {
    disk: TracedDisk,
    told: BTreeMap<AppendId, Append>,
    /// Whose outcome was not told.
    unknown: BTreeMap<AppendId, Append>,
    versions: BTreeMap<String, u64>,
    loading: u64,
    sent: u64,
    /// Appends that were refused, with why.
    refused: Vec<AppendError>,
    /// A write or a sync of a commit failed since the log was opened.
    poisoned: bool,
    /// Reads of files are what fails, or their opening.
    reads_fail: bool,
}

impl Life {
    fn new(seed: u64) -> Self {
        Self {
            disk: TracedDisk::new(seed),
            told: BTreeMap::new(),
            unknown: BTreeMap::new(),
            versions: BTreeMap::new(),
            loading: 1,
            sent: 0,
            refused: Vec::new(),
            poisoned: false,
            reads_fail: false,
        }
    }

    fn open(&self) -> Result<(Log, Stepper), OpenError> {
        Log::open_stepped(Arc::new(self.disk.clone()), Path::new(PATH), settings())
    }

    /// From the first opening to the last; whatever fails ends an opening, not the life.
    fn live(&mut self) {
        for rounds in [ROUNDS, ROUNDS_AFTER] {
            match self.open() {
                Ok((log, mut stepper)) => {
                    self.use_log(&log, &mut stepper, rounds);
                    stepper.finish();
                }
                Err(OpenError::Failed { .. }) => {}
                Err(error) => panic!("an opening that failed is told as such: {error}"),
            }
        }
    }

    fn use_log(&mut self, log: &Log, stepper: &mut Stepper, rounds: u64) {
        self.poisoned = false;
        if !self.load(log) {
            return;
        }
        let mut follower = None;
        for round in 0..rounds {
            self.send(log, stepper);
            if round % 3 == 0 {
                self.read(log, round / 3);
            }
            if round == rounds / 2 {
                let disk = Arc::new(self.disk.clone());
                follower = Follower::open_on(disk, Path::new(PATH), settings())
                    .inspect_err(|error| assert!(is_of_the_disk(error), "{error}"))
                    .ok();
            }
            if let Some(follower) = &follower {
                self.done(follower.refresh());
                let (behind, head) = (head(follower), head(log));
                assert!(behind <= head, "the follower is at {behind}, the log at {head}");
                self.done(block_on(follower.read_partition(everything(behind))));
            }
            if round == rounds * 3 / 4 {
                self.spoil_a_run();
            }
        }
        do_all(stepper);
    }

    /// The versions of all streams, and which of the appends whose outcome was not told are there.
    fn load(&mut self, log: &Log) -> bool {
        let Some(page) = self.done(block_on(log.read_partition(everything(Position::ZERO)))) else {
            return false;
        };
        self.take(&page.events);
        self.loading += 1;
        true
    }

    /// What is there is told from now on; what is not, will never be.
    fn take(&mut self, events: &[RecordedEvent]) {
        self.versions.clear();
        let found = events.iter().map(|event| event.append.id).collect::<BTreeSet<_>>();
        for (event, position) in events.iter().zip(1..) {
            assert_eq!(event.position, Position::new(position), "there are no holes");
            let id = event.append.id;
            let sent = self.told.get(&id).or_else(|| self.unknown.get(&id));
            let sent = sent.unwrap_or_else(|| panic!("{id} was not sent, or was refused"));
            let stands_on = event.append.expected.get();
            let body = &sent.events[(event.version.get() - stands_on - 1) as usize].body;
            assert_eq!(event.body, *body);
            self.versions.insert(event.stream().id().to_owned(), event.version.get());
        }
        let lost = self.told.keys().find(|id| !found.contains(id));
        assert_eq!(lost, None, "it was acknowledged");
        let unknown = std::mem::take(&mut self.unknown);
        self.told.extend(unknown.into_iter().filter(|(id, _)| found.contains(id)));
    }

    /// Sends appends to two streams as one group.
    fn send(&mut self, log: &Log, stepper: &mut Stepper) {
        let group = [0, 2].map(|behind| self.append((self.sent + behind) % STREAMS));
        self.sent += 1;
        let mut answer = Box::pin(log.append(group.to_vec()));
        do_all(stepper);
        let results = now(answer.as_mut()).expect("nobody is left waiting");
        assert_eq!(results.len(), group.len());
        // Some of a group may be refused before the commit of the others fails.
        let fails = results.contains(&Err(AppendError::UnknownOutcome));
        for (append, result) in group.into_iter().zip(results) {
            match result {
                Ok(committed) => {
                    assert!(!self.poisoned, "an acknowledgement behind a failed write");
                    let name = append.stream.id().to_owned();
                    self.versions.insert(name, committed.version.get());
                    self.told.insert(append.id, append);
                    continue;
                }
                Err(AppendError::UnknownOutcome) => {
                    self.unknown.insert(append.id, append);
                    self.refused.push(AppendError::UnknownOutcome);
                }
                Err(AppendError::Failed(_)) => assert!(self.poisoned || fails, "nothing failed"),
                Err(error @ (AppendError::Unavailable(_) | AppendError::Predecessor)) => {
                    assert!(!self.poisoned, "{error}");
                    // A run was spoiled on purpose.
                    if !error.to_string().contains("made anew") {
                        self.refused.push(error);
                    }
                }
                Err(error) => panic!("{error}"),
            }
            self.loading += 1;
        }
        self.poisoned |= fails;
    }

    /// What a read gives; none if it was told that it cannot be done now. That is so only where reading is what fails,
    /// or what was spoiled is made anew.
    fn done<T>(&self, read: Result<T, ReadError>) -> Option<T> {
        match read {
            Ok(read) => Some(read),
            Err(ReadError::Unavailable(what)) => {
                assert!(self.reads_fail || what.contains("made anew"), "{what}");
                None
            }
            Err(error) => panic!("a disk that fails is told as such: {error}"),
        }
    }

    fn append(&self, stream: u64) -> Append {
        let name = format!("s{stream}");
        let version = self.versions.get(&name).copied().unwrap_or_default();
        let keyed = Keyed { key: format!("k{}", self.sent), fingerprint: 1, reply: "1".into() };
        let more = AppendMore { keyed: Some(keyed), origin: Origin::default(), ..<_>::default() };
        let mut events = vec![event("x".repeat(300)), event("y".repeat(200 + stream as usize))];
        events[1].tags = vec![format!("t{stream}")];
        let loading = Loading::new(self.loading);
        Append { events, loading, more: Some(Box::new(more)), ..append(&name, version, 0) }
    }

    /// A read of each kind: what it gives is right, or it cannot be done now.
    fn read(&self, log: &Log, round: u64) {
        let name = format!("s{}", round % STREAMS);
        let stream = stream(&name);
        let version = self.versions.get(&name).copied().unwrap_or_default();
        let read = ReadStream::backwards(stream.clone()).limit_appends(2);
        if let Some(page) = self.done(block_on(log.read_stream(read))) {
            assert_eq!(page.newest.get(), version);
            for append in &page.appends {
                assert!(self.told.contains_key(&append.header.id));
            }
        }
        let filter = EventFilter { tags: vec!["t1".into()], ..EventFilter::default() };
        let read = everything(Position::ZERO).filter(filter);
        if let Some(page) = self.done(block_on(log.read_partition(read))) {
            let tagged = self.told.values().filter(|append| append.events[1].tags == ["t1"]);
            assert_eq!(page.events.len(), tagged.count());
        }
        let key = format!("k{}", self.sent.saturating_sub(12));
        let by = AppendBy::Key { principal: None, key: key.clone() };
        if let Some(found) = self.done(block_on(log.read_append(&stream, by))) {
            let has_key = |append: &&Append| {
                let keyed = append.more.as_ref().and_then(|more| more.keyed.as_ref());
                append.stream == stream && keyed.is_some_and(|keyed| keyed.key == key)
            };
            let told = self.told.values().find(has_key).map(|append| append.id);
            assert_eq!(found.map(|append| append.header.id), told);
        }
    }

    /// Damages the newest run, so that it has to be made anew.
    fn spoil_a_run(&self) {
        let files = self.disk.disk.files();
        let run = files.iter().rfind(|path| path.extension().is_some_and(|ext| ext == "run"));
        if let Some(run) = run {
            self.disk.disk.corrupt(run, Corruption::BitFlip { offset: 520, bit: 1 });
        }
    }

    /// The disk is well again, after a loss of power or of the process: everything that was told is there, and it
    /// goes on.
    fn afterwards(&mut self, power: bool) {
        self.reads_fail = false;
        if power {
            self.disk.disk.crash()
        } else {
            self.disk.disk.restart()
        }
        self.disk.disk.heal();
        let (log, mut stepper) = self.open().unwrap_or_else(|error| panic!("opening: {error}"));
        let events = all_events(&log);
        self.take(&events);
        self.poisoned = false;
        (self.loading, self.refused) = (self.loading + 1, Vec::new());
        self.send(&log, &mut stepper);
        assert!(self.refused.is_empty(), "{:?}", self.refused);
        stepper.finish();
        let files = JournalFiles::on(Arc::new(self.disk.clone()), Path::new(PATH));
        let report = verify(&files, &mut |_| {}).unwrap();
        // The run that was spoiled may be so still.
        let is_derived = |found: &Finding| found.kind == FindingKind::Derived;
        assert!(report.findings.iter().all(is_derived), "{:?}", report.findings);
    }
}

/// Does all that there is to do. A segment that cannot be made is tried again without end: that is done a few times.
fn do_all(stepper: &mut Stepper) {
    const PREPARES_MAX: usize = 16;
    let others = [Step::Commit, Step::Take, Step::Write, Step::Seal];
    for _ in 0..PREPARES_MAX {
        while others.iter().any(|step| stepper.step(*step)) {}
        if !stepper.step(Step::Prepare) {
            return;
        }
    }
}

fn head(journal: &impl Journal) -> Position {
    block_on(journal.head(PARTITION)).unwrap().position
}

fn everything(after: Position) -> ReadPartition {
    ReadPartition { limit_events: 10_000, ..ReadPartition::after(PARTITION, after) }
}

fn is_of_the_disk(error: &OpenError) -> bool {
    matches!(error, OpenError::Failed { .. } | OpenError::Unpublished { .. })
}

fn is_derived(path: &Path) -> bool {
    let name = path.to_string_lossy();
    name.contains(".footer") || name.contains(".run")
}

/// A life in which a call fails.
fn struck(fault: Fault, calls: &[PathBuf]) {
    let Fault { kind, nth, forever } = fault;
    let mut life = Life::new(nth);
    life.reads_fail = matches!(kind, FaultKind::Read | FaultKind::Directory);
    life.disk.disk.fail(fault);
    life.live();
    let file = &calls[nth as usize - 1];
    let made = life.disk.calls(kind);
    assert_eq!(made.get(nth as usize - 1), Some(file), "it was the same call");
    if is_derived(file) && !forever && kind != FaultKind::Read {
        assert_eq!(life.refused, [], "sealing fails no append: {}", file.display());
    }
    life.afterwards(nth % 2 == 0);
}

#[test]
fn every_call_fails_once_and_for_ever() {
    let begun = Instant::now();
    let mut whole = Life::new(0);
    whole.live();
    assert_eq!(whole.refused, []);
    let kinds = [FaultKind::Write, FaultKind::Sync, FaultKind::Read, FaultKind::Directory];
    let calls = kinds.map(|kind| (kind, whole.disk.calls(kind)));
    // What is to be struck happens at all.
    let files = calls.iter().flat_map(|(_, calls)| calls);
    let names = files.map(|path| path.to_string_lossy().into_owned()).collect::<BTreeSet<_>>();
    assert!(names.iter().any(|name| name.ends_with("00000001-00000008.run")), "{names:?}");
    let faults = calls.iter().flat_map(|(kind, calls)| {
        (1..=calls.len() as u64).flat_map(move |nth| {
            [false, true].map(|forever| (Fault { kind: *kind, nth, forever }, calls))
        })
    });
    let all = std::env::var_os("KRONIKA_SWEEP").is_some();
    let faults = faults.step_by(if all { 1 } else { ONE_OF });
    let faults = faults.collect::<Vec<_>>();
    let next = Mutex::new(faults.iter());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let Some((fault, calls)) = next.lock().unwrap().next() else { return };
                    let told = Told(*fault);
                    struck(*fault, calls);
                    std::mem::forget(told);
                }
            });
        }
    });
    let counts =
        calls.each_ref().map(|(kind, calls)| format!("{} of {kind:?}", calls.len())).join(", ");
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!("{} faults, calls: {counts}; {seconds:.1} s", faults.len());
}

/// Says which fault it was when a life panics.
struct Told(Fault);

impl Drop for Told {
    fn drop(&mut self) {
        eprintln!("{:?}", self.0);
    }
}
