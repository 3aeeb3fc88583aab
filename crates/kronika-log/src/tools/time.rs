//! Times as people write them: RFC 3339, to the microsecond, in UTC.

use jiff::fmt::temporal::DateTimePrinter;
use kronika_core::Timestamp;
use serde::Serializer;

/// `None` for a time that RFC 3339 cannot tell, beyond the year 9999 or before the year -9999.
pub(crate) fn rfc3339(time: Timestamp) -> Option<String> {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
    let time = jiff::Timestamp::from_microsecond(time.get()).ok()?;
    Some(PRINTER.timestamp_to_string(&time))
}

/// The time that a text tells; `None` if it is none.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    text.parse::<jiff::Timestamp>().ok().map(|time| Timestamp::new(time.as_microsecond()))
}

/// As text, or as microseconds since 1970 where no text can tell it.
pub(crate) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    match rfc3339(*time) {
        Some(text) => serializer.serialize_str(&text),
        None => serializer.serialize_i64(time.get()),
    }
}

/// The same for a time that may be absent.
pub(crate) fn serialize_some<S: Serializer>(
    time: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serialize(time, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_to_the_microsecond_and_read_back() {
        let check = |micros, expected: Option<&str>| {
            let told = rfc3339(Timestamp::new(micros));
            assert_eq!(told.as_deref(), expected);
            assert_eq!(
                told.and_then(|told| parse(&told)),
                expected.map(|_| Timestamp::new(micros))
            );
        };
        check(0, Some("1970-01-01T00:00:00.000000Z"));
        check(-5, Some("1969-12-31T23:59:59.999995Z"));
        check(1_767_323_045_000_006, Some("2026-01-02T03:04:05.000006Z"));
        check(i64::MAX, None);
        assert_eq!(parse("2026-01-02T04:04:05+01:00"), parse("2026-01-02T03:04:05Z"));
        assert_eq!(parse("yesterday"), None);
    }
}
