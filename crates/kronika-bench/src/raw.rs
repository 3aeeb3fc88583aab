//! The limit: a raw log, zero-filled ahead, one write and one sync for each batch, nothing else.

use crate::harness::histogram;
use hdrhistogram::Histogram;
use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::Path,
    time::{Duration, Instant},
};

/// A zero-filled file that is written from its beginning again when it is full.
#[derive(Debug)]
pub struct RawLog {
    file: File,
    bytes: u64,
    offset: u64,
}

/// What a run of the raw log came to.
#[derive(Debug, Clone)]
pub struct RawFigures {
    /// Batches written and synced.
    pub batches: u64,
    /// Time of all of them.
    pub time: Duration,
    /// Of a write and its sync, in nanoseconds.
    pub latencies: Histogram<u64>,
}

impl RawFigures {
    /// Batches a second.
    pub fn rate(&self) -> f64 {
        self.batches as f64 / self.time.as_secs_f64()
    }
    /// A quantile of the latencies in microseconds.
    pub fn quantile_us(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1_000.0
    }
}

impl RawLog {
    /// Makes and syncs the file.
    pub fn create(path: &Path, bytes: u64) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create_new(true).open(path)?;
        let zeros = vec![0; 1 << 20];
        for offset in (0..bytes).step_by(zeros.len()) {
            file.write_all_at(&zeros, offset)?;
        }
        file.sync_all()?;
        Ok(Self { file, bytes, offset: 0 })
    }

    /// Writes and syncs batches of so many bytes for a time, one at least.
    pub fn run(&mut self, time: Duration, batch_bytes: usize) -> io::Result<RawFigures> {
        let batch = vec![0x5a; batch_bytes.max(1)];
        let (started, mut batches, mut latencies) = (Instant::now(), 0, histogram());
        let mut now = started;
        while batches == 0 || now - started < time {
            if self.offset + batch.len() as u64 > self.bytes {
                self.offset = 0;
            }
            self.file.write_all_at(&batch, self.offset)?;
            self.file.sync_data()?;
            self.offset += batch.len() as u64;
            batches += 1;
            let synced = Instant::now();
            latencies.saturating_record((synced - now).as_nanos() as u64);
            now = synced;
        }
        Ok(RawFigures { batches, time: now - started, latencies })
    }
}
