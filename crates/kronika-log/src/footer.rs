//! Reading footers: what a sealed segment holds, told without reading the segment.

use crate::{
    disk::{Disk, DiskFile, OpenMode, read_full},
    format::{
        AppendSummary, EPOCH_BYTES, FIRST_COMMIT, FOOTER_HEADER_BYTES, FooterHeader,
        POSITION_BYTES, Section, TAG_BYTES, TYPE_BYTES, wrong,
    },
    place::Place,
    segments::footer_path,
    state::LogState,
};
use kronika_core::{Epoch, Position, SLICES};
use std::{io, path::Path, sync::Arc};

/// A footer, open for reading.
#[derive(Debug)]
pub(crate) struct Footer {
    pub(crate) segment: u32,
    pub(crate) incarnation: kronika_core::Incarnation,
    pub(crate) header: FooterHeader,
    file: Arc<dyn DiskFile>,
    seed: u32,
    #[cfg(feature = "planted-faults")]
    pub(crate) unchecked: bool,
}

impl Footer {
    /// Opens the footer of a segment; an error of kind `InvalidData` if it is not what was written.
    pub(crate) fn open(disk: &dyn Disk, directory: &Path, segment: u32) -> io::Result<Self> {
        let file = disk.open(&footer_path(directory, segment), OpenMode::Read)?;
        let mut bytes = [0; FOOTER_HEADER_BYTES];
        read_full(&*file, &mut bytes, 0)?;
        let decoded = FooterHeader::decode(&bytes);
        let (identity, header) = decoded.ok_or_else(|| wrong("a footer's header does not fit"))?;
        if (identity.first, identity.last) != (segment, segment)
            || file.length()? != header.epochs.end()
        {
            return Err(wrong("the file is another footer, or not all of it"));
        }
        let (incarnation, seed) = (identity.incarnation, identity.seed());
        Ok(Self {
            segment,
            incarnation,
            header,
            file,
            seed,
            #[cfg(feature = "planted-faults")]
            unchecked: false,
        })
    }

    fn all(&self, section: Section) -> io::Result<Vec<u8>> {
        self.blocks(section, 0, section.blocks())
    }

    pub(crate) fn blocks(&self, section: Section, first: u64, count: u64) -> io::Result<Vec<u8>> {
        #[cfg(feature = "planted-faults")]
        if self.unchecked {
            return section.unchecked_blocks(&*self.file, first, count);
        }
        section.some_blocks(&*self.file, self.seed, first, count)
    }

    /// Reads every block.
    #[cfg(feature = "simulation")]
    pub(crate) fn read_all(&self) -> io::Result<()> {
        let FooterHeader { commits_by_position, appends_in_order, tags, types, epochs, .. } =
            self.header;
        let sections = [commits_by_position, appends_in_order, tags, types, epochs];
        sections.into_iter().try_for_each(|section| self.all(section).map(drop))
    }

    /// Where the log stood at the end of the segment.
    pub(crate) fn state(&self) -> io::Result<LogState> {
        let mut epochs = vec![Epoch::default(); usize::from(SLICES)];
        for record in self.all(self.header.epochs)?.chunks_exact(EPOCH_BYTES as usize) {
            let slice = |at: usize| usize::from(u16::from_le_bytes([record[at], record[at + 1]]));
            let epoch = u64::from_le_bytes(record[4..12].try_into().expect("eight"));
            let range = epochs.get_mut(slice(0)..=slice(2));
            range.ok_or_else(|| wrong("a footer's epochs cannot be"))?.fill(Epoch::new(epoch));
        }
        let FooterHeader { after: (number, previous), mark, times: (_, time), .. } = self.header;
        Ok(LogState { number, previous, mark, time, epochs })
    }

    /// A commit of the segment at or before the one that holds a position.
    pub(crate) fn commit_before(&self, position: Position) -> io::Result<Place> {
        let section = self.header.commits_by_position;
        let (mut low, mut high) = (0, section.blocks());
        let mut offset = FIRST_COMMIT;
        while low < high {
            let middle = low + (high - low) / 2;
            let records = self.blocks(section, middle, 1)?;
            let first = |record: &[u8]| u64::from_le_bytes(record[..8].try_into().expect("eight"));
            let before = records
                .chunks_exact(POSITION_BYTES as usize)
                .take_while(|record| first(record) <= position.get())
                .last();
            match before {
                Some(record) => {
                    offset = u32::from_le_bytes(record[8..12].try_into().expect("four")).into();
                    low = middle + 1;
                }
                None => high = middle,
            }
        }
        Ok(Place::new(self.segment, offset))
    }

    /// The aggregate types in the segment, by number.
    pub(crate) fn types(&self) -> io::Result<Vec<String>> {
        let records = self.all(self.header.types)?;
        let names = records.chunks_exact(TYPE_BYTES as usize).map(|record| {
            let name = record.get(1..1 + usize::from(record[0])).unwrap_or_default();
            String::from_utf8(name.to_vec()).map_err(|_| wrong("a type in a footer is no text"))
        });
        names.collect()
    }

    /// Some of its appends in the order of the log, by blocks.
    pub(crate) fn appends(&self, block: u64, count: u64) -> io::Result<Vec<AppendSummary>> {
        let records = self.blocks(self.header.appends_in_order, block, count)?;
        Ok(records.chunks_exact(AppendSummary::BYTES).map(AppendSummary::decode).collect())
    }

    /// The ordinals, from one on, of appends of which an event may have a tag of this hash.
    pub(crate) fn tagged(&self, hash: u64, from: u32) -> io::Result<Tagged<'_>> {
        let section = self.header.tags;
        let (mut low, mut high) = (0, section.blocks());
        // The first block that does not end before it.
        while low < high {
            let middle = low + (high - low) / 2;
            let records = self.blocks(section, middle, 1)?;
            let last = &records[records.len() - TAG_BYTES as usize..];
            if tag_of(last) < (hash, from) { low = middle + 1 } else { high = middle }
        }
        let mut tagged = Tagged { footer: self, hash, block: low, records: Vec::new(), at: 0 };
        while tagged.peek()?.is_some_and(|ordinal| ordinal < from) {
            tagged.at += TAG_BYTES as usize;
        }
        Ok(tagged)
    }
}

/// Hash and ordinal of a record of the tags.
fn tag_of(record: &[u8]) -> (u64, u32) {
    let hash = u64::from_le_bytes(record[..8].try_into().expect("eight"));
    (hash, u32::from_le_bytes(record[8..12].try_into().expect("four")))
}

/// Appends with a tag, in order, of which no more is read than is asked for: a page may need few of very many.
pub(crate) struct Tagged<'a> {
    footer: &'a Footer,
    hash: u64,
    /// The block to read next.
    block: u64,
    records: Vec<u8>,
    at: usize,
}

impl Tagged<'_> {
    /// The next ordinal, which stays the next one.
    pub(crate) fn peek(&mut self) -> io::Result<Option<u32>> {
        let section = self.footer.header.tags;
        loop {
            if self.at == self.records.len() {
                if self.block >= section.blocks() {
                    return Ok(None);
                }
                self.records = self.footer.blocks(section, self.block, 1)?;
                (self.block, self.at) = (self.block + 1, 0);
            }
            let (hash, ordinal) = tag_of(&self.records[self.at..]);
            match hash.cmp(&self.hash) {
                std::cmp::Ordering::Less => self.at += TAG_BYTES as usize,
                std::cmp::Ordering::Equal => return Ok(Some(ordinal)),
                std::cmp::Ordering::Greater => return Ok(None),
            }
        }
    }

    /// Passes over an ordinal, if it is the next one.
    pub(crate) fn pass(&mut self, ordinal: u32) -> io::Result<()> {
        if self.peek()? == Some(ordinal) {
            self.at += TAG_BYTES as usize;
        }
        Ok(())
    }
}

/// The hash of a tag in a footer: xxh3-64. A hit counts only when the event has the tag.
pub(crate) fn tag_hash(tag: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(tag.as_bytes())
}
