//! The conformance suite of journals on the embedded log: in directories, on a simulated disk that loses what
//! was not synced, and with planted faults, which it must find.

use kronika_core::Timestamp;
use kronika_log::{Fault, FaultKind, Log, PlantedFault, Settings, SimulatedDisk};
use kronika_testkit::{Injection, MakeJournal, run_all, run_one};
use std::{
    cell::Cell,
    cmp::Reverse,
    ffi::OsString,
    fs, io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::SystemTime,
};
use tempfile::TempDir;

/// By how much the wall clock of this process was turned back.
static TURNED_BACK_US: AtomicI64 = AtomicI64::new(0);

fn clock() -> Timestamp {
    let now = Timestamp::from_system(SystemTime::now());
    Timestamp::new(now.get() - TURNED_BACK_US.load(Ordering::SeqCst))
}

/// Small, so that segments roll and readers meet files.
fn small() -> Settings {
    Settings { recent_bytes: 4 << 10, clock, ..Settings::small() }
}

fn turn_clock_back() {
    TURNED_BACK_US.fetch_add(3_600_000_000, Ordering::SeqCst);
}

/// Logs in directories of the real disk. A crash is that of the process: the directory is copied as it is.
struct Directories(Settings);

impl MakeJournal for Directories {
    type Journal = Log;
    type Place = TempDir;

    fn place(&self) -> TempDir {
        tempfile::tempdir().expect("a directory can be made")
    }

    async fn open(&self, place: &TempDir) -> Log {
        let opened = Log::open(&place.path().join("journal"), self.0.clone());
        opened.unwrap_or_else(|error| panic!("the log cannot be opened: {error}"))
    }

    async fn crash(&self, place: &mut TempDir, journal: Log) -> Option<Log> {
        let copy = self.place();
        copy_directory(&place.path().join("journal"), &copy.path().join("journal"));
        drop(journal);
        *place = copy;
        Some(self.open(place).await)
    }

    fn inject(&self, _: &Log, injection: Injection) -> bool {
        let clock_back = injection == Injection::ClockBack;
        if clock_back {
            turn_clock_back();
        }
        clock_back
    }
}

/// The log goes on meanwhile, and a copy is not taken at one instant: first what says how much is durable, then
/// the segments from the last to the first, so that nothing is copied that stands on what was not yet there.
fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory can be made");
    let entries = fs::read_dir(from).expect("the log's directory can be listed");
    let names = entries.map(|entry| entry.expect("the log's directory can be listed").file_name());
    let mut names = names.collect::<Vec<_>>();
    let is_segment = |name: &OsString| name.to_string_lossy().ends_with(".segment");
    names.sort_by_key(|name| (is_segment(name), Reverse(name.clone())));
    for name in names {
        match fs::copy(from.join(&name), to.join(&name)) {
            Ok(_) => {}
            // A segment that was still being made has got its name meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => panic!("{} cannot be copied: {error}", name.display()),
        }
    }
}

/// Logs on simulated disks. A crash is a loss of power.
struct Simulated {
    settings: Settings,
    seeds: Cell<u64>,
    newest: Cell<Option<SimulatedDisk>>,
}

impl Simulated {
    fn new(planted_fault: Option<PlantedFault>) -> Self {
        let settings = Settings { planted_fault, ..small() };
        Self { settings, seeds: Cell::new(0), newest: Cell::new(None) }
    }
}

impl MakeJournal for Simulated {
    type Journal = Log;
    type Place = SimulatedDisk;

    fn place(&self) -> SimulatedDisk {
        self.seeds.set(self.seeds.get() + 1);
        SimulatedDisk::new(self.seeds.get())
    }

    async fn open(&self, disk: &SimulatedDisk) -> Log {
        disk.heal();
        self.newest.set(Some(disk.clone()));
        let path = Path::new("/data/journal");
        let opened = Log::open_on(Arc::new(disk.clone()), path, self.settings.clone());
        opened.unwrap_or_else(|error| panic!("the log cannot be opened: {error}"))
    }

    async fn crash(&self, disk: &mut SimulatedDisk, journal: Log) -> Option<Log> {
        disk.crash();
        drop(journal);
        Some(self.open(disk).await)
    }

    fn inject(&self, _: &Log, injection: Injection) -> bool {
        match injection {
            Injection::ClockBack => turn_clock_back(),
            Injection::FailedWrite => {
                let disk = self.newest.take().expect("a log was opened before");
                disk.fail(Fault { kind: FaultKind::Sync, nth: 1, forever: true });
                self.newest.set(Some(disk));
            }
            _ => return false,
        }
        true
    }
}

async fn check<M: MakeJournal>(make: &M) {
    if let Err(failures) = run_all(make).await {
        panic!("{failures}");
    }
}

#[tokio::test]
async fn a_log_in_a_directory_conforms() {
    check(&Directories(Settings { clock, ..Settings::default() })).await;
}

#[tokio::test]
async fn a_log_of_small_segments_conforms() {
    check(&Directories(small())).await;
}

#[tokio::test]
async fn a_log_that_loses_power_conforms() {
    check(&Simulated::new(None)).await;
}

#[tokio::test]
async fn planted_faults_are_found() {
    let faults = [
        (PlantedFault::ChainLeftOut, "chains::what_stands_on_a_failed_append_fails_in_its_group"),
        (
            PlantedFault::ChainLeftOut,
            "chains::what_stands_on_a_failed_append_fails_in_later_groups",
        ),
        (PlantedFault::ReplyBeforeSync, "faults::what_was_acknowledged_survives_a_crash"),
    ];
    for (fault, case) in faults {
        let found = run_one(&Simulated::new(Some(fault)), case).await;
        assert!(found.is_err(), "{case} does not find {fault:?}");
    }
}
