//! The form of an event over HTTP:
//!
//! ```json
//! {"version":1,"position":17,"stream":"auction/a1","name":"opened","schema":1,
//!  "time":"2026-01-02T03:04:05.000006Z","body":{},"metadata":{"command":"open"}}
//! ```
//!
//! `metadata` holds the event's free metadata, and `command`, `correlation`, `causation` and `principal` of
//! the append that it came with, where there are such; where free metadata has one of these names, the
//! append's stands. `partition` stands behind `position` where the journal has more than one.

use jiff::fmt::temporal::DateTimePrinter;
use kronika_core::{RecordedEvent, Timestamp};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// An event as it is told. Its body is passed on as it was recorded.
#[derive(Serialize)]
pub(crate) struct EventForm<'a> {
    version: u64,
    position: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<u16>,
    stream: &'a str,
    name: &'a str,
    schema: u32,
    time: Time,
    body: &'a RawValue,
    metadata: BTreeMap<&'a str, &'a str>,
}

impl<'a> EventForm<'a> {
    /// Fails where the body is not what its codec says.
    pub fn of(event: &'a RecordedEvent, partitions: u16) -> Result<Self, serde_json::Error> {
        let header = &*event.append;
        Ok(Self {
            version: event.version.get(),
            position: event.position.get(),
            partition: (partitions > 1).then(|| header.partition.get()),
            stream: event.stream().name(),
            name: &event.name,
            schema: event.schema,
            time: Time(event.time()),
            body: serde_json::from_slice(&event.body)?,
            metadata: metadata(event),
        })
    }
}

fn metadata(event: &RecordedEvent) -> BTreeMap<&str, &str> {
    let free = event.metadata.iter().flat_map(|free| free.iter());
    let mut metadata: BTreeMap<&str, &str> =
        free.map(|(name, text)| (name.as_str(), text.as_str())).collect();
    metadata.insert("command", &event.append.command);
    if let Some(more) = &event.append.more {
        let origin = &more.origin;
        let told = [
            ("correlation", &origin.correlation),
            ("causation", &origin.causation),
            ("principal", &origin.principal),
        ];
        let told = told.into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?)));
        metadata.extend(told);
    }
    metadata
}

/// RFC 3339, to the microsecond, in UTC.
pub(crate) struct Time(pub Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
        let time = jiff::Timestamp::from_microsecond(self.0.get());
        // Beyond the year 9999 no RFC 3339 time can tell it; the nearest one stands for it.
        let end = if self.0.get() < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        serializer.serialize_str(&PRINTER.timestamp_to_string(&time.unwrap_or(end)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        let check = |micros, expected: &str| {
            let told = serde_json::to_string(&Time(Timestamp::new(micros))).unwrap();
            assert_eq!(told, format!("\"{expected}\""));
        };
        check(0, "1970-01-01T00:00:00.000000Z");
        check(1_767_323_045_000_006, "2026-01-02T03:04:05.000006Z");
        check(i64::MAX, "9999-12-30T22:00:00.999999Z");
    }
}
