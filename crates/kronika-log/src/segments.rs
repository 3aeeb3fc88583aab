//! The segments' files, as readers need them: names, checks, ends, and a bounded number of open files.

use crate::{
    disk::{Disk, DiskFile, OpenMode},
    format::Seal,
    place::Place,
};
use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

/// Files kept open for readers.
const FILES_OPEN_MAX: usize = 64;
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
    let digits = name.strip_suffix(SUFFIX)?;
    let plain = digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// A segment that commits are read from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SegmentInfo {
    pub(crate) seal: Seal,
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
    open: Mutex<VecDeque<(u32, Arc<dyn DiskFile>)>>,
}

impl Segments {
    pub(crate) fn new(disk: Arc<dyn Disk>, directory: &Path, list: Vec<SegmentInfo>) -> Self {
        let directory = directory.to_owned();
        Self { disk, directory, list: RwLock::new(list), open: Mutex::default() }
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
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = open.iter().position(|(number, _)| *number == segment) {
            let found = open.remove(at).expect("it was found");
            open.push_back(found.clone());
            return Ok(found.1);
        }
        let file = self.disk.open(&segment_path(&self.directory, segment), OpenMode::Read)?;
        open.push_back((segment, Arc::clone(&file)));
        if open.len() > FILES_OPEN_MAX {
            open.pop_front();
        }
        Ok(file)
    }
}
