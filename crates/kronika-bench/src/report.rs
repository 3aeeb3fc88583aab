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
    /// Median of the ratios of the slices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
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
                "{:<12} {:>7} {:>14} {:<9} {:>9} {:>9}  against",
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
        let against = match (row.against, row.against_figure, row.ratio) {
            (Some(name), Some(figure), Some(ratio)) => {
                format!("{:.0} % of {name} ({figure:.0})", ratio * 100.0)
            }
            _ => String::new(),
        };
        writeln!(
            io::stdout(),
            "{:<12} {:>7} {:>14.0} {:<9} {:>9} {:>9}  {against}",
            row.bench,
            row.callers,
            row.figure,
            row.unit,
            number(row.p50_us),
            number(row.p99_us)
        )
    }
}

/// The middle of some numbers; of an even count the lower middle, so that it is one that was measured.
pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get((numbers.len().max(1) - 1) / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_a_measured_number() {
        assert_eq!(median(vec![5.0, 1.0, 3.0]), 3.0);
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), 2.0);
    }
}
