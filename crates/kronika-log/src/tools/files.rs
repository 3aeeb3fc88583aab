//! A journal's directory as tools see it: its segments, its published head, and whether somebody has it open.
//!
//! Nothing here writes.

use super::error::ToolError;
#[cfg(feature = "planted-faults")]
use crate::PlantedFault;
use crate::{
    disk::{Disk, DiskFile, OpenMode, read_full},
    error::OpenError,
    format::{
        FORMAT, HEAD_BYTES, PublishedHead, SEGMENT_HEADER_BYTES, SegmentFault, SegmentHeader,
    },
    lock::DirectoryLock,
    real_disk::RealDisk,
    recover::HEAD_FILE,
    segments::{segment_of, segment_path},
};
use kronika_core::{Incarnation, Position};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The files of a journal, to be read by tools.
///
/// ```
/// # use kronika_core::Journal;
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("journal");
/// let log = kronika_log::Log::open(&path, Default::default())?;
/// // Beside the process that writes:
/// let report = kronika_log::verify(&kronika_log::JournalFiles::new(&path), &mut |_| {})?;
/// assert!(report.is_sound());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct JournalFiles {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) path: PathBuf,
    writer: Writer,
    #[cfg(feature = "planted-faults")]
    planted: Option<PlantedFault>,
}

/// Who may be writing to the journal.
#[derive(Debug, Clone)]
enum Writer {
    Nobody,
    Somebody,
    /// Whoever holds the lock of this directory.
    Lock(PathBuf),
}

/// A segment that is open for reading, and whose header was found right.
#[derive(Debug)]
pub(crate) struct OpenSegment {
    pub(crate) header: SegmentHeader,
    /// The header as it stands in the file.
    pub(crate) sector: [u8; SEGMENT_HEADER_BYTES],
    pub(crate) file: Arc<dyn DiskFile>,
}

impl JournalFiles {
    /// The journal in the directory `path`. Whether a process has it open is told by `lock` beside it.
    pub fn new(path: &Path) -> Self {
        let directory = match path.parent() {
            Some(directory) if directory != Path::new("") => directory,
            _ => Path::new("."),
        };
        let writer = Writer::Lock(directory.to_owned());
        Self::of(Arc::new(RealDisk), path, writer)
    }

    /// A journal on a disk of any kind, which nobody has open.
    pub fn on(disk: Arc<dyn Disk>, path: &Path) -> Self {
        Self::of(disk, path, Writer::Nobody)
    }

    fn of(disk: Arc<dyn Disk>, path: &Path, writer: Writer) -> Self {
        Self {
            disk,
            path: path.to_owned(),
            writer,
            #[cfg(feature = "planted-faults")]
            planted: None,
        }
    }

    /// The same files, for tools with a fault.
    #[cfg(feature = "planted-faults")]
    pub fn planting(self, fault: PlantedFault) -> Self {
        Self { planted: Some(fault), ..self }
    }

    #[cfg(feature = "planted-faults")]
    pub(crate) fn plants(&self, fault: PlantedFault) -> bool {
        self.planted == Some(fault)
    }

    /// The same files, which somebody has open: they are read up to the published head and no further.
    pub fn in_use(self) -> Self {
        Self { writer: Writer::Somebody, ..self }
    }

    /// The journal's directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a process has the journal open. One that opens it at this very instant may not be seen yet.
    pub fn is_held(&self) -> Result<bool, ToolError> {
        match &self.writer {
            Writer::Nobody => Ok(false),
            Writer::Somebody => Ok(true),
            Writer::Lock(directory) => DirectoryLock::is_held(directory)
                .map_err(|error| ToolError::reading(&directory.join("lock"), error)),
        }
    }

    /// Which history is published as durable, and the position of its last event; `None` where nobody has
    /// published any. It costs the reading of one small file.
    pub fn published(&self) -> Result<Option<(Incarnation, Position)>, ToolError> {
        let head = self.head()?;
        Ok(head.map(|head| (Incarnation::new(head.incarnation), Position::new(head.position))))
    }

    /// Names of all files; none for a directory that is not there.
    pub(crate) fn names(&self) -> Result<Vec<String>, ToolError> {
        match self.disk.list(&self.path) {
            Ok(names) => Ok(names),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(ToolError::reading(&self.path, error)),
        }
    }

    /// Numbers of the segments, rising.
    pub(crate) fn segments(&self) -> Result<Vec<u32>, ToolError> {
        let names = self.names()?;
        let mut numbers = names.iter().filter_map(|name| segment_of(name)).collect::<Vec<_>>();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The bytes of the published head; `None` without the file, and shorter where the file is.
    pub(crate) fn head_bytes(&self) -> Result<Option<Vec<u8>>, ToolError> {
        let path = self.path.join(HEAD_FILE);
        let failed = |error| ToolError::reading(&path, error);
        let file = match self.disk.open(&path, OpenMode::Read) {
            Ok(file) => file,
            // That the directory is none is told when it is listed.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(failed(error)),
        };
        let mut bytes = vec![0; HEAD_BYTES];
        let read = read_full(&*file, &mut bytes, 0).map_err(failed)?;
        bytes.truncate(read);
        Ok(Some(bytes))
    }

    /// The published head; `None` where there is none, or it is not whole.
    pub(crate) fn head(&self) -> Result<Option<PublishedHead>, ToolError> {
        let bytes = self.head_bytes()?.unwrap_or_default();
        Ok(bytes.first_chunk().and_then(PublishedHead::decode))
    }

    /// Opens a segment and checks its header, its number and its length.
    pub(crate) fn open_segment(&self, number: u32) -> Result<OpenSegment, ToolError> {
        let path = segment_path(&self.path, number);
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => ToolError::damaged(number, 0, "the segment is missing"),
            _ => ToolError::reading(&path, error),
        };
        let file = self.disk.open(&path, OpenMode::Read).map_err(failed)?;
        let mut sector = [0; SEGMENT_HEADER_BYTES];
        read_full(&*file, &mut sector, 0).map_err(failed)?;
        let length = file.length().map_err(failed)?;
        let header = SegmentHeader::decode(&sector).map_err(|fault| match fault {
            SegmentFault::Wrong(what) => ToolError::damaged(number, 0, what),
            SegmentFault::Newer(found) => {
                OpenError::Newer { segment: number, found, known: FORMAT }.into()
            }
            SegmentFault::Unknown(what) => {
                OpenError::Unknown { what, segment: number, offset: 0 }.into()
            }
        })?;
        if header.segment != number {
            return Err(ToolError::damaged(number, 0, "the file is another segment"));
        }
        if length != header.bytes {
            let what = format!("the file has {length} bytes instead of {}", header.bytes);
            return Err(ToolError::damaged(number, length.min(header.bytes), what));
        }
        Ok(OpenSegment { header, sector, file })
    }

    /// The first offset from `from` to `to` at which a segment's file holds something else than zero.
    pub(crate) fn first_used(
        &self,
        segment: &OpenSegment,
        from: u64,
        to: u64,
    ) -> Result<Option<u64>, ToolError> {
        const CHUNK_BYTES: u64 = 1 << 20;
        let number = segment.header.segment;
        let failed = |error| ToolError::reading(&segment_path(&self.path, number), error);
        let mut chunk = vec![0; CHUNK_BYTES.min(to.saturating_sub(from)) as usize];
        let mut at = from;
        while at < to {
            let wanted = CHUNK_BYTES.min(to - at) as usize;
            let read = read_full(&*segment.file, &mut chunk[..wanted], at).map_err(failed)?;
            if read < wanted {
                let end = at + read as u64;
                return Err(ToolError::damaged(number, end, "the file ends too early"));
            }
            if let Some(used) = chunk[..read].iter().position(|byte| *byte != 0) {
                return Ok(Some(at + used as u64));
            }
            at += read as u64;
        }
        Ok(None)
    }
}
