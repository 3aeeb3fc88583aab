//! Whether the snapshots that were saved are true: each is what the recorded events up to it come to.

use super::{
    account::{Account, AccountEvent},
    evidence::Evidence,
    violation::{Broken, Violation},
};
use kronika_core::{Aggregate, Event, RecordedEvent, Snapshot, decode_json};

pub(super) fn untrue(seed: u64, evidence: &Evidence) -> Vec<Violation> {
    let untrue = evidence.snapshots.iter().filter(|snapshot| !is_true(snapshot, evidence));
    let violation = |snapshot: &Snapshot| {
        let appends = evidence.streams.get(&snapshot.stream).map_or(&[][..], Vec::as_slice);
        let (stream, version) = (Some(snapshot.stream.clone()), snapshot.version);
        let story = super::violation::story(&[], appends);
        Violation { seed, stream, broken: Broken::UntrueSnapshot(version), story }
    };
    untrue.map(violation).collect()
}

fn is_true(snapshot: &Snapshot, evidence: &Evidence) -> bool {
    let Some(appends) = evidence.streams.get(&snapshot.stream) else { return false };
    let stands = appends
        .iter()
        .any(|append| (append.version(), append.mark()) == (snapshot.version, Some(snapshot.mark)));
    let events = appends.iter().flat_map(|append| &append.events);
    let mut events = events.take_while(|event| event.version <= snapshot.version);
    let folded = events.try_fold(Account::default(), |mut account, event: &RecordedEvent| {
        let event = AccountEvent::decode(&event.name, event.schema, &event.body).ok()?;
        account.apply(&event);
        Some(account)
    });
    let saved = decode_json::<Account>(&snapshot.state);
    let same =
        folded.zip(saved.ok()).is_some_and(|(folded, saved)| folded.cents() == saved.cents());
    let keys = appends.iter().take_while(|append| append.version() <= snapshot.version);
    let has_key =
        keys.filter_map(|append| append.header.more.as_ref()).any(|more| more.keyed.is_some());
    // One that stands on its very version may have come later.
    let later = appends.iter().filter(|append| append.header.expected == snapshot.version);
    let later =
        later.filter_map(|append| append.header.more.as_ref()).any(|more| more.keyed.is_some());
    stands && same && (snapshot.keyed || !has_key || later)
}
