//! What a verification found, in figures, findings and notes.

use super::time;
use kronika_core::{Incarnation, Position, StreamId, Timestamp};
use serde::{Serialize, Serializer};
use std::fmt;

/// Findings that are listed; further ones are counted.
pub(crate) const FINDINGS_MAX: usize = 100;

/// What a verification found.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Which history it is.
    #[serde(serialize_with = "as_text")]
    pub incarnation: Incarnation,
    /// Whether a process had the journal open: then it was verified up to the published head.
    pub in_use: bool,
    /// Segments that hold what was verified.
    pub segments: u64,
    /// Commits that are sound.
    pub commits: u64,
    /// Claims in them.
    pub claims: u64,
    /// Appends in them.
    pub appends: u64,
    /// Events in them.
    pub events: u64,
    /// Streams that they belong to.
    pub streams: u64,
    /// Bytes of sound commits.
    pub commit_bytes: u64,
    /// Position of the last event.
    pub head: Position,
    /// When the first commit was recorded.
    #[serde(serialize_with = "time::serialize_some")]
    pub first_time: Option<Timestamp>,
    /// When the last commit was recorded.
    #[serde(serialize_with = "time::serialize_some")]
    pub last_time: Option<Timestamp>,
    /// Bytes of a torn write behind the end, which the next opening heals: sound.
    pub torn_bytes: u64,
    /// What is wrong, at most a hundred places.
    pub findings: Vec<Finding>,
    /// Further places that are wrong.
    pub findings_left_out: u64,
    /// What is worth knowing and not wrong.
    pub notes: Vec<String>,
}

/// One place that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Whether anything was lost.
    pub kind: FindingKind,
    /// The segment, where it is in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment: Option<u32>,
    /// The file's name, where it is in another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Offset in the file.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
    /// Streams that are affected, where they can be told.
    #[serde(serialize_with = "names")]
    pub streams: Vec<StreamId>,
}

/// Whether anything was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FindingKind {
    /// The truth is not what was written: restore from a backup.
    Damage,
    /// Only data that follows from the truth: remove the file, it is made anew.
    Derived,
}

impl VerifyReport {
    /// Whether all is as it was written.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    /// Adds a finding, or counts it where there are too many.
    pub(crate) fn find(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.findings_left_out += 1;
        }
    }
}

impl Finding {
    pub(crate) fn damage(segment: u32, offset: u64, what: impl Into<String>) -> Self {
        let (kind, what) = (FindingKind::Damage, what.into());
        Self { kind, segment: Some(segment), file: None, offset, what, streams: Vec::new() }
    }

    pub(crate) fn derived(file: &str, offset: u64, what: impl Into<String>) -> Self {
        let (kind, what) = (FindingKind::Derived, what.into());
        Self { kind, segment: None, file: Some(file.to_owned()), offset, what, streams: Vec::new() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            FindingKind::Damage => f.write_str("damage: ")?,
            FindingKind::Derived => f.write_str("derived data: ")?,
        }
        match (&self.segment, &self.file) {
            (Some(segment), _) => write!(f, "segment {segment}")?,
            (None, file) => f.write_str(file.as_deref().unwrap_or("the directory"))?,
        }
        write!(f, " at offset {}: {}", self.offset, self.what)?;
        for (index, stream) in self.streams.iter().enumerate() {
            write!(f, "{}{stream}", if index == 0 { "; streams " } else { ", " })?;
        }
        Ok(())
    }
}

pub(crate) fn as_text<S: Serializer>(
    value: &impl fmt::Display,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn names<S: Serializer>(streams: &[StreamId], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(streams.iter().map(StreamId::name))
}
