//! Appends to the journal in a directory for some seconds and prints whenever what it is told changes: to be run on a
//! disk that fills up, or under a tracer that lets calls fail. It reads back what it was told at the end.
//!
//! `cargo run -p kronika-log --example appender -- DIRECTORY SECONDS [BODY_BYTES]`

#![allow(clippy::print_stdout, reason = "it tells its result by printing")]

use kronika_core::{
    Append, AppendError, AppendId, Epoch, Journal, Loading, NewEvent, PartitionId, ReadStream,
    StreamId, Timestamp, Version,
};
use kronika_log::{Log, Settings};
use std::{
    error::Error,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

/// How long it reads nothing, at most, so that reads are seen to go on.
const BETWEEN_READS: Duration = Duration::from_millis(100);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("usage: appender DIRECTORY SECONDS [BODY_BYTES]")?;
    let seconds = arguments.next().ok_or("how many seconds?")?.parse()?;
    let body_bytes = arguments.next().map_or(Ok(1000), |bytes| bytes.parse())?;
    let settings = Settings { segment_bytes: 4 << 20, ..Settings::default() };
    let log = Log::open(Path::new(&directory).join("journal").as_path(), settings)?;
    let stream = StreamId::new("account", "a")?;
    let read = ReadStream::backwards(stream.clone()).limit_appends(1);
    let mut version = log.read_stream(read.clone()).await?.newest;
    let (first, begun) = (version, Instant::now());
    let (mut told, mut since, mut loading, mut reads) = (String::new(), begun, 1, 0);
    let (mut last_read, mut acknowledged_at) = (begun, version);
    while begun.elapsed() < Duration::from_secs(seconds) {
        let now = match log.append(vec![append(&stream, version, loading, body_bytes)]).await.pop()
        {
            Some(Ok(committed)) => {
                version = committed.version;
                "acknowledged".to_owned()
            }
            Some(Err(AppendError::Predecessor)) | None => continue,
            Some(Err(error)) => {
                loading += 1;
                error.to_string()
            }
        };
        if now != told {
            let before = since.elapsed().as_millis();
            let count = version.get() - acknowledged_at.get();
            println!(
                "{:>6} ms: {now} (before: {count} acknowledged in {before} ms)",
                begun.elapsed().as_millis()
            );
            (told, since, acknowledged_at) = (now, Instant::now(), version);
        }
        if last_read.elapsed() > BETWEEN_READS {
            let page = log.read_stream(read.clone()).await?;
            assert_eq!(page.newest, version, "what is read is what was told");
            (last_read, reads) = (Instant::now(), reads + 1);
        }
    }
    let head = log.head(PartitionId::default()).await?.position;
    println!(
        "{} acknowledged, {reads} reads were right, the head is {head}",
        version.get() - first.get()
    );
    Ok(())
}

fn append(stream: &StreamId, version: Version, loading: u64, body_bytes: usize) -> Append {
    let id = AppendId::from_parts(Timestamp::from_system(SystemTime::now()), version.get());
    let body = vec![b'x'; body_bytes].into();
    Append {
        id,
        stream: stream.clone(),
        expected: version,
        epoch: Epoch::default(),
        loading: Loading::new(loading),
        events: vec![NewEvent { name: "deposited".into(), schema: 1, body, ..NewEvent::default() }],
        command: "deposit".into(),
        more: None,
    }
}
