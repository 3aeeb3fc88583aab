//! What the command line takes, and what it teaches.

use crate::support::{auction, place, refusal, run, text};
use std::{fs::File, process::Stdio};

#[test]
fn wrong_use_is_told_from_what_could_not_be_done() {
    let check = |arguments: &[&str]| {
        let output = run(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(output.stdout.is_empty() && error.contains("--help"), "{arguments:?}: {error}");
    };
    check(&["--nonsense"]);
    check(&["nonsense"]);
    check(&["serve", "--data"]);
    check(&["serve", "--listen", "nowhere"]);
    check(&["serve", "--listen", "127.0.0.1:65536"]);
    check(&["serve", "--log", "loud"]);
    check(&["replay"]);
    check(&["replay", "one.csv", "two.csv"]);
    check(&["simulate", "--commands", "0"]);
    check(&["simulate", "--auctions", "many"]);
    check(&["simulate", "--callers", "-1"]);
}

#[test]
fn help_teaches_what_there_is_and_what_holds_without_it() {
    let check = |arguments: &[&str], words: &[&str]| {
        let output = run(arguments);
        assert!(output.status.success() && output.stderr.is_empty());
        let help = String::from_utf8(output.stdout).unwrap();
        words.iter().for_each(|word| assert!(help.contains(word), "{word} is not in {help}"));
    };
    let serving =
        ["--data", "auction-data", "--listen", "127.0.0.1:8080", "--quiet", "KRONIKA_DATA"];
    check(&["--help"], &[&["serve", "replay", "simulate", "Ctrl-C"], &serving[..]].concat());
    check(&["serve", "--help"], &serving);
    check(&["replay", "--help"], &["<FILE>", "--json", "auctionid, bid, bidtime", "killed"]);
    check(&["simulate", "--help"], &["--commands", "200000", "--callers", "64", "--seed"]);
    check(&["--version"], &[env!("CARGO_PKG_VERSION")]);
}

#[test]
fn a_reader_that_is_gone_is_no_failure_and_a_full_disk_is_one() {
    let (room, data) = place();
    let bids = room.path().join("bids.csv");
    std::fs::write(&bids, crate::bids::SOME).unwrap();
    let arguments = ["replay", text(&bids), "--data", text(&data), "--json"];
    let mut child = auction(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    if let Ok(full) = File::options().write(true).open("/dev/full") {
        let output = auction(&arguments).stdout(full).output().unwrap();
        assert!(refusal(&output).contains("cannot be printed"));
    }
}
