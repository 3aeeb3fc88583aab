//! How a partition is read: dense positions in commit order, filters, and how far a page looked.

use super::{MakeJournal, bed::*};
use kronika_core::{
    Append, EventFilter, Journal, Mark, NewEvent, PartitionId, Position, ReadError, ReadPartition,
    RecordedEvent, SliceRange, StreamId, Timestamp, Token, Version,
};
use std::collections::BTreeSet;

/// Events of three types over many slices, with none, one or two tags each.
async fn filled<M: MakeJournal>(bed: &Bed<'_, M>) -> Vec<RecordedEvent> {
    let types = ["account", "auction", "account-2"];
    for number in 0..60 {
        let name = format!("{}/{}", types[number % 3], number % 12);
        let stream = StreamId::parse(&name).expect("the suite names its streams well");
        let tagged = (0..1 + number % 3).map(|index| {
            let tags = ["red", "green", "blue"].iter().take((number + index) % 3);
            NewEvent { tags: tags.map(|tag| (*tag).into()).collect(), ..event(number) }
        });
        let expected = bed.version(&stream).await.get();
        let append = bed.append(&stream, expected, 0);
        bed.record(Append { events: tagged.collect(), ..append }).await;
    }
    bed.all().await
}

pub(super) async fn positions_are_dense_and_in_order<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    filled(&bed).await;
    for partition in bed.partitions() {
        let read = ReadPartition::after(partition, Position::ZERO);
        let events = bed.partition_pages(read).await;
        for (index, event) in events.iter().enumerate() {
            assert_eq!(event.position.get(), index as u64 + 1, "positions are dense from 1 on");
            assert_eq!(event.append.partition, partition);
        }
        for next in events.chunk_by(|one, next| one.append.id == next.append.id) {
            let versions = next.iter().map(|event| event.version.get());
            let first = next[0].append.expected.get() + 1;
            assert!(versions.eq(first..first + next.len() as u64), "{}", next[0].stream());
        }
    }
}

pub(super) async fn pages_begin_after_a_position_and_end_at_their_limits<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    filled(&bed).await;
    for partition in bed.partitions() {
        let all = bed.partition_pages(ReadPartition::after(partition, Position::ZERO)).await;
        for after in (0..all.len()).step_by(7).chain([all.len()]) {
            for limit in [1, 2, 10, 1000] {
                let read = ReadPartition::after(partition, Position::new(after as u64));
                let read = read.limit_events(limit);
                let page = bed.journal.read_partition(read.clone()).await.expect("it can be read");
                let wanted = &all[after..(after + limit).min(all.len())];
                assert_eq!(page.events, wanted, "{limit} after {after}");
                let end = after + wanted.len();
                assert_eq!(page.scanned.position.get(), end as u64);
                assert_eq!(page.at_head, end == all.len(), "{limit} after {after}");
                assert_eq!(bed.partition_pages(read).await, all[after..]);
            }
            let read = ReadPartition::after(partition, Position::new(after as u64));
            let read = ReadPartition { limit_bytes: 1, ..read };
            let page = bed.journal.read_partition(read).await.expect("it can be read");
            assert_eq!(page.events.len(), usize::from(after < all.len()), "at least one event");
        }
    }
}

pub(super) async fn filters_let_through_what_they_should<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let all = filled(&bed).await;
    let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let range = |first, last| SliceRange::new(first, last).expect("a range");
    let slices = [SliceRange::ALL, range(0, 255), range(256, 1023), range(700, 700)];
    let types = [&[][..], &["account"], &["account-2", "auction"], &["none"]];
    let tags = [&[][..], &["red"], &["green", "blue"], &["re"], &["none"]];
    for slices in slices {
        for types in types.map(texts) {
            for tags in tags.map(texts) {
                let filter = EventFilter { slices, types: types.clone(), tags };
                let wanted = all.iter().filter(|event| {
                    filter.admits_stream(event.stream()) && filter.admits_tags(&event.tags)
                });
                let wanted = wanted.cloned().collect::<Vec<_>>();
                for limit in [3, 1000] {
                    let mut passed = Vec::new();
                    for partition in bed.partitions() {
                        let read = ReadPartition::after(partition, Position::ZERO);
                        let read = read.filter(filter.clone()).limit_events(limit);
                        passed.extend(bed.partition_pages(read).await);
                    }
                    assert_eq!(passed, wanted, "{filter:?} in pages of {limit}");
                }
            }
        }
    }
}

pub(super) async fn pages_say_how_far_they_looked_even_if_nothing_passed<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    filled(&bed).await;
    let filter = EventFilter { tags: vec!["none".into()], ..EventFilter::default() };
    for partition in bed.partitions() {
        let head = bed.journal.head(partition).await.expect("there is a head");
        let mut read = ReadPartition::after(partition, Position::ZERO).filter(filter.clone());
        loop {
            let page = bed.journal.read_partition(read.clone()).await.expect("it can be read");
            assert_eq!(page.events, []);
            if page.at_head {
                assert_eq!(page.scanned, head, "at the head, all was looked at");
                break;
            }
            assert!(page.scanned.position > read.after, "a page looks at one event at least");
            let event = bed.journal.mark_at(partition, page.scanned.position).await;
            assert_eq!(event, Ok(Some(page.scanned)), "how far is the mark of an event");
            read.after = page.scanned.position;
        }
    }
}

pub(super) async fn nothing_is_beyond_the_head<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    for partition in bed.partitions() {
        let head = bed.journal.head(partition).await;
        assert_eq!(head, Ok(Mark { partition, ..Mark::default() }), "nothing is recorded yet");
        let read = ReadPartition::after(partition, Position::ZERO);
        let page = bed.journal.read_partition(read).await.expect("it can be read");
        assert_eq!((page.events.len(), page.at_head), (0, true));
        assert_eq!(page.scanned, Mark { partition, ..Mark::default() });
    }
    let committed = bed.record(bed.append(&stream("a"), 0, 3)).await;
    let mark = committed.mark.expect("it has events");
    let head = bed.journal.head(mark.partition).await;
    assert_eq!(head, Ok(mark), "the head is at what was acknowledged");
    for beyond in [3, 4, 1000] {
        let read = ReadPartition::after(mark.partition, Position::new(beyond));
        let page = bed.journal.read_partition(read).await.expect("it can be read");
        assert_eq!((page.events.len(), page.at_head), (0, true), "after {beyond}");
    }
}

pub(super) async fn marks_are_those_of_the_events<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let all = filled(&bed).await;
    for event in &all {
        let (partition, position) = (event.append.partition, event.position);
        let wanted = Some(Mark::at(partition, position, event.id));
        assert_eq!(bed.journal.mark_at(partition, position).await, Ok(wanted));
    }
    for partition in bed.partitions() {
        let head = bed.journal.head(partition).await.expect("there is a head");
        assert_eq!(bed.journal.mark_at(partition, Position::ZERO).await, Ok(None));
        let beyond = bed.journal.mark_at(partition, head.position.plus(1)).await;
        assert_eq!(beyond, Ok(None), "there is no event beyond the head");
    }
}

pub(super) async fn a_time_tells_how_far_it_was<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let all = filled(&bed).await;
    let times = all.iter().map(|event| event.time().get());
    for time in times.flat_map(|time| [time - 1, time, time + 1]).map(Timestamp::new) {
        for partition in bed.partitions() {
            let early = |event: &&RecordedEvent| {
                event.append.partition == partition && event.time() <= time
            };
            let none = Mark { partition, ..Mark::default() };
            let wanted = all.iter().rfind(early).map_or(none, RecordedEvent::mark);
            assert_eq!(bed.journal.at_time(partition, time).await, Ok(wanted), "{time:?}");
        }
        for stream in all.iter().map(RecordedEvent::stream).collect::<BTreeSet<_>>() {
            let early = |event: &&RecordedEvent| event.stream() == stream && event.time() <= time;
            let wanted = all.iter().filter(early).map(|event| event.version).max();
            let found = bed.journal.version_at(stream, time).await;
            assert_eq!(found, Ok(wanted.unwrap_or_default()), "{stream} {time:?}");
        }
    }
    let early = bed.journal.version_at(&stream("unknown"), Timestamp::new(i64::MAX)).await;
    assert_eq!(early, Ok(Version::ZERO));
}

pub(super) async fn tokens_are_checked_against_marks<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let mut token = Token::new(bed.journal.incarnation());
    for stream in streams(5) {
        let committed = bed.record(bed.append(&stream, 0, 2)).await;
        token.see(committed.mark.expect("it has events"));
    }
    let text = token.to_string();
    let read: Token = text.parse().expect("a token can be read again");
    let bed = bed.reopened().await;
    assert_eq!(read.incarnation(), bed.journal.incarnation());
    for mark in read.marks() {
        let found = bed.journal.mark_at(mark.partition, mark.position).await;
        assert_eq!(found, Ok(Some(mark)), "the same history has the same marks");
    }
}

pub(super) async fn an_unknown_partition_is_named<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    bed.record(bed.append(&stream("a"), 0, 1)).await;
    let unknown = PartitionId::new(bed.journal.capabilities().partitions);
    let refused = Some(ReadError::NoPartition(unknown));
    assert_eq!(bed.journal.head(unknown).await.err(), refused);
    let read = ReadPartition::after(unknown, Position::ZERO);
    assert_eq!(bed.journal.read_partition(read).await.err(), refused);
    assert_eq!(bed.journal.mark_at(unknown, Position::new(1)).await.err(), refused);
    assert_eq!(bed.journal.wait_beyond(unknown, Position::ZERO).await.err(), refused);
}
