//! What is measured, and how much of it.

use kronika::ProjectionSettings;
use std::{str::FromStr, time::Duration};

/// The rows, in the order in which they run.
pub const ROWS: &[&str] =
    &["rebuild", "rebuild-many", "rebuild-three", "visible", "beside", "parked"];

/// What is measured, and how much of it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Names of the rows; none means all.
    rows: Vec<String>,
    /// Slices of each.
    pub slices: usize,
    /// Length of a slice where it is not as long as a rebuild takes.
    pub slice: Duration,
    /// Events of the logs that read models are built from.
    pub events: u64,
    /// Accounts: keys of the read models.
    pub accounts: u32,
    /// The same, of `rebuild-many`.
    pub many_accounts: u32,
    /// Bounds of all projections, of which the number of events in a batch is varied.
    pub settings: ProjectionSettings,
    /// Commands in a second that `visible` offers.
    pub offered: u32,
    /// Events in a second of the throttled rebuild.
    pub throttle: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            slices: 5,
            slice: Duration::from_secs(2),
            events: 600_000,
            accounts: 10_000,
            many_accounts: 200_000,
            settings: ProjectionSettings::default(),
            offered: 10_000,
            throttle: 10_000,
        }
    }
}

impl Options {
    /// Short: it shows that everything works.
    fn quick(self) -> Self {
        Self {
            slices: 1,
            slice: Duration::from_millis(100),
            events: 40_000,
            accounts: 500,
            many_accounts: 5_000,
            offered: 500,
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
                "--rows" => options.rows = value()?.split(',').map(str::to_owned).collect(),
                "--threads" => drop(number::<usize>(value()?)?),
                "--slices" => options.slices = number(value()?)?,
                "--seconds" => {
                    let seconds = number(value()?)?;
                    options.slice =
                        Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
                }
                "--events" => options.events = number(value()?)?,
                "--keys" => options.accounts = number(value()?)?,
                "--batch" => options.settings.batch_events_max = number(value()?)?,
                "--offered" => options.offered = number(value()?)?,
                "--throttle" => options.throttle = number(value()?)?,
                other => return Err(format!("there is no option {other}")),
            }
        }
        if let Some(unknown) = options.rows.iter().find(|row| !ROWS.contains(&row.as_str())) {
            return Err(format!("there is no row {unknown}, but {}", ROWS.join(", ")));
        }
        let is_small = options.slices == 0 || options.events == 0 || options.accounts < 2;
        let is_small = is_small || options.settings.batch_events_max == 0;
        if is_small || options.throttle == 0 || options.offered == 0 {
            return Err("slices, events, batches and rates are from 1, keys from 2".into());
        }
        Ok(options)
    }

    /// Whether a row is to run.
    pub fn has(&self, row: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|chosen| chosen == row)
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number in range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_that_are_named_run_and_else_all() {
        let check = |arguments: &[&str], row: &str, expected: bool| {
            assert_eq!(Options::parse(arguments).unwrap().has(row), expected, "{arguments:?}");
        };
        check(&["--quick"], "parked", true);
        check(&["--rows", "rebuild,visible"], "visible", true);
        check(&["--rows", "rebuild,visible"], "parked", false);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let check = |arguments: &[&str]| assert!(Options::parse(arguments).is_err());
        check(&["--rows", "rebuilds"]);
        check(&["--slices", "0"]);
        check(&["--keys", "1"]);
        check(&["--offered", "0"]);
        check(&["--heavy"]);
    }
}
