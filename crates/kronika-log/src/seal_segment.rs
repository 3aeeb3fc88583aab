//! Sealing one segment: it is read back, verified, and gets its footer and its run.
//!
//! The segment itself is never changed. What is written here can be made anew from it at any time.

use crate::{
    commit_at::{CommitFault, Source},
    disk::{Disk, DiskFile, OpenMode},
    error::Damage,
    footer::tag_hash,
    format::{
        AppendSummary, DerivedWriter, EPOCH_BYTES, FIRST_COMMIT, FOOTER_HEADER_BYTES, FOOTER_MAGIC,
        FooterHeader, Identity, Malformed, POSITION_BYTES, RecordHead, SLICE_SET_BYTES, Seal,
        Section, TAG_BYTES, TYPE_BYTES, keyed_by,
    },
    index::{AppendEntry, Hasher, KeyEntry, StreamEntry, Target, is_apart, write_run},
    pace::Pace,
    place::Place,
    recent::StoredCommit,
    segments::{footer_path, segment_path, unready},
    state::LogState,
    window::Window,
};
use kronika_core::{Incarnation, Slice, Timestamp};
use sha2::{Digest, Sha256};
use std::{collections::HashMap, io, path::Path, sync::Arc};

/// Bytes read ahead while a segment is read: so many stay in the processor's cache.
const READ_AHEAD: usize = 256 << 10;
/// The number of a type that is one too many to be told apart.
pub(crate) const OTHER_TYPES: u16 = u16::MAX;

/// A segment that nothing more will be written to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FullSegment {
    pub(crate) segment: u32,
    pub(crate) seal: Seal,
    /// The check of its header.
    pub(crate) check: u32,
    pub(crate) end: u64,
}

/// Where sealing stands: the state of the log, and the hash over everything up to here.
#[derive(Debug, Clone)]
pub(crate) struct Sealed {
    pub(crate) state: LogState,
    pub(crate) hash: [u8; 32],
}

impl Sealed {
    /// Before the first segment.
    pub(crate) fn new() -> Self {
        Self { state: LogState::new(), hash: [0; 32] }
    }
}

/// Why a segment was not sealed.
#[derive(Debug)]
pub(crate) enum SealFault {
    /// The disk failed: to be tried again.
    Io(io::Error),
    /// The segment is not what was written.
    Damaged(Damage),
}

impl From<io::Error> for SealFault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What a segment holds.
pub(crate) struct Contents {
    pub(crate) entries: Vec<StreamEntry>,
    pub(crate) keys: Vec<KeyEntry>,
    appends: Vec<AppendSummary>,
    tags: Vec<(u64, u32)>,
    types: Vec<String>,
    type_numbers: HashMap<String, u16, foldhash::fast::RandomState>,
    commits: Vec<(u64, Place)>,
    slices: [u8; SLICE_SET_BYTES],
    first_time: Option<Timestamp>,
}

/// Reads a segment back, writes its run and its footer, and gives where the log stands behind it.
pub(crate) fn seal_segment(
    target: Target<'_>,
    hasher: Hasher,
    full: FullSegment,
    before: &Sealed,
) -> Result<Sealed, SealFault> {
    let read = read_segment(target.disk, target.directory, hasher, full, before, target.pace)?;
    let ReadSegment { contents, header, behind } = read;
    let Sealed { state, .. } = &behind;
    write_run(target, full.segment, state.previous, &contents.entries, &contents.keys)?;
    write_footer(target, full.segment, header, &contents, state)?;
    Ok(behind)
}

/// A segment that was read back.
pub(crate) struct ReadSegment {
    pub(crate) contents: Contents,
    /// Its footer's, but for the sections.
    pub(crate) header: FooterHeader,
    /// Where the log stands behind it.
    pub(crate) behind: Sealed,
}

/// Reads a segment back and verifies it.
pub(crate) fn read_segment(
    disk: &dyn Disk,
    directory: &Path,
    hasher: Hasher,
    full: FullSegment,
    before: &Sealed,
    pace: &Pace,
) -> Result<ReadSegment, SealFault> {
    let file = disk.open(&segment_path(directory, full.segment), OpenMode::Read)?;
    let mut state = before.state.clone();
    let mut contents = Contents::new();
    let mut hash = Sha256::new();
    hash.update(before.hash);
    let first = state.mark.position;
    let mut window = Window::default();
    let source = Source {
        file: &*file,
        seal: full.seal,
        end: full.end,
        ahead: READ_AHEAD,
        #[cfg(feature = "planted-faults")]
        unchecked: false,
    };
    let mut offset = FIRST_COMMIT;
    while offset < full.end {
        let place = Place::new(full.segment, offset);
        let commit = source.commit(&mut window, offset).map_err(|fault| fault.must_be(place));
        let (commit, check) = commit.map_err(|fault| match fault {
            CommitFault::Damaged(damage) => SealFault::Damaged(damage),
            CommitFault::Io(error) => SealFault::Io(error),
            CommitFault::Missing => unreachable!("it must be there"),
        })?;
        hash.update(&commit.bytes);
        let next = state.mark.position.plus(1);
        contents.commit(next.get(), &commit);
        state
            .commit(&commit, check, |place, head| contents.append(hasher, first.get(), place, head))
            .map_err(|malformed| damaged(full, offset, &malformed))?;
        offset = commit.end().offset();
        pace.rest();
    }
    contents.sort(pace);
    let hash: [u8; 32] = hash.finalize().into();
    let none = Section::default();
    let header = FooterHeader {
        segment_check: full.check,
        end: full.end,
        before: (before.state.number, before.state.previous),
        after: (state.number, state.previous),
        first,
        mark: state.mark,
        times: (contents.first_time.unwrap_or(state.time), state.time),
        appends: contents.appends.len() as u64,
        streams: contents.streams(),
        hash_before: before.hash,
        hash,
        slices: contents.slices,
        commits_by_position: none,
        appends_in_order: none,
        tags: none,
        types: none,
        epochs: none,
    };
    Ok(ReadSegment { contents, header, behind: Sealed { state, hash } })
}

fn damaged(full: FullSegment, offset: u64, malformed: &Malformed) -> SealFault {
    SealFault::Damaged(Damage::at(full.segment, offset, malformed.to_string()))
}

impl Contents {
    fn new() -> Self {
        Self {
            entries: Vec::new(),
            keys: Vec::new(),
            appends: Vec::new(),
            tags: Vec::new(),
            types: Vec::new(),
            type_numbers: HashMap::default(),
            commits: Vec::new(),
            slices: [0; SLICE_SET_BYTES],
            first_time: None,
        }
    }

    fn commit(&mut self, next: u64, commit: &StoredCommit) {
        self.first_time.get_or_insert(Timestamp::new(commit.header.time));
        if self.commits.last().is_none_or(|(_, last)| is_apart(*last, commit.place)) {
            self.commits.push((next, commit.place));
        }
    }

    fn append(
        &mut self,
        hasher: Hasher,
        first: u64,
        place: Place,
        head: &RecordHead<'_>,
    ) -> Result<(), Malformed> {
        let entry = AppendEntry::new(place, head.end(), head.id);
        self.entries.push(StreamEntry { hash: hasher.stream(head.stream), entry });
        if let Some((principal, key)) = keyed_by(head.fields)? {
            self.keys.push(KeyEntry { hash: hasher.key(head.stream, principal, key), place });
        }
        let ordinal = narrow(self.appends.len() as u64);
        let tags_before = self.tags.len();
        head.tags(|tag| self.tags.push((tag_hash(tag), ordinal)))?;
        let slice = Slice::of(head.stream).get();
        self.slices[usize::from(slice) / 8] |= 1 << (slice % 8);
        let kind = self.kind(head.stream);
        self.appends.push(AppendSummary {
            offset: narrow(place.offset()),
            slice,
            kind,
            position: narrow(head.first.get() - first),
            events: head.events,
            tagged: self.tags.len() > tags_before,
        });
        Ok(())
    }

    /// The number of a stream's aggregate type.
    fn kind(&mut self, stream: &str) -> u16 {
        let name = stream.split_once('/').map_or(stream, |(name, _)| name);
        if let Some(number) = self.type_numbers.get(name) {
            return *number;
        }
        let fits = self.types.len() < usize::from(OTHER_TYPES) && name.len() < TYPE_BYTES as usize;
        if !fits {
            return OTHER_TYPES;
        }
        let number = self.types.len() as u16;
        self.types.push(name.to_owned());
        self.type_numbers.insert(name.to_owned(), number);
        number
    }

    fn sort(&mut self, pace: &Pace) {
        self.entries.sort_unstable_by_key(|entry| {
            pace.step();
            entry.order()
        });
        self.keys.sort_unstable();
        self.tags.sort_unstable();
        self.tags.dedup();
    }

    fn streams(&self) -> u64 {
        let other = |pair: &&[StreamEntry]| pair[0].hash != pair[1].hash;
        u64::from(!self.entries.is_empty()) + self.entries.windows(2).filter(other).count() as u64
    }
}

fn narrow(number: u64) -> u32 {
    u32::try_from(number).expect("a segment has less than 2^32 bytes")
}

fn write_footer(
    target: Target<'_>,
    segment: u32,
    header: FooterHeader,
    contents: &Contents,
    state: &LogState,
) -> io::Result<()> {
    let Target { disk, directory, incarnation, salt, .. } = target;
    let identity = footer_identity(incarnation, salt, segment);
    let path = footer_path(directory, segment);
    let unready = unready(&path);
    let written = (|| {
        let file = disk.open(&unready, OpenMode::WriteEmpty)?;
        put_footer(file, &identity, header, contents, state, target.pace)?;
        disk.rename(&unready, &path)
    })();
    if written.is_err() {
        // It only takes up room; the next opening removes it too.
        let _ = disk.remove(&unready);
    }
    written
}

/// What the footer of a segment is told by.
pub(crate) fn footer_identity(incarnation: Incarnation, salt: u64, segment: u32) -> Identity {
    Identity { magic: FOOTER_MAGIC, incarnation, first: segment, last: segment, salt }
}

/// Writes a footer into a file.
pub(crate) fn put_footer(
    file: Arc<dyn DiskFile>,
    identity: &Identity,
    mut header: FooterHeader,
    contents: &Contents,
    state: &LogState,
    pace: &Pace,
) -> io::Result<()> {
    let mut writer = DerivedWriter::new(file, identity.seed(), FOOTER_HEADER_BYTES);
    writer.begin(POSITION_BYTES);
    for (first, place) in &contents.commits {
        let mut record = [0; POSITION_BYTES as usize];
        record[..8].copy_from_slice(&first.to_le_bytes());
        record[8..].copy_from_slice(&narrow(place.offset()).to_le_bytes());
        writer.push(&record)?;
    }
    header.commits_by_position = writer.end();
    writer.begin(AppendSummary::BYTES as u32);
    for append in &contents.appends {
        writer.push(&append.encode())?;
        pace.step();
    }
    header.appends_in_order = writer.end();
    writer.begin(TAG_BYTES);
    for (hash, ordinal) in &contents.tags {
        let mut record = [0; TAG_BYTES as usize];
        record[..8].copy_from_slice(&hash.to_le_bytes());
        record[8..].copy_from_slice(&ordinal.to_le_bytes());
        writer.push(&record)?;
        pace.step();
    }
    header.tags = writer.end();
    writer.begin(TYPE_BYTES);
    for name in &contents.types {
        let mut record = [0; TYPE_BYTES as usize];
        record[0] = name.len() as u8;
        record[1..=name.len()].copy_from_slice(name.as_bytes());
        writer.push(&record)?;
    }
    header.types = writer.end();
    writer.begin(EPOCH_BYTES);
    put_epochs(&mut writer, state)?;
    header.epochs = writer.end();
    writer.finish(&header.encode(identity)).map(drop)
}

/// One record for each range of slices of one epoch.
fn put_epochs(writer: &mut DerivedWriter, state: &LogState) -> io::Result<()> {
    let mut first = 0;
    for alike in state.epochs.chunk_by(|one, next| one == next) {
        let last = first + alike.len() - 1;
        let mut record = [0; EPOCH_BYTES as usize];
        record[..2].copy_from_slice(&(first as u16).to_le_bytes());
        record[2..4].copy_from_slice(&(last as u16).to_le_bytes());
        record[4..].copy_from_slice(&alike[0].get().to_le_bytes());
        writer.push(&record)?;
        first = last + 1;
    }
    Ok(())
}
