//! The sealing thread, step by step: runs that are wrong, merged meanwhile or many, and what a failure must not leave
//! behind.

use crate::{
    Follower, Log, Settings, SimulatedDisk, Step, Stepper,
    format::Seal,
    seal_segment::FullSegment,
    sealing::Sealing,
    segments::{run_path, segment_path},
};
use kronika_core::{
    Append, AppendId, Appended, Direction, Epoch, Journal, Loading, NewEvent, ReadStream, StreamId,
    Timestamp, Version,
};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

const PATH: &str = "/data/journal";
const STREAMS: u64 = 50;

struct Sealed {
    disk: SimulatedDisk,
    log: Log,
    stepper: Stepper,
    appends: u64,
}

fn stream(number: u64) -> StreamId {
    StreamId::new("talk", &format!("s{number}")).unwrap()
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

impl Sealed {
    fn new(settings: Settings) -> Self {
        Self::on(SimulatedDisk::new(1), settings)
    }

    fn on(disk: SimulatedDisk, settings: Settings) -> Self {
        let settings = Settings {
            segment_bytes: 16 << 10,
            first_segment_bytes: 16 << 10,
            streams_remembered_max: 0,
            recent_bytes: 0,
            seed: Some(1),
            ..settings
        };
        let arc = Arc::new(disk.clone());
        let (log, stepper) = Log::open_stepped(arc, Path::new(PATH), settings).unwrap();
        Self { disk, log, stepper, appends: 0 }
    }

    /// Appends one event to one stream after the other.
    fn append(&mut self) {
        self.try_append("1").unwrap();
    }

    fn try_append(&mut self, body: &'static str) -> Appended {
        let (stream, version) = (stream(self.appends % STREAMS), self.appends / STREAMS);
        self.appends += 1;
        let event =
            NewEvent { name: "said".into(), schema: 1, body: body.into(), ..NewEvent::default() };
        let append = Append {
            id: AppendId::from_parts(Timestamp::new(1_700_000_000_000_000), self.appends),
            stream,
            expected: Version::new(version),
            epoch: Epoch::default(),
            loading: Loading::new(1),
            events: vec![event],
            command: "say".into(),
            more: None,
        };
        let answer = self.log.append(vec![append]);
        while self.stepper.step(Step::Commit) {}
        run(answer).remove(0)
    }

    /// Appends until so many segments are full.
    fn fill(&mut self, full: usize) {
        while self.full() < full {
            self.append();
        }
    }

    fn full(&self) -> usize {
        self.log.shared.durable().end.segment() as usize - 1
    }

    /// Seals, merges and makes anew until nothing is left to do, also after failures.
    fn seal(&mut self) {
        for _ in 0..50 {
            while self.stepper.step(Step::Seal) {}
        }
    }

    fn runs(&self) -> Vec<(u32, u32)> {
        let runs = self.log.shared.index.runs();
        runs.runs.iter().map(|run| (run.first, run.last)).collect()
    }

    /// Every stream gives all its appends.
    fn check(&self) {
        for number in 0..STREAMS {
            let appends = (self.appends + STREAMS - 1 - number) / STREAMS;
            for direction in [Direction::Forwards, Direction::Backwards] {
                let read = match direction {
                    Direction::Forwards => ReadStream::forwards(stream(number)),
                    Direction::Backwards => ReadStream::backwards(stream(number)),
                };
                let page = run(self.log.read_stream(read)).unwrap();
                assert_eq!(page.newest.get(), appends);
                assert_eq!(page.appends.len() as u64, appends);
            }
        }
    }
}

/// A reader finds a block of a run wrong and doubts it, while that run is merged with its neighbours.
#[test]
fn a_run_that_was_doubted_and_is_merged_by_now_hides_nothing() {
    let mut sealed = Sealed::new(Settings::small());
    sealed.fill(10);
    sealed.seal();
    assert_eq!(sealed.runs(), [(1, 8), (9, 9), (10, 10)]);
    sealed.log.shared.sealing.doubt((3, 3));
    sealed.seal();
    assert_eq!(sealed.runs(), [(1, 8), (9, 9), (10, 10)]);
    sealed.check();
    sealed.append();
    sealed.check();
}

#[test]
fn a_run_that_cannot_be_merged_since_it_is_wrong_is_made_anew() {
    let mut sealed = Sealed::new(Settings::small());
    for full in 1..=7 {
        sealed.fill(full);
        sealed.seal();
    }
    let path = run_path(Path::new(PATH), 3, 3);
    let mut bytes = sealed.disk.contents(&path);
    bytes[700] ^= 1;
    sealed.disk.replace(&path, &bytes);
    sealed.fill(8);
    sealed.seal();
    assert_eq!(sealed.log.stats().sealing_failure, None);
    assert_eq!(sealed.runs(), [(1, 8)]);
    sealed.check();
}

#[test]
fn a_merged_run_is_made_anew_from_all_its_segments() {
    let mut sealed = Sealed::new(Settings::small());
    sealed.fill(75);
    sealed.seal();
    assert_eq!(sealed.runs()[..2], [(1, 64), (65, 72)]);
    for doubted in [(1, 64), (65, 72), (73, 73)] {
        let path = run_path(Path::new(PATH), doubted.0, doubted.1);
        let bytes = sealed.disk.contents(&path);
        sealed.disk.replace(&path, &[]);
        sealed.log.shared.sealing.doubt(doubted);
        sealed.seal();
        assert_eq!(sealed.disk.contents(&path), bytes);
    }
    assert_eq!(sealed.runs(), [(1, 64), (65, 72), (73, 73), (74, 74), (75, 75)]);
    let run_files =
        sealed.disk.files().into_iter().filter(|path| path.extension() == Some("run".as_ref()));
    assert_eq!(run_files.count(), 5);
    sealed.check();
}

#[test]
fn a_failure_to_merge_is_told_until_it_is_over() {
    let mut sealed = Sealed::new(Settings::small());
    sealed.fill(8);
    while sealed.runs().len() < 8 {
        assert!(sealed.stepper.step(Step::Seal));
    }
    sealed.disk.fail(crate::Fault { kind: crate::FaultKind::Write, nth: 1, forever: true });
    assert!(!sealed.stepper.step(Step::Seal));
    assert!(sealed.log.stats().sealing_failure.is_some());
    sealed.disk.heal();
    sealed.seal();
    assert_eq!(sealed.runs(), [(1, 8)]);
    assert_eq!(sealed.log.stats().sealing_failure, None);
}

/// What is merged gives its memory back, so that the run made of it may have it.
#[test]
fn the_filter_of_a_merged_run_has_the_memory_of_those_that_it_was_merged_from() {
    let mut sealed = Sealed::new(Settings { index_bytes: 512, ..Settings::small() });
    for full in 1..=8 {
        sealed.fill(full);
        sealed.seal();
        assert!(sealed.log.stats().filter_bytes <= 512);
    }
    assert_eq!(sealed.runs(), [(1, 8)]);
    assert_eq!(
        sealed.log.stats().filter_bytes,
        64 + 5 * 8,
        "a block for fifty streams, and fences"
    );
}

fn full(segment: u32) -> FullSegment {
    FullSegment { segment, seal: Seal::new(1, segment, 1), check: 0, end: 4096 }
}

/// A damaged segment ends sealing; then a run is made anew, which went well. Nobody seals what is full: whoever waited
/// for that would wait for ever.
#[test]
fn nobody_waits_for_sealing_once_a_segment_is_damaged() {
    let sealing = Arc::new(Sealing::new(Vec::new()));
    sealing.failed("the journal is damaged".to_owned(), true);
    sealing.written();
    assert!(sealing.failure().is_some(), "it is still so");
    let (sender, receiver) = mpsc::channel();
    let filling = Arc::clone(&sealing);
    thread::spawn(move || {
        (1..40).for_each(|segment| filling.full(full(segment)));
        sender.send(()).unwrap();
    });
    assert!(receiver.recv_timeout(Duration::from_secs(20)).is_ok(), "the writer waits");
}

#[test]
fn making_a_run_anew_ends_when_the_log_is_closed() {
    let mut sealed = Sealed::new(Settings::small());
    sealed.fill(8);
    sealed.seal();
    let (calls, closes) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let sealing = Arc::clone(&sealed.log.shared.sealing);
    let (counted, closing) = (Arc::clone(&calls), Arc::clone(&closes));
    sealed.disk.watch(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        if closing.load(Ordering::Relaxed) {
            sealing.close();
        }
    });
    let mut renew = || {
        sealed.log.shared.sealing.doubt((1, 8));
        calls.store(0, Ordering::Relaxed);
        sealed.stepper.step(Step::Seal);
        calls.load(Ordering::Relaxed)
    };
    let all = renew();
    closes.store(true, Ordering::Relaxed);
    let some = renew();
    assert!(some < all / 4, "{some} calls of {all}");
}

/// What is sealed drops appends from memory, and readers look there too: neither waits for a file that tells the
/// version of another stream.
#[test]
fn no_stream_is_locked_while_a_version_is_looked_up_in_files() {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut sealed = Sealed::new(Settings { index_bytes: 0, ..Settings::small() });
        sealed.fill(2);
        sealed.seal();
        sealed.fill(3);
        let (log, beside) = (sealed.log.clone(), sealed.stepper.beside());
        sealed.disk.watch(move |_| {
            if log.stats().sealed_segments < 3 {
                beside.step(Step::Seal);
            }
        });
        for _ in 0..STREAMS {
            sealed.append();
        }
        sealed.check();
        sender.send(sealed.log.stats().sealed_segments).unwrap();
    });
    assert_eq!(receiver.recv_timeout(Duration::from_secs(20)), Ok(3));
}

/// All before it is sealed, so a follower begins with a segment that has no commit yet; then a commit comes that this
/// one has no room for, and it is made anew, larger, under the same name.
#[test]
fn a_follower_reads_on_in_a_segment_that_was_made_anew() {
    let mut sealed = Sealed::new(Settings::small());
    sealed.fill(1);
    let used = |sealed: &Sealed| sealed.log.shared.durable().end.offset();
    let before = used(&sealed);
    sealed.append();
    let bytes = used(&sealed) - before;
    while used(&sealed) + bytes <= 16 << 10 {
        sealed.append();
        while sealed.stepper.step(Step::Prepare) {}
    }
    // The first commit of the third segment fails, and leaves nothing there.
    sealed.disk.fail(crate::Fault { kind: crate::FaultKind::Write, nth: 1, forever: false });
    sealed.try_append("1").unwrap_err();
    sealed.seal();
    assert_eq!(sealed.runs(), [(1, 1), (2, 2)]);
    let Sealed { disk, log, stepper, .. } = sealed;
    drop((log, stepper));
    disk.restart();
    let mut sealed = Sealed::on(disk.clone(), Settings::small());
    assert_eq!(sealed.runs(), [(1, 1), (2, 2)]);
    let path = segment_path(Path::new(PATH), 3);
    let before = disk.contents(&path).len();
    let follower = Follower::open_on(Arc::new(disk.clone()), Path::new(PATH), Settings::small());
    let follower = follower.unwrap();
    let large = String::leak("x".repeat(20 << 10));
    let event = NewEvent { name: "said".into(), body: (&*large).into(), ..NewEvent::default() };
    let append = Append {
        id: AppendId::from_parts(Timestamp::new(1_700_000_000_000_000), 1 << 20),
        stream: StreamId::new("talk", "large").unwrap(),
        expected: Version::new(0),
        epoch: Epoch::default(),
        loading: Loading::new(1),
        events: vec![event],
        command: "say".into(),
        more: None,
    };
    let answer = sealed.log.append(vec![append]);
    while sealed.stepper.step(Step::Commit) {}
    run(answer).remove(0).unwrap();
    assert!(disk.contents(&path).len() > before, "it was made anew");
    assert!(follower.refresh().unwrap());
    let of_log = run(sealed.log.head(Default::default())).unwrap();
    assert_eq!(run(follower.head(Default::default())).unwrap(), of_log);
}
