//! Following a partition: waiting for its head, and seeing everything once while others append.

use super::{MakeJournal, bed::*};
use kronika_core::{Journal, Loading, PartitionId, Position, ReadPartition, RecordedEvent};
use std::{pin::pin, task::Poll};

pub(super) async fn waiting_ends_at_once_where_the_head_is_beyond<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let committed = bed.record(bed.append(&stream("a"), 0, 3)).await;
    let mark = committed.mark.expect("it has events");
    for position in 0..3 {
        let position = Position::new(position);
        assert_eq!(bed.journal.wait_beyond(mark.partition, position).await, Ok(mark));
    }
}

pub(super) async fn waiting_ends_when_an_event_is_appended<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let a = stream("a");
    let first = bed.record(bed.append(&a, 0, 1)).await.mark.expect("it has an event");
    let partition = first.partition;
    let mut waiting = pin!(bed.journal.wait_beyond(partition, first.position));
    let mut another = pin!(bed.journal.wait_beyond(partition, first.position.plus(1)));
    assert!(poll_once(&mut waiting).await.is_pending(), "the head is not beyond itself");
    assert!(poll_once(&mut another).await.is_pending());
    bed.record(bed.append(&a, 1, 0)).await;
    match poll_once(&mut waiting).await {
        Poll::Pending => {}
        Poll::Ready(head) => panic!("an append without events moves no head, but it is {head:?}"),
    }
    let second = bed.record(bed.append(&a, 1, 1)).await.mark.expect("it has an event");
    assert_eq!(waiting.await, Ok(second));
    assert!(poll_once(&mut another).await.is_pending());
    let third = bed.record(bed.append(&a, 2, 1)).await.mark.expect("it has an event");
    assert_eq!(another.await, Ok(third));
}

const WRITERS: usize = 4;
const ROUNDS: u64 = 60;

/// Four writers, each on streams of its own and with two groups in flight, and a follower for each partition.
pub(super) async fn a_follower_sees_everything_once_in_order_while_others_append<M: MakeJournal>(
    make: &M,
) {
    let bed = Bed::new(make).await;
    // Every partition gets a last event, so that each follower ends.
    let (bed, writers) = (&bed, (0..WRITERS).map(|writer| write(&bed, writer)));
    let [first, second, third, fourth] =
        writers.collect::<Vec<_>>().try_into().unwrap_or_else(|_| unreachable!("there are four"));
    let followers = follow(bed);
    let (_, _, _, _, seen) = tokio::join!(first, second, third, fourth, followers);
    assert_eq!(seen, bed.all().await, "what was seen live is what is recorded");
    let total = WRITERS as u64 * ROUNDS * 3;
    assert_eq!(seen.len() as u64, total);
    for number in 0..WRITERS {
        let stream = stream(&format!("writer-{number}"));
        let versions = seen.iter().filter(|event| *event.stream() == stream);
        assert!(versions.map(|event| event.version.get()).eq(1..=ROUNDS * 3), "{stream}");
    }
}

async fn write<M: MakeJournal>(bed: &Bed<'_, M>, writer: usize) {
    let stream = stream(&format!("writer-{writer}"));
    for round in 0..ROUNDS {
        let of = |expected, count| kronika_core::Append {
            loading: Loading::new(writer as u64 + 1),
            ..bed.append(&stream, expected, count)
        };
        let one = bed.journal.append(vec![of(round * 3, 1)]);
        let two = bed.journal.append(vec![of(round * 3 + 1, 2)]);
        let (one, two) = tokio::join!(one, two);
        assert!(one[0].is_ok() && two[0].is_ok(), "{one:?} {two:?}");
    }
}

/// Follows all partitions in turn until everything was seen.
async fn follow<M: MakeJournal>(bed: &Bed<'_, M>) -> Vec<RecordedEvent> {
    let total = WRITERS * ROUNDS as usize * 3;
    let partitions = bed.partitions().collect::<Vec<PartitionId>>();
    let mut seen = vec![Vec::new(); partitions.len()];
    let mut after = vec![Position::ZERO; partitions.len()];
    while seen.iter().map(Vec::len).sum::<usize>() < total {
        for (index, partition) in partitions.iter().enumerate() {
            // With one partition, wait; with several, that could wait for one that stays empty.
            if partitions.len() == 1 {
                let head = bed.journal.wait_beyond(*partition, after[index]).await;
                let head = head.expect("the journal is open");
                assert!(head.position > after[index], "the head is beyond what was waited for");
            }
            let read = ReadPartition::after(*partition, after[index]).limit_events(7);
            let page = bed.journal.read_partition(read).await.expect("it can be read");
            for event in &page.events {
                after[index] = after[index].plus(1);
                assert_eq!(event.position, after[index], "no position is left out or comes twice");
            }
            assert_eq!(page.scanned.position, after[index]);
            seen[index].extend(page.events);
        }
        tokio::task::yield_now().await;
    }
    seen.concat()
}
