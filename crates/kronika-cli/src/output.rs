//! Results on standard output, also where nobody reads them to the end.

use crate::{arguments::Form, failure::Failure};
use kronika_core::Timestamp;
use kronika_log::ToolError;
use serde::Serialize;
use std::{
    fmt::Display,
    io::{self, ErrorKind, Write},
};

/// Prints a result: as JSON on one line, or as text. A reader that is gone has read enough: that is no failure.
pub fn print(
    form: &Form,
    result: &(impl Serialize + ?Sized),
    text: impl Display,
) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = match form.json {
        true => serde_json::to_writer(&mut out, result)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out)),
        false => writeln!(out, "{text}"),
    };
    enough(written.and_then(|()| out.flush()))
}

/// Prints results as JSON, one on a line, or as text, where there is any. Whether the reader is still there.
pub fn print_all<T: Serialize>(
    json: bool,
    results: impl IntoIterator<Item = T>,
    text: impl Display,
) -> Result<bool, Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let write = || {
        if !json {
            writeln!(out, "{text}")?;
            return out.flush();
        }
        for result in results {
            serde_json::to_writer(&mut out, &result).map_err(io::Error::from)?;
            writeln!(out)?;
        }
        out.flush()
    };
    let written = write();
    // What a reader that is gone has not read is not written again when this is dropped.
    let _ = out.into_parts();
    let is_there = written.is_ok();
    enough(written).map(|()| is_there)
}

/// Whether something was written; a reader that is gone is no failure.
pub fn enough(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(ToolError::Output(error).into()),
        _ => Ok(()),
    }
}

/// A time as people read it, to the microsecond.
pub fn time(time: Timestamp) -> String {
    let printed = jiff::Timestamp::from_microsecond(time.get());
    printed.map_or_else(|_| format!("{} µs", time.get()), |time| format!("{time:.6}"))
}

/// A number of bytes as people read it.
pub fn bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// A time that something takes or took, as people read it.
pub fn seconds(seconds: f64) -> String {
    match seconds {
        ..1.0 => format!("{:.0} ms", seconds * 1e3),
        ..100.0 => format!("{seconds:.1} s"),
        ..6_000.0 => format!("{:.0} min", seconds / 60.0),
        ..360_000.0 => format!("{:.1} h", seconds / 3_600.0),
        _ => format!("{:.1} days", seconds / 86_400.0),
    }
}

/// A text on one line, without anything that would move the cursor.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character.is_control() {
            true => plain.extend(character.escape_default()),
            false => plain.push(character),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_moves_no_cursor() {
        assert_eq!(plain("{\"a\": \"ü\"}"), "{\"a\": \"ü\"}");
        assert_eq!(plain("\x1b[2J\n\u{fffd}"), "\\u{1b}[2J\\n\u{fffd}");
    }

    #[test]
    fn times_are_told_in_a_fitting_unit() {
        let check = |of: f64, text: &str| assert_eq!(seconds(of), text);
        check(0.0, "0 ms");
        check(0.25, "250 ms");
        check(1.0, "1.0 s");
        check(99.94, "99.9 s");
        check(600.0, "10 min");
        check(7_200.0, "2.0 h");
        check(864_000.0, "10.0 days");
    }
}
