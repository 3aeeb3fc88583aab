//! Finding one append of a stream: by its id, and by its idempotency key.

use super::{MakeJournal, bed::*};
use bytes::Bytes;
use kronika_core::{
    Append, AppendBy, AppendId, AppendMore, Journal, Keyed, Origin, RecordedAppend, StreamId,
};

fn keyed(append: Append, principal: Option<&str>, key: &str) -> Append {
    let reply = Bytes::from_static(b"{\"left\":5}");
    let keyed = Keyed { key: key.into(), fingerprint: append.id.get() ^ 7, reply };
    let origin = Origin { principal: principal.map(str::to_owned), ..Origin::default() };
    let more = AppendMore { keyed: Some(keyed), origin, ..AppendMore::default() };
    Append { more: Some(Box::new(more)), ..append }
}

fn by_key(principal: Option<&str>, key: &str) -> AppendBy {
    AppendBy::Key { principal: principal.map(str::to_owned), key: key.into() }
}

async fn find<M: MakeJournal>(
    bed: &Bed<'_, M>,
    stream: &StreamId,
    by: AppendBy,
) -> Option<RecordedAppend> {
    bed.journal.read_append(stream, by).await.expect("an append can be looked for")
}

pub(super) async fn an_append_is_found_by_its_id_in_its_stream<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let (a, b) = (stream("a"), stream("b"));
    let sent = [bed.append(&a, 0, 2), bed.append(&a, 2, 0), bed.append(&a, 2, 1)];
    for append in &sent {
        bed.record(append.clone()).await;
    }
    bed.record(bed.append(&b, 0, 1)).await;
    let refused = Append { loading: kronika_core::Loading::new(5), ..bed.append(&a, 0, 1) };
    assert_conflict(&bed.try_record(refused.clone()).await, 3);
    let all = bed.read(&a).await;
    let mut bed = bed;
    for _ in 0..2 {
        for (append, recorded) in sent.iter().zip(&all) {
            let found = find(&bed, &a, AppendBy::Id(append.id)).await;
            assert_eq!(found.as_ref(), Some(recorded), "an append is found whole");
            assert_eq!(find(&bed, &b, AppendBy::Id(append.id)).await, None, "it is not in b");
        }
        for absent in [refused.id, AppendId::new(0), AppendId::new(u128::MAX << 16)] {
            assert_eq!(find(&bed, &a, AppendBy::Id(absent)).await, None);
        }
        assert_eq!(find(&bed, &stream("unknown"), AppendBy::Id(sent[0].id)).await, None);
        bed = bed.reopened().await;
    }
}

pub(super) async fn an_append_is_found_by_its_key_within_its_principal<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    if !bed.journal.capabilities().finds_keys {
        return;
    }
    let (a, b) = (stream("a"), stream("b"));
    let longest = "k".repeat(255);
    let sent = [
        (keyed(bed.append(&a, 0, 1), None, "k1"), None, "k1"),
        (keyed(bed.append(&a, 1, 0), Some("ann"), "k1"), Some("ann"), "k1"),
        (keyed(bed.append(&a, 1, 2), Some("bob"), "k1"), Some("bob"), "k1"),
        (keyed(bed.append(&a, 3, 1), Some("ann"), &longest), Some("ann"), longest.as_str()),
        (keyed(bed.append(&b, 0, 1), Some("ann"), "k1"), Some("ann"), "k1"),
    ];
    for (append, ..) in &sent {
        bed.record(append.clone()).await;
    }
    for version in 4..20 {
        bed.record(bed.append(&a, version, 1)).await;
    }
    let mut bed = bed;
    for _ in 0..2 {
        for (append, principal, key) in &sent {
            let found = find(&bed, &append.stream, by_key(*principal, key)).await;
            let found = found.unwrap_or_else(|| panic!("{key} of {principal:?} is not found"));
            assert_eq!(found.header.id, append.id);
            assert_eq!(found.header.more, append.more, "key, fingerprint and reply are kept");
            assert_eq!(found.events.len(), append.events.len());
        }
        let absent = [(None, "k2"), (Some("carl"), "k1"), (None, &longest), (Some(""), "k1")];
        for (principal, key) in absent {
            let found = find(&bed, &a, by_key(principal, key)).await;
            assert_eq!(found, None, "{key} of {principal:?} was never recorded");
        }
        bed = bed.reopened().await;
    }
}

pub(super) async fn the_newest_use_of_a_key_is_found<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    if !bed.journal.capabilities().finds_keys {
        return;
    }
    let a = stream("a");
    for version in 0..4 {
        let append = keyed(bed.append(&a, version, 1), Some("ann"), "k");
        bed.record(append.clone()).await;
        let found = find(&bed, &a, by_key(Some("ann"), "k")).await;
        assert_eq!(found.map(|found| found.header.id), Some(append.id));
    }
}
