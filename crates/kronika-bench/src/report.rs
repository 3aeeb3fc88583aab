//! One row of a benchmark, and its two forms: an object a line for programs, a table for people.

use serde::Serialize;
use std::io::{self, Write};

/// One figure, its latencies, and what it is held against. The form is frozen; it grows by addition.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What was measured.
    pub bench: &'static str,
    /// Callers at a time.
    pub callers: usize,
    /// The figure, a median over interleaved slices.
    pub figure: f64,
    /// Its unit.
    pub unit: &'static str,
    /// Median latency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_us: Option<f64>,
    /// 99th percentile of the latency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_us: Option<f64>,
    /// What it is held against.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<&'static str>,
    /// The figure of that, in the same run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against_figure: Option<f64>,
    /// Median latency of what it is held against.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against_p50_us: Option<f64>,
    /// 99th percentile of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against_p99_us: Option<f64>,
    /// Median of the ratios of the slices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// Processor time of the whole process for an event, its caller included, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_us: Option<f64>,
    /// The same of what it is held against.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against_cpu_us: Option<f64>,
    /// Events in a commit, on average.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events_per_commit: Option<f64>,
    /// Events that were in the journal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<u64>,
    /// Bytes of the journal's files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Resident memory of the process, that of the benchmark included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resident_bytes: Option<u64>,
}

impl Row {
    /// A figure that is held against nothing.
    pub fn new(bench: &'static str, callers: usize, figure: f64, unit: &'static str) -> Self {
        Self {
            bench,
            callers,
            figure,
            unit,
            p50_us: None,
            p99_us: None,
            against: None,
            against_figure: None,
            against_p50_us: None,
            against_p99_us: None,
            ratio: None,
            cpu_us: None,
            against_cpu_us: None,
            events_per_commit: None,
            events: None,
            bytes: None,
            resident_bytes: None,
        }
    }

    /// With latencies.
    pub fn latencies(self, p50_us: f64, p99_us: f64) -> Self {
        Self { p50_us: Some(p50_us), p99_us: Some(p99_us), ..self }
    }

    /// Held against something.
    pub fn against(self, name: &'static str, figure: f64, ratio: f64) -> Self {
        Self { against: Some(name), against_figure: Some(figure), ratio: Some(ratio), ..self }
    }
}

/// Prints rows as they come.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    json: bool,
}

impl Report {
    /// Begins; a table gets its head.
    pub fn new(json: bool) -> io::Result<Self> {
        if !json {
            writeln!(
                io::stdout(),
                "{:<16} {:>7} {:>14} {:<9} {:>9} {:>9}  against",
                "bench",
                "callers",
                "figure",
                "unit",
                "p50 µs",
                "p99 µs"
            )?;
        }
        Ok(Self { json })
    }

    /// Prints one row.
    ///
    /// # Errors
    /// Where standard output cannot be written, say because its reader has gone.
    pub fn row(&self, row: &Row) -> io::Result<()> {
        if self.json {
            let json = serde_json::to_string(row).expect("a row is plain numbers and text");
            return writeln!(io::stdout(), "{json}");
        }
        let number =
            |number: Option<f64>| number.map_or("".into(), |number| format!("{number:.0}"));
        let mut notes = Vec::new();
        if let (Some(name), Some(figure), Some(ratio)) =
            (row.against, row.against_figure, row.ratio)
        {
            notes.push(format!("{:.0} % of {name} ({})", ratio * 100.0, short(figure)));
        }
        notes.extend(
            row.against_p50_us
                .zip(row.against_p99_us)
                .map(|(p50, p99)| format!("its p50 {p50:.0}, p99 {p99:.0} µs")),
        );
        notes.extend(row.cpu_us.map(|cpu| match row.against_cpu_us {
            Some(theirs) => format!("cpu {cpu:.2} against {theirs:.2} µs an event"),
            None => format!("cpu {cpu:.2} µs an event"),
        }));
        notes.extend(row.events_per_commit.map(|events| format!("{events:.1} events a commit")));
        notes.extend(row.events.map(|events| format!("{events} events")));
        notes.extend(row.bytes.map(|bytes| format!("{} MB of files", bytes / 1_000_000)));
        notes.extend(row.resident_bytes.map(|bytes| format!("{} MB resident", bytes / 1_000_000)));
        writeln!(
            io::stdout(),
            "{:<16} {:>7} {:>14} {:<9} {:>9} {:>9}  {}",
            row.bench,
            row.callers,
            short(row.figure),
            row.unit,
            number(row.p50_us),
            number(row.p99_us),
            notes.join(", ")
        )
    }
}

/// Small figures with two places.
fn short(figure: f64) -> String {
    if figure.abs() < 100.0 { format!("{figure:.2}") } else { format!("{figure:.0}") }
}

/// The middle of some numbers; of an even count the lower middle, so that it is one that was measured.
pub fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.into_iter().collect();
    numbers.sort_by(f64::total_cmp);
    numbers.get((numbers.len().max(1) - 1) / 2).copied().unwrap_or(f64::NAN)
}

/// The median of the ratios of figures that were measured in turns.
pub fn median_ratio(ours: &[f64], theirs: &[f64]) -> f64 {
    median(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_a_measured_number() {
        assert_eq!(median([5.0, 1.0, 3.0]), 3.0);
        assert_eq!(median([4.0, 1.0, 3.0, 2.0]), 2.0);
        assert_eq!(median_ratio(&[2.0, 9.0, 4.0], &[1.0, 3.0, 1.0]), 3.0);
    }
}
