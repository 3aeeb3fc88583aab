//! The fuzz targets as tests: inputs that are kept because they found something or reach far, and a few random ones.
//! `cargo xtask fuzz` runs the same targets for as long as it is told to.
#![allow(clippy::unwrap_used)]

use kronika_log::{Belief, fuzz_decode, fuzz_open};
use std::{fs, path::Path};

fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let seeds = entries
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()));
    seeds.collect()
}

/// Runs a target on its seeds and on random inputs of up to so many bytes.
fn check(target: &str, count: usize, bytes: usize, run: impl Fn(&[u8]) -> Result<(), String>) {
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "{target} has no seeds");
    for (name, input) in &seeds {
        run(input).unwrap_or_else(|broken| panic!("{target}, seed {name}: {broken}"));
    }
    let mut random = fastrand::Rng::with_seed(1);
    for number in 0..count {
        // Half of them are seeds with a few bytes changed.
        let (_, mut input) = random.choice(&seeds).unwrap().clone();
        if random.bool() {
            input = (0..random.usize(..bytes)).map(|_| random.u8(..)).collect();
        }
        for _ in 0..random.usize(..4) {
            let (at, value) = (random.usize(..=input.len()), random.u8(..));
            input.get_mut(at).into_iter().for_each(|byte| *byte = value);
        }
        run(&input).unwrap_or_else(|broken| panic!("{target}, input {number} {input:?}: {broken}"));
    }
}

#[test]
fn no_bytes_lead_a_decoder_astray() {
    check("decode", 20_000, 400, fuzz_decode);
}

#[test]
fn no_change_of_a_journal_leads_its_opening_astray() {
    check("open", 1_000, 60, |input| fuzz_open(input, Belief::InForgeries));
}

#[test]
fn what_was_forged_is_found_by_a_checker_that_believes_no_forgeries() {
    // Short journal, chain made to fit, one byte of the last event's body set.
    let journals =
        (0..64u16).map(|at| [&[0, 3, 0, 0][..], &(4400 + at * 8).to_le_bytes(), b"8"].concat());
    let found = journals.filter(|input| {
        fuzz_open(input, Belief::InForgeries).unwrap();
        fuzz_open(input, Belief::InNothing).is_err_and(|what| what.starts_with("was not written"))
    });
    assert!(found.count() > 5, "forged events are read and found");
}
