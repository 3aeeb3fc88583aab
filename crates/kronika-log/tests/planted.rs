//! Faults planted in the log's own code, one test for each: the checkers that hold the log to what it promises find
//! it. `docs/planted-faults.md` has the table. Three more are planted in `simulation.rs`, `crashes.rs` and
//! `conformance.rs`.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "tools/checks.rs"]
mod checks;
mod common;
#[path = "common/follows.rs"]
mod follows;
#[path = "common/journals.rs"]
mod journals;
#[path = "../examples/simulate/lives/mod.rs"]
mod lives;
#[path = "tools/support.rs"]
#[allow(dead_code)]
mod support;

use kronika_log::{Corruption, PlantedFault, Settings, SimulatedDisk};
use lives::{Outcome, Plan, run};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

/// Lives in which a planted fault must be found.
const LIVES: u64 = 400;

/// The simulation finds it, in one of these words.
#[track_caller]
fn found_by_lives(planted: PlantedFault, words: &[&str]) {
    let plan = Plan { planted: Some(planted), ..Plan::default() };
    let hangs = |seed| panic!("seed {seed} hangs");
    let Outcome { wrong, .. } = run(0..LIVES, &plan, |_, _| {}, hangs);
    let (seed, wrong) = wrong.expect("the planted fault is found");
    eprintln!("{planted:?}: seed {seed} {wrong}");
    assert!(words.iter().any(|words| wrong.contains(words)), "seed {seed}: {wrong}");
}

/// A check of something else panics in one of these words.
#[track_caller]
fn found_by(check: impl FnOnce(), words: &[&str]) {
    let panic = catch_unwind(AssertUnwindSafe(check)).expect_err("the planted fault is found");
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words");
    assert!(words.iter().any(|words| text.contains(words)), "{text}");
}

#[test]
fn a_head_published_before_the_sync() {
    let words = ["ends before what was published", "published"];
    found_by_lives(PlantedFault::HeadBeforeSync, &words);
}

#[test]
fn an_epoch_that_is_left_out() {
    found_by_lives(PlantedFault::EpochLeftOut, &["was let in under epoch"]);
}

#[test]
fn a_version_that_is_not_looked_up() {
    found_by_lives(
        PlantedFault::ColdLookupLeftOut,
        &["stands on version", "version is not the next of its stream"],
    );
}

#[test]
fn a_name_that_is_not_durable() {
    found_by_lives(PlantedFault::NameNotSynced, &["was durable", "does not open", "opening"]);
}

#[test]
fn zeros_that_are_not_durable() {
    found_by_lives(PlantedFault::ZerosNotSynced, &["was durable", "does not open", "opening"]);
}

#[test]
fn what_is_torn_and_left_there() {
    found_by_lives(PlantedFault::TornLeft, &["does not open", "opening"]);
}

#[test]
fn a_tail_that_is_cut_too_far() {
    let words = ["ends before what was published", "is lost", "events were told"];
    found_by_lives(PlantedFault::CutTooFar, &words);
}

#[test]
fn an_end_that_counts_before_it_is_durable() {
    found_by_lives(PlantedFault::EndNotSynced, &["durable", "lost"]);
}

#[test]
fn a_head_that_is_not_compared() {
    found_by_lives(PlantedFault::HeadNotCompared, &["damage:"]);
}

#[test]
fn a_body_that_opening_believes() {
    let words = ["opening", "damage:", "what is durable does not open"];
    found_by_lives(PlantedFault::BodyNotCheckedAtOpening, &words);
}

#[test]
fn a_body_that_reads_believe() {
    found_by_lives(PlantedFault::BodyNotCheckedInReads, &["is not what was sent", "damage:"]);
}

#[test]
fn a_record_that_reads_believe() {
    found_by_lives(PlantedFault::RecordNotChecked, &["damage:", "than before", "was sent"]);
}

#[test]
fn memory_that_is_dropped_before_the_run_can_be_read() {
    found_by_lives(PlantedFault::RetiredEarly, &["gave", "were to be given", "stands on version"]);
}

/// Every byte of a footer's sections, as the test of single bits changes them.
#[test]
fn a_footer_that_is_believed() {
    let image = journals::Image::new(64 << 10);
    let settings = |planted_fault| Settings { planted_fault, ..journals::settings() };
    let footer = Path::new(journals::PATH).join("00000001.footer");
    let finds = |planted: Option<PlantedFault>| {
        (1024..image.disk.contents(&footer).len() as u64).step_by(7).find_map(|offset| {
            let flip = |disk: &SimulatedDisk| {
                disk.corrupt(&footer, Corruption::BitFlip { offset, bit: 2 });
            };
            journals::answers_with(&image, &image.disk, settings(planted), false, flip).err()
        })
    };
    assert_eq!(finds(None), None);
    let wrong = finds(Some(PlantedFault::FooterNotChecked)).expect("it is found");
    // It points to where no record begins, or leaves events out.
    let words =
        ["a record's length is not possible", "a record does not fit", "events", "is not given"];
    assert!(words.iter().any(|words| wrong.contains(words)), "{wrong}");
}

#[test]
fn a_follower_that_reads_beyond_the_head() {
    let planted_fault = Some(PlantedFault::BeyondTheHead);
    let settings = Settings { planted_fault, ..journals::settings() };
    // What it read ahead of time it takes for missing later.
    let words = ["head(&follower) <= head(&log)", "a commit is missing"];
    found_by(|| follows::never_ahead(0, &settings), &words);
}

#[test]
fn a_restored_past_that_is_told_to_be_the_same_history() {
    let planted =
        |disk: &SimulatedDisk| support::files(disk).planting(PlantedFault::SameIncarnation);
    found_by(|| checks::a_restore_is_another_history(&planted), &["is told to be history"]);
}

#[test]
fn damage_that_is_copied_unseen() {
    let planted = |disk: &SimulatedDisk| support::files(disk).planting(PlantedFault::CopiedUnseen);
    found_by(|| checks::damage_is_not_backed_up(&planted), &["damage is backed up"]);
}

#[test]
fn space_that_no_verification_sees() {
    let planted = |disk: &SimulatedDisk| support::files(disk).planting(PlantedFault::SpaceNotSeen);
    found_by(|| checks::space_that_is_used_is_found(&planted), &["not found: byte 600"]);
}

#[test]
fn every_planted_fault_is_in_the_table() {
    let table = include_str!("../../../docs/planted-faults.md");
    for fault in PlantedFault::ALL {
        assert_eq!(table.matches(&format!("`{fault:?}`")).count(), 1, "{fault:?}");
    }
}
