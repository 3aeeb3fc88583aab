//! How a journal in memory is read: pages of streams and of the partition, one append.

use super::{
    settings::PlantedFault,
    store::{PARTITION, Store},
};
use kronika_core::{
    AppendBy, Direction, PartitionPage, ReadError, ReadPartition, ReadStream, RecordedAppend,
    StreamCursor, StreamId, StreamPage,
};

/// Events that one filtered page looks at, at most: so few that a test meets pages that are empty and yet
/// not at the head.
const SCANNED_MAX: usize = 64;

type Planted<'a> = &'a [PlantedFault];

impl Store {
    pub fn read_stream(&self, read: &ReadStream, planted: Planted<'_>) -> StreamPage {
        let hides = planted.contains(&PlantedFault::HidesEmptyAppends);
        let all = self.streams.get(&read.stream).map_or(&[][..], Vec::as_slice).iter();
        let all = all.map(|append| &self.recorded[*append].append);
        let all = all.filter(|append| !(hides && append.events.is_empty())).collect::<Vec<_>>();
        let StreamCursor { version, skip } = read.from;
        let wanted: Vec<&RecordedAppend> = match read.direction {
            Direction::Forwards => {
                let begins = |append: &&&RecordedAppend| {
                    append.version() > version || append.header.expected >= version
                };
                all.iter().filter(begins).copied().collect()
            }
            Direction::Backwards => {
                let stands = |append: &&&RecordedAppend| append.header.expected <= version;
                all.iter().rev().filter(stands).copied().collect()
            }
        };
        let wanted = &wanted[skip.min(wanted.len())..];
        let (mut appends, mut bytes) = (Vec::new(), 0);
        for append in wanted {
            if appends.len() >= read.limit_appends.max(1) || bytes >= read.limit_bytes.max(1) {
                break;
            }
            bytes += append.events.iter().map(|event| event.body.len()).sum::<usize>();
            appends.push((*append).clone());
        }
        let rest = &wanted[appends.len()..];
        let next = rest.first().map(|next| cursor(next, &all, read.direction));
        let next = next.map(|next| match planted.contains(&PlantedFault::CursorSkipsOne) {
            true => StreamCursor { skip: next.skip + 1, ..next },
            false => next,
        });
        StreamPage { appends, newest: self.version(&read.stream), next }
    }

    pub fn read_partition(
        &self,
        read: &ReadPartition,
        planted: Planted<'_>,
    ) -> Result<PartitionPage, ReadError> {
        if read.partition != PARTITION {
            return Err(ReadError::NoPartition(read.partition));
        }
        let first = self.events.partition_point(|event| event.position <= read.after);
        let scanned_max = if read.filter.is_open() { usize::MAX } else { SCANNED_MAX };
        let (mut events, mut bytes, mut looked) = (Vec::new(), 0, first);
        for event in self.events[first..].iter().take(scanned_max) {
            if events.len() >= read.limit_events.max(1) || bytes >= read.limit_bytes.max(1) {
                break;
            }
            looked += 1;
            if read.filter.admits_stream(event.stream()) && read.filter.admits_tags(&event.tags) {
                bytes += event.body.len();
                events.push(event.clone());
            }
        }
        let at_head = looked == self.events.len();
        if planted.contains(&PlantedFault::ScannedStandsStill) && !read.filter.is_open() {
            looked = first;
        }
        let scanned = match looked.checked_sub(1) {
            Some(last) => self.events[last].mark(),
            None => kronika_core::Mark { partition: PARTITION, ..Default::default() },
        };
        Ok(PartitionPage { events, scanned, at_head })
    }

    pub fn read_append(
        &self,
        stream: &StreamId,
        by: &AppendBy,
        planted: Planted<'_>,
    ) -> Option<RecordedAppend> {
        let appends = self.streams.get(stream)?.iter().map(|append| &self.recorded[*append].append);
        let fits = |append: &&RecordedAppend| match by {
            AppendBy::Id(id) => append.header.id == *id,
            AppendBy::Key { principal, key } => append.header.more.as_ref().is_some_and(|more| {
                let found = more.keyed.as_ref().is_some_and(|keyed| keyed.key == *key);
                found && more.origin.principal == *principal
            }),
        };
        let found = match planted.contains(&PlantedFault::FindsOldestKey) {
            true => appends.clone().find(fits),
            false => appends.rev().find(fits),
        };
        found.cloned()
    }
}

/// Where a page begins whose first append is `next`: by what it stands on, which later appends do not move.
fn cursor(next: &RecordedAppend, all: &[&RecordedAppend], direction: Direction) -> StreamCursor {
    let version = next.header.expected;
    let before = |append: &&&RecordedAppend| append.header.id != next.header.id;
    let same = |append: &&&RecordedAppend| append.header.expected == version;
    let skip = match direction {
        Direction::Forwards => all.iter().take_while(before).filter(same).count(),
        Direction::Backwards => all.iter().rev().take_while(before).filter(same).count(),
    };
    StreamCursor { version, skip }
}
