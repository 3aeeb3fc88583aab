//! Where something stands in the log.

/// A place in the log: a segment and an offset in its file, ordered as the log is. Eight bytes, since an index
/// holds one for every append.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Place(u64);

impl Place {
    pub(crate) fn new(segment: u32, offset: u64) -> Self {
        let offset = u32::try_from(offset).expect("segments have at most 1 GiB");
        Self(u64::from(segment) << 32 | u64::from(offset))
    }
    /// As an index stores it.
    pub(crate) fn get(self) -> u64 {
        self.0
    }
    /// From what an index stored.
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
    pub(crate) fn segment(self) -> u32 {
        (self.0 >> 32) as u32
    }
    pub(crate) fn offset(self) -> u64 {
        self.0 & 0xffff_ffff
    }
}
