//! What goes through a codec must come back. Compared by its bytes: nothing needs `PartialEq` for it.

use super::show;
use kronika_core::{
    Aggregate, Append, AppendId, Codec, Command, Decision, Epoch, Event, Handle, Loading, NewEvent,
    Outcome, StreamId, Version, check_limits, decode_json, encode_json,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

#[track_caller]
pub(super) fn json(what: &str, value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Err(error) = encode_json(value, &mut bytes) {
        panic!("{what} cannot be written as JSON: {}", show::error(&error));
    }
    bytes
}

/// Written, read and written again: gives what was read.
#[track_caller]
pub(super) fn round_trip<T: Serialize + DeserializeOwned>(what: &str, value: &T) -> T {
    let written = json(what, value);
    let read = decode_json::<T>(&written).unwrap_or_else(|error| {
        panic!(
            "{what} was written as {} and cannot be read again: {}",
            text(&written),
            show::error(&error)
        )
    });
    // Compared as values: a map may come in another order and still be the same.
    let (before, after) = (parsed(&written), parsed(&json(what, &read)));
    assert!(
        before == after,
        "{what} does not come back as it was written\n  written: {before}\n     read: {after}"
    );
    read
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn parsed(json: &[u8]) -> Value {
    serde_json::from_slice(json).expect("it was written as JSON just now")
}

/// An event as it is recorded.
#[track_caller]
pub(super) fn new_event<E: Event>(event: &E) -> NewEvent {
    let kind = event.kind();
    let mut body = Vec::new();
    if let Err(error) = event.encode(&mut body) {
        panic!("the event {} cannot be written: {}", kind.name, show::error(&error));
    }
    let mut tags = Vec::new();
    event.tags(&mut |tag| tags.push(tag.to_owned()));
    let (name, schema, codec) = (kind.name.into(), kind.schema, Codec::Json);
    NewEvent { name, schema, codec, body: body.into(), tags, ..NewEvent::default() }
}

/// An event recorded and read again.
#[track_caller]
pub(super) fn event_round_trip<E: Event>(event: &E) -> E {
    let written = new_event(event);
    let name = &written.name;
    assert!(
        E::KINDS.contains(event.kind()),
        "the event {name} is not among the kinds of its type: {:?}",
        E::KINDS
    );
    let read = E::decode(name, written.schema, &written.body).unwrap_or_else(|error| {
        let body = text(&written.body);
        panic!(
            "the event {name} was written as {body} and cannot be read again: {}",
            show::error(&error)
        )
    });
    let again = new_event(&read);
    assert!(
        (&written.name, written.schema, &written.tags) == (&again.name, again.schema, &again.tags)
            && parsed(&written.body) == parsed(&again.body),
        "the event {name} does not come back as it was written\n  written: {}\n     read: {}",
        show::event(event),
        show::event(&read)
    );
    read
}

/// What the journal would refuse is refused here.
#[track_caller]
pub(super) fn within_limits<E: Event>(events: &[E]) {
    let append = Append {
        id: AppendId::new(0),
        stream: StreamId::new("test", "1").expect("a stream id"),
        expected: Version::ZERO,
        epoch: Epoch::default(),
        loading: Loading::default(),
        events: events.iter().map(new_event).collect(),
        command: "test".into(),
        more: None,
    };
    if let Err(error) = check_limits(&append) {
        panic!("the journal would refuse the decision: {error}");
    }
}

/// Two outcomes of one command are the same: events, timers, rejection.
#[track_caller]
pub(super) fn decided_alike<A: Handle<C>, C: Command>(
    what: &str,
    one: &Outcome<A, C>,
    other: &Outcome<A, C>,
) {
    let (one, other) = (outcome_value::<A, C>(one), outcome_value::<A, C>(other));
    assert!(
        one == other,
        "{what} is decided in another way: a handler is a pure function of state, command and context, \
         and serde keeps all of the state\n   first: {one}\n  second: {other}"
    );
}

fn outcome_value<A: Handle<C>, C: Command>(outcome: &Outcome<A, C>) -> Value {
    match outcome {
        Err(rejection) => {
            serde_json::json!({ "rejection": parsed(&json("the rejection", rejection)) })
        }
        Ok(decision) => decision_value(decision),
    }
}

fn decision_value<A: Aggregate, R: 'static>(decision: &Decision<A, R>) -> Value {
    let events = decision.events().iter().map(|event| {
        let event = new_event(event);
        serde_json::json!({ "name": event.name, "body": parsed(&event.body), "tags": event.tags })
    });
    let timers = decision.timers().iter().map(|timer| {
        serde_json::json!({ "due": timer.due, "command": timer.command, "body": text(&timer.body) })
    });
    serde_json::json!({
        "events": events.collect::<Vec<_>>(),
        "timers": timers.collect::<Vec<_>>(),
    })
}

/// A state as its snapshot would hold it.
#[track_caller]
pub(super) fn state_value<A: Aggregate>(state: &A) -> Value {
    parsed(&json("the state", state))
}
