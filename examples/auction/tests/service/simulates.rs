//! `auction simulate`: the load, and the read models against the journal.

use crate::support::{place, run, text};
use serde_json::Value;

const LOAD: [&str; 8] =
    ["simulate", "--auctions", "12", "--commands", "400", "--callers", "6", "--json"];

fn figures(arguments: &[&str]) -> Value {
    let output = run(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let line = String::from_utf8(output.stdout).unwrap();
    assert_eq!(line.lines().count(), 1, "one object on one line");
    serde_json::from_str(&line).unwrap()
}

#[test]
fn a_small_load_is_told_in_figures_and_the_read_models_are_equal() {
    let figures = figures(&LOAD);
    let number = |name: &str| figures[name].as_f64().unwrap_or_else(|| panic!("{name}: {figures}"));
    assert_eq!(number("commands"), 400.0);
    assert_eq!(number("accepted") + number("refused"), 400.0);
    assert_eq!(number("events"), number("accepted"));
    assert!(number("accepted") >= 12.0, "every auction was opened");
    assert!(number("seconds") > 0.0 && number("commands_per_second") > 0.0);
    assert!(number("p50_us") > 0.0 && number("p50_us") <= number("p99_us"));
    assert!(number("p99_us") <= number("p999_us"));
    assert_eq!(figures["read_models_equal_the_journal"], true);
}

#[test]
fn a_load_goes_on_in_a_directory_that_has_one() {
    let (_room, data) = place();
    let arguments = [&LOAD[..], &["--data", text(&data)]].concat();
    let (first, second) = (figures(&arguments), figures(&arguments));
    let events = |figures: &Value| figures["events"].as_u64().unwrap();
    assert!(events(&second) > events(&first));
    assert_eq!(second["read_models_equal_the_journal"], true);
}
