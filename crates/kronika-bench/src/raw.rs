//! The limit: a raw log, zero-filled ahead, one write and one sync for each batch, nothing else.

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
#[derive(Debug, Clone, Copy)]
pub struct RawFigures {
    /// Events a second, at the batch size asked for.
    pub events_per_second: f64,
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

    /// Writes and syncs batches of so many events and bytes for a time.
    pub fn run(
        &mut self,
        time: Duration,
        batch_events: f64,
        batch_bytes: usize,
    ) -> io::Result<RawFigures> {
        let batch = vec![0x5a; batch_bytes.max(1)];
        let (started, mut batches) = (Instant::now(), 0_u64);
        while started.elapsed() < time {
            if self.offset + batch.len() as u64 > self.bytes {
                self.offset = 0;
            }
            self.file.write_all_at(&batch, self.offset)?;
            self.file.sync_data()?;
            self.offset += batch.len() as u64;
            batches += 1;
        }
        let seconds = started.elapsed().as_secs_f64();
        Ok(RawFigures { events_per_second: batches as f64 * batch_events / seconds })
    }
}
