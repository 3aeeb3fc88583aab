//! The seeded simulation: callers, faults, crashes and rival writers on a journal in memory, under a paused
//! clock, checked against a model for promises 1, 2, 4, 5, 10 and 11.
//!
//! A seed is a whole run and reproduces it: `KRONIKA_SEED=17 cargo test -p kronika-runtime --test simulation`.
//! `KRONIKA_SEEDS=100000` runs more of them than the default.

mod callers;
mod run;

use kronika_testkit::{Broken, PlantedFault, Violations};
use run::{Setting, simulate};

/// Seeds of one setting, unless the environment says otherwise.
const SEEDS: u64 = 1_000;

fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match (number("KRONIKA_SEED"), number("KRONIKA_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, seeds) => 0..seeds.unwrap_or(SEEDS),
    }
}

fn check(setting: &Setting) {
    for seed in seeds() {
        if let Err(violations) = simulate(seed, setting) {
            panic!("{violations}\n\nKRONIKA_SEED={seed} reproduces it");
        }
    }
}

#[test]
fn calm() {
    check(&Setting::default());
}

#[test]
fn storms() {
    check(&Setting { storms: true, ..Setting::default() });
}

#[test]
fn storms_with_small_bounds() {
    check(&Setting { storms: true, small: true, ..Setting::default() });
}

#[test]
fn crashes() {
    check(&Setting { storms: true, crashes: true, ..Setting::default() });
}

#[test]
fn rivals() {
    check(&Setting { storms: true, rivals: true, ..Setting::default() });
}

#[test]
fn snapshots() {
    check(&Setting { snapshots: true, ..Setting::default() });
}

/// Without this, the settings below might check nothing.
#[test]
fn snapshots_are_taken_used_and_ignored() {
    let setting = Setting { snapshots: true, crashes: true, ..Setting::default() };
    let counted = (0..50).map(|seed| run::counted(seed, &setting));
    let sum = counted.fold([0; 3], |sum, it| {
        [sum[0] + it.snapshots, sum[1] + it.snapshots_used, sum[2] + it.snapshots_ignored]
    });
    assert!(sum.iter().all(|count| *count > 50), "taken, used, ignored: {sum:?}");
}

#[test]
fn snapshots_in_storms_with_small_bounds() {
    check(&Setting { snapshots: true, storms: true, small: true, ..Setting::default() });
}

#[test]
fn snapshots_over_crashes() {
    check(&Setting { snapshots: true, storms: true, crashes: true, ..Setting::default() });
}

#[test]
fn snapshots_beside_rivals() {
    check(&Setting { snapshots: true, storms: true, rivals: true, ..Setting::default() });
}

#[test]
fn a_seed_takes_the_same_way_again() {
    let setting = Setting { storms: true, small: true, crashes: true, ..Setting::default() };
    let setting = Setting { snapshots: true, ..setting };
    for seed in 0..20 {
        let ways = [(); 2].map(|()| run::way(seed, &setting));
        assert_eq!(ways[0], ways[1], "seed {seed}");
    }
}

/// Faults planted in the journal and in the runtime: the simulation must find each, within the seeds it has.
fn finds(setting: Setting, like: impl Fn(&Broken) -> bool) {
    let found = |violations: &Violations| violations.any(&like);
    let first = (0..2_000).find(|seed| simulate(*seed, &setting).is_err_and(|it| found(&it)));
    assert!(first.is_some(), "the planted fault was not found: {setting:?}");
}

#[test]
fn the_chain_rule_left_out_is_found() {
    let planted = Some(PlantedFault::ChainRuleLeftOut);
    finds(Setting { storms: true, planted, ..Setting::default() }, |_| true);
}

#[test]
fn a_reply_before_it_is_durable_is_found() {
    let planted = Some(PlantedFault::ReplyBeforeDurable);
    let setting = Setting { crashes: true, planted, ..Setting::default() };
    finds(setting, |_| true);
}

#[test]
fn an_epoch_that_is_not_checked_is_found() {
    let planted = Some(PlantedFault::EpochNotChecked);
    finds(Setting { storms: true, rivals: true, planted, ..Setting::default() }, |_| true);
}

#[cfg(feature = "planted-faults")]
#[test]
fn a_rejection_told_too_early_is_found() {
    finds(Setting { storms: true, early_rejection: true, ..Setting::default() }, |_| true);
}

#[cfg(feature = "planted-faults")]
#[test]
fn a_snapshot_that_is_not_durable_is_found() {
    let setting = Setting { snapshots: true, early_snapshot: true, ..Setting::default() };
    finds(setting, |broken| matches!(broken, Broken::UntrueSnapshot(_)));
}

#[cfg(feature = "planted-faults")]
#[test]
fn a_snapshot_that_is_trusted_is_found() {
    let setting = Setting { snapshots: true, trusted_snapshot: true, ..Setting::default() };
    finds(setting, |broken| !matches!(broken, Broken::UntrueSnapshot(_)));
}
