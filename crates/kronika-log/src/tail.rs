//! Torn or damaged? What stands where a commit is expected, judged by its bytes alone.
//!
//! A commit is placed only in space that was zeroed and synced, so a sector that was never written reads as
//! zero, and its header says how many of its sectors had at most one bit set when it was written. Then a body
//! that is wrong and has more zero sectors than that lost a write: torn. A body that is wrong otherwise was
//! whole once: damage. Nothing is ever accepted by searching; the one search here only refuses.

use crate::format::{
    COMMIT_BYTES_MAX, COMMIT_HEADER_BYTES, CommitHeader, HeaderFault, Seal, UNIT_BYTES,
    zero_sectors,
};

/// What stands where a commit is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A commit, and the check of its header.
    Sound(CommitHeader, u32),
    /// Nothing, and nothing behind it.
    End,
    /// A commit that was being written when the power went, of so many bytes.
    Torn(u64),
    /// Something that was acknowledged and is not what was written.
    Damaged(&'static str),
    /// A commit of a later release.
    Unknown(String),
}

/// Judges what stands at an offset, from all bytes between it and the end of the segment. What `rest` leaves
/// out at its end must be zero.
pub(crate) fn judge(rest: &[u8], seal: Seal, offset: u64) -> Verdict {
    let Some(first) = rest.first_chunk::<COMMIT_HEADER_BYTES>() else {
        let zero = rest.iter().all(|byte| *byte == 0);
        return if zero {
            Verdict::End
        } else {
            Verdict::Damaged("bytes stand behind the last commit")
        };
    };
    let (header, check) = match CommitHeader::decode(first, seal, offset) {
        Ok(decoded) => decoded,
        Err(HeaderFault::Zero) => return without_header(rest, seal, offset),
        Err(HeaderFault::Wrong(what)) => return Verdict::Damaged(what),
        Err(HeaderFault::Unknown(what)) => return Verdict::Unknown(what),
    };
    let bytes = header.bytes() as usize;
    let Some((commit, behind)) = rest.split_at_checked(bytes) else {
        return Verdict::Damaged("the segment ends inside a commit");
    };
    if header.body_check == seal.check(&commit[COMMIT_HEADER_BYTES..]) {
        return Verdict::Sound(header, check);
    }
    if zero_sectors(commit, offset) <= header.sparse_sectors {
        return Verdict::Damaged("the check of the commit's body does not fit");
    }
    if behind.iter().any(|byte| *byte != 0) {
        return Verdict::Damaged("a commit lacks sectors, and bytes stand behind it");
    }
    Verdict::Torn(bytes as u64)
}

/// The header's sector is zero: the end, a torn commit, or one that lost its header.
fn without_header(rest: &[u8], seal: Seal, offset: u64) -> Verdict {
    let Some(last) = rest.iter().rposition(|byte| *byte != 0) else { return Verdict::End };
    if last >= COMMIT_BYTES_MAX {
        return Verdict::Damaged("bytes stand behind where a commit could end");
    }
    for at in (UNIT_BYTES..=last).step_by(UNIT_BYTES) {
        let Some(place) = rest[at..].first_chunk::<COMMIT_HEADER_BYTES>() else { break };
        let found = CommitHeader::decode(place, seal, offset + at as u64);
        if matches!(found, Ok(_) | Err(HeaderFault::Unknown(_))) {
            // It was written only after what is missing here was durable.
            return Verdict::Damaged("a commit lacks its header, and another one stands behind it");
        }
    }
    Verdict::Torn((last + 1).next_multiple_of(UNIT_BYTES) as u64)
}
