//! The commit: a 64-byte header, then records, then padding to 64 bytes.
//!
//! The header stands in one sector, has a check of its own, and counts the sectors of the commit that hold at
//! most one set bit: that is what tells a torn write from damage, see `tail.rs`.

use super::{COMMIT_BYTES_MAX, Malformed, SECTOR_BYTES, Seal, Taker, UNIT_BYTES};

/// Bytes of a commit's header.
pub(crate) const COMMIT_HEADER_BYTES: usize = 64;
/// What fills a commit up to a multiple of [`UNIT_BYTES`]: not zeros, so that a lost last sector shows.
const PADDING: u8 = 0xff;

/// What a commit holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommitKind {
    /// Appends.
    Appends,
    /// Records of the log's own, which take no positions.
    Control,
}

/// The header of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommitHeader {
    pub(crate) kind: CommitKind,
    /// Whether the body begins with a block of fields.
    pub(crate) extended: bool,
    /// Sectors of the file with at most one bit set, as far as this commit covers them.
    pub(crate) sparse_sectors: u16,
    /// Bytes behind the header, a multiple of [`UNIT_BYTES`].
    pub(crate) body_bytes: u32,
    /// Position of the first event; of the next one to come, if there is none.
    pub(crate) first_position: u64,
    /// Microseconds since 1970.
    pub(crate) time: i64,
    pub(crate) records: u32,
    pub(crate) events: u32,
    /// Number of the commit in the journal, from 1, dense.
    pub(crate) number: u64,
    /// Check of the header of the commit before it; 0 for the first.
    pub(crate) previous: u32,
    pub(crate) body_check: u32,
}

/// Why 64 bytes are no header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    /// All of them are zero: nothing was written here.
    Zero,
    /// They are something else, or a header that belongs somewhere else.
    Wrong(&'static str),
    /// A header of a later release.
    Unknown(String),
}

impl CommitHeader {
    /// Bytes of the whole commit.
    pub(crate) fn bytes(&self) -> u64 {
        COMMIT_HEADER_BYTES as u64 + u64::from(self.body_bytes)
    }

    /// The 64 bytes and their check, by which the next commit names this one.
    pub(crate) fn encode(&self, seal: Seal, offset: u64) -> ([u8; COMMIT_HEADER_BYTES], u32) {
        let mut bytes = [0; COMMIT_HEADER_BYTES];
        bytes[0] = match self.kind {
            CommitKind::Appends => 1,
            CommitKind::Control => 2,
        };
        bytes[1] = u8::from(self.extended);
        bytes[2..4].copy_from_slice(&self.sparse_sectors.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.first_position.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.time.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.records.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.events.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.number.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.previous.to_le_bytes());
        bytes[44..48].copy_from_slice(&seal.segment.to_le_bytes());
        let units = u32::try_from(offset / UNIT_BYTES as u64).expect("segments have at most 1 GiB");
        bytes[48..52].copy_from_slice(&units.to_le_bytes());
        bytes[52..56].copy_from_slice(&self.body_check.to_le_bytes());
        let check = seal.check(&bytes[..60]);
        bytes[60..].copy_from_slice(&check.to_le_bytes());
        (bytes, check)
    }

    /// The header that belongs at this place, and its check.
    pub(crate) fn decode(
        bytes: &[u8; COMMIT_HEADER_BYTES],
        seal: Seal,
        offset: u64,
    ) -> Result<(Self, u32), HeaderFault> {
        if bytes.iter().all(|byte| *byte == 0) {
            return Err(HeaderFault::Zero);
        }
        let check = u32::from_le_bytes(bytes[60..].try_into().expect("four bytes"));
        if check != seal.check(&bytes[..60]) {
            return Err(HeaderFault::Wrong("the check of the commit's header does not fit"));
        }
        let header = Self::fields(bytes, seal, offset).map_err(|malformed| match malformed {
            Malformed::Wrong(what) => HeaderFault::Wrong(what),
            Malformed::Unknown(what) => HeaderFault::Unknown(what),
        })?;
        Ok((header, check))
    }

    fn fields(bytes: &[u8], seal: Seal, offset: u64) -> Result<Self, Malformed> {
        let mut taker = Taker(bytes);
        let kind = match taker.u8()? {
            1 => CommitKind::Appends,
            2 => CommitKind::Control,
            other => return Err(Malformed::Unknown(format!("kind of commit {other}"))),
        };
        let extended = match taker.u8()? {
            flags @ 0..=1 => flags == 1,
            flags => return Err(Malformed::Unknown(format!("commit flags {flags:#04x}"))),
        };
        let header = Self {
            kind,
            extended,
            sparse_sectors: taker.u16()?,
            body_bytes: taker.u32()?,
            first_position: taker.u64()?,
            time: taker.i64()?,
            records: taker.u32()?,
            events: taker.u32()?,
            number: taker.u64()?,
            previous: taker.u32()?,
            body_check: {
                if taker.u32()? != seal.segment {
                    return Err(Malformed::Wrong("the commit belongs to another segment"));
                }
                if u64::from(taker.u32()?) * UNIT_BYTES as u64 != offset {
                    return Err(Malformed::Wrong("the commit belongs to another offset"));
                }
                taker.u32()?
            },
        };
        if taker.u32()? != 0 {
            return Err(Malformed::Unknown("a reserved field of a commit's header".to_owned()));
        }
        let bytes = header.bytes() as usize;
        let possible = (COMMIT_HEADER_BYTES + 1..=COMMIT_BYTES_MAX).contains(&bytes);
        if !possible || !bytes.is_multiple_of(UNIT_BYTES) {
            return Err(Malformed::Wrong("the commit's length is not possible"));
        }
        Ok(header)
    }
}

/// Pads a commit whose header is still to come, and puts a check on every record and on the body: gives the
/// number of sparse sectors and the body's check.
pub(crate) fn seal_body(commit: &mut Vec<u8>, records: u32, seal: Seal, offset: u64) -> (u16, u32) {
    let mut at = COMMIT_HEADER_BYTES;
    for _ in 0..records {
        let bytes = commit[at..at + 4].try_into().expect("four bytes");
        let end = at + u32::from_le_bytes(bytes) as usize;
        let check = seal.check_at(offset + at as u64, &commit[at + 8..end]);
        commit[at + 4..at + 8].copy_from_slice(&check.to_le_bytes());
        at = end;
    }
    assert_eq!(at, commit.len(), "records stand back to back");
    commit.resize(commit.len().next_multiple_of(UNIT_BYTES), PADDING);
    let body = &commit[COMMIT_HEADER_BYTES..];
    (sparse_sectors(commit, offset), seal.check(body))
}

/// Whether what stands behind the last record is padding.
pub(crate) fn is_padding(rest: &[u8]) -> bool {
    rest.len() < UNIT_BYTES && rest.iter().all(|byte| *byte == PADDING)
}

/// Sectors of the file with at most one bit set, as far as a commit at this offset covers them; but the first,
/// which holds the header.
pub(crate) fn sparse_sectors(commit: &[u8], offset: u64) -> u16 {
    count_sectors(commit, offset, |sector| {
        let mut bits = 0;
        sector.chunks(8).all(|word| {
            bits += word.iter().map(|byte| byte.count_ones()).sum::<u32>();
            bits <= 1
        })
    })
}

/// Sectors of the file that are zero, as far as a commit at this offset covers them; but the first.
pub(crate) fn zero_sectors(commit: &[u8], offset: u64) -> u16 {
    count_sectors(commit, offset, |sector| sector.iter().all(|byte| *byte == 0))
}

fn count_sectors(commit: &[u8], offset: u64, counts: impl Fn(&[u8]) -> bool) -> u16 {
    let first = SECTOR_BYTES - (offset % SECTOR_BYTES as u64) as usize;
    let rest = commit.get(first..).unwrap_or_default();
    let count = rest.chunks(SECTOR_BYTES).filter(|sector| counts(sector)).count();
    u16::try_from(count).expect("a commit has at most 32,768 sectors")
}
