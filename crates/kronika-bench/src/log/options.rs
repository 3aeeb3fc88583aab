//! What is measured, and how much of it.

use crate::harness::Style;
use std::{path::PathBuf, str::FromStr, time::Duration};

/// The rows, in the order in which they run.
pub const ROWS: &[&str] = &["append", "latency", "stall", "read", "recover", "flat"];

/// Rows that take long: they run where they are named, or with `--heavy`.
const HEAVY: &[&str] = &["recover", "flat"];

/// What is measured, and how much of it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Names of the rows; none means those that do not take long.
    rows: Vec<String>,
    /// All rows.
    heavy: bool,
    /// The figures of every slice of `append` are told, too.
    pub each: bool,
    /// The program that drives other stores.
    pub peers: Option<PathBuf>,
    /// Threads that callers run on, in each program; none means as many as there are cores.
    pub threads: Option<usize>,
    /// What a caller is, in each program.
    pub style: Style,
    /// Callers of the appends.
    pub callers: Vec<usize>,
    /// Slices of each.
    pub slices: usize,
    /// Length of a slice.
    pub slice: Duration,
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Bytes of the raw log.
    pub raw_bytes: u64,
    /// Segments that `stall` fills at least, and their size.
    pub stall_segments: u64,
    /// Bytes of one of them.
    pub stall_segment_bytes: u64,
    /// Streams to read, with ten events each.
    pub streams: u32,
    /// Streams read in one slice.
    pub reads: usize,
    /// Bytes of the log that is killed.
    pub recover_bytes: u64,
    /// How often it is killed and opened.
    pub recover_rounds: usize,
    /// Events of the last measurement of `flat`.
    pub flat_events: u64,
    /// Streams that are appended to at a time in `flat`: the newest ones. 0 for all.
    pub flat_live: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            heavy: false,
            each: false,
            peers: None,
            threads: None,
            style: Style::default(),
            callers: vec![1, 64, 256, 1024],
            slices: 5,
            slice: Duration::from_secs(2),
            body_bytes: 256,
            raw_bytes: 256 << 20,
            stall_segments: 16,
            stall_segment_bytes: 16 << 20,
            streams: 100_000,
            reads: 50,
            recover_bytes: 10_000_000_000,
            recover_rounds: 3,
            flat_events: 100_000_000,
            flat_live: 50_000,
        }
    }
}

impl Options {
    /// Short: it shows that everything works.
    fn quick(self) -> Self {
        Self {
            heavy: true,
            callers: vec![1, 64],
            slices: 1,
            slice: Duration::from_millis(100),
            raw_bytes: 8 << 20,
            stall_segments: 2,
            stall_segment_bytes: 256 << 10,
            streams: 500,
            reads: 5,
            recover_bytes: 2 << 20,
            recover_rounds: 1,
            flat_events: 20_000,
            flat_live: 500,
            ..self
        }
    }

    /// From the arguments behind the benchmark's name.
    pub fn parse(arguments: &[&str]) -> Result<Self, String> {
        let mut options = Self::default();
        if arguments.contains(&"--quick") {
            options = options.quick();
        }
        let mut left = arguments.iter();
        while let Some(argument) = left.next() {
            let mut value = || left.next().ok_or_else(|| format!("{argument} wants a value"));
            match *argument {
                "--quick" | "--json" => {}
                "--each" => options.each = true,
                "--heavy" => options.heavy = true,
                "--rows" => options.rows = list(value()?)?,
                "--peers" => options.peers = Some(value()?.into()),
                "--callers" => options.callers = list(value()?)?,
                "--threads" => options.threads = Some(number(value()?)?),
                "--style" => options.style = value()?.parse()?,
                "--slices" => options.slices = number(value()?)?,
                "--seconds" => {
                    let seconds = number(value()?)?;
                    options.slice =
                        Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
                }
                "--streams" => options.streams = number(value()?)?,
                "--recover-bytes" => options.recover_bytes = number(value()?)?,
                "--flat-events" => options.flat_events = number(value()?)?,
                "--flat-live" => options.flat_live = number(value()?)?,
                other => return Err(format!("there is no option {other}")),
            }
        }
        if let Some(unknown) = options.rows.iter().find(|row| !ROWS.contains(&row.as_str())) {
            return Err(format!("there is no row {unknown}, but {}", ROWS.join(", ")));
        }
        let numbers =
            [options.slices, options.streams as usize, options.flat_events as usize / 100];
        if numbers.contains(&0) || options.callers.is_empty() || options.callers.contains(&0) {
            return Err("callers, slices and streams are from 1, events of `flat` from 100".into());
        }
        Ok(options)
    }

    /// Whether a row is to run.
    pub fn has(&self, row: &str) -> bool {
        if self.rows.is_empty() {
            return self.heavy || !HEAVY.contains(&row);
        }
        self.rows.iter().any(|chosen| chosen == row)
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number in range"))
}

fn list<T: FromStr>(text: &str) -> Result<Vec<T>, String> {
    text.split(',').map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heavy_rows_run_where_they_are_named() {
        let check = |arguments: &[&str], row: &str, expected: bool| {
            assert_eq!(Options::parse(arguments).unwrap().has(row), expected, "{arguments:?}");
        };
        check(&[], "append", true);
        check(&[], "flat", false);
        check(&["--heavy"], "flat", true);
        check(&["--quick"], "recover", true);
        check(&["--rows", "recover,read"], "recover", true);
        check(&["--rows", "recover,read"], "append", false);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let check = |arguments: &[&str]| assert!(Options::parse(arguments).is_err());
        check(&["--rows", "appends"]);
        check(&["--callers", "0"]);
        check(&["--callers"]);
        check(&["--fast"]);
        check(&["--slices", "0"]);
    }
}
