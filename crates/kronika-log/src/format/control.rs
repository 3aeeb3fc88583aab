//! Records of the log's own: they take no positions.

use super::{Malformed, Taker};
use kronika_core::{Epoch, SliceRange};

const CLAIM: u8 = 2;
/// Kinds from here on may be skipped by a reader that does not know them.
const SKIPPABLE_KIND: u8 = 0x80;

/// A range of slices has a new epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) slices: SliceRange,
    pub(crate) epoch: Epoch,
}

/// Puts a claim behind what is there; its check comes with the commit's.
pub(crate) fn encode_claim(out: &mut Vec<u8>, claim: &Claim) {
    out.extend_from_slice(&24u32.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&[CLAIM, 0, 0, 0]);
    out.extend_from_slice(&claim.slices.first().to_le_bytes());
    out.extend_from_slice(&claim.slices.last().to_le_bytes());
    out.extend_from_slice(&claim.epoch.get().to_le_bytes());
}

/// A control record, without its length and check; `None` for one that may be skipped.
pub(crate) fn decode_control(record: &[u8]) -> Result<Option<Claim>, Malformed> {
    let mut taker = Taker(record);
    match taker.u8()? {
        CLAIM => {}
        SKIPPABLE_KIND.. => return Ok(None),
        kind => return Err(Malformed::Unknown(format!("control record {kind}"))),
    }
    taker.bytes(3)?;
    let (first, last) = (taker.u16()?, taker.u16()?);
    let slices = SliceRange::new(first, last).ok_or(Malformed::Wrong("a claim of no slices"))?;
    Ok(Some(Claim { slices, epoch: Epoch::new(taker.u64()?) }))
}
