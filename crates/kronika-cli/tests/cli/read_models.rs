//! Read models where no service runs: looked at as they were left, acted on for the next start.

use crate::{
    service::{Service, is_left},
    support::{Room, done, json, lines, objects, refusal, run, run_with},
};
use kronika_core::Stage;
use serde_json::{Value, json};
use std::fs;

/// A directory that a service with 40 events was run on, whose order 3 is parked at event 7.
pub fn left(room: &Room) -> String {
    let data = room.filled("data", 40);
    let service = Service::start(&data);
    service.handles(40);
    drop(service);
    is_left(&data);
    data
}

/// Acts, with who and why.
pub fn act(data: &str, arguments: &[&str]) -> std::process::Output {
    let by = ["--data", data, "--who", "ada", "--why", "to see"];
    run(&[arguments, &by].concat())
}

fn acts(data: &str) -> Vec<Value> {
    let objects = objects(&run(&["acts", "--data", data, "--json"]));
    objects.into_iter().map(|act| act["act"].clone()).collect()
}

#[test]
fn projections_stand_as_they_were_left_and_lag_behind_the_journal_of_now() {
    let room = Room::new();
    let data = left(&room);
    let files = fs::read_dir(&data).unwrap().count();
    run_with(&["import", "--data", &data], lines(40, 60).as_bytes());
    let told = json(&run(&["projections", "--data", &data, "totals", "--json"]));
    let token = told["position"].as_str().unwrap();
    let reported = told["reported"].as_str().unwrap();
    let error = told["error"].as_str().unwrap();
    assert!(token.starts_with("k1.") && reported.ends_with('Z'), "{told}");
    assert!(error.contains("nobody pays with\nsevens"), "{error}");
    let expected = json!({
        "name": "totals", "generation": 1, "run": 1, "stage": "live", "state": "stopped",
        "position": token, "positions": [{"partition": 0, "position": 40}],
        "lag_events": 20, "lag_seconds": 0.0, "events": 40, "events_per_second": 0.0,
        "seconds_left": null, "parked": 1, "letters": 3, "workers": 1,
        "events_per_second_max": null, "paused": false, "switching": false, "error": error,
        "reported": reported,
    });
    assert_eq!(told, expected);
    let text = done(&run(&["projections", "--data", &data]));
    let found: Vec<Vec<&str>> =
        text.lines().map(|line| line.split("  ").filter(|it| !it.is_empty()).collect()).collect();
    let row = ["totals", "1.1", "live", "stopped", "40", "20", "0/s", "-", "1, 3 events"];
    assert_eq!(found[1].iter().map(|it| it.trim()).collect::<Vec<_>>(), row);
    assert!(text.contains("\ntotals 1.1: ") && text.contains("pays with\\nsevens"), "{text}");
    assert!(text.contains("\nthe journal is at position 60\nno service runs: as it"), "{text}");
    assert_eq!(fs::read_dir(&data).unwrap().count(), files, "nothing was made");
}

#[test]
fn parked_keys_are_listed_and_their_events_are_shown_from_the_journal() {
    let room = Room::new();
    let data = left(&room);
    let key = json(&run(&["parked", "--data", &data, "totals", "--json"]));
    let times = (key["parked"].clone(), key["first"]["time"].clone());
    let cause = key["cause"].as_str().unwrap();
    assert!(cause.contains("nobody pays with\nsevens"), "{cause}");
    let expected = json!({
        "key": "3", "cause": cause, "letters": 3, "attempts": 1, "parked": times.0, "asked": null,
        "first": {
            "partition": 0, "position": 8, "event": "paid", "stream": "order/3", "version": 2,
            "time": times.1,
        },
    });
    assert_eq!(key, expected);
    let text = done(&run(&["parked", "--data", &data, "totals"]));
    assert!(text.starts_with("3: 3 events wait, tried once, parked 20"), "{text}");
    assert!(text.contains("    first  order/3 v2 paid, position 8\n    cause  "), "{text}");
    assert!(text.contains("nobody pays with\\nsevens"), "a cause stays on its line: {text}");
    let letters = objects(&run(&["parked", "--data", &data, "totals", "3", "--json"]));
    let first = json!({
        "partition": 0, "position": 8, "event": "paid", "stream": "order/3", "version": 2,
        "time": times.1, "schema": 1, "body": {"number": 7},
    });
    assert_eq!(letters[0], first);
    let bodies: Vec<_> = letters.iter().map(|letter| letter["body"]["number"].clone()).collect();
    assert_eq!(bodies, [7, 26, 27]);
    let text = done(&run(&["parked", "--data", &data, "totals", "3"]));
    assert_eq!(text.lines().count(), 3 + 3, "{text}");
    assert!(text.ends_with("order/3 v4  paid#1  {\"number\":27}\n"), "{text}");
    let run_1 = ["parked", "--data", &data, "totals", "--generation", "1", "--run", "1", "--json"];
    assert_eq!(json(&run(&run_1)), expected);
    assert!(refusal(&run(&["parked", "--data", &data, "totals", "9"])).contains("key 9 is not"));
    let none = ["parked", "--data", &data, "totals", "--generation", "2"];
    let line = refusal(&run(&none));
    assert_eq!(line, "there is no such read model of totals: there are 1.1 (live)");
}

#[test]
fn a_letter_whose_event_the_journal_does_not_have_is_told_without_a_body() {
    let room = Room::new();
    let data = left(&room);
    fs::remove_dir_all(room.path("data/journal")).unwrap();
    // Another event stands where the first one did, none where the others did.
    let other = lines(0, 26).replace("order/", "item/");
    run_with(&["import", "--data", &data], other.as_bytes());
    let letters = objects(&run(&["parked", "--data", &data, "totals", "3", "--json"]));
    assert!(letters.len() == 3 && letters.iter().all(|it| it.get("body").is_none()), "{letters:?}");
    let text = done(&run(&["parked", "--data", &data, "totals", "3"]));
    assert_eq!(text.matches("is not in the journal").count(), 3, "{text}");
}

#[test]
fn acts_are_recorded_and_done_at_the_next_start() {
    let room = Room::new();
    let data = left(&room);
    assert_eq!(done(&run(&["acts", "--data", &data])), "nothing was done by hand yet\n");
    assert_eq!(done(&run(&["acts", "--data", &data, "--json"])), "");
    let paused = done(&act(&data, &["pause", "totals"]));
    let recorded = "recorded; no service runs, it is done at the next start";
    assert_eq!(paused, format!("pause totals (generation 1, run 1): {recorded}\n"));
    let told = json(&act(&data, &["throttle", "totals", "500", "--json"]));
    assert_eq!((&told["paused"], &told["events_per_second_max"]), (&true.into(), &500.into()));
    let told = json(&act(&data, &["throttle", "totals", "none", "--read-model", "1.1", "--json"]));
    assert_eq!(told["events_per_second_max"], Value::Null);
    assert_eq!(json(&act(&data, &["workers", "totals", "3", "--json"]))["workers"], 3);
    done(&act(&data, &["skip", "totals", "3"]));
    let key = json(&run(&["parked", "--data", &data, "totals", "--json"]));
    assert_eq!(key["asked"], "skip");
    done(&act(&data, &["resume", "totals"]));
    let built = done(&act(&data, &["rebuild", "totals", "--hold", "--rate", "9", "--wait"]));
    assert_eq!(built, format!("rebuild totals with 9 events/s at most and hold: {recorded}\n"));
    done(&act(&data, &["throttle", "totals", "none", "--read-model", "1.2"]));
    done(&act(&data, &["switch", "totals"]));
    assert_eq!(acts(&data).len(), 9);
    let newest = json(&run(&["acts", "--data", &data, "--limit", "1", "--json"]));
    let at = newest["at"].as_str().unwrap();
    let expected = json!({
        "number": 9, "at": at, "who": "ada", "why": "to see",
        "act": "switch to totals (generation 1, run 2)",
    });
    assert_eq!(newest, expected);
    let text = done(&run(&["acts", "--data", &data, "--limit", "1"]));
    let rest = "  ada: switch to totals (generation 1, run 2): to see\n";
    assert_eq!(text, format!("    9  {at}{rest}"));
    // All of it is done when a service starts.
    let service = Service::start_with(&data, false);
    service.until("the second run is live", |all| all.len() == 2 && all[1].stage == Stage::Live);
    service.until("nothing is parked", |all| all[1].parked == 0 && all[0].parked == 0);
    drop(service);
    is_left(&data);
    // The only old one, without a word which one.
    let dropped = done(&act(&data, &["drop", "totals"]));
    assert_eq!(dropped, "drop totals (generation 1, run 1): no service runs, it is done\n");
    let left = objects(&run(&["projections", "--data", &data, "--json"]));
    assert_eq!((left.len(), &left[0]["run"], &left[0]["workers"]), (1, &2.into(), &1.into()));
}

#[test]
fn what_cannot_be_done_is_refused_and_not_recorded() {
    let room = Room::new();
    let data = left(&room);
    let check = |arguments: &[&str], words: &str| {
        let line = refusal(&act(&data, arguments));
        assert!(line.contains(words), "{arguments:?}: {line}");
    };
    for command in ["rebuild", "switch", "pause", "resume", "drop"] {
        check(&[command, "nothing"], "there is no projection nothing: there are totals");
    }
    for key in ["retry", "skip", "drop-key"] {
        check(&[key, "nothing", "3"], "there is no projection nothing: there are totals");
        check(&[key, "totals", "9"], "key 9 is not parked in totals (generation 1, run 1)");
        check(&[key, "totals", "3", "--read-model", "1.2"], "there are 1.1 (live)");
    }
    check(&["pause", "totals", "--read-model", "2.1"], "no such read model of totals");
    check(&["switch", "totals"], "there is no other read model of totals: there are 1.1 (live)");
    check(&["drop", "totals"], "there is no other read model of totals");
    check(&["drop", "totals", "--read-model", "1.1"], "is live: make another one live first");
    check(&["rebuild", "totals", "--generation", "5"], "there is no generation 5 of totals");
    assert_eq!(acts(&data), [Value::Null; 0]);
    let line = refusal(&run(&["projections", "--data", &data, "nothing"]));
    assert_eq!(line, "there is no projection nothing: there are totals");
    let line = refusal(&run(&["parked", "--data", &data, "nothing"]));
    assert_eq!(line, "there is no projection nothing: there are totals");
}

#[test]
fn a_directory_without_read_models_is_named_and_nothing_is_made() {
    let room = Room::new();
    let (gone, file) = (room.at("gone"), room.at("file"));
    fs::write(&file, "kept").unwrap();
    let reading: [&[&str]; 3] = [&["projections"], &["acts"], &["parked", "totals"]];
    let acting: [&[&str]; 3] =
        [&["pause", "totals"], &["rebuild", "totals"], &["retry", "totals", "--all"]];
    for data in [&gone, &file] {
        let looked = reading.iter().map(|command| run(&[command, &["--data", data][..]].concat()));
        let acted = acting.iter().map(|command| act(data, command));
        for output in looked.chain(acted) {
            let line = refusal(&output);
            let gone = format!("there are no read models in {data}/read-models.sqlite");
            let file = format!("{data} is not a directory");
            assert!(line.contains(&gone) || line.contains(&file), "{line}");
        }
    }
    assert!(!room.path("gone").exists());
    let data = room.filled("data", 0);
    fs::write(room.path("data/read-models.sqlite"), "no database at all, whatever it is").unwrap();
    for output in [run(&["projections", "--data", &data]), act(&data, &["pause", "totals"])] {
        assert!(refusal(&output).contains("is not a SQLite database"), "{output:?}");
    }
}
