//! Closing and opening again changes nothing.

use super::{MakeJournal, bed::*};
use kronika_core::Journal;

pub(super) async fn reopening_keeps_everything_and_goes_on<M: MakeJournal>(make: &M) {
    let mut bed = Bed::new(make).await;
    let streams = streams(10);
    let incarnation = bed.journal.incarnation();
    for round in 0..4 {
        for stream in &streams {
            bed.record(bed.append(stream, round * 2, 2)).await;
            bed.record(bed.append(stream, round * 2 + 2, 0)).await;
        }
        let (before, mut by_stream) = (bed.all().await, Vec::new());
        for stream in &streams {
            by_stream.push(bed.read(stream).await);
        }
        let heads = heads(&bed).await;
        bed = bed.reopened().await;
        assert_eq!(bed.journal.incarnation(), incarnation, "it is the same history");
        assert_eq!(bed.all().await, before);
        assert_eq!(self::heads(&bed).await, heads);
        for (stream, before) in streams.iter().zip(by_stream) {
            assert_eq!(bed.read(stream).await, before, "{stream}");
        }
    }
    let versions = bed.read(&streams[0]).await;
    assert_eq!(versions.last().map(|append| append.version().get()), Some(8));
}

async fn heads<M: MakeJournal>(bed: &Bed<'_, M>) -> Vec<kronika_core::Mark> {
    let mut heads = Vec::new();
    for partition in bed.partitions() {
        heads.push(bed.journal.head(partition).await.expect("there is a head"));
    }
    heads
}

pub(super) async fn an_empty_journal_keeps_its_incarnation<M: MakeJournal>(make: &M) {
    let place = make.place();
    let journal = make.open(&place).await;
    let incarnation = journal.incarnation();
    make.close(journal).await;
    let journal = make.open(&place).await;
    assert_eq!(journal.incarnation(), incarnation);
}

pub(super) async fn two_journals_are_two_histories<M: MakeJournal>(make: &M) {
    let (one, other) = (Bed::new(make).await, Bed::new(make).await);
    assert_ne!(one.journal.incarnation(), other.journal.incarnation());
    one.record(one.append(&stream("a"), 0, 1)).await;
    assert_eq!(other.version(&stream("a")).await.get(), 0);
    assert_eq!(other.all().await, []);
}
