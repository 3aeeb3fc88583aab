//! Opening: reads the log from its first segment, judges its tail, heals what was torn, and makes the last commit
//! durable before it counts.
//!
//! A commit is accepted only where it is expected, with the number, position and predecessor that are expected.
//! Nothing is changed before everything was judged.

use crate::{
    disk::{Disk, DiskFile, OpenMode, read_full, write_full},
    error::{Damage, OpenError},
    format::{
        COMMIT_BYTES_MAX, CommitHeader, FIRST_COMMIT, HEAD_BYTES, Malformed, PublishedHead,
        SEGMENT_HEADER_BYTES, SegmentFault, SegmentHeader,
    },
    index::Index,
    place::Place,
    prepare::ReadySegment,
    recent::{Recent, StoredCommit},
    replay::Replay,
    segments::{SegmentInfo, UNREADY_SUFFIX, segment_of, segment_path},
    tail::{Verdict, judge},
    window::Window,
};
use kronika_core::{Epoch, Incarnation, Mark, Timestamp};
use std::{io, path::Path, sync::Arc};

/// Bytes read ahead while the log is scanned.
const READ_AHEAD: usize = 1 << 20;
/// The file of the published head.
pub(crate) const HEAD_FILE: &str = "head";

/// A log as it was found.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) incarnation: Incarnation,
    pub(crate) segments: Vec<SegmentInfo>,
    /// The segment that commits go to.
    pub(crate) active: ReadySegment,
    /// The one after it, if it was made ready.
    pub(crate) ready: Option<ReadySegment>,
    pub(crate) end: Place,
    /// Number of the last commit, and the check of its header.
    pub(crate) number: u64,
    pub(crate) previous: u32,
    pub(crate) mark: Mark,
    pub(crate) time: Timestamp,
    pub(crate) epochs: Vec<Epoch>,
    pub(crate) index: Index,
    pub(crate) recent: Recent,
}

/// Reads the segments of a directory; `None` if there are none.
pub(crate) fn recover(
    disk: &dyn Disk,
    directory: &Path,
    recent_bytes: usize,
) -> Result<Option<Recovered>, OpenError> {
    let failed = |error| OpenError::from_io(directory, error);
    let names = disk.list(directory).map_err(failed)?;
    let mut numbers = names.iter().filter_map(|name| segment_of(name)).collect::<Vec<_>>();
    numbers.sort_unstable();
    let published = read_head(disk, directory)?;
    for (expected, number) in (1..).zip(&numbers) {
        if *number != expected {
            return Err(damaged(expected, 0, "the segment is missing"));
        }
    }
    if numbers.is_empty() {
        if let Some(head) = published {
            return Err(damaged(head.end.segment(), 0, "the segment is missing"));
        }
        remove_unready(disk, directory, &names);
        return Ok(None);
    }
    let mut scan = Scan::new(disk, directory, recent_bytes);
    for number in numbers {
        scan.segment(number)?;
    }
    let recovered = scan.finish(published)?;
    remove_unready(disk, directory, &names);
    disk.sync_directory(directory).map_err(failed)?;
    Ok(Some(recovered))
}

/// Segments that were never finished only take up room.
fn remove_unready(disk: &dyn Disk, directory: &Path, names: &[String]) {
    for name in names.iter().filter(|name| name.ends_with(UNREADY_SUFFIX)) {
        let _ = disk.remove(&directory.join(name));
    }
}

fn read_head(disk: &dyn Disk, directory: &Path) -> Result<Option<PublishedHead>, OpenError> {
    let path = directory.join(HEAD_FILE);
    let failed = |error| OpenError::from_io(&path, error);
    let file = match disk.open(&path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = [0; HEAD_BYTES];
    read_full(&*file, &mut bytes, 0).map_err(failed)?;
    Ok(PublishedHead::decode(&bytes))
}

fn failed(directory: &Path, segment: u32) -> impl Fn(io::Error) -> OpenError + use<'_> {
    move |error| OpenError::from_io(&segment_path(directory, segment), error)
}

fn damaged(segment: u32, offset: u64, what: &str) -> OpenError {
    OpenError::Damaged(Damage::at(segment, offset, what))
}

/// A range that a torn write left behind.
#[derive(Debug, Clone, Copy)]
struct Torn {
    segment: u32,
    offset: u64,
    bytes: u64,
}

struct Scan<'a> {
    disk: &'a dyn Disk,
    directory: &'a Path,
    window: Window,
    opened: Vec<ReadySegment>,
    infos: Vec<SegmentInfo>,
    replay: Replay,
    /// The last segment with a commit, or the first one.
    active: u32,
    torn: Option<Torn>,
    last: Option<StoredCommit>,
}

impl<'a> Scan<'a> {
    fn new(disk: &'a dyn Disk, directory: &'a Path, recent_bytes: usize) -> Self {
        Self {
            disk,
            directory,
            window: Window::default(),
            opened: Vec::new(),
            infos: Vec::new(),
            replay: Replay::new(recent_bytes),
            active: 1,
            torn: None,
            last: None,
        }
    }

    fn segment(&mut self, number: u32) -> Result<(), OpenError> {
        let opened = self.open(number)?;
        let info = SegmentInfo { seal: opened.header.seal(), end: FIRST_COMMIT };
        let (file, bytes) = (Arc::clone(&opened.file), opened.header.bytes);
        self.opened.push(opened);
        self.infos.push(info);
        let mut offset = FIRST_COMMIT;
        loop {
            let verdict = self.judge(number, &*file, offset, bytes)?;
            if verdict == Verdict::End {
                break;
            }
            if self.torn.is_some() || self.active + 1 < number {
                return Err(damaged(self.active, self.end(self.active), "commits are missing"));
            }
            match verdict {
                Verdict::End => unreachable!("handled above"),
                Verdict::Sound(header, check) => {
                    self.active = number;
                    let commit = self.commit(number, &*file, offset, header)?;
                    offset = commit.end().offset();
                    self.replay.commit(&commit, check).map_err(|malformed| match malformed {
                        Malformed::Wrong(what) => damaged(number, commit.place.offset(), what),
                        Malformed::Unknown(what) => {
                            let offset = commit.place.offset();
                            OpenError::Unknown { what, segment: number, offset }
                        }
                    })?;
                    self.infos[number as usize - 1].end = offset;
                    self.last = Some(commit);
                }
                Verdict::Torn(bytes) => {
                    // A segment with nothing else in it stays the next one: what comes may not fit into it.
                    self.torn = Some(Torn { segment: number, offset, bytes });
                    break;
                }
                Verdict::Damaged(what) => {
                    let mut damage = Damage::at(number, offset, what);
                    damage.streams = self.streams_at(number, &*file, offset, bytes)?;
                    return Err(OpenError::Damaged(damage));
                }
                Verdict::Unknown(what) => {
                    return Err(OpenError::Unknown { what, segment: number, offset });
                }
            }
        }
        Ok(())
    }

    fn end(&self, segment: u32) -> u64 {
        self.infos[segment as usize - 1].end
    }

    fn open(&mut self, number: u32) -> Result<ReadySegment, OpenError> {
        let path = segment_path(self.directory, number);
        let failed = failed(self.directory, number);
        let file = self.disk.open(&path, OpenMode::Write).map_err(&failed)?;
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        read_full(&*file, &mut bytes, 0).map_err(&failed)?;
        let length = file.length().map_err(&failed)?;
        let header = SegmentHeader::decode(&bytes).map_err(|fault| match fault {
            SegmentFault::Wrong(what) => damaged(number, 0, what),
            SegmentFault::Newer(found) => {
                OpenError::Newer { segment: number, found, known: crate::format::FORMAT }
            }
            SegmentFault::Unknown(what) => OpenError::Unknown { what, segment: number, offset: 0 },
        })?;
        if header.segment != number {
            return Err(damaged(number, 0, "the file is another segment"));
        }
        if self.opened.first().is_some_and(|one| one.header.incarnation != header.incarnation) {
            return Err(damaged(number, 0, "the segment belongs to another history"));
        }
        if length != header.bytes {
            let what = format!("the file has {length} bytes instead of {}", header.bytes);
            return Err(damaged(number, length.min(header.bytes), &what));
        }
        Ok(ReadySegment { header, file })
    }

    /// Judges what stands at an offset; the whole rest of the segment is read only if it is not a sound commit.
    fn judge(
        &mut self,
        number: u32,
        file: &dyn DiskFile,
        offset: u64,
        bytes: u64,
    ) -> Result<Verdict, OpenError> {
        let seal = self.infos[number as usize - 1].seal;
        let get = |window: &mut Window, wanted| {
            let got = window.get((number, file), offset, wanted, bytes, READ_AHEAD);
            got.map_err(|error| OpenError::from_io(&segment_path(self.directory, number), error))
        };
        let mut window = std::mem::take(&mut self.window);
        let first = get(&mut window, crate::format::COMMIT_HEADER_BYTES)?;
        if let Some(Ok((header, _))) =
            first.first_chunk().map(|first| CommitHeader::decode(first, seal, offset))
        {
            let commit = get(&mut window, header.bytes() as usize)?;
            if let verdict @ Verdict::Sound(..) = judge(&commit, seal, offset) {
                self.window = window;
                return Ok(verdict);
            }
        }
        self.window = window;
        let rest = self.rest(number, file, offset, bytes)?;
        Ok(judge(&rest, seal, offset))
    }

    /// All bytes from an offset to the end of the segment, but for zeros at its end.
    fn rest(
        &self,
        number: u32,
        file: &dyn DiskFile,
        offset: u64,
        bytes: u64,
    ) -> Result<Vec<u8>, OpenError> {
        let failed = failed(self.directory, number);
        let mut chunk = vec![0; READ_AHEAD.min((bytes - offset) as usize)];
        let (mut at, mut used) = (offset, offset);
        while at < bytes {
            let wanted = usize::try_from(bytes - at).unwrap_or(usize::MAX).min(READ_AHEAD);
            let read = read_full(file, &mut chunk[..wanted], at).map_err(&failed)?;
            if read < wanted {
                return Err(damaged(number, at + read as u64, "the file ends too early"));
            }
            if !is_zero(&chunk[..read]) {
                used = at + read as u64;
            }
            at += read as u64;
        }
        // A torn commit may have lost its last sectors: so much has to be there to be judged.
        let end =
            if used == offset { offset + 64 } else { used.max(offset + COMMIT_BYTES_MAX as u64) };
        let mut rest = vec![0; (end.min(bytes) - offset) as usize];
        read_full(file, &mut rest, offset).map_err(&failed)?;
        Ok(rest)
    }

    fn commit(
        &mut self,
        number: u32,
        file: &dyn DiskFile,
        offset: u64,
        header: CommitHeader,
    ) -> Result<StoredCommit, OpenError> {
        let (wanted, limit) = (header.bytes() as usize, offset + header.bytes());
        let got = self.window.get((number, file), offset, wanted, limit, READ_AHEAD);
        let bytes = got.map_err(failed(self.directory, number))?;
        Ok(StoredCommit { place: Place::new(number, offset), header, bytes })
    }

    /// Streams whose records in a damaged commit are not whole, where the commit can be walked.
    fn streams_at(
        &self,
        number: u32,
        file: &dyn DiskFile,
        offset: u64,
        bytes: u64,
    ) -> Result<Vec<kronika_core::StreamId>, OpenError> {
        let seal = self.infos[number as usize - 1].seal;
        let wanted = (bytes - offset).min(COMMIT_BYTES_MAX as u64) as usize;
        let mut commit = vec![0; wanted];
        read_full(file, &mut commit, offset).map_err(failed(self.directory, number))?;
        Ok(crate::replay::streams_damaged(&commit, seal, offset))
    }

    /// Compares with the published head, heals what was torn, and makes the last commit durable.
    fn finish(mut self, published: Option<PublishedHead>) -> Result<Recovered, OpenError> {
        let end = Place::new(self.active, self.end(self.active));
        let incarnation = self.opened[0].header.incarnation;
        // By number: the same end may be said as that of one segment or the beginning of the next.
        let (number, previous) = (self.replay.number, self.replay.previous);
        let behind = |head: &PublishedHead| {
            let another = head.number == number && head.previous != previous;
            head.incarnation == incarnation.get() && (head.number > number || another)
        };
        if published.as_ref().is_some_and(behind) {
            let what = "the log ends before what was published as durable";
            return Err(damaged(end.segment(), end.offset(), what));
        }
        if self.opened.len() > self.active as usize + 1 {
            return Err(damaged(
                self.active + 1,
                0,
                "a segment without commits has another behind it",
            ));
        }
        let ready = (self.opened.len() > self.active as usize).then(|| self.opened.pop()).flatten();
        let active = self.opened.pop().expect("a log has a segment");
        let failed = failed(self.directory, self.active);
        let last = self.last.take().filter(|last| last.place.segment() == self.active);
        let (torn, torn_next) = match (self.torn, &ready) {
            (Some(torn), Some(ready)) if torn.segment == ready.header.segment => (None, self.torn),
            (torn, _) => (torn, None),
        };
        if let Some(ready) = &ready {
            heal(&*ready.file, torn_next, None).map_err(&failed)?;
        }
        heal(&*active.file, torn, last.as_ref()).map_err(&failed)?;
        self.infos.truncate(self.active as usize);
        let Replay { number, previous, mark, time, epochs, index, recent, .. } = self.replay;
        let segments = self.infos;
        Ok(Recovered {
            incarnation,
            segments,
            active,
            ready,
            end,
            number,
            previous,
            mark,
            time,
            epochs,
            index,
            recent,
        })
    }
}

/// Overwrites what was torn with zeros, and makes the end of the log durable.
fn heal(file: &dyn DiskFile, torn: Option<Torn>, last: Option<&StoredCommit>) -> io::Result<()> {
    let mut residue = vec![0; torn.map_or(0, |torn| torn.bytes as usize)];
    if let Some(torn) = torn {
        read_full(file, &mut residue, torn.offset)?;
        write_full(file, &vec![0; residue.len()], torn.offset)?;
    }
    // After a failed sync the last commit may be in the page cache only, as if it were written.
    if let Some(last) = last {
        write_full(file, &last.bytes, last.place.offset())?;
    }
    // Also when nothing was written here: zeros of an opening that was killed may not be durable yet.
    let synced = file.sync_data();
    if let (Err(_), Some(torn)) = (&synced, torn) {
        // The page cache may call zeros clean that never reached the disk. The next opening is to see what is
        // torn, and to write them anew.
        let _ = write_full(file, &residue, torn.offset);
    }
    synced
}

fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|chunk| *chunk == ZEROS[..chunk.len()])
}
