//! The store on a real file: what is saved is found or is absent, whatever befalls the file.

use super::*;
use kronika_core::{Codec, Incarnation, Mark, Position, Version};
use std::{fs, path::PathBuf};

fn snapshot(id: usize, version: u64, bytes: usize) -> Snapshot {
    let stream = StreamId::new("account", &id.to_string()).unwrap();
    let mark = Mark { position: Position::new(version), check: id as u32, ..Mark::default() };
    let state = format!("\"{}\"", (id % 10).to_string().repeat(bytes)).into();
    let (incarnation, schema, keyed) = (Incarnation::new(9), 1, id.is_multiple_of(2));
    let version = Version::new(version);
    Snapshot { stream, incarnation, version, mark, schema, keyed, codec: Codec::Json, state }
}

struct Bed {
    directory: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Bed {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { directory: tempfile::tempdir().unwrap(), runtime }
    }
    fn file(&self) -> PathBuf {
        self.directory.path().join("snapshots.redb")
    }
    fn open(&self) -> Snapshots {
        let lock = Arc::new(DirectoryLock::acquire(self.directory.path()).unwrap());
        Snapshots::open_locked(&self.file(), lock, SnapshotSettings::default()).unwrap()
    }
    fn save(&self, store: &Snapshots, snapshot: &Snapshot) -> Saved {
        self.runtime.block_on(store.save(snapshot.clone()))
    }
    fn load(
        &self,
        store: &Snapshots,
        snapshot: &Snapshot,
    ) -> Result<Option<Snapshot>, SnapshotError> {
        self.runtime.block_on(store.load(&snapshot.stream))
    }
}

#[test]
fn the_newest_of_each_stream_is_found_also_by_the_next_process() {
    let bed = Bed::new();
    let store = bed.open();
    assert_eq!(bed.load(&store, &snapshot(1, 1, 1)), Ok(None));
    assert!(!bed.file().exists(), "nothing was stored");
    for version in [256, 512] {
        (0..50).for_each(|id| assert_eq!(bed.save(&store, &snapshot(id, version, 100)), Ok(())));
    }
    let found = |store: &Snapshots| {
        for id in 0..50 {
            let newest = snapshot(id, 512, 100);
            assert_eq!(bed.load(store, &newest), Ok(Some(newest)));
        }
        assert_eq!(bed.load(store, &snapshot(50, 1, 1)), Ok(None));
    };
    found(&store);
    drop(store);
    found(&bed.open());
}

#[test]
fn what_is_too_large_is_refused_and_of_too_many_the_oldest_are_left_out() {
    let bed = Bed::new();
    let store = bed.open();
    let large = bed.save(&store, &snapshot(1, 1, 16 << 20));
    assert!(matches!(large, Err(SnapshotError::TooLarge { .. })));
    let queue = Queue::new(3, 250, 1);
    let mut answers: Vec<_> = (0..5).map(|id| queue.save(snapshot(id, 1, 10))).collect();
    assert_eq!(answers[0].try_recv(), Ok(Err(SnapshotError::LeftOut)));
    assert_eq!(answers[1].try_recv(), Ok(Err(SnapshotError::LeftOut)));
    answers.push(queue.save(snapshot(5, 1, 230)));
    let ToSave::Some(waiting, _) = queue.next_to_save(None) else { panic!("something waits") };
    let versions = waiting.snapshots.iter().map(|it| it.mark.check).collect::<Vec<_>>();
    assert_eq!(versions, [4, 5], "bytes are bounded, too");
    assert!(queue.load(&snapshot(1, 1, 1).stream).is_some());
    assert!(queue.load(&snapshot(1, 1, 1).stream).is_none());
}

#[test]
fn a_file_that_is_none_is_set_aside_and_a_new_one_is_begun() {
    let good = {
        let bed = Bed::new();
        let store = bed.open();
        (0..200).for_each(|id| bed.save(&store, &snapshot(id, 7, 300)).unwrap());
        drop(store);
        fs::read(bed.file()).unwrap()
    };
    let text = b"these are my own notes".to_vec();
    let cuts = [1, 600, 4096, 5000, good.len() / 2, good.len() - 1].map(|cut| good[..cut].to_vec());
    for bytes in cuts.into_iter().chain([text]) {
        let bed = Bed::new();
        fs::write(bed.file(), &bytes).unwrap();
        let store = bed.open();
        // A cut may have left the whole of it readable; most often it is gone.
        let length = bytes.len();
        if let Some(found) = bed.load(&store, &snapshot(3, 7, 300)).ok().flatten() {
            assert_eq!(found, snapshot(3, 7, 300), "{length}");
        } else {
            assert_eq!(fs::read(file::aside(&bed.file())).unwrap(), bytes, "{length}");
        }
        assert_eq!(bed.save(&store, &snapshot(3, 8, 10)), Ok(()), "{length}");
        assert_eq!(bed.load(&store, &snapshot(3, 8, 10)), Ok(Some(snapshot(3, 8, 10))));
    }
}

#[test]
fn a_file_with_a_flipped_byte_gives_what_was_saved_or_nothing() {
    let first = Bed::new();
    let store = first.open();
    (0..60).for_each(|id| first.save(&store, &snapshot(id, 7, 200)).unwrap());
    drop(store);
    let good = fs::read(first.file()).unwrap();
    let used = good.iter().rposition(|byte| *byte != 0).unwrap();
    let mut aside = 0;
    for at in (0..512).step_by(16).chain((512..=used).step_by(used / 60)) {
        let bed = Bed::new();
        let mut bytes = good.clone();
        bytes[at] ^= 0x40;
        fs::write(bed.file(), &bytes).unwrap();
        let store = bed.open();
        for id in [0, 17, 59] {
            if let Ok(Some(found)) = bed.load(&store, &snapshot(id, 7, 200)) {
                assert_eq!(found, snapshot(id, 7, 200), "byte {at}");
            }
        }
        aside += usize::from(file::aside(&bed.file()).exists());
        assert_eq!(bed.save(&store, &snapshot(3, 8, 10)), Ok(()), "byte {at}");
        assert_eq!(bed.load(&store, &snapshot(3, 8, 10)), Ok(Some(snapshot(3, 8, 10))), "{at}");
    }
    assert!(aside > 25, "only {aside} were noticed");
}

#[test]
fn a_file_that_cannot_be_opened_costs_the_snapshots_only() {
    let bed = Bed::new();
    fs::create_dir(bed.file()).unwrap();
    let store = bed.open();
    for _ in 0..3 {
        let saved = bed.save(&store, &snapshot(1, 1, 1));
        assert!(matches!(saved, Err(SnapshotError::Unavailable(_))), "{saved:?}");
        let loaded = bed.load(&store, &snapshot(1, 1, 1));
        assert!(matches!(loaded, Err(SnapshotError::Unavailable(_))), "{loaded:?}");
    }
}

#[test]
fn synced_is_what_was_saved_before() {
    let bed = Bed::new();
    let store = bed.open();
    assert_eq!(bed.runtime.block_on(store.sync()), Ok(()), "nothing is durable at once");
    let saved = (0..1000).map(|id| store.save(snapshot(id, 3, 5_000))).collect::<Vec<_>>();
    assert_eq!(bed.runtime.block_on(store.sync()), Ok(()));
    for saved in saved {
        assert_eq!(bed.runtime.block_on(saved), Ok(()));
    }
    // What another process would find if this one was killed now.
    let copy = Bed::new();
    fs::copy(bed.file(), copy.file()).unwrap();
    let store = copy.open();
    for id in 0..1000 {
        let saved = snapshot(id, 3, 5_000);
        assert_eq!(copy.load(&store, &saved), Ok(Some(saved)));
    }
}
