//! One commit read from a file and verified: what readers, sealing and followers have in common.

use crate::{
    disk::DiskFile,
    error::Damage,
    format::{COMMIT_HEADER_BYTES, CommitHeader, HeaderFault, Seal},
    place::Place,
    recent::StoredCommit,
    replay::streams_damaged,
    window::Window,
};
use std::io;

/// Why there is no commit.
#[derive(Debug)]
pub(crate) enum CommitFault {
    /// The disk failed.
    Io(io::Error),
    /// Zeros stand there: the segment ends before it.
    Missing,
    /// It is not what was written, or of a later release.
    Damaged(Damage),
}

impl CommitFault {
    /// Where a commit must be.
    pub(crate) fn must_be(self, place: Place) -> Self {
        match self {
            Self::Missing => {
                Self::Damaged(Damage::at(place.segment(), place.offset(), "a commit is missing"))
            }
            other => other,
        }
    }
}

/// Where a segment's commits are read.
pub(crate) struct Source<'a> {
    pub(crate) file: &'a dyn DiskFile,
    pub(crate) seal: Seal,
    /// No commit ends behind this offset.
    pub(crate) end: u64,
    /// Bytes that are read at once.
    pub(crate) ahead: usize,
    /// A body is believed.
    #[cfg(feature = "planted-faults")]
    pub(crate) unchecked: bool,
}

impl Source<'_> {
    /// The commit at an offset, and the check of its header.
    pub(crate) fn commit(
        &self,
        window: &mut Window,
        offset: u64,
    ) -> Result<(StoredCommit, u32), CommitFault> {
        let segment = self.seal.segment;
        let wrong = |what: &str| CommitFault::Damaged(Damage::at(segment, offset, what));
        let mut bytes = |count: usize| {
            let got = window.get((segment, self.file), offset, count, self.end, self.ahead);
            got.map_err(CommitFault::Io)
        };
        let start = bytes(COMMIT_HEADER_BYTES)?;
        let start = start.first_chunk().ok_or_else(|| wrong("the segment ends inside a commit"))?;
        let decoded = CommitHeader::decode(start, self.seal, offset);
        let (header, check) = decoded.map_err(|fault| match fault {
            HeaderFault::Zero => CommitFault::Missing,
            HeaderFault::Wrong(what) => wrong(what),
            HeaderFault::Unknown(what) => wrong(&format!("{what} is not known to this release")),
        })?;
        let length = header.bytes() as usize;
        let bytes = bytes(length)?;
        let whole = bytes.len() == length
            && self.seal.check(&bytes[COMMIT_HEADER_BYTES..]) == header.body_check;
        #[cfg(feature = "planted-faults")]
        let whole = whole || self.unchecked;
        if !whole {
            let what = "the check of the commit's body does not fit";
            let mut damage = Damage::at(segment, offset, what);
            damage.streams = streams_damaged(&bytes, self.seal, offset);
            return Err(CommitFault::Damaged(damage));
        }
        Ok((StoredCommit { place: Place::new(segment, offset), header, bytes }, check))
    }
}
