//! What the commits of a log come to, one after the other: state, index, and the newest of them in memory.
//!
//! This reads commits whose checks were found right.

use crate::{
    format::{
        COMMIT_HEADER_BYTES, Fields, Malformed, RecordHead, SKIPPABLE, Seal, Taker, is_padding,
        keyed_by, record_is_whole,
    },
    index::{AppendEntry, Index},
    place::Place,
    recent::{Recent, StoredCommit},
    state::LogState,
};
use kronika_core::StreamId;
use std::sync::Arc;

/// Streams named in a message about damage.
const STREAMS_NAMED_MAX: usize = 8;

/// What was read so far.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) state: LogState,
    pub(crate) index: Arc<Index>,
    pub(crate) recent: Arc<Recent>,
}

impl Replay {
    /// Takes the next commit.
    pub(crate) fn commit(&mut self, commit: &StoredCommit, check: u32) -> Result<(), Malformed> {
        let next = self.state.mark.position.plus(1);
        let index = &self.index;
        self.state.commit(commit, check, |place, head| append(index, place, head))?;
        index.record_commit(next, commit.place);
        self.recent.push(commit.clone());
        Ok(())
    }
}

fn append(index: &Index, place: Place, head: &RecordHead<'_>) -> Result<(), Malformed> {
    let stream = StreamId::parse(head.stream)
        .map_err(|_| Malformed::Wrong("the name of a stream is not valid"))?;
    let admitted = index
        .replay(&stream, head.expected, u64::from(head.events))
        .map_err(|_| Malformed::Wrong("an append's version is not the next of its stream"))?;
    let key =
        keyed_by(head.fields)?.map(|(principal, key)| index.key_hash(&stream, principal, key));
    index.record(admitted, AppendEntry::new(place, head.end(), head.id), key);
    Ok(())
}

/// The records of a commit, with their places.
pub(crate) struct Records<'a> {
    rest: Taker<'a>,
    place: Place,
    left: u32,
}

impl<'a> Records<'a> {
    pub(crate) fn of(commit: &'a StoredCommit) -> Result<Self, Malformed> {
        Self::in_bytes(&commit.bytes, commit.place, commit.header.records, commit.header.extended)
    }

    fn in_bytes(
        commit: &'a [u8],
        place: Place,
        records: u32,
        extended: bool,
    ) -> Result<Self, Malformed> {
        let mut rest = Taker(commit.get(COMMIT_HEADER_BYTES..).unwrap_or_default());
        if extended {
            let bytes = rest.u32()? as usize;
            for field in Fields(rest.bytes(bytes)?) {
                let (number, _) = field?;
                if number < SKIPPABLE {
                    return Err(Malformed::Unknown(format!("field {number} of a commit")));
                }
            }
        }
        Ok(Self { rest, place, left: records }.at(commit.len()))
    }

    fn at(self, bytes: usize) -> Self {
        let offset = self.place.offset() + (bytes - self.rest.0.len()) as u64;
        Self { place: Place::new(self.place.segment(), offset), ..self }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<(Place, &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            let padded = is_padding(std::mem::take(&mut self.rest.0));
            return (!padded)
                .then_some(Err(Malformed::Wrong("bytes stand behind the last record")));
        }
        self.left -= 1;
        let length = self.rest.0.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        if length < 9 {
            self.left = 0;
            self.rest.0 = &[];
            return Some(Err(Malformed::Wrong("a record's length is not possible")));
        }
        let place = self.place;
        Some(self.rest.bytes(length as usize).map(|record| {
            let offset = place.offset() + u64::from(length);
            self.place = Place::new(place.segment(), offset);
            (place, record)
        }))
    }
}

/// Streams whose records are not whole in a commit whose body's check does not fit.
pub(crate) fn streams_damaged(commit: &[u8], seal: Seal, offset: u64) -> Vec<StreamId> {
    let Some(Ok((header, _))) =
        commit.first_chunk().map(|first| crate::format::CommitHeader::decode(first, seal, offset))
    else {
        return Vec::new();
    };
    let body = &commit[..(header.bytes() as usize).min(commit.len())];
    let place = Place::new(seal.segment, offset);
    let Ok(records) = Records::in_bytes(body, place, header.records, header.extended) else {
        return Vec::new();
    };
    let records = records.map_while(Result::ok);
    let damaged = records.filter(|(place, record)| !record_is_whole(record, seal, place.offset()));
    let names = damaged.filter_map(|(_, record)| RecordHead::of(record).ok());
    let streams = names.filter_map(|head| StreamId::parse(head.stream).ok());
    streams.take(STREAMS_NAMED_MAX).collect()
}
