//! The segments' files, as readers need them: names, checks, ends, and a bounded number of open files.

use crate::{
    disk::{Disk, DiskFile, OpenMode, read_full},
    footer::Footer,
    format::{SEGMENT_HEADER_BYTES, Seal, SegmentHeader, wrong},
    place::Place,
};
use kronika_core::Position;
use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

/// Files kept open for readers.
const FILES_OPEN_MAX: usize = 64;
/// Footers kept open for readers.
const FOOTERS_OPEN_MAX: usize = 16;
const SUFFIX: &str = ".segment";
/// What a segment is called until it is made ready.
pub(crate) const UNREADY_SUFFIX: &str = ".making";

/// The path of a segment.
pub(crate) fn segment_path(directory: &Path, segment: u32) -> PathBuf {
    directory.join(format!("{segment:08}{SUFFIX}"))
}

/// The path of a segment that is being made.
pub(crate) fn unready_path(directory: &Path, segment: u32) -> PathBuf {
    directory.join(format!("{segment:08}{UNREADY_SUFFIX}"))
}

/// The number of the segment that a file name names.
pub(crate) fn segment_of(name: &str) -> Option<u32> {
    number(name.strip_suffix(SUFFIX)?)
}

const FOOTER_SUFFIX: &str = ".footer";
const RUN_SUFFIX: &str = ".run";

/// The path of a sealed segment's footer.
pub(crate) fn footer_path(directory: &Path, segment: u32) -> PathBuf {
    directory.join(format!("{segment:08}{FOOTER_SUFFIX}"))
}

/// The number of the segment whose footer a file name names.
pub(crate) fn footer_of(name: &str) -> Option<u32> {
    number(name.strip_suffix(FOOTER_SUFFIX)?)
}

/// The path of the run of some neighbouring segments.
pub(crate) fn run_path(directory: &Path, first: u32, last: u32) -> PathBuf {
    directory.join(format!("{first:08}-{last:08}{RUN_SUFFIX}"))
}

/// The first and last segment of the run that a file name names.
pub(crate) fn run_of(name: &str) -> Option<(u32, u32)> {
    let (first, last) = name.strip_suffix(RUN_SUFFIX)?.split_once('-')?;
    Some((number(first)?, number(last)?))
}

/// What a file is called until it is made ready.
pub(crate) fn unready(path: &Path) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(UNREADY_SUFFIX);
    path.into()
}

fn number(digits: &str) -> Option<u32> {
    let plain = digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// A segment that commits are read from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SegmentInfo {
    pub(crate) seal: Seal,
    /// Position of its first event, or of the next one to come.
    pub(crate) first: Position,
    /// End of its last durable commit. It grows before the index tells of that commit, and the durable head only
    /// afterwards: a read bounded by an earlier head has an earlier end.
    pub(crate) end: u64,
}

/// The segments from the first on.
#[derive(Debug)]
pub(crate) struct Segments {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    list: RwLock<Vec<SegmentInfo>>,
    open: LastUsed<Arc<dyn DiskFile>>,
    footers: LastUsed<Arc<Footer>>,
    #[cfg(feature = "planted-faults")]
    pub(crate) footers_unchecked: bool,
}

impl Segments {
    pub(crate) fn new(disk: Arc<dyn Disk>, directory: &Path, list: Vec<SegmentInfo>) -> Self {
        let directory = directory.to_owned();
        let list = RwLock::new(list);
        let (open, footers) = (LastUsed::new(FILES_OPEN_MAX), LastUsed::new(FOOTERS_OPEN_MAX));
        Self {
            disk,
            directory,
            list,
            open,
            footers,
            #[cfg(feature = "planted-faults")]
            footers_unchecked: false,
        }
    }

    /// The segment's checks and end, given the durable end of the log.
    pub(crate) fn info(&self, segment: u32, durable: Place) -> Option<SegmentInfo> {
        let info = self.info_now(segment)?;
        let newest = durable.segment() == segment;
        Some(if newest { SegmentInfo { end: durable.offset(), ..info } } else { info })
    }

    /// The segment's checks, and its end as of now: for what the index says is there.
    pub(crate) fn info_now(&self, segment: u32) -> Option<SegmentInfo> {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        list.get(segment.checked_sub(1)? as usize).copied()
    }

    /// The newest segment that begins at or before a position; the first one if there is none.
    pub(crate) fn holding(&self, position: Position) -> u32 {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        list.partition_point(|info| info.first <= position).max(1) as u32
    }

    /// A commit that ends here is durable.
    pub(crate) fn grew(&self, end: Place) {
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        let info = &mut list[end.segment() as usize - 1];
        info.end = info.end.max(end.offset());
    }

    /// The newest segment ended, and the next one begins.
    pub(crate) fn roll(&self, end: u64, next: SegmentInfo) {
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        list.last_mut().expect("a log has a segment").end = end;
        list.push(next);
    }

    /// The segment's file, open for reading.
    pub(crate) fn file(&self, segment: u32) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(file) = self.open.get(segment) {
            return Ok(file);
        }
        let file = self.disk.open(&segment_path(&self.directory, segment), OpenMode::Read)?;
        self.open.put(segment, Arc::clone(&file));
        Ok(file)
    }

    /// The header of a segment, read anew.
    pub(crate) fn header(&self, segment: u32) -> io::Result<SegmentHeader> {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        read_full(&*self.file(segment)?, &mut bytes, 0)?;
        let header = SegmentHeader::decode(&bytes);
        header.map_err(|_| wrong("the header of a segment is not what was written"))
    }

    /// The footer of a sealed segment.
    pub(crate) fn footer(&self, segment: u32) -> io::Result<Arc<Footer>> {
        if let Some(footer) = self.footers.get(segment) {
            return Ok(footer);
        }
        #[cfg_attr(not(feature = "planted-faults"), allow(unused_mut))]
        let mut footer = Footer::open(&*self.disk, &self.directory, segment)?;
        #[cfg(feature = "planted-faults")]
        {
            footer.unchecked = self.footers_unchecked;
        }
        let footer = Arc::new(footer);
        self.footers.put(segment, Arc::clone(&footer));
        Ok(footer)
    }
}

/// What was used last of each segment, a bounded number of them. Nothing is opened under its lock.
#[derive(Debug)]
struct LastUsed<T> {
    most: usize,
    kept: Mutex<VecDeque<(u32, T)>>,
}

impl<T: Clone> LastUsed<T> {
    fn new(most: usize) -> Self {
        Self { most, kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<(u32, T)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, segment: u32) -> Option<T> {
        let mut kept = self.kept();
        let at = kept.iter().position(|(number, _)| *number == segment)?;
        let found = kept.remove(at)?;
        kept.push_back(found.clone());
        Some(found.1)
    }

    fn put(&self, segment: u32, value: T) {
        let mut kept = self.kept();
        kept.retain(|(number, _)| *number != segment);
        kept.push_back((segment, value));
        if kept.len() > self.most {
            kept.pop_front();
        }
    }
}
