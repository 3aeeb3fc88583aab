//! Reading by position with a filter, in a sealed segment: what passes is found in the footer, and only that is read.

use crate::{
    footer::{Footer, Tagged, tag_hash},
    format::AppendSummary,
    place::Place,
    read::{Fault, RECORD_AHEAD, Reader},
    read_partition::{Filling, PAGE_SCANNED_BYTES_MAX, Scanned},
    seal_segment::OTHER_TYPES,
};
use kronika_core::EventFilter;
use std::io;

/// Blocks of summaries that are read at once.
const BLOCKS_AHEAD: u64 = 16;
/// Records that are nearer to each other than this are read together.
const NEAR_BYTES: u64 = 32 << 10;

/// Why looking through a segment ended.
pub(crate) enum Ended {
    /// The page is full, or enough was looked at.
    Full,
    /// The segment holds nothing more.
    Segment,
}

impl Reader<'_> {
    /// Looks through a segment by its footer. `None` where that is not possible or no better than decoding all.
    pub(crate) fn by_footer(
        &mut self,
        filling: &mut Filling<'_>,
        segment: u32,
    ) -> Result<Option<Ended>, Fault> {
        // The segment of the durable end as this read sees it may have grown since, and been sealed.
        let covered = self.shared.index.runs().covered();
        let sealed = segment <= covered && segment < self.durable.segment();
        if filling.read.filter.is_open() || !sealed || self.window.is_none() {
            return Ok(None);
        }
        // A footer that cannot be read costs time, and no more.
        let Ok(footer) = self.shared.segments.footer(segment) else { return Ok(None) };
        let Ok(wanted) = Wanted::of(&footer, &filling.read.filter) else { return Ok(None) };
        let first = footer.header.first;
        let Some(wanted) = wanted else { return Ok(Some(self.skip(filling, &footer))) };
        let after = filling.read.after.get().saturating_sub(first.get());
        let Ok(mut summaries) = Summaries::new(&footer, &wanted, after) else { return Ok(None) };
        let (mut last_read, mut advanced) = (None, false);
        loop {
            let Ok(next) = summaries.next() else {
                // What was given is not to be given again: the next page decodes what is behind it.
                return Ok(advanced.then_some(Ended::Full));
            };
            let Some(summary) = next else { return Ok(Some(self.skip(filling, &footer))) };
            let last = u64::from(summary.position) + u64::from(summary.events);
            if summary.events == 0 || last.saturating_sub(1) <= after {
                continue;
            }
            advanced = true;
            filling.looked_at += AppendSummary::BYTES as u64;
            let place = Place::new(segment, u64::from(summary.offset));
            if !wanted.admits(&summary) {
                filling.scanned = Scanned::At(place);
            } else {
                let near = last_read.is_some_and(|last| place.offset() - last < NEAR_BYTES);
                last_read = Some(place.offset());
                let ahead = if near { 4 * NEAR_BYTES as usize } else { RECORD_AHEAD };
                let append = self.append_ahead(place, None, ahead)?;
                let bodies = append.events.iter().map(|event| event.body.len() as u64);
                filling.looked_at += bodies.sum::<u64>();
                let admits_stream = filling.read.filter.admits_stream(&append.header.stream);
                if !admits_stream {
                    filling.scanned = Scanned::At(place);
                } else if filling.append(append) {
                    return Ok(Some(Ended::Full));
                }
            }
            if filling.looked_at >= PAGE_SCANNED_BYTES_MAX {
                return Ok(Some(Ended::Full));
            }
        }
    }

    /// Nothing more in this segment passes.
    fn skip(&self, filling: &mut Filling<'_>, footer: &Footer) -> Ended {
        filling.looked_at += 4096;
        if footer.header.mark.position > filling.read.after {
            filling.scanned = Scanned::Event(footer.header.mark);
        }
        Ended::Segment
    }
}

/// What a filter lets through in one segment.
struct Wanted {
    slices: kronika_core::SliceRange,
    /// Whether an aggregate type passes, by its number; empty where all do.
    kinds: Vec<bool>,
    /// Hashes of the tags of which an append must have one; empty where it need not.
    tags: Vec<u64>,
}

impl Wanted {
    /// `None` if nothing in the segment passes.
    fn of(footer: &Footer, filter: &EventFilter) -> io::Result<Option<Self>> {
        if !footer.header.has_slices(filter.slices) {
            return Ok(None);
        }
        let mut kinds = Vec::new();
        if !filter.types.is_empty() {
            let types = footer.types()?;
            // Types that are one too many have no number: they are decoded.
            let others = types.len() >= usize::from(OTHER_TYPES);
            kinds.extend(types.iter().map(|name| filter.types.contains(name)));
            if !others && !kinds.contains(&true) {
                return Ok(None);
            }
        }
        let tags = filter.tags.iter().map(|tag| tag_hash(tag)).collect();
        Ok(Some(Self { slices: filter.slices, kinds, tags }))
    }

    fn admits(&self, summary: &AppendSummary) -> bool {
        let slices = (self.slices.first()..=self.slices.last()).contains(&summary.slice);
        let kind = self.kinds.is_empty()
            || self.kinds.get(usize::from(summary.kind)).copied().unwrap_or(true);
        slices && kind
    }
}

/// The summaries that may pass, in the order of the log, from a position of the segment on.
struct Summaries<'a> {
    footer: &'a Footer,
    /// Those with each of the tags; empty where all are looked at.
    tagged: Vec<Tagged<'a>>,
    /// The first block in memory, and the summaries from there on.
    block: u64,
    taken: Vec<AppendSummary>,
    at: usize,
}

impl<'a> Summaries<'a> {
    fn new(footer: &'a Footer, wanted: &Wanted, after: u64) -> io::Result<Self> {
        let section = footer.header.appends_in_order;
        let (mut low, mut high) = (0, section.blocks());
        // The first block whose first append is behind the position; the one before it may hold it.
        while low < high {
            let middle = low + (high - low) / 2;
            let first = footer.appends(middle, 1)?[0];
            if u64::from(first.position) <= after { low = middle + 1 } else { high = middle }
        }
        let block = low.saturating_sub(1);
        // Ordinals of a segment's appends have 32 bits.
        let begins = u32::try_from(block * section.per_block()).unwrap_or(u32::MAX);
        let tagged = wanted.tags.iter().map(|hash| footer.tagged(*hash, begins));
        let tagged = tagged.collect::<io::Result<_>>()?;
        Ok(Self { footer, tagged, block, taken: Vec::new(), at: 0 })
    }

    /// The next append with one of the tags.
    fn next_tagged(&mut self) -> io::Result<Option<u32>> {
        let mut next = None;
        for tagged in &mut self.tagged {
            let ordinal = tagged.peek()?;
            next = next.into_iter().chain(ordinal).min();
        }
        if let Some(ordinal) = next {
            self.tagged.iter_mut().try_for_each(|tagged| tagged.pass(ordinal))?;
        }
        Ok(next)
    }

    fn next(&mut self) -> io::Result<Option<AppendSummary>> {
        let per_block = self.footer.header.appends_in_order.per_block();
        if !self.tagged.is_empty() {
            let Some(ordinal) = self.next_tagged()?.map(u64::from) else { return Ok(None) };
            let block = ordinal / per_block;
            if self.taken.is_empty() || block != self.block {
                self.taken = self.footer.appends(block, 1)?;
                self.block = block;
            }
            let found = self.taken.get((ordinal % per_block) as usize);
            return found.copied().map(Some).ok_or_else(|| crate::format::wrong("no such append"));
        }
        if self.at == self.taken.len() {
            if self.block >= self.footer.header.appends_in_order.blocks() {
                return Ok(None);
            }
            self.taken = self.footer.appends(self.block, BLOCKS_AHEAD)?;
            (self.block, self.at) = (self.block + BLOCKS_AHEAD, 0);
        }
        self.at += 1;
        Ok(Some(self.taken[self.at - 1]))
    }
}
