//! Opening what is sealed: the segments from the first one on that have footers and runs. They are not read.

use crate::{
    disk::{Disk, OpenMode, read_full},
    error::{Damage, OpenError},
    footer::Footer,
    format::{FORMAT, SEGMENT_HEADER_BYTES, SegmentFault, SegmentHeader},
    index::{Hasher, Index, RunSet},
    prepare::ReadySegment,
    recover::Recovery,
    seal_segment::Sealed,
    segments::{SegmentInfo, segment_path},
};
use kronika_core::Incarnation;
use std::{path::Path, sync::Arc};

/// What is sealed of a log.
#[derive(Debug)]
pub(crate) struct SealedPrefix {
    pub(crate) incarnation: Incarnation,
    /// Salt of the first segment: the journal's own.
    pub(crate) salt: u64,
    pub(crate) sealed: Sealed,
    pub(crate) infos: Vec<SegmentInfo>,
    pub(crate) index: Arc<Index>,
}

impl SealedPrefix {
    /// Opens it, up to a commit's number; there is at least one segment.
    pub(crate) fn open(
        disk: &dyn Disk,
        directory: &Path,
        names: &[String],
        segments: u32,
        recovery: Recovery,
        number_max: u64,
    ) -> Result<Self, OpenError> {
        let first = open_segment(disk, directory, 1, OpenMode::Read, None)?.header;
        let (incarnation, salt) = (first.incarnation, first.salt);
        let mut infos = Vec::new();
        let mut end_checks = Vec::new();
        let mut before = (0, 0, [0; 32]);
        for segment in 1..=segments {
            let Ok(footer) = Footer::open(disk, directory, segment) else { break };
            let opened =
                open_segment(disk, directory, segment, OpenMode::Read, Some(incarnation))?.header;
            let footer_before = (footer.header.before.0, footer.header.before.1);
            let continues = footer.incarnation == incarnation
                && (footer_before.0, footer_before.1, footer.header.hash_before) == before
                && footer.header.segment_check == opened.check()
                && footer.header.end <= opened.bytes;
            if !continues || footer.header.after.0 > number_max {
                break;
            }
            let (seal, end) = (opened.seal(), footer.header.end);
            infos.push(SegmentInfo { seal, first: footer.header.first.plus(1), end });
            end_checks.push(footer.header.after.1);
            before = (footer.header.after.0, footer.header.after.1, footer.header.hash);
        }
        let end_check = |segment: u32| end_checks.get(segment as usize - 1).copied();
        let last = infos.len() as u32;
        let bytes = recovery.index_bytes;
        let mut runs = RunSet::open(disk, directory, names, last, bytes, end_check);
        let mut sealed = Sealed::new();
        match runs.covered() {
            0 => {}
            covered => match Footer::open(disk, directory, covered)
                .and_then(|footer| Ok(Sealed { state: footer.state()?, hash: footer.header.hash }))
            {
                Ok(state) => sealed = state,
                // It is made anew like one that is missing, and all behind it.
                Err(_) => runs = RunSet::default(),
            },
        }
        infos.truncate(runs.covered() as usize);
        let index = Arc::new(Index::new(Hasher::new(salt), runs, recovery.heads_max));
        Ok(Self { incarnation, salt, sealed, infos, index })
    }
}

/// Opens a segment and checks that it is the one, of this history, and whole in length.
pub(crate) fn open_segment(
    disk: &dyn Disk,
    directory: &Path,
    number: u32,
    mode: OpenMode,
    incarnation: Option<Incarnation>,
) -> Result<ReadySegment, OpenError> {
    let path = segment_path(directory, number);
    let failed = |error| OpenError::from_io(&path, error);
    let damaged = |offset, what: &str| OpenError::Damaged(Damage::at(number, offset, what));
    let file = disk.open(&path, mode).map_err(failed)?;
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    read_full(&*file, &mut bytes, 0).map_err(failed)?;
    let length = file.length().map_err(failed)?;
    let header = SegmentHeader::decode(&bytes).map_err(|fault| match fault {
        SegmentFault::Wrong(what) => damaged(0, what),
        SegmentFault::Newer(found) => OpenError::Newer { segment: number, found, known: FORMAT },
        SegmentFault::Unknown(what) => OpenError::Unknown { what, segment: number, offset: 0 },
    })?;
    if header.segment != number {
        return Err(damaged(0, "the file is another segment"));
    }
    if incarnation.is_some_and(|incarnation| incarnation != header.incarnation) {
        return Err(damaged(0, "the segment belongs to another history"));
    }
    if length != header.bytes {
        let what = format!("the file has {length} bytes instead of {}", header.bytes);
        return Err(damaged(length.min(header.bytes), &what));
    }
    Ok(ReadySegment { header, file })
}
