//! What is read is what was written: every field, byte for byte, by every way of reading, before and after
//! a reopening.

use super::{MakeJournal, bed::*};
use bytes::Bytes;
use kronika_core::{
    Append, AppendBy, AppendMore, Codec, EventId, Journal, Keyed, Metadata, NAME_BYTES_MAX,
    NewEvent, Origin, RecordedAppend, StreamId, TAGS_MAX, Timer, Timestamp,
};

/// Reads the appends of one stream by every way, before and after a reopening, and compares.
async fn check<M: MakeJournal>(bed: Bed<'_, M>, stream: &StreamId, sent: &[Append]) {
    let mut bed = bed;
    for _ in 0..2 {
        let read = bed.read(stream).await;
        assert_eq!(read.len(), sent.len());
        for (append, recorded) in sent.iter().zip(&read) {
            compare(append, recorded);
            let found = bed.journal.read_append(stream, AppendBy::Id(append.id)).await;
            let found = found.expect("it can be looked for").expect("it is recorded");
            assert_eq!(found, *recorded, "an append is the same however it is read");
        }
        let all = bed.all().await;
        let of_stream = all.iter().filter(|event| event.stream() == stream).collect::<Vec<_>>();
        let of_appends = read.iter().flat_map(|append| &append.events).collect::<Vec<_>>();
        assert_eq!(of_stream, of_appends, "an event is the same however it is read");
        bed = bed.reopened().await;
    }
}

fn compare(append: &Append, recorded: &RecordedAppend) {
    let header = &recorded.header;
    assert_eq!(header.id, append.id);
    assert_eq!(header.stream, append.stream);
    assert_eq!(header.expected, append.expected);
    assert_eq!(header.epoch, append.epoch);
    assert_eq!(header.command, append.command);
    assert_eq!(header.more, append.more);
    assert_eq!(recorded.events.len(), append.events.len());
    for (index, (new, event)) in append.events.iter().zip(&recorded.events).enumerate() {
        assert_eq!(event.id, new.id.unwrap_or(append.id.event(index)));
        assert_eq!(*event.name, *new.name);
        assert_eq!((event.schema, event.codec), (new.schema, new.codec));
        assert_eq!(event.body, new.body);
        assert_eq!(event.tags, new.tags);
        assert_eq!(event.occurred, new.occurred);
        assert_eq!(event.metadata, new.metadata);
        assert_eq!(event.append, *header, "an event knows its append");
    }
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn everything() -> AppendMore {
    AppendMore {
        command_body: Some(Bytes::from_static(b"{\"cents\":5}")),
        keyed: Some(Keyed {
            key: "key-1".into(),
            fingerprint: u128::MAX - 1,
            reply: Bytes::from_static(b"[1,null,\"\\u0000\"]"),
        }),
        origin: Origin {
            principal: text("ann"),
            tenant: text("t\u{fc}r"),
            correlation: text("c-1"),
            causation: text(""),
            trace: text("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        },
        timers: vec![
            Timer { due: Timestamp::new(i64::MAX), command: "close".into(), body: b"{}".to_vec() },
            Timer { due: Timestamp::new(-1), command: "open".into(), body: b"null".to_vec() },
        ],
        encryption_key: text("2026-01"),
    }
}

/// The append with everything, and with each part left out and alone.
fn parts() -> Vec<Option<Box<AppendMore>>> {
    let mut parts = vec![None, Some(everything())];
    let alone: [fn(AppendMore) -> AppendMore; 8] = [
        |all| AppendMore { command_body: all.command_body, ..AppendMore::default() },
        |all| AppendMore { keyed: all.keyed, ..AppendMore::default() },
        |all| AppendMore { origin: all.origin, ..AppendMore::default() },
        |all| AppendMore { timers: all.timers, ..AppendMore::default() },
        |all| AppendMore { encryption_key: all.encryption_key, ..AppendMore::default() },
        |all| AppendMore { command_body: Some(Bytes::new()), ..all },
        |all| AppendMore { origin: Origin { principal: text(""), ..Origin::default() }, ..all },
        |all| AppendMore { timers: Vec::new(), ..all },
    ];
    parts.extend(alone.map(|part| Some(part(everything()))));
    parts.into_iter().map(|part| part.map(Box::new)).collect()
}

fn events_with_everything() -> Vec<NewEvent> {
    let metadata = [("source", "import"), ("", ""), ("gr\u{f6}\u{df}e", "\u{0}\u{1f980}")];
    let metadata = metadata.map(|(name, text)| (name.to_owned(), text.to_owned()));
    let metadata = Metadata::from(metadata);
    vec![
        NewEvent::default_named("plain"),
        NewEvent {
            name: String::from("owned").into(),
            schema: u32::MAX,
            codec: Codec::Json,
            body: Bytes::from_static(b"{\"a\":1}"),
            tags: vec!["red".into(), String::new(), "gr\u{fc}n".into()],
            occurred: Some(Timestamp::new(i64::MIN)),
            id: Some(EventId::new(u128::MAX)),
            metadata: Some(Box::new(metadata)),
        },
        NewEvent { occurred: Some(Timestamp::new(0)), ..NewEvent::default_named("occurred") },
        NewEvent { id: Some(EventId::new(1)), ..NewEvent::default_named("identified") },
        NewEvent { tags: vec!["one".into()], ..NewEvent::default_named("tagged") },
    ]
}

/// A short way to an event with nothing but a name.
trait DefaultNamed {
    fn default_named(name: &'static str) -> Self;
}

impl DefaultNamed for NewEvent {
    fn default_named(name: &'static str) -> Self {
        Self { name: name.into(), body: Bytes::from_static(b"{}"), ..Self::default() }
    }
}

pub(super) async fn every_field_comes_back_as_written<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let a = stream("a");
    let mut sent = Vec::new();
    let mut version = 0;
    for (number, more) in parts().into_iter().enumerate() {
        let mut events = if number % 3 == 2 { Vec::new() } else { events_with_everything() };
        for event in &mut events {
            let unique = |id: EventId| EventId::new(id.get().wrapping_sub(2 * number as u128));
            event.id = event.id.map(unique);
        }
        let count = events.len() as u64;
        let command = format!("command-{number}").into();
        let append = Append { events, command, more, ..bed.append(&a, version, 0) };
        bed.record(append.clone()).await;
        sent.push(append);
        version += count;
    }
    check(bed, &a, &sent).await;
}

pub(super) async fn bodies_come_back_byte_for_byte<M: MakeJournal>(make: &M) {
    let bed = Bed::new(make).await;
    let a = stream("a");
    // JSON that a store would change which parses it: white space, order, numbers, escapes, repeats.
    let bodies = [
        "",
        "{}",
        "null",
        " { \"b\" : 1 ,\n\t\"a\":2 } ",
        "{\"a\":1,\"a\":2}",
        "[1.0,1.00,1e2,-0,0.1,123456789012345678901234567890]",
        "\"\\u0000\\ud83e\\udd80\u{1f980}\\/\"",
    ];
    let longs = [63, 64, 65, 511, 512, 513, 4095, 4096, 4097, 70_000];
    let longs = longs.map(|bytes| format!("\"{}\"", "x".repeat(bytes)));
    let bodies = bodies.iter().map(|body| (*body).to_owned()).chain(longs);
    let mut sent = Vec::new();
    for (version, body) in bodies.enumerate() {
        let events = vec![NewEvent { body: body.into(), ..NewEvent::default_named("noted") }];
        let append = Append { events, ..bed.append(&a, version as u64, 0) };
        bed.record(append.clone()).await;
        sent.push(append);
    }
    check(bed, &a, &sent).await;
}

pub(super) async fn ids_and_names_of_any_script_and_length_come_back<M: MakeJournal>(make: &M) {
    let longest_type = "t".repeat(kronika_core::TYPE_BYTES_MAX);
    let longest_id = "\u{1f980}".repeat(63) + "abc";
    assert_eq!(longest_id.len(), kronika_core::ID_BYTES_MAX);
    let streams = [
        StreamId::new("a", "x"),
        StreamId::new("account", "\u{5bff}\u{53f8} \u{0645}\u{0631}\u{062d}\u{0628}\u{0627}"),
        StreamId::new("account", "' OR 1=1; -- \"\\%_{}[]$"),
        StreamId::new("account", "../../etc/passwd"),
        StreamId::new(&longest_type, &longest_id),
    ];
    for stream in streams {
        let stream = stream.expect("the suite names its streams well");
        let bed = Bed::new(make).await;
        let longest = "n".repeat(NAME_BYTES_MAX);
        let event = NewEvent {
            name: longest.clone().into(),
            tags: vec![longest.clone(); TAGS_MAX],
            ..NewEvent::default_named("noted")
        };
        let append = bed.append(&stream, 0, 0);
        let append = Append { events: vec![event], command: longest.into(), ..append };
        bed.record(append.clone()).await;
        check(bed, &stream, &[append]).await;
    }
}
