//! How streams are read: as whole appends, from a version on, in both directions, page by page.
//!
//! What must come is computed from the definition of `StreamCursor`, for every version, direction and limit.

use super::{MakeJournal, bed::*};
use kronika_core::{
    Direction, Journal, ReadStream, RecordedAppend, StreamCursor, StreamId, Version,
};

/// Appends of a stream that has everything: single and several events, and appends without events at the
/// beginning, several at one version, and at the end.
const SHAPE: [usize; 12] = [0, 0, 1, 2, 0, 1, 0, 0, 0, 3, 1, 0];

const DIRECTIONS: [Direction; 2] = [Direction::Forwards, Direction::Backwards];

async fn filled<M: MakeJournal>(bed: &Bed<'_, M>, stream: &StreamId) -> Vec<RecordedAppend> {
    let mut version = 0;
    for count in SHAPE {
        bed.record(bed.append(stream, version, count)).await;
        version += count as u64;
    }
    let all = bed.read(stream).await;
    let shape = all.iter().map(|append| append.events.len()).collect::<Vec<_>>();
    assert_eq!(shape, SHAPE, "a stream is read as appends, with those that hold no events");
    all
}

/// What a read gives without limits, by the definition.
fn expected(all: &[RecordedAppend], read: &ReadStream) -> Vec<RecordedAppend> {
    let StreamCursor { version, skip } = read.from;
    let ends_after_or_stands = |append: &&RecordedAppend| {
        append.header.expected.get() + append.events.len() as u64 > version.get()
            || append.header.expected >= version
    };
    let stands_at_or_below = |append: &&RecordedAppend| append.header.expected <= version;
    match read.direction {
        Direction::Forwards => {
            all.iter().filter(ends_after_or_stands).skip(skip).cloned().collect()
        }
        Direction::Backwards => {
            all.iter().rev().filter(stands_at_or_below).skip(skip).cloned().collect()
        }
    }
}

fn reading(stream: &StreamId, direction: Direction) -> ReadStream {
    match direction {
        Direction::Forwards => ReadStream::forwards(stream.clone()),
        Direction::Backwards => ReadStream::backwards(stream.clone()),
    }
}

pub(super) async fn an_unknown_stream_is_empty<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    bed.record(bed.append(&stream("a"), 0, 1)).await;
    for direction in DIRECTIONS {
        let read = reading(&stream("unknown"), direction);
        let page = bed.journal.read_stream(read).await.expect("it can be read");
        assert_eq!((page.appends.len(), page.newest, page.next), (0, Version::ZERO, None));
    }
}

pub(super) async fn reads_begin_where_the_cursor_says_in_both_directions<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let a = stream("a");
    let all = filled(&bed, &a).await;
    let newest = bed.version(&a).await;
    for direction in DIRECTIONS {
        for version in (0..=newest.get() + 2).chain([u64::MAX]).map(Version::new) {
            for skip in 0..5 {
                let read = reading(&a, direction).from(StreamCursor { version, skip });
                let page = bed.journal.read_stream(read.clone()).await.expect("it can be read");
                assert_eq!(
                    ids(&page.appends),
                    ids(&expected(&all, &read)),
                    "{direction:?} from version {version}, skipping {skip}"
                );
                assert_eq!(page.newest, newest, "the newest version does not depend on the page");
            }
        }
    }
}

pub(super) async fn pages_of_any_size_give_everything_once<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let a = stream("a");
    let all = filled(&bed, &a).await;
    for direction in DIRECTIONS {
        for limit in 1..=SHAPE.len() + 1 {
            for version in 0..=bed.version(&a).await.get() {
                let read = reading(&a, direction).from(Version::new(version)).limit_appends(limit);
                let page = bed.journal.read_stream(read.clone()).await.expect("it can be read");
                let wanted = expected(&all, &read);
                assert_eq!(page.appends.len(), limit.min(wanted.len()), "a page is filled");
                let pages = bed.pages(read).await;
                assert_eq!(
                    ids(&pages),
                    ids(&wanted),
                    "{direction:?} from version {version} in pages of {limit}"
                );
                assert_eq!(pages, wanted, "an append is the same on whatever page it comes");
            }
        }
    }
}

pub(super) async fn pages_are_not_shifted_by_what_is_appended_meanwhile<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let a = stream("a");
    let all = filled(&bed, &a).await;
    for direction in DIRECTIONS {
        let before = bed.read(&a).await;
        let mut read = reading(&a, direction).limit_appends(2);
        let mut given = Vec::new();
        for _ in 0..before.len() {
            let page = bed.journal.read_stream(read.clone()).await.expect("it can be read");
            given.extend(ids(&page.appends));
            let newest = page.newest.get();
            bed.record(bed.append(&a, newest, 1)).await;
            match page.next {
                Some(next) if given.len() < before.len() => read = read.from(next),
                _ => break,
            }
        }
        let mut wanted = ids(&before);
        if direction == Direction::Backwards {
            wanted.reverse();
        }
        assert_eq!(given[..all.len()], wanted[..all.len()], "{direction:?}");
    }
}

pub(super) async fn a_page_ends_after_its_bytes<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let a = stream("a");
    for version in 0..5 {
        bed.record(bed.append(&a, version, 1)).await;
    }
    for direction in DIRECTIONS {
        let read = ReadStream { limit_bytes: 1, ..reading(&a, direction) };
        let page = bed.journal.read_stream(read.clone()).await.expect("it can be read");
        assert_eq!(page.appends.len(), 1, "at least one append is given, and no more");
        assert_eq!(bed.pages(read).await.len(), 5);
    }
}

pub(super) async fn streams_of_similar_names_are_kept_apart<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let names = [
        "account/a",
        "account/A",
        "account/a ",
        "account/a/b",
        "account/a/",
        "account/a%2Fb",
        "account/aa",
        "account/\u{e4}",
        "account/a\u{308}",
        "account/1",
        "account/01",
        "accounts/a",
        "a/a",
    ];
    let streams = names.map(|name| StreamId::parse(name).expect("the names are well-formed"));
    for (count, stream) in streams.iter().enumerate() {
        bed.record(bed.append(stream, 0, count + 1)).await;
    }
    for (count, stream) in streams.iter().enumerate() {
        let appends = bed.read(stream).await;
        assert_eq!(appends.len(), 1, "{stream}");
        assert_eq!(appends[0].events.len(), count + 1, "{stream}");
        assert_eq!(appends[0].header.stream, *stream);
    }
}
