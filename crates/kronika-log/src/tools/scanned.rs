//! A commit as a scan gives it: every check of it was found right.

use super::error::ToolError;
use crate::{
    error::{Damage, OpenError},
    format::{CommitKind, Malformed, Seal, decode_append, decode_control},
    place::Place,
    recent::StoredCommit,
    replay::Records,
};
use kronika_core::{Epoch, Position, RecordedAppend, SliceRange, Timestamp};

/// A commit whose checks were found right.
#[derive(Debug, Clone)]
pub struct ScannedCommit {
    pub(crate) stored: StoredCommit,
    /// Check of its header.
    pub(crate) check: u32,
    pub(crate) seal: Seal,
}

impl ScannedCommit {
    /// Number of the commit, from 1.
    pub fn number(&self) -> u64 {
        self.stored.header.number
    }
    /// The segment that it stands in.
    pub fn segment(&self) -> u32 {
        self.stored.place.segment()
    }
    /// Offset in the segment's file.
    pub fn offset(&self) -> u64 {
        self.stored.place.offset()
    }
    /// Bytes of it, padding included.
    pub fn bytes(&self) -> u64 {
        self.stored.header.bytes()
    }
    /// When it was recorded.
    pub fn time(&self) -> Timestamp {
        Timestamp::new(self.stored.header.time)
    }
    /// Position of the last event up to its end.
    pub fn last_position(&self) -> Position {
        let header = &self.stored.header;
        Position::new((header.first_position + u64::from(header.events)).saturating_sub(1))
    }
    /// Position of the last event before it.
    pub fn position_before(&self) -> Position {
        Position::new(self.stored.header.first_position.saturating_sub(1))
    }
    /// Events in it.
    pub fn events(&self) -> u64 {
        u64::from(self.stored.header.events)
    }

    /// Its appends, in order.
    pub fn appends(&self) -> Result<ScannedAppends<'_>, ToolError> {
        Ok(ScannedAppends { commit: self, records: self.records()? })
    }

    /// Its claims, in order.
    pub(crate) fn claims(&self) -> Result<Vec<(SliceRange, Epoch)>, ToolError> {
        if self.stored.header.kind != CommitKind::Control {
            return Ok(Vec::new());
        }
        let claims = self.records()?.filter_map(|record| {
            let claim = record.and_then(|(_, record)| decode_control(&record[8..]));
            claim.map(|claim| claim.map(|claim| (claim.slices, claim.epoch))).transpose()
        });
        claims.collect::<Result<_, _>>().map_err(|fault| malformed(self.stored.place, fault))
    }

    pub(crate) fn records(&self) -> Result<Records<'_>, ToolError> {
        Records::of(&self.stored).map_err(|fault| malformed(self.stored.place, fault))
    }
}

/// The appends of a commit.
pub struct ScannedAppends<'a> {
    commit: &'a ScannedCommit,
    records: Records<'a>,
}

impl Iterator for ScannedAppends<'_> {
    type Item = Result<RecordedAppend, ToolError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.commit.stored.header.kind != CommitKind::Appends {
            return None;
        }
        Some(match self.records.next()? {
            Ok((place, record)) => decode_append(&self.commit.stored.bytes.slice_ref(record), None)
                .map_err(|fault| malformed(place, fault)),
            Err(fault) => Err(malformed(self.commit.stored.place, fault)),
        })
    }
}

/// What cannot be read where it stands.
pub(crate) fn malformed(place: Place, fault: Malformed) -> ToolError {
    let (segment, offset) = (place.segment(), place.offset());
    let error = match fault {
        Malformed::Wrong(what) => OpenError::Damaged(Damage::at(segment, offset, what)),
        Malformed::Unknown(what) => OpenError::Unknown { what, segment, offset },
    };
    error.into()
}
