//! The log's threads side by side, and when one of them panics: no read calls a commit damage that is just becoming
//! visible, and no caller is left waiting.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use kronika_core::{Append, AppendError, Journal, ReadStream};
use kronika_log::{Disk, DiskFile, FileSystem, Log, OpenMode, Settings, SimulatedDisk};
use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

const PATH: &str = "/data/journal";

/// The index tells of a commit before the published head does, and what it tells of is not behind the end.
#[test]
fn a_read_beside_a_write_never_finds_damage() {
    let settings = Settings { recent_bytes: 0, ..Settings::small() };
    let disk = SimulatedDisk::new(1);
    let log = Log::open_on(Arc::new(disk), Path::new(PATH), settings).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let read = ReadStream::backwards(stream("a")).limit_appends(1);
                    block_on(log.read_stream(read)).unwrap();
                }
            });
        }
        let results = (0..3000).map(|version| send_one(&log, append("a", version, 1)));
        let whole = results.fold(true, |whole, result| whole & result.is_ok());
        done.store(true, Ordering::Relaxed);
        assert!(whole);
    });
}

/// A disk whose writes panic once it is told to, but for the small ones of the published head.
#[derive(Debug, Clone)]
struct PanickingDisk(SimulatedDisk, Arc<AtomicBool>);

#[derive(Debug)]
struct PanickingFile(Arc<dyn DiskFile>, Arc<AtomicBool>);

impl Disk for PanickingDisk {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.0.create_directory(path)
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.0.list(directory)
    }
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(PanickingFile(self.0.open(path, mode)?, Arc::clone(&self.1))))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }
    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.0.sync_directory(directory)
    }
    fn file_system(&self, directory: &Path) -> io::Result<FileSystem> {
        self.0.file_system(directory)
    }
}

impl DiskFile for PanickingFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        assert!(bytes.len() <= 64 || !self.1.load(Ordering::Relaxed), "the planted panic");
        self.0.write_at(bytes, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }
}

/// Fails instead of hanging when somebody is left waiting.
fn in_time(work: impl FnOnce() + Send + 'static) {
    let (sender, receiver) = mpsc::channel();
    let working = thread::spawn(move || {
        work();
        sender.send(()).unwrap();
    });
    let ended = receiver.recv_timeout(Duration::from_secs(60));
    assert_ne!(ended, Err(mpsc::RecvTimeoutError::Timeout), "somebody is left waiting");
    working.join().unwrap();
}

#[test]
fn a_panic_of_the_writing_thread_is_a_failed_write() {
    in_time(|| {
        let panics = Arc::new(AtomicBool::new(false));
        let disk = PanickingDisk(SimulatedDisk::new(1), Arc::clone(&panics));
        let log = Log::open_on(Arc::new(disk), Path::new(PATH), Settings::small()).unwrap();
        send_one(&log, append("a", 0, 1)).unwrap();
        panics.store(true, Ordering::Relaxed);
        // So many that they are not written by the commit thread itself.
        let group = |letter| (0..8).map(|n| append(&format!("{letter}{n}"), 0, 1)).collect();
        // The writing thread may have taken the batch in the midst of the group.
        let results = send(&log, group('b'));
        assert_eq!((results.len(), &results[0]), (8, &Err(AppendError::UnknownOutcome)));
        assert!(results.iter().all(Result::is_err), "{results:?}");
        for letter in ['c', 'd'] {
            for result in send(&log, group(letter)) {
                assert!(matches!(result, Err(AppendError::Failed(_))), "{result:?}");
            }
        }
        assert_eq!(all_events(&log).len(), 1);
        drop(log);
    });
}

/// The results of the part that was being written were lost with it, and those of the rest were given as if they
/// were all.
#[test]
fn a_group_over_several_commits_gets_a_result_for_each_append_though_a_write_panics() {
    in_time(|| {
        let panics = Arc::new(AtomicBool::new(false));
        let disk = PanickingDisk(SimulatedDisk::new(1), Arc::clone(&panics));
        let settings = Settings { commit_bytes: 1 << 10, ..Settings::small() };
        let log = Log::open_on(Arc::new(disk), Path::new(PATH), settings).unwrap();
        panics.store(true, Ordering::Relaxed);
        let results = send(&log, (0..40).map(|n| append(&format!("a{n}"), 0, 1)).collect());
        assert_eq!(results.len(), 40);
        assert_eq!(results[0], Err(AppendError::UnknownOutcome));
        assert!(matches!(results[39], Err(AppendError::Failed(_))), "{results:?}");
    });
}

#[test]
fn a_commit_is_bounded_whatever_is_set() {
    in_time(|| {
        let directory = tempfile::tempdir().unwrap();
        let (commit_bytes, queue_bytes) = (64 << 20, 256 << 20);
        let settings = Settings { commit_bytes, queue_bytes, ..Settings::default() };
        let log = Log::open(&directory.path().join("journal"), settings).unwrap();
        let body = event(vec![b'x'; 1 << 20]);
        let large = |n| Append { events: vec![body.clone(); 7], ..append(&format!("b{n}"), 0, 0) };
        let results = send(&log, (0..5).map(large).collect());
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    });
}
