//! Writing commits: one write and one sync each, one at a time, and on into the next segment.
//!
//! After a failed write or sync nothing more is written, and the sync is never tried again: the page cache may call
//! the pages clean that never reached the disk.

use crate::{
    batch::Batch,
    disk::write_full,
    format::{
        COMMIT_BYTES_MAX, COMMIT_HEADER_BYTES, CommitHeader, FIRST_COMMIT, PublishedHead,
        SegmentHeader, seal_body,
    },
    place::Place,
    prepare::{Preparation, ReadySegment},
    random::Random,
    seal_segment::FullSegment,
    segments::SegmentInfo,
    settings::Settings,
    shared::Shared,
};
use kronika_core::{Mark, Timestamp};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Segments grow by this factor until they have the size that is set.
const GROWTH: u64 = 16;

/// Why a commit was not written.
#[derive(Debug)]
pub(crate) enum WriteFault {
    /// There is no room: nothing was written, and it may be tried again.
    NoRoom(String),
    /// A write or sync failed: it may have been written.
    Failed(String),
}

/// A commit that is durable.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) place: Place,
    pub(crate) header: CommitHeader,
    pub(crate) head: PublishedHead,
    /// The time of the write and the sync.
    pub(crate) took: Duration,
}

/// What came of a batch; nothing was to be written for one without records.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) batch: Batch,
    pub(crate) result: Result<Option<Written>, WriteFault>,
}

/// Where the log goes on.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) active: ReadySegment,
    /// Nothing more goes into it. It is sealed, or waits to be.
    pub(crate) closed: bool,
    pub(crate) offset: u64,
    pub(crate) number: u64,
    pub(crate) previous: u32,
    pub(crate) mark: Mark,
    pub(crate) time: Timestamp,
}

/// Size of the segment after one of so many bytes.
pub(crate) fn next_segment_bytes(bytes: u64, settings: &Settings) -> u64 {
    bytes.saturating_mul(GROWTH).min(settings.segment_bytes)
}

/// Writes commits, one at a time.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) preparation: Arc<Preparation>,
    pub(crate) random: Random,
    pub(crate) tail: Tail,
}

impl Writer {
    /// What is published of the log as it is.
    pub(crate) fn head(&self) -> PublishedHead {
        PublishedHead {
            incarnation: self.shared.incarnation.get(),
            end: Place::new(self.tail.active.header.segment, self.tail.offset),
            number: self.tail.number,
            position: self.tail.mark.position.get(),
            previous: self.tail.previous,
        }
    }

    /// Writes and syncs a batch as one commit.
    pub(crate) fn write(&mut self, mut batch: Batch) -> Done {
        let result = match batch.records {
            0 => Ok(None),
            _ => self.commit(&mut batch).map(Some),
        };
        Done { batch, result }
    }

    fn commit(&mut self, batch: &mut Batch) -> Result<Written, WriteFault> {
        let bytes = batch.buffer.len().next_multiple_of(COMMIT_HEADER_BYTES) as u64;
        if self.tail.closed || self.tail.offset + bytes > self.tail.active.header.bytes {
            self.roll(bytes)?;
        }
        let (offset, seal) = (self.tail.offset, self.tail.active.header.seal());
        let (sparse_sectors, body_check) =
            seal_body(&mut batch.buffer, batch.records, seal, offset);
        let first = self.tail.mark.position.plus(1).get();
        let narrow = |count: u64| u32::try_from(count).expect("a commit is bounded");
        let header = CommitHeader {
            kind: batch.kind,
            extended: false,
            sparse_sectors,
            body_bytes: narrow((batch.buffer.len() - COMMIT_HEADER_BYTES) as u64),
            first_position: first,
            time: batch.time.get(),
            records: batch.records,
            events: narrow(batch.mark.position.plus(1).get() - first),
            number: self.tail.number + 1,
            previous: self.tail.previous,
            body_check,
        };
        assert!(batch.time >= self.tail.time, "time does not go back");
        assert!(batch.buffer.len() <= COMMIT_BYTES_MAX, "a commit is bounded");
        let (head, check) = header.encode(seal, offset);
        batch.buffer[..COMMIT_HEADER_BYTES].copy_from_slice(&head);
        #[cfg(feature = "planted-faults")]
        if self.shared.settings.plants(crate::PlantedFault::ReplyBeforeSync) {
            let synced = self.tail.active.file.sync_data();
            synced.map_err(|error| WriteFault::Failed(format!("a sync failed: {error}")))?;
        }
        let begun = Instant::now();
        write_full(&*self.tail.active.file, &batch.buffer, offset)
            .map_err(|error| WriteFault::Failed(format!("a write failed: {error}")))?;
        #[cfg(feature = "planted-faults")]
        if self.shared.settings.plants(crate::PlantedFault::HeadBeforeSync) {
            self.publish_early(bytes, check, batch.mark);
        }
        self.sync().map_err(|error| WriteFault::Failed(format!("a sync failed: {error}")))?;
        let took = begun.elapsed();
        self.tail.offset += bytes;
        self.tail.number += 1;
        self.tail.previous = check;
        (self.tail.mark, self.tail.time) = (batch.mark, batch.time);
        self.preparation.used(self.tail.offset, self.tail.active.header.bytes);
        Ok(Written { place: Place::new(seal.segment, offset), header, head: self.head(), took })
    }

    /// Publishes the commit that is not synced yet.
    #[cfg(feature = "planted-faults")]
    fn publish_early(&self, bytes: u64, check: u32, mark: Mark) {
        let Tail { active, offset, number, .. } = &self.tail;
        let end = Place::new(active.header.segment, offset + bytes);
        let (number, position, previous) = (number + 1, mark.position.get(), check);
        let incarnation = self.shared.incarnation.get();
        let head = PublishedHead { incarnation, end, number, position, previous };
        let path = self.shared.directory.join(crate::recover::HEAD_FILE);
        let file = self.shared.disk.open(&path, crate::OpenMode::Write);
        let _ = file.and_then(|file| write_full(&*file, &head.encode(), 0));
    }

    fn sync(&self) -> std::io::Result<()> {
        #[cfg(feature = "planted-faults")]
        if self.shared.settings.plants(crate::PlantedFault::ReplyBeforeSync) {
            return Ok(()); // it comes before the next commit is written
        }
        let synced = self.tail.active.file.sync_data();
        #[cfg(feature = "planted-faults")]
        if synced.is_err() && self.shared.settings.plants(crate::PlantedFault::SyncAgain) {
            return self.tail.active.file.sync_data();
        }
        synced
    }

    /// Goes on in the next segment.
    fn roll(&mut self, bytes: u64) -> Result<(), WriteFault> {
        let ready = self.preparation.take(FIRST_COMMIT + bytes).map_err(WriteFault::NoRoom)?;
        let first = self.tail.mark.position.plus(1);
        let info = SegmentInfo { seal: ready.header.seal(), first, end: FIRST_COMMIT };
        self.shared.segments.roll(self.tail.offset, info);
        let full = std::mem::replace(&mut self.tail.active, ready).header;
        if !std::mem::replace(&mut self.tail.closed, false) {
            self.shared.sealing.full(FullSegment {
                segment: full.segment,
                seal: full.seal(),
                check: full.check(),
                end: self.tail.offset,
            });
        }
        self.tail.offset = FIRST_COMMIT;
        let header = self.tail.active.header;
        self.preparation.want(SegmentHeader {
            segment: header.segment + 1,
            bytes: next_segment_bytes(header.bytes, &self.shared.settings),
            salt: self.random.next(),
            ..header
        });
        Ok(())
    }
}
