//! `cargo xtask fuzz`: the fuzz targets, for as long as it is told to. Tests run the same targets for a moment.
//!
//! What is found is kept in `fuzz/artifacts`; what reaches further in `fuzz/corpus`, which is not tracked. A finding
//! becomes a seed in `fuzz/seeds`, which is, and which the tests run too.

use crate::shell::{self, Done};
use std::{fs, time::Duration};

/// Each target, the longest input that is of use to it, and MiB that it may ask for at once.
const TARGETS: &[Target] = &[
    Target { name: "decode", input_bytes_max: 4096, allocation_mib_max: 8 },
    Target { name: "open", input_bytes_max: 400, allocation_mib_max: 64 },
];
/// For all targets together, where nothing is said.
const DEFAULT: Duration = Duration::from_secs(120);
/// An input that takes longer hangs.
const HANG: Duration = Duration::from_secs(30);

struct Target {
    name: &'static str,
    input_bytes_max: usize,
    allocation_mib_max: usize,
}

/// Runs every target for its share of the time; ends at the first finding.
pub(crate) fn run(arguments: &[&str]) -> Done {
    let time = time(arguments)?;
    let installed =
        shell::cargo(&["fuzz", "--version"]).output().is_ok_and(|it| it.status.success());
    if !installed {
        return Err("`cargo-fuzz` is missing: cargo install cargo-fuzz".to_owned());
    }
    let share = (time / TARGETS.len() as u32).as_secs().max(1);
    for target in TARGETS {
        let corpus = format!("fuzz/corpus/{}", target.name);
        fs::create_dir_all(shell::root().join(&corpus))
            .map_err(|error| format!("{corpus} cannot be made: {error}"))?;
        shell::run(shell::cargo(&["fuzz", "run", target.name]).args(target.arguments(share)).env(
            // Coverage is counted by a switch of the compiler that is not stable.
            "RUSTC_BOOTSTRAP",
            "1",
        ))?;
    }
    Ok(())
}

impl Target {
    fn arguments(&self, seconds: u64) -> [String; 8] {
        [
            format!("fuzz/corpus/{}", self.name),
            format!("fuzz/seeds/{}", self.name),
            "--".to_owned(),
            format!("-max_total_time={seconds}"),
            format!("-max_len={}", self.input_bytes_max),
            format!("-malloc_limit_mb={}", self.allocation_mib_max),
            format!("-timeout={}", HANG.as_secs()),
            "-print_final_stats=1".to_owned(),
        ]
    }
}

fn time(arguments: &[&str]) -> Done<Duration> {
    let wrong = || "usage: cargo xtask fuzz [--seconds N]".to_owned();
    match arguments {
        [] => Ok(DEFAULT),
        ["--seconds", number] => number.parse().map(Duration::from_secs).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_told_in_seconds() {
        assert_eq!(time(&[]), Ok(DEFAULT));
        assert_eq!(time(&["--seconds", "7"]), Ok(Duration::from_secs(7)));
        assert!(time(&["--seconds"]).is_err() && time(&["--seconds", "x"]).is_err());
        assert!(time(&["7"]).is_err());
    }

    #[test]
    fn every_target_has_its_file_and_its_seeds() {
        for Target { name, .. } in TARGETS {
            let fuzz = shell::root().join("fuzz");
            assert!(fuzz.join(format!("fuzz_targets/{name}.rs")).is_file(), "{name}");
            assert!(fs::read_dir(fuzz.join("seeds").join(name)).unwrap().next().is_some());
        }
    }
}
