//! The file itself: when it is written, what it looks like, and what of it is refused.

use crate::builds::{says, then};
use kronika_testkit::{Renewal, ShapesError, shapes};
use serde_json::Value;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

build!(first, [Opened { item: String, opening_bid_cents: u64 }, Closed]);
build!(second, [Opened { item: String, opening_bid_cents: u64, note: Option<String> }, Closed]);
build!(third, [Opened { item: u8, opening_bid_cents: u64 }, Closed]);

fn fresh() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("shapes.lock");
    (directory, file)
}

fn check(file: &Path, renewal: Renewal) -> Result<(), ShapesError> {
    shapes(file).aggregate::<first::Auction>().check_as(renewal)
}

#[test]
fn a_missing_file_is_written_only_when_asked_for() {
    let (_directory, file) = fresh();
    let missing = check(&file, Renewal::Refused).unwrap_err();
    assert!(matches!(missing, ShapesError::Missing { .. }));
    says(&missing, &["KRONIKA_SHAPES=write cargo test -p kronika-testkit file::a_missing_file"]);
    assert!(!file.exists());
    check(&file, Renewal::Allowed).unwrap();
    check(&file, Renewal::Refused).unwrap();
}

#[test]
fn it_is_text_with_a_line_for_each_field() {
    let (_directory, file) = fresh();
    check(&file, Renewal::Allowed).unwrap();
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        r#"{
  "about": "The shapes that journals, snapshots and read models hold: written by the test that reads it.",
  "aggregates": {
    "auction": {
      "events": {
        "closed": {
          "1": { "type": "object" }
        },
        "opened": {
          "1": {
            "properties": {
              "item": { "type": "string" },
              "opening_bid_cents": { "format": "uint64", "minimum": 0, "type": "integer" }
            },
            "required": ["item", "opening_bid_cents"],
            "type": "object"
          }
        }
      },
      "state": {
        "schema": 1,
        "shape": { "type": "object" }
      }
    }
  },
  "format": 1,
  "projections": {}
}
"#
    );
}

#[test]
fn what_is_no_lock_file_is_refused_and_left_as_it_is() {
    for (text, part) in [
        ("<<<<<<< HEAD\n{}\n", "it is no lock file of shapes (expected value at line 1 column 1)"),
        ("{}", "take it from version control again"),
        (r#"{"format": 2, "tables": {}}"#, "it is of format 2, and this build knows 1"),
        (r#"{"about": "", "format": 1, "agregates": {}}"#, "unknown field `agregates`"),
    ] {
        let (_directory, file) = fresh();
        fs::write(&file, text).unwrap();
        for renewal in [Renewal::Refused, Renewal::Allowed] {
            let error = check(&file, renewal).unwrap_err();
            assert!(matches!(error, ShapesError::Unusable { .. }));
            says(&error, &[part, "shapes.lock: "]);
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
}

#[test]
fn its_order_may_be_another_one() {
    let (_directory, file) = fresh();
    check(&file, Renewal::Allowed).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    let turned =
        text.replace(r#"["item", "opening_bid_cents"]"#, r#"["opening_bid_cents", "item"]"#);
    assert_ne!(text, turned);
    fs::write(&file, turned).unwrap();
    check(&file, Renewal::Refused).unwrap();
}

#[test]
fn what_is_no_longer_named_is_taken_out_by_hand() {
    let (_directory, file) = fresh();
    check(&file, Renewal::Allowed).unwrap();
    then(&file, |renewal| shapes(&file).check_as(renewal)).refused(&[
        "aggregate auction\n  stands in the file and is not named in the test",
        "take it out of the file if the service no longer has it",
    ]);
}

#[test]
fn what_has_no_shape_or_two_is_refused() {
    build!(
        aliased,
        [
            #[serde(alias = "Begun")]
            Opened {}
        ]
    );
    let (_directory, file) = fresh();
    let error =
        shapes(&file).aggregate::<aliased::Auction>().check_as(Renewal::Allowed).unwrap_err();
    says(&error, &["auction: 1 events have 2 names in serde", "no `#[serde(alias)]`"]);
    let twice = shapes(&file).aggregate::<first::Auction>().aggregate::<second::Auction>();
    let error = twice.check_as(Renewal::Allowed).unwrap_err();
    says(&error, &["the aggregate auction is named twice"]);
    assert!(!file.exists());
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let (directory, _) = fresh();
    let error = check(&directory.path().join("no/shapes.lock"), Renewal::Allowed).unwrap_err();
    says(&error, &["no/shapes.lock: it cannot be written: "]);
}

const FILE: &str = "KRONIKA_TEST_SHAPES_FILE";
const BUILD: &str = "KRONIKA_TEST_SHAPES_BUILD";

/// The test of a service, run by itself and by the next test with other environments.
#[test]
fn a_service_compares_its_shapes() {
    let (_directory, fresh) = fresh();
    let file = env::var_os(FILE).map(PathBuf::from).unwrap_or_else(|| {
        check(&fresh, Renewal::Allowed).unwrap();
        fresh
    });
    match env::var(BUILD).as_deref() {
        Ok("second") => shapes(file).aggregate::<second::Auction>().check(),
        Ok("third") => shapes(file).aggregate::<third::Auction>().check(),
        _ => shapes(file).aggregate::<first::Auction>().check(),
    }
}

#[test]
fn the_environment_says_whether_it_is_written() {
    let (_directory, file) = fresh();
    let run = |build: &str, shapes: &str, ci: &str| -> (bool, String) {
        let mut test = Command::new(env::current_exe().unwrap());
        test.args(["--exact", "file::a_service_compares_its_shapes", "--nocapture"]);
        test.env(FILE, &file).env(BUILD, build).env("KRONIKA_SHAPES", shapes).env("CI", ci);
        let Output { status, stdout, stderr } = test.output().unwrap();
        (status.success(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
    };
    let text = || fs::read_to_string(&file).ok();
    let failed = |(passed, said): (bool, String), part: &str| {
        assert!(!passed && said.contains(part), "{said}")
    };

    failed(run("first", "", ""), "there is no such file");
    failed(run("first", "write", "true"), "nothing is written where CI is `true`");
    failed(run("first", "yes", ""), "the only value that it has is `write`");
    assert_eq!(text(), None);
    assert!(run("first", "write", "").0);
    let first = text().unwrap();
    assert!(run("first", "", "true").0);
    failed(run("second", "", ""), "has new fields that may be absent");
    failed(run("third", "write", ""), "changed incompatibly");
    assert_eq!(text(), Some(first));
    assert!(run("second", "write", "").0);
    let second: Value = serde_json::from_str(&text().unwrap()).unwrap();
    let opened = &second["aggregates"]["auction"]["events"]["opened"]["1"];
    assert!(opened["properties"]["note"].is_object(), "{opened}");
}
