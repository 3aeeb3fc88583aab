//! What the embedded store of snapshots takes: time to save and to find, memory, and time to open after a process
//! ended without closing it. `cargo run --release -p kronika-log --example snapshots -- DIRECTORY`.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "its output is its purpose")]

use kronika_core::{
    Codec, Incarnation, Mark, Position, Snapshot, SnapshotStore, StreamId, Version,
};
use kronika_log::{DirectoryLock, SnapshotSettings, Snapshots};
use std::{path::Path, process::Command, sync::Arc, time::Instant};

const SMALL: u64 = 100_000;
const LARGE: u64 = 10;

fn snapshot(aggregate_type: &str, id: u64, version: u64, bytes: usize) -> Snapshot {
    let stream = StreamId::new(aggregate_type, &format!("{id:08}")).unwrap();
    let mark = Mark { position: Position::new(id), ..Mark::default() };
    let (version, state) = (Version::new(version), vec![b'7'; bytes].into());
    let (incarnation, codec) = (Incarnation::new(1), Codec::Json);
    Snapshot { stream, incarnation, version, mark, schema: 1, keyed: false, codec, state }
}

fn open(directory: &Path) -> Snapshots {
    let lock = Arc::new(DirectoryLock::acquire(directory).unwrap());
    let file = directory.join("snapshots.redb");
    Snapshots::open_locked(&file, lock, SnapshotSettings::default()).unwrap()
}

fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn fill(directory: &Path) {
    let store = open(directory);
    for round in 1..=3 {
        let began = Instant::now();
        // As many at a time as one aggregate type has on their way.
        for first in (0..SMALL).step_by(64) {
            let batch = first..(first + 64).min(SMALL);
            let saved = batch.map(|id| store.save(snapshot("small", id, round, 200)));
            for saved in saved.collect::<Vec<_>>() {
                saved.await.unwrap();
            }
        }
        let took = began.elapsed();
        println!("{SMALL} of 200 bytes, round {round}: {took:?}, {} KiB in memory", memory_kib());
    }
    let began = Instant::now();
    for id in 0..LARGE {
        store.save(snapshot("large", id, 1, 1_000_000)).await.unwrap();
    }
    println!("{LARGE} of 1 MB: {:?}, {} KiB in memory", began.elapsed(), memory_kib());
    store.sync().await.unwrap();
    // Some that are not durable, as there always are.
    for id in 0..1000 {
        store.save(snapshot("small", id, 9, 200)).await.unwrap();
    }
    let bytes = std::fs::metadata(directory.join("snapshots.redb")).unwrap().len();
    println!("the file has {} MB", bytes / 1_000_000);
    std::process::abort();
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let directory = Path::new(&arguments[1]);
    if arguments.len() > 2 {
        return fill(directory).await;
    }
    std::fs::create_dir_all(directory).unwrap();
    Command::new(&arguments[0]).args([&arguments[1], "fill"]).status().unwrap();
    for opening in ["after the process ended in the middle", "after it was closed"] {
        let began = Instant::now();
        let store = open(directory);
        assert!(store.load(&snapshot("small", 1, 1, 1).stream).await.unwrap().is_some());
        println!("first one found {opening}: {:?}", began.elapsed());
        let began = Instant::now();
        for id in 0..10_000 {
            let stream = snapshot("small", id * 9, 1, 1).stream;
            assert!(store.load(&stream).await.unwrap().is_some());
        }
        println!("10000 found: {:?}, {} KiB in memory", began.elapsed(), memory_kib());
    }
}
