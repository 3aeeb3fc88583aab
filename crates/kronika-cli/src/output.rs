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
