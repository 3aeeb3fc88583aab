//! Opening: reads what is not sealed of the log, judges its tail, heals what was torn, and makes the last commit
//! durable before it counts.
//!
//! A commit is accepted only where it is expected, with the number, position and predecessor that are expected.
//! Nothing is changed before everything was judged.

mod heal;
mod seal;

#[cfg(feature = "planted-faults")]
use crate::PlantedFault;
use crate::{
    disk::{Disk, DiskFile, OpenMode, read_full},
    error::{Damage, OpenError},
    format::{
        COMMIT_BYTES_MAX, CommitHeader, FIRST_COMMIT, HEAD_BYTES, Malformed, PublishedHead,
        UNIT_BYTES,
    },
    index::{Index, RunSet},
    place::Place,
    prepare::ReadySegment,
    recent::{Recent, StoredCommit},
    replay::Replay,
    seal_segment::{FullSegment, Sealed},
    sealed_prefix::{SealedPrefix, open_segment},
    segments::{SegmentInfo, UNREADY_SUFFIX, footer_of, run_of, segment_of, segment_path},
    settings::Settings,
    state::LogState,
    tail::{Verdict, judge},
    window::Window,
};
use heal::{Torn, heal};
use kronika_core::Incarnation;
use std::{collections::VecDeque, io, path::Path, sync::Arc};

/// Bytes read ahead while the log is scanned.
const READ_AHEAD: usize = 1 << 20;
/// Full segments that are left to the sealing thread.
const FULL_MAX: usize = 2;
/// The file of the published head.
pub(crate) const HEAD_FILE: &str = "head";

/// A log as it was found.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) incarnation: Incarnation,
    pub(crate) segments: Vec<SegmentInfo>,
    /// The segment that commits go to.
    pub(crate) active: ReadySegment,
    /// Nothing more goes into it: the next commit goes into the one after it.
    pub(crate) closed: bool,
    /// The one after it, if it was made ready.
    pub(crate) ready: Option<ReadySegment>,
    pub(crate) end: Place,
    pub(crate) state: LogState,
    pub(crate) index: Arc<Index>,
    pub(crate) recent: Arc<Recent>,
    /// Up to where segments are sealed, and those that are full and are not.
    pub(crate) sealed: Sealed,
    pub(crate) full: Vec<FullSegment>,
}

/// What a log is opened with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recovery {
    pub(crate) recent_bytes: usize,
    pub(crate) heads_max: usize,
    pub(crate) index_bytes: u64,
    #[cfg(feature = "planted-faults")]
    pub(crate) planted: Option<PlantedFault>,
}

impl Recovery {
    pub(crate) fn of(settings: &Settings) -> Self {
        Self {
            recent_bytes: settings.recent_bytes,
            heads_max: settings.streams_remembered_max,
            index_bytes: settings.index_bytes,
            #[cfg(feature = "planted-faults")]
            planted: settings.planted_fault,
        }
    }
}

/// Reads the segments of a directory; `None` if there are none.
pub(crate) fn recover(
    disk: &dyn Disk,
    directory: &Path,
    recovery: Recovery,
) -> Result<Option<Recovered>, OpenError> {
    let failed = |error| OpenError::from_io(directory, error);
    let names = disk.list(directory).map_err(failed)?;
    let numbers = numbers(&names)?;
    let published = read_head(disk, directory)?;
    if numbers == 0 {
        if let Some(head) = published {
            return Err(damaged(head.end.segment(), 0, "the segment is missing"));
        }
        remove_unready(disk, directory, &names);
        return Ok(None);
    }
    let prefix = SealedPrefix::open(disk, directory, &names, numbers, recovery, u64::MAX)?;
    let covered = prefix.index.runs().covered();
    let mut scan = Scan::new(disk, directory, prefix, recovery);
    for number in covered + 1..=numbers {
        scan.segment(number)?;
        scan.seal_some()?;
    }
    let recovered = scan.finish(published)?;
    remove_unready(disk, directory, &names);
    // Those made anew meanwhile bear the names of what was there before.
    remove_unused(disk, directory, &names, &recovered.index.runs())?;
    disk.sync_directory(directory).map_err(failed)?;
    Ok(Some(recovered))
}

/// How many segments there are: they are numbered from 1 without gaps.
pub(crate) fn numbers(names: &[String]) -> Result<u32, OpenError> {
    let mut numbers = names.iter().filter_map(|name| segment_of(name)).collect::<Vec<_>>();
    numbers.sort_unstable();
    for (expected, number) in (1..).zip(&numbers) {
        if *number != expected {
            return Err(damaged(expected, 0, "the segment is missing"));
        }
    }
    Ok(numbers.len() as u32)
}

/// Segments that were never finished only take up room.
fn remove_unready(disk: &dyn Disk, directory: &Path, names: &[String]) {
    for name in names.iter().filter(|name| name.ends_with(UNREADY_SUFFIX)) {
        let _ = disk.remove(&directory.join(name));
    }
}

/// Runs that were merged only take up room; but what tells of a segment as it was once must be gone before more is
/// written into it, or else the next opening believes it.
fn remove_unused(
    disk: &dyn Disk,
    directory: &Path,
    names: &[String],
    runs: &RunSet,
) -> Result<(), OpenError> {
    for name in names {
        let used = match (run_of(name), footer_of(name)) {
            (Some(run), _) => runs.runs.iter().any(|used| (used.first, used.last) == run),
            (None, Some(segment)) => segment <= runs.covered(),
            (None, None) => true,
        };
        if !used {
            let path = directory.join(name);
            match disk.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(OpenError::from_io(&path, error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

pub(crate) fn read_head(
    disk: &dyn Disk,
    directory: &Path,
) -> Result<Option<PublishedHead>, OpenError> {
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

struct Scan<'a> {
    disk: &'a dyn Disk,
    directory: &'a Path,
    recovery: Recovery,
    incarnation: Incarnation,
    salt: u64,
    window: Window,
    /// The segments that are scanned, less those that were sealed meanwhile.
    opened: VecDeque<ReadySegment>,
    infos: Vec<SegmentInfo>,
    replay: Replay,
    sealed: Sealed,
    /// The last segment that is sealed.
    covered: u32,
    /// Sealing did not fail, nor did merging: or else it is left to the sealing thread.
    seals: bool,
    merges: bool,
    /// The last segment with a commit, or the first one that is not sealed.
    active: u32,
    torn: Option<Torn>,
    last: Option<StoredCommit>,
}

impl<'a> Scan<'a> {
    fn new(
        disk: &'a dyn Disk,
        directory: &'a Path,
        prefix: SealedPrefix,
        recovery: Recovery,
    ) -> Self {
        let SealedPrefix { incarnation, salt, sealed, infos, index } = prefix;
        let covered = infos.len() as u32;
        let (state, recent) = (sealed.state.clone(), Arc::new(Recent::new(recovery.recent_bytes)));
        Self {
            disk,
            directory,
            recovery,
            incarnation,
            salt,
            window: Window::default(),
            opened: VecDeque::new(),
            infos,
            replay: Replay { state, index, recent },
            sealed,
            covered,
            seals: true,
            merges: true,
            active: covered + 1,
            torn: None,
            last: None,
        }
    }

    fn segment(&mut self, number: u32) -> Result<(), OpenError> {
        let incarnation = Some(self.incarnation);
        let opened = open_segment(self.disk, self.directory, number, OpenMode::Write, incarnation)?;
        let first = self.replay.state.mark.position.plus(1);
        let info = SegmentInfo { seal: opened.header.seal(), first, end: FIRST_COMMIT };
        let (file, bytes) = (Arc::clone(&opened.file), opened.header.bytes);
        self.opened.push_back(opened);
        self.infos.push(info);
        let mut offset = FIRST_COMMIT;
        loop {
            let verdict = self.judge(number, &*file, offset, bytes)?;
            #[cfg(feature = "planted-faults")]
            let verdict = self.cut_too_far(verdict, number, &*file, (offset, bytes))?;
            if verdict == Verdict::End {
                break;
            }
            if self.torn.is_some() || self.active + 1 < number {
                return Err(damaged(self.active, self.end(self.active), "commits are missing"));
            }
            self.active = number;
            match verdict {
                Verdict::End => unreachable!("handled above"),
                Verdict::Sound(header, check) => {
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
                    self.torn = Some(Torn { offset, bytes });
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

    /// The last commit before what is torn is torn too.
    #[cfg(feature = "planted-faults")]
    fn cut_too_far(
        &mut self,
        verdict: Verdict,
        number: u32,
        file: &dyn DiskFile,
        (offset, bytes): (u64, u64),
    ) -> Result<Verdict, OpenError> {
        let Verdict::Sound(header, _) = &verdict else { return Ok(verdict) };
        if self.recovery.planted != Some(PlantedFault::CutTooFar) {
            return Ok(verdict);
        }
        let length = header.bytes();
        Ok(match self.judge(number, file, offset + length, bytes)? {
            Verdict::Torn(behind) => Verdict::Torn(length + behind),
            _ => verdict,
        })
    }

    fn end(&self, segment: u32) -> u64 {
        self.infos[segment as usize - 1].end
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
        if let Some(Ok((header, _check))) =
            first.first_chunk().map(|first| CommitHeader::decode(first, seal, offset))
        {
            let commit = get(&mut window, header.bytes() as usize)?;
            #[cfg(feature = "planted-faults")]
            if self.recovery.planted == Some(PlantedFault::BodyNotCheckedAtOpening) {
                self.window = window;
                return Ok(Verdict::Sound(header, _check));
            }
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
        // No more is looked at than that; that there is something behind it is all that counts.
        let most = offset + COMMIT_BYTES_MAX as u64 + UNIT_BYTES as u64;
        let mut rest = vec![0; (end.min(bytes).min(most) - offset) as usize];
        read_full(file, &mut rest, offset).map_err(&failed)?;
        if used > most {
            *rest.last_mut().expect("it has more than a commit's bytes") = 1;
        }
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
        // An empty segment behind one with commits is not begun, but ready: what comes next may not fit into it.
        let begun = self.infos.get(self.active as usize - 1).map(|info| info.end > FIRST_COMMIT);
        let closed = self.active > 1 && begun != Some(true);
        let full = self.full();
        let newest = if closed { self.active - 1 } else { self.active };
        let end = Place::new(newest, self.end(newest));
        // By number: the same end may be said as that of one segment or the beginning of the next.
        let (number, previous) = (self.replay.state.number, self.replay.state.previous);
        let behind = |head: &PublishedHead| {
            let another = head.number == number && head.previous != previous;
            head.incarnation == self.incarnation.get() && (head.number > number || another)
        };
        #[cfg(feature = "planted-faults")]
        let published =
            published.filter(|_| self.recovery.planted != Some(PlantedFault::HeadNotCompared));
        if published.as_ref().is_some_and(behind) {
            let what = "the log ends before what was published as durable";
            return Err(damaged(end.segment(), end.offset(), what));
        }
        if self.infos.len() > newest as usize + 1 {
            let what = "a segment without commits has another behind it";
            return Err(damaged(newest + 1, 0, what));
        }
        let more = self.infos.len() > newest as usize;
        let ready = if more { self.opened.pop_back() } else { None };
        let active = match self.opened.pop_back() {
            Some(active) => active,
            None => {
                let incarnation = Some(self.incarnation);
                open_segment(self.disk, self.directory, newest, OpenMode::Write, incarnation)?
            }
        };
        let mut torn = self.torn;
        #[cfg(feature = "planted-faults")]
        if self.recovery.planted == Some(PlantedFault::TornLeft) {
            torn = None;
        }
        // Also where nothing is torn: zeros of an opening that was killed may not be durable yet.
        if let Some(ready) = &ready {
            let torn = if closed { torn.take() } else { None };
            let failed = failed(self.directory, ready.header.segment);
            heal(&*ready.file, torn, None).map_err(failed)?;
        }
        let last = self.last.take().filter(|last| last.place.segment() == newest);
        // A sealed segment was durable long ago.
        let is_to_sync = newest > self.covered;
        #[cfg(feature = "planted-faults")]
        let is_to_sync = is_to_sync
            && (torn.is_some() || self.recovery.planted != Some(PlantedFault::EndNotSynced));
        if is_to_sync {
            let failed = failed(self.directory, newest);
            heal(&*active.file, torn, last.as_ref()).map_err(failed)?;
        }
        self.infos.truncate(newest as usize);
        let Replay { state, index, recent } = self.replay;
        let (incarnation, segments, sealed) = (self.incarnation, self.infos, self.sealed);
        Ok(Recovered {
            incarnation,
            segments,
            active,
            closed,
            ready,
            end,
            state,
            index,
            recent,
            sealed,
            full,
        })
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|chunk| *chunk == ZEROS[..chunk.len()])
}
