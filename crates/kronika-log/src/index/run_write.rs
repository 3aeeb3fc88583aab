//! Writing runs: of one segment from its appends, and of several runs by merging them.
//!
//! A run is a file of its own that is named when all of it is durable; until then nobody sees it.

use super::{
    entry::{KeyEntry, StreamEntry, hash_at},
    filter::{BLOCK_BYTES, Filter},
    run::{FENCE_BYTES, HEADER_BYTES, Layout, MAGIC, Run},
};
use crate::{
    disk::{Disk, DiskFile, OpenMode},
    format::{DerivedWriter, Identity, Section},
    pace::Pace,
    segments::{run_path, unready},
};
use kronika_core::Incarnation;
use std::{cmp::Reverse, collections::BinaryHeap, io, path::Path, sync::Arc};

/// Blocks of a run that are read at once when it is merged.
const BLOCKS_AHEAD: u64 = 64;
/// Records between two questions whether to go on.
const RECORDS_BETWEEN: u64 = 8192;

/// Where and for whom a run is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) directory: &'a Path,
    pub(crate) incarnation: Incarnation,
    pub(crate) salt: u64,
    /// A filter has at most so many bytes.
    pub(crate) filter_bytes: u64,
    pub(crate) pace: &'a Pace,
}

/// Writes the run of one segment.
pub(crate) fn write_run(
    target: Target<'_>,
    segment: u32,
    end_check: u32,
    entries: &[StreamEntry],
    keys: &[KeyEntry],
) -> io::Result<()> {
    let write = |writer: &mut RunWriter<'_>| {
        writer.writer.begin(StreamEntry::BYTES as u32);
        for entry in entries {
            writer.writer.push(&entry.encode())?;
            target.pace.step();
        }
        writer.layout.entries = writer.writer.end();
        writer.writer.begin(KeyEntry::BYTES as u32);
        keys.iter().try_for_each(|key| writer.writer.push(&key.encode()))?;
        writer.layout.keys = writer.writer.end();
        writer.fences(entries.iter().map(|entry| Ok(entry.hash)))?;
        let alike = |one: &StreamEntry, next: &StreamEntry| one.hash == next.hash;
        writer.layout.streams = entries.chunk_by(alike).count() as u64;
        let streams = entries.iter().map(|entry| Ok(entry.hash));
        writer.filter(streams.chain(keys.iter().map(|key| Ok(key.hash))))
    };
    RunWriter::write(target, (segment, segment), end_check, write)
}

/// Merges neighbouring runs into one; `false` if `go_on`, which is asked now and then, said no.
pub(crate) fn merge_runs(
    target: Target<'_>,
    runs: &[Arc<Run>],
    go_on: impl FnMut() -> bool,
) -> io::Result<bool> {
    let (first, last) = (&runs[0], &runs[runs.len() - 1]);
    let mut turns = Turns { go_on, passed: 0, stopped: false, pace: target.pace };
    let write = |writer: &mut RunWriter<'_>| {
        let merge = Merge::new(runs, |run| run.layout.entries)?;
        (writer.layout.entries, writer.layout.streams) =
            writer.merge(merge, StreamEntry::BYTES, &mut turns)?;
        let merge = Merge::new(runs, |run| run.layout.keys)?;
        (writer.layout.keys, _) = writer.merge(merge, KeyEntry::BYTES, &mut turns)?;
        // The filter's size follows from what was written, which is read once more.
        writer.writer.flush()?;
        let (file, seed) = (Arc::clone(&writer.file), writer.seed);
        let Layout { entries, keys, .. } = writer.layout;
        let fenced = hashes(&*file, seed, entries);
        writer.fences(fenced.map(|hash| turns.pass().and(hash)))?;
        let hashes = hashes(&*file, seed, entries).chain(hashes(&*file, seed, keys));
        writer.filter(hashes.map(|hash| turns.pass().and(hash)))
    };
    let written = RunWriter::write(target, (first.first, last.last), last.layout.end_check, write);
    if turns.stopped { Ok(false) } else { written.map(|()| true) }
}

/// Whether work that takes long goes on: asked now and then, in each of its passes.
struct Turns<'a, F> {
    go_on: F,
    pace: &'a Pace,
    /// Records so far.
    passed: u64,
    stopped: bool,
}

impl<F: FnMut() -> bool> Turns<'_, F> {
    /// One more record; an error if it was the last.
    fn pass(&mut self) -> io::Result<()> {
        self.passed += 1;
        self.pace.step();
        if self.passed.is_multiple_of(RECORDS_BETWEEN) && !(self.go_on)() {
            self.stopped = true;
            return Err(io::ErrorKind::Interrupted.into());
        }
        Ok(())
    }
}

struct RunWriter<'a> {
    target: Target<'a>,
    file: Arc<dyn DiskFile>,
    seed: u32,
    writer: DerivedWriter,
    layout: Layout,
}

impl<'a> RunWriter<'a> {
    fn write(
        target: Target<'a>,
        (first, last): (u32, u32),
        end_check: u32,
        fill: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> io::Result<()> {
        let Target { disk, directory, incarnation, salt, .. } = target;
        let path = run_path(directory, first, last);
        let unready = unready(&path);
        let identity = Identity { magic: MAGIC, incarnation, first, last, salt };
        let written = (|| {
            let file = disk.open(&unready, OpenMode::WriteEmpty)?;
            let seed = identity.seed();
            let writer = DerivedWriter::new(Arc::clone(&file), seed, HEADER_BYTES);
            let (streams, none) = (0, Section::default());
            let (entries, keys, fences, filter) = (none, none, none, none);
            let layout = Layout { streams, end_check, entries, keys, fences, filter };
            let mut run = Self { target, file, seed, writer, layout };
            fill(&mut run)?;
            let header = run.layout.header(&identity);
            run.writer.finish(&header)?;
            disk.rename(&unready, &path)
        })();
        if written.is_err() {
            // It only takes up room; the next opening removes it too.
            let _ = disk.remove(&unready);
        }
        written
    }

    /// Writes the fences of entries with these hashes.
    fn fences(&mut self, hashes: impl Iterator<Item = io::Result<u128>>) -> io::Result<()> {
        self.writer.begin(FENCE_BYTES as u32);
        let per_block = self.layout.entries.per_block();
        for (index, hash) in (0_u64..).zip(hashes) {
            let upper = (hash? >> 64) as u64;
            if index.is_multiple_of(per_block) {
                self.writer.push(&upper.to_le_bytes())?;
            }
        }
        self.layout.fences = self.writer.end();
        Ok(())
    }

    /// Writes records in order; gives their section, and how many hashes they have.
    fn merge(
        &mut self,
        mut merge: Merge<'_>,
        record_bytes: usize,
        turns: &mut Turns<'_, impl FnMut() -> bool>,
    ) -> io::Result<(Section, u64)> {
        self.writer.begin(record_bytes as u32);
        let (mut hashes, mut last) = (0, None);
        while let Some(record) = merge.next()? {
            let hash = Some(hash_at(record));
            hashes += u64::from(hash != last);
            last = hash;
            self.writer.push(record)?;
            turns.pass()?;
        }
        Ok((self.writer.end(), hashes))
    }

    /// Writes the filter of these hashes, which follow each other in order within streams and within keys.
    fn filter(&mut self, hashes: impl Iterator<Item = io::Result<u128>>) -> io::Result<()> {
        let hashes_max = self.layout.streams + self.layout.keys.records;
        let mut filter = Filter::new(Filter::blocks(hashes_max, self.target.filter_bytes));
        for hash in hashes {
            filter.insert(hash?);
            self.target.pace.step();
        }
        self.writer.begin(BLOCK_BYTES as u32);
        filter.records().try_for_each(|record| self.writer.push(&record))?;
        self.layout.filter = self.writer.end();
        Ok(())
    }
}

/// The hashes of a section as it was written.
fn hashes(
    file: &dyn DiskFile,
    seed: u32,
    section: Section,
) -> impl Iterator<Item = io::Result<u128>> {
    let firsts = (0..section.blocks()).step_by(BLOCKS_AHEAD as usize);
    firsts.flat_map(move |first| {
        let (records, error) = match section.some_blocks(file, seed, first, BLOCKS_AHEAD) {
            Ok(records) => (records, None),
            Err(error) => (Vec::new(), Some(Err(error))),
        };
        let size = section.record_bytes as usize;
        let hashes = (0..records.len() / size).map(move |at| Ok(hash_at(&records[at * size..])));
        error.into_iter().chain(hashes)
    })
}

/// The records of several runs in order: by hash, and within one by run, which is by place.
struct Merge<'a> {
    sources: Vec<Source<'a>>,
    next: BinaryHeap<Reverse<(u128, usize)>>,
    last: Option<usize>,
}

struct Source<'a> {
    run: &'a Run,
    section: Section,
    /// The block to read next.
    block: u64,
    records: Vec<u8>,
    at: usize,
}

impl Source<'_> {
    /// The hash of the record that it stands at; reads ahead at the end of a buffer.
    fn hash(&mut self) -> io::Result<Option<u128>> {
        if self.at == self.records.len() {
            if self.block >= self.section.blocks() {
                return Ok(None);
            }
            self.records = self.run.some(self.section, self.block, BLOCKS_AHEAD)?;
            (self.block, self.at) = (self.block + BLOCKS_AHEAD, 0);
        }
        Ok(Some(hash_at(&self.records[self.at..])))
    }
}

impl<'a> Merge<'a> {
    fn new(runs: &'a [Arc<Run>], of: fn(&Run) -> Section) -> io::Result<Self> {
        let sources = runs.iter().map(|run| Source {
            run,
            section: of(run),
            block: 0,
            records: Vec::new(),
            at: 0,
        });
        let mut sources = sources.collect::<Vec<_>>();
        let mut next = BinaryHeap::new();
        for (index, source) in sources.iter_mut().enumerate() {
            next.extend(source.hash()?.map(|hash| Reverse((hash, index))));
        }
        Ok(Self { sources, next, last: None })
    }

    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        if let Some(last) = self.last.take() {
            let source = &mut self.sources[last];
            source.at += source.section.record_bytes as usize;
            self.next.extend(source.hash()?.map(|hash| Reverse((hash, last))));
        }
        let Some(Reverse((_, index))) = self.next.pop() else { return Ok(None) };
        self.last = Some(index);
        let source = &self.sources[index];
        let size = source.section.record_bytes as usize;
        Ok(Some(&source.records[source.at..source.at + size]))
    }
}
