//! Events as lines of JSON: the form of an event, and what rebuilds the append that it came with.
//!
//! ```json
//! {"version":1,"position":17,"stream":"auction/a1","name":"opened","schema":1,"time":"2026-01-02T03:04:05.000006Z",
//!  "body":{},"metadata":{},"id":"…","append":{"id":"…","events":1,"command":"open","epoch":3,"key":"k1",…}}
//! ```
//!
//! The first event of an append carries all of `append`, further ones its `id`, `events` and their `index`. An append
//! without events is a line of its own, without a `name`; its `version` is the one that it stands on. What is no JSON
//! on one line stands in a field of the same name with `_base64` behind it.

use super::time;
use base64::{Engine, prelude::BASE64_STANDARD};
use kronika_core::{AppendMore, Position, RecordedAppend, RecordedEvent, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::BTreeMap, fmt, io};

/// A text that is borrowed where the line has it as it is.
type Text<'a> = Cow<'a, str>;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line<'a> {
    pub(crate) version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) partition: Option<u16>,
    #[serde(borrow)]
    pub(crate) stream: Text<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schema: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<Moment>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body_base64: Option<String>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(crate) metadata: Option<BTreeMap<Text<'a>, Text<'a>>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) occurred: Option<Moment>,
    #[serde(borrow)]
    pub(crate) append: AppendPart<'a>,
}

/// The append that a line belongs to.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AppendPart<'a> {
    #[serde(borrow)]
    pub(crate) id: Text<'a>,
    #[serde(default = "one")]
    pub(crate) events: usize,
    #[serde(default, skip_serializing_if = "is_first")]
    pub(crate) index: usize,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) command: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) epoch: Option<u64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) principal: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) tenant: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) correlation: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) causation: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) trace: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) fingerprint: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) reply: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reply_base64: Option<String>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) command_body: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) command_body_base64: Option<String>,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) timers: Vec<TimerPart<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) encryption_key: Option<Text<'a>>,
}

/// A timer that an append sets.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimerPart<'a> {
    pub(crate) due: Moment,
    #[serde(borrow)]
    pub(crate) command: Text<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body_base64: Option<String>,
}

fn one() -> usize {
    1
}

fn is_first(index: &usize) -> bool {
    *index == 0
}

/// A time as RFC 3339, or as microseconds since 1970 where that cannot tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) Timestamp);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        time::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Moment;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time as RFC 3339 or in microseconds since 1970")
            }
            fn visit_i64<E: de::Error>(self, micros: i64) -> Result<Moment, E> {
                Ok(Moment(Timestamp::new(micros)))
            }
            fn visit_u64<E: de::Error>(self, micros: u64) -> Result<Moment, E> {
                let micros = i64::try_from(micros);
                micros.map(|micros| Moment(Timestamp::new(micros))).map_err(E::custom)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Moment, E> {
                let time = time::parse(text);
                time.map(Moment).ok_or_else(|| E::custom(format!("{text:?} is no time")))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Bytes as JSON where they are JSON on one line, to the byte; else in base64.
fn told(bytes: &[u8]) -> (Option<&RawValue>, Option<String>) {
    let one_line = !bytes.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
    let json = serde_json::from_slice::<&RawValue>(bytes).ok();
    match json.filter(|json| one_line && json.get().len() == bytes.len()) {
        Some(json) => (Some(json), None),
        None => (None, Some(BASE64_STANDARD.encode(bytes))),
    }
}

/// The bytes that were told so; `null` where nothing was.
pub(crate) fn bytes_of(
    json: Option<&RawValue>,
    base64: Option<&str>,
) -> Result<Vec<u8>, base64::DecodeError> {
    match (base64, json) {
        (Some(base64), _) => BASE64_STANDARD.decode(base64),
        (None, Some(json)) => Ok(json.get().as_bytes().to_vec()),
        (None, None) => Ok(b"null".to_vec()),
    }
}

/// Writes the lines of an append, one for each event after a position, and gives their number.
///
/// # Errors
/// Those of the output.
pub fn write_lines(
    append: &RecordedAppend,
    after: Position,
    out: &mut dyn io::Write,
) -> io::Result<u64> {
    let mut lines = 0;
    let mut write = |line: &Line<'_>| {
        lines += 1;
        serde_json::to_writer(&mut *out, line)?;
        out.write_all(b"\n")
    };
    if append.events.is_empty() {
        write(&without_event(append))?;
    }
    for (index, event) in append.events.iter().enumerate() {
        if event.position > after {
            write(&of_event(append, event, index))?;
        }
    }
    Ok(lines)
}

fn of_event<'a>(append: &'a RecordedAppend, event: &'a RecordedEvent, index: usize) -> Line<'a> {
    let (body, body_base64) = told(&event.body);
    let metadata = event.metadata.iter().flat_map(|metadata| metadata.iter());
    let metadata = metadata.map(|(name, text)| (name.as_str().into(), text.as_str().into()));
    let id = append.header.id.to_string();
    let events = append.events.len();
    let part = match index {
        0 => of_append(append),
        _ => AppendPart { id: id.into(), events, index, ..AppendPart::default() },
    };
    Line {
        version: event.version.get(),
        position: Some(event.position.get()),
        partition: None,
        stream: event.stream().name().into(),
        name: Some((&*event.name).into()),
        schema: Some(event.schema),
        time: Some(Moment(event.time())),
        body: body.or(Some(RawValue::NULL)),
        body_base64,
        metadata: Some(metadata.collect()),
        id: Some(event.id.to_string().into()),
        tags: event.tags.iter().map(|tag| tag.as_str().into()).collect(),
        occurred: event.occurred.map(Moment),
        append: part,
    }
}

fn without_event(append: &RecordedAppend) -> Line<'_> {
    Line {
        version: append.header.expected.get(),
        position: None,
        partition: None,
        stream: append.header.stream.name().into(),
        name: None,
        schema: None,
        time: Some(Moment(append.header.time)),
        body: None,
        body_base64: None,
        metadata: None,
        id: None,
        tags: Vec::new(),
        occurred: None,
        append: of_append(append),
    }
}

fn text(text: &Option<String>) -> Option<Text<'_>> {
    text.as_deref().map(Cow::Borrowed)
}

fn of_append(append: &RecordedAppend) -> AppendPart<'_> {
    let header = &append.header;
    let mut part = AppendPart {
        id: header.id.to_string().into(),
        events: append.events.len(),
        command: Some((&*header.command).into()),
        epoch: Some(header.epoch.get()),
        ..AppendPart::default()
    };
    let Some(more) = &header.more else { return part };
    let AppendMore { command_body, keyed, origin, timers, encryption_key } = &**more;
    (part.principal, part.tenant) = (text(&origin.principal), text(&origin.tenant));
    (part.correlation, part.causation) = (text(&origin.correlation), text(&origin.causation));
    (part.trace, part.encryption_key) = (text(&origin.trace), text(encryption_key));
    if let Some(keyed) = keyed {
        part.key = Some(keyed.key.as_str().into());
        part.fingerprint = Some(format!("{:032x}", keyed.fingerprint).into());
        (part.reply, part.reply_base64) = told(&keyed.reply);
    }
    if let Some(body) = command_body {
        (part.command_body, part.command_body_base64) = told(body);
        // None at all and `null` are two things here.
        if part.command_body.is_some_and(|body| body.get() == "null") {
            part.command_body = None;
            part.command_body_base64 = Some(BASE64_STANDARD.encode("null"));
        }
    }
    for timer in timers {
        let (body, body_base64) = told(&timer.body);
        let (due, command) = (Moment(timer.due), (&*timer.command).into());
        part.timers.push(TimerPart { due, command, body, body_base64 });
    }
    part
}
