//! Records of one size in blocks with a check each: what the derived files are made of, so that any of them can be
//! read alone and none is believed unchecked.

use crate::{
    disk::{DiskFile, read_full, write_full},
    format::SECTOR_BYTES,
};
use kronika_core::Incarnation;
use std::{io, sync::Arc};

/// A block with its trailer has at most so many bytes.
const BLOCK_BYTES_MAX: u64 = 4096;
/// Behind the records of a block: its number and its check.
const TRAILER_BYTES: u64 = 8;
/// Bytes at the beginning of a derived file that every check in it continues from.
pub(crate) const IDENTITY_BYTES: usize = 64;
/// Bytes written at once.
const WRITE_BYTES: usize = 256 << 10;
/// Bytes synced at once: the syncs of commits beside it wait for no more than this.
const SYNC_BYTES: u64 = 1 << 20;

/// What kind of derived file it is, of which segments, and a salt: no block of another file passes in this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) magic: [u8; 8],
    pub(crate) incarnation: Incarnation,
    pub(crate) first: u32,
    pub(crate) last: u32,
    pub(crate) salt: u64,
}

impl Identity {
    pub(crate) fn encode(&self) -> [u8; IDENTITY_BYTES] {
        let mut bytes = [0; IDENTITY_BYTES];
        bytes[..8].copy_from_slice(&self.magic);
        bytes[8..12].copy_from_slice(&super::DERIVED_FORMAT.to_le_bytes());
        bytes[12..28].copy_from_slice(&self.incarnation.get().to_le_bytes());
        bytes[28..32].copy_from_slice(&self.first.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.last.to_le_bytes());
        bytes[36..44].copy_from_slice(&self.salt.to_le_bytes());
        bytes
    }

    /// `None` for a file of another kind or format: it is made anew.
    pub(crate) fn decode(bytes: &[u8], magic: [u8; 8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<IDENTITY_BYTES>()?;
        let format = u32::from_le_bytes(bytes[8..12].try_into().expect("four"));
        let identity = Self {
            magic,
            incarnation: Incarnation::new(u128::from_le_bytes(
                bytes[12..28].try_into().expect("sixteen"),
            )),
            first: u32::from_le_bytes(bytes[28..32].try_into().expect("four")),
            last: u32::from_le_bytes(bytes[32..36].try_into().expect("four")),
            salt: u64::from_le_bytes(bytes[36..44].try_into().expect("eight")),
        };
        (bytes[..8] == magic && format == super::DERIVED_FORMAT && identity.encode() == *bytes)
            .then_some(identity)
    }

    /// What every check in the file continues from.
    pub(crate) fn seed(&self) -> u32 {
        crc32c::crc32c(&self.encode())
    }
}

/// Records of one size, in blocks one behind the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Section {
    pub(crate) offset: u64,
    pub(crate) records: u64,
    pub(crate) record_bytes: u32,
}

impl Section {
    /// Bytes of a section's description in a header.
    pub(crate) const BYTES: usize = 20;

    pub(crate) fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.offset.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.records.to_le_bytes());
        bytes[16..].copy_from_slice(&self.record_bytes.to_le_bytes());
        bytes
    }

    /// `None` unless it has records of the size that is known.
    pub(crate) fn decode(bytes: &[u8; Self::BYTES], record_bytes: u32) -> Option<Self> {
        let section = Self {
            offset: u64::from_le_bytes(bytes[..8].try_into().expect("eight")),
            records: u64::from_le_bytes(bytes[8..16].try_into().expect("eight")),
            record_bytes: u32::from_le_bytes(bytes[16..].try_into().expect("four")),
        };
        let possible = section.record_bytes == record_bytes
            && section.records < 1 << 48
            && section.offset < 1 << 56;
        possible.then_some(section)
    }

    pub(crate) fn per_block(&self) -> u64 {
        (BLOCK_BYTES_MAX - TRAILER_BYTES) / u64::from(self.record_bytes)
    }

    pub(crate) fn blocks(&self) -> u64 {
        self.records.div_ceil(self.per_block())
    }

    pub(crate) fn end(&self) -> u64 {
        self.offset + self.records * u64::from(self.record_bytes) + self.blocks() * TRAILER_BYTES
    }

    /// Where a block stands, and how many bytes it has at most.
    pub(crate) fn block_at(&self, block: u64) -> (u64, u64) {
        (self.offset + block * self.stride(), self.stride())
    }

    fn stride(&self) -> u64 {
        self.per_block() * u64::from(self.record_bytes) + TRAILER_BYTES
    }

    /// The records of some blocks one behind the other, verified, in one read.
    pub(crate) fn some_blocks(
        &self,
        file: &dyn DiskFile,
        seed: u32,
        first: u64,
        count: u64,
    ) -> io::Result<Vec<u8>> {
        let checks = |block, records: &[u8]| check(seed, self.offset, records, block);
        self.read_blocks(file, first, count, |block, records, found| {
            found == checks(block, records)
        })
    }

    /// The same, believed.
    #[cfg(feature = "planted-faults")]
    pub(crate) fn unchecked_blocks(
        &self,
        file: &dyn DiskFile,
        first: u64,
        count: u64,
    ) -> io::Result<Vec<u8>> {
        self.read_blocks(file, first, count, |_, _, _| true)
    }

    /// The records of some blocks; each is asked about with its number and its check.
    fn read_blocks(
        &self,
        file: &dyn DiskFile,
        first: u64,
        count: u64,
        is_whole: impl Fn([u8; 4], &[u8], [u8; 4]) -> bool,
    ) -> io::Result<Vec<u8>> {
        let end = (first + count).min(self.blocks());
        let record_bytes = u64::from(self.record_bytes);
        let records = (end * self.per_block()).min(self.records) - first * self.per_block();
        let length = records * record_bytes + (end - first) * TRAILER_BYTES;
        let mut bytes = vec![0; length as usize];
        let read = read_full(file, &mut bytes, self.offset + first * self.stride())?;
        if read < bytes.len() {
            return Err(wrong("it ends too early"));
        }
        let stride = self.stride() as usize;
        let mut kept = 0;
        for (index, block) in (first..end).enumerate() {
            let start = index * stride;
            let end = (start + stride).min(bytes.len());
            let records = end - TRAILER_BYTES as usize;
            let number = narrow(block).to_le_bytes();
            let found = bytes[records + 4..end].try_into().expect("four");
            if bytes[records..records + 4] != number
                || !is_whole(number, &bytes[start..records], found)
            {
                return Err(wrong("the check of a block does not fit"));
            }
            bytes.copy_within(start..records, kept);
            kept += records - start;
        }
        bytes.truncate(kept);
        Ok(bytes)
    }
}

fn narrow(block: u64) -> u32 {
    u32::try_from(block).expect("a derived file has less than 2^32 blocks")
}

fn check(seed: u32, section: u64, records: &[u8], number: [u8; 4]) -> [u8; 4] {
    let check = crc32c::crc32c_append(seed, &section.to_le_bytes());
    let check = crc32c::crc32c_append(check, &number);
    crc32c::crc32c_append(check, records).to_le_bytes()
}

/// A derived file that is not what was written: to be made anew.
pub(crate) fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Writes a derived file: sections one behind the other, the header last.
pub(crate) struct DerivedWriter {
    file: Arc<dyn DiskFile>,
    seed: u32,
    buffer: Vec<u8>,
    /// Offset of the buffer's first byte.
    at: u64,
    unsynced: u64,
    section: Section,
    /// Where the block that is being filled begins in the buffer.
    block: usize,
}

impl DerivedWriter {
    /// Begins behind a header of so many bytes.
    pub(crate) fn new(file: Arc<dyn DiskFile>, seed: u32, header_bytes: usize) -> Self {
        let (buffer, at) = (Vec::with_capacity(WRITE_BYTES + 4096), header_bytes as u64);
        Self { file, seed, buffer, at, unsynced: 0, section: Section::default(), block: 0 }
    }

    /// Begins a section.
    pub(crate) fn begin(&mut self, record_bytes: u32) {
        let offset = self.at + self.buffer.len() as u64;
        self.section = Section { offset, records: 0, record_bytes };
        self.block = self.buffer.len();
    }

    /// Puts a record into the section.
    pub(crate) fn push(&mut self, record: &[u8]) -> io::Result<()> {
        debug_assert_eq!(record.len(), self.section.record_bytes as usize);
        self.buffer.extend_from_slice(record);
        self.section.records += 1;
        if self.section.records.is_multiple_of(self.section.per_block()) {
            self.close_block();
            if self.buffer.len() >= WRITE_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Ends the section.
    pub(crate) fn end(&mut self) -> Section {
        if self.buffer.len() > self.block {
            self.close_block();
        }
        self.section
    }

    fn close_block(&mut self) {
        let number = narrow(self.section.blocks() - 1).to_le_bytes();
        let check = check(self.seed, self.section.offset, &self.buffer[self.block..], number);
        self.buffer.extend_from_slice(&number);
        self.buffer.extend_from_slice(&check);
        self.block = self.buffer.len();
    }

    /// Writes what is buffered: between two sections it may be read back.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        write_full(&*self.file, &self.buffer, self.at)?;
        self.at += self.buffer.len() as u64;
        self.unsynced += self.buffer.len() as u64;
        self.buffer.clear();
        self.block = 0;
        if self.unsynced >= SYNC_BYTES {
            self.unsynced = 0;
            self.file.sync_data()?;
        }
        Ok(())
    }

    /// Writes the rest and the header, and makes all of it durable.
    pub(crate) fn finish(mut self, header: &[u8]) -> io::Result<Arc<dyn DiskFile>> {
        self.flush()?;
        write_full(&*self.file, header, 0)?;
        self.file.sync_data()?;
        Ok(self.file)
    }
}

/// A header of `bytes`: identity, contents, zeros, and a check of all of it at its end.
pub(crate) fn encode_header(identity: &Identity, contents: &[u8], bytes: usize) -> Vec<u8> {
    assert!(IDENTITY_BYTES + contents.len() + 4 <= bytes && bytes.is_multiple_of(SECTOR_BYTES));
    let mut header = identity.encode().to_vec();
    header.extend_from_slice(contents);
    header.resize(bytes - 4, 0);
    let check = crc32c::crc32c(&header);
    header.extend_from_slice(&check.to_le_bytes());
    header
}

/// Identity and contents of a header, if its check fits.
pub(crate) fn decode_header(header: &[u8], magic: [u8; 8]) -> Option<(Identity, &[u8])> {
    let (checked, check) = header.split_last_chunk::<4>()?;
    let identity = Identity::decode(checked, magic)?;
    (crc32c::crc32c(checked).to_le_bytes() == *check)
        .then_some((identity, &checked[IDENTITY_BYTES..]))
}
