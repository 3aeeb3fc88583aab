//! Measures the log against the limit of the disk: the same bytes in the same batches, written raw into a
//! zero-filled file, one `pwrite` and one `fdatasync` each. The two take turns within one run.
//!
//! `cargo run --release -p kronika-log --example raw -- [callers] [seconds]`
#![allow(clippy::print_stdout)]

use bytes::Bytes;
use kronika_core::{
    Append, AppendId, Epoch, Journal, Loading, NewEvent, PartitionId, Position, ReadPartition,
    StreamId, Timestamp, Version,
};
use kronika_log::{Log, Settings};
use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

const BODY_BYTES: usize = 256;
const RAW_BYTES: u64 = 64 << 20;
const SLICES_MIN: usize = 5;

fn new_append(stream: &StreamId, expected: u64, random: u64, body: &Bytes) -> Append {
    let event =
        NewEvent { name: "deposited".into(), schema: 1, body: body.clone(), ..NewEvent::default() };
    Append {
        id: AppendId::from_parts(Timestamp::new(1_700_000_000_000_000), random),
        stream: stream.clone(),
        expected: Version::new(expected),
        epoch: Epoch::default(),
        loading: Loading::new(1),
        events: vec![event],
        command: "deposit".into(),
        more: None,
    }
}

/// Commits of so many bytes for so long: syncs and their median.
fn raw(file: &File, offset: &mut u64, bytes: usize, time: Duration) -> (usize, Duration) {
    let commit = vec![b'x'; bytes];
    let begun = Instant::now();
    let mut syncs = Vec::new();
    while begun.elapsed() < time {
        if *offset + bytes as u64 > RAW_BYTES {
            *offset = 0;
        }
        let start = Instant::now();
        file.write_all_at(&commit, *offset).expect("the raw file can be written");
        file.sync_data().expect("the raw file can be synced");
        syncs.push(start.elapsed());
        *offset += bytes as u64;
    }
    syncs.sort_unstable();
    (syncs.len(), syncs[syncs.len() / 2])
}

struct Load {
    log: Log,
    streams: Vec<(StreamId, AtomicU64)>,
    body: Bytes,
}

/// Every caller appends one event at a time to its own stream, as soon as the one before it was answered.
async fn load(load: &Arc<Load>, time: Duration) -> (u64, Vec<Duration>) {
    let begun = Instant::now();
    let callers = (0..load.streams.len()).map(|caller| {
        let load = Arc::clone(load);
        tokio::spawn(async move {
            let (stream, version) = &load.streams[caller];
            let mut latencies = Vec::new();
            while begun.elapsed() < time {
                let expected = version.load(Ordering::Relaxed);
                let random = (caller as u64) << 32 | expected;
                let append = new_append(stream, expected, random, &load.body);
                let start = Instant::now();
                let result = load.log.append(vec![append]).await.pop();
                result.expect("one result").expect("recorded");
                latencies.push(start.elapsed());
                version.store(expected + 1, Ordering::Relaxed);
            }
            latencies
        })
    });
    let callers = callers.collect::<Vec<_>>();
    let mut latencies = Vec::new();
    for caller in callers {
        latencies.extend(caller.await.expect("no caller panics"));
    }
    latencies.sort_unstable();
    (latencies.len() as u64, latencies)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[tokio::main]
async fn main() {
    let argument = |n: usize| std::env::args().nth(n).and_then(|text| text.parse::<f64>().ok());
    let callers = argument(1).unwrap_or(256.0) as usize;
    let seconds = argument(2).unwrap_or(10.0);
    let directory = tempfile::tempdir_in(".").expect("a directory");
    run(directory.path(), callers, Duration::from_secs_f64(seconds)).await;
}

async fn run(directory: &Path, callers: usize, time: Duration) {
    let slice = time / (2 * SLICES_MIN as u32);
    let file = File::create(directory.join("raw")).expect("a raw file");
    file.write_all_at(&vec![0; RAW_BYTES as usize], 0).expect("room for zeros");
    file.sync_all().expect("a sync");
    let begun = Instant::now();
    let log = Log::open(&directory.join("journal"), Settings::default()).expect("a new log");
    println!("a new log in {:.1} ms", begun.elapsed().as_secs_f64() * 1e3);
    let body = Bytes::from("x".repeat(BODY_BYTES));
    let streams = (0..callers)
        .map(|n| (StreamId::new("account", &format!("{n:08}")).expect("valid"), AtomicU64::new(0)));
    let shared = Arc::new(Load { log, streams: streams.collect(), body });
    load(&shared, slice).await;
    // What one append takes in the log, so that the raw commits are as large.
    let record_bytes = 68 + 8 + 9 + 7 + 16 + 9 + BODY_BYTES;
    let mut offset = 0;
    let (mut rates, mut raws, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..SLICES_MIN {
        let (count, latencies) = load(&shared, slice).await;
        let rate = count as f64 / slice.as_secs_f64();
        let (syncs, sync) = raw(&file, &mut offset, record_bytes * callers, slice);
        let raw_rate = (syncs * callers) as f64 / slice.as_secs_f64();
        println!(
            "{rate:9.0} appends/s, p50 {:6.0} us, p99 {:6.0} us   raw {raw_rate:9.0}/s, sync p50 {:6.0} us   ratio {:.2}",
            latencies[latencies.len() / 2].as_secs_f64() * 1e6,
            latencies[latencies.len() * 99 / 100].as_secs_f64() * 1e6,
            sync.as_secs_f64() * 1e6,
            rate / raw_rate
        );
        rates.push(rate);
        raws.push(raw_rate);
        ratios.push(rate / raw_rate);
    }
    println!(
        "{callers} callers: {:.0} appends/s, raw {:.0}/s, ratio {:.2} (medians of {SLICES_MIN})",
        median(&mut rates),
        median(&mut raws),
        median(&mut ratios)
    );
    replay(shared, directory).await;
}

/// Opens the log again and reads all of it by position.
async fn replay(load: Arc<Load>, directory: &Path) {
    drop(load);
    let begun = Instant::now();
    let log = Log::open(&directory.join("journal"), Settings::default()).expect("the same log");
    let (opened, begun) = (begun.elapsed(), Instant::now());
    let (mut events, mut after) = (0, Position::ZERO);
    loop {
        let read = ReadPartition::after(PartitionId::default(), after);
        let page = log.read_partition(read).await.expect("a sound log");
        events += page.events.len();
        after = page.scanned.position;
        if page.at_head {
            break;
        }
    }
    println!(
        "{events} events: opened in {:.0} ms, read at {:.0} events/s",
        opened.as_secs_f64() * 1e3,
        events as f64 / begun.elapsed().as_secs_f64()
    );
}
