//! Results on standard output, also where nobody reads them to the end.

use std::{
    fmt::Display,
    io::{self, ErrorKind, Write},
};

/// Prints a result and ends the line. A reader that is gone has read enough: that is no failure.
pub fn print(result: &impl Display) -> Result<(), String> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{result}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("the result cannot be printed: {error}"))
        }
        _ => Ok(()),
    }
}
