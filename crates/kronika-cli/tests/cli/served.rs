//! Beside a running service: what acts is asked of it through its socket.

use crate::{
    read_models::act,
    service::{Service, is_left},
    support::{Room, done, json, kronika, lines, objects, refusal, run, until},
};
use kronika_core::Stage;
use kronika_log::DirectoryLock;
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixListener,
    path::Path,
    process::Stdio,
    thread,
};

fn service(room: &Room) -> (String, Service) {
    let data = room.filled("data", 40);
    let service = Service::start(&data);
    service.handles(40);
    (data, service)
}

#[test]
fn acts_are_done_by_the_service() {
    let room = Room::new();
    let (data, service) = service(&room);
    let told = json(&run(&["projections", "--data", &data, "--json"]));
    assert_eq!((&told["state"], &told["lag_events"]), (&"running".into(), &0.into()));
    let text = done(&act(&data, &["pause", "totals"]));
    assert_eq!(text, "the service does it: pause totals; `kronika projections totals` shows it\n");
    let state = || json(&run(&["projections", "--data", &data, "--json"]))["state"].clone();
    until("it is paused", || state() == "paused");
    let told = json(&act(&data, &["resume", "totals", "--read-model", "1.1", "--json"]));
    assert_eq!((&told["name"], &told["paused"]), (&"totals".into(), &false.into()));
    until("it goes on", || state() == "running");
    assert_eq!(json(&act(&data, &["workers", "totals", "2", "--json"]))["workers"], 2);
    let told = json(&act(&data, &["throttle", "totals", "1000", "--json"]));
    assert_eq!(told["events_per_second_max"], 1000);
    let told = json(&act(&data, &["throttle", "totals", "none", "--json"]));
    assert_eq!(told["events_per_second_max"], Value::Null);
    // It fails again: nobody has relented.
    let attempts =
        || json(&run(&["parked", "--data", &data, "totals", "--json"]))["attempts"].clone();
    done(&act(&data, &["retry", "totals", "3"]));
    until("it was tried again", || attempts() == 2);
    service.relent();
    done(&act(&data, &["retry", "totals", "--all"]));
    service.until("nothing is parked", |all| all[0].parked == 0);
    assert_eq!(
        done(&run(&["parked", "--data", &data, "totals"])),
        "no key of totals (generation 1, run 1) is parked\n"
    );
    let newest = json(&run(&["acts", "--data", &data, "--limit", "1", "--json"]));
    assert_eq!((&newest["number"], &newest["who"]), (&7.into(), &"ada".into()));
    assert_eq!(newest["act"], "retry all parked keys of totals (generation 1, run 1)");
}

#[test]
fn what_the_service_refuses_is_told_in_its_words() {
    let room = Room::new();
    let (data, service) = service(&room);
    let check = |arguments: &[&str], words: &str| {
        let line = refusal(&act(&data, arguments));
        assert!(line.contains(words), "{arguments:?}: {line}");
    };
    check(&["pause", "nothing"], "nothing");
    check(&["pause", "totals", "--read-model", "1.7"], "generation 1, run 7");
    check(&["drop", "totals", "--read-model", "1.1"], "is live: make another one live first");
    check(&["rebuild", "totals", "--generation", "5"], "there is no generation 5 of totals");
    // A key that is no part of a path by itself reaches it whole.
    check(&["skip", "totals", "a/b %2F?ü"], "key a/b %2F?ü is not parked");
    check(&["retry", "totals", ".."], "key .. is not parked");
    assert_eq!(done(&run(&["acts", "--data", &data, "--json"])), "");
    drop(service);
}

#[test]
fn a_rebuild_is_followed_until_it_is_live_or_built() {
    let room = Room::new();
    let (data, service) = service(&room);
    let text = done(&act(&data, &["rebuild", "totals", "--wait"]));
    assert_eq!(text, "totals 1.2 is live\n");
    let told = json(&act(&data, &["rebuild", "totals", "--hold", "--wait", "--json"]));
    assert_eq!(
        (&told["run"], &told["stage"], &told["switching"], &told["lag_events"]),
        (&3.into(), &"building".into(), &false.into(), &0.into())
    );
    let line = refusal(&act(&data, &["rebuild", "totals"]));
    assert!(line.contains("totals (generation 1, run 3) is being built already"), "{line}");
    let text = done(&run(&["projections", "--data", &data]));
    assert!(text.contains("building, held") && !text.contains("no service runs"), "{text}");
    done(&act(&data, &["switch", "totals"]));
    service.until("the third run is live", |all| all[2].stage == Stage::Live);
    done(&act(&data, &["switch", "totals", "--to", "1.1"]));
    service.until("the first run is live again", |all| all[0].stage == Stage::Live);
    // Two are old, and nobody guesses which one.
    assert!(refusal(&act(&data, &["drop", "totals"])).contains("run"));
    done(&act(&data, &["drop", "totals", "--read-model", "1.2"]));
    done(&act(&data, &["drop", "totals"]));
    assert_eq!(objects(&run(&["projections", "--data", &data, "--json"])).len(), 1);
}

#[test]
fn projections_are_watched_until_the_reader_is_gone() {
    let room = Room::new();
    let (data, _service) = service(&room);
    let watch = |more: &[&str]| {
        let arguments = [&["projections", "--data", &data, "--watch"], more].concat();
        kronika(&arguments).stdout(Stdio::piped()).spawn().unwrap()
    };
    let mut json = watch(&["--json"]);
    let mut found = BufReader::new(json.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let told: Value = serde_json::from_str(&found.next().unwrap().unwrap()).unwrap();
        assert_eq!((&told["name"], &told["events"]), (&"totals".into(), &40.into()));
    }
    drop(found);
    assert!(json.wait().unwrap().success(), "a reader that is gone has read enough");
    let mut text = watch(&["totals"]);
    let found = BufReader::new(text.stdout.take().unwrap()).lines();
    let found: Vec<_> = found.take(7).map(Result::unwrap).collect();
    // One block, an empty line, and the next block.
    assert!(found[0].starts_with("NAME") && found[1].starts_with("totals"), "{found:?}");
    assert_eq!((&*found[4], &found[5]), ("", &found[0]), "{found:?}");
    text.kill().and_then(|()| text.wait()).unwrap();
}

#[test]
fn a_holder_that_does_not_answer_is_told_with_what_to_do() {
    let room = Room::new();
    let (data, service) = service(&room);
    drop(service);
    is_left(&data);
    let _lock = DirectoryLock::acquire(Path::new(&data)).unwrap();
    let socket = room.path("data/admin.sock");
    let in_use = format!("{data} is in use by process {}", std::process::id());
    let check = |what: &str| {
        let line = refusal(&act(&data, &["pause", "totals"]));
        assert!(line.starts_with(&in_use) && line.contains(what), "{line}");
        assert!(line.contains("stop it and try again"), "{line}");
    };
    check("No such file");
    drop(UnixListener::bind(&socket).unwrap());
    check("Connection refused");
    std::fs::remove_file(&socket).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    let answers = |answer: &'static str| {
        thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 4096]).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            });
            refusal(&act(&data, &["pause", "totals"]))
        })
    };
    let line = answers("I am no service\r\n\r\n");
    assert!(line.contains("did not answer") && line.contains("`kronika acts` tells"), "{line}");
    assert!(answers("").contains("did not answer"));
    let line = answers("HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n");
    assert!(line.contains("the service answered 500") && line.contains("log"), "{line}");
    let line = answers("HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}");
    assert!(line.contains("took it on, but its answer cannot be read"), "{line}");
    let line = answers(
        "HTTP/1.1 409 Conflict\r\ncontent-length: 37\r\n\r\n{\"title\":\"no\",\"detail\":\"two\\nlines\"}   ",
    );
    assert_eq!(line, "two\\nlines");
    assert!(done(&run(&["acts", "--data", &data])).contains("nothing was done"));
}

#[test]
fn one_that_was_left_paused_lags_and_is_to_pause_again() {
    let room = Room::new();
    let data = room.filled("data", 40);
    {
        let service = Service::start(&data);
        service.handles(40);
        done(&act(&data, &["pause", "totals"]));
        service.until("it is paused", |all| {
            all[0].report.as_ref().is_some_and(|report| report.state == "paused")
        });
    }
    is_left(&data);
    json(&crate::support::run_with(
        &["import", "--data", &data, "--json"],
        lines(40, 50).as_bytes(),
    ));
    let told = json(&run(&["projections", "--data", &data, "--json"]));
    assert_eq!((&told["state"], &told["lag_events"]), (&"stopped".into(), &10.into()));
    let text = done(&run(&["projections", "--data", &data]));
    assert!(text.contains("  stopped, to pause  40        10   "), "{text}");
}

#[test]
fn a_replay_tells_what_each_event_changed() {
    let room = Room::new();
    let (data, _service) = service(&room);
    let into = room.at("then.sqlite");
    let replay = |more: &[&str]| {
        let mut arguments = vec!["replay", "--data", &data, "totals", "--into", &into];
        arguments.extend(more);
        run(&arguments)
    };
    let text = done(&replay(&["--to", "9", "--steps-from", "6"]));
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("6 ") && lines[0].contains(" order/"), "{text}");
    assert!(lines[1].starts_with("    ") && lines[1].contains("events"), "{text}");
    assert!(text.contains(": parked, "), "{text}");
    assert!(text.contains("9 events of totals (generation 1) are in "), "{text}");
    // It never writes over a file, and a replay of what is not there is refused.
    let line = refusal(&replay(&["--to", "9"]));
    assert!(line.contains("then.sqlite"), "{line}");
    let line = refusal(&run(&["replay", "--data", &data, "nothing", "--into", &room.at("x")]));
    assert!(line.contains("nothing"), "{line}");
    let again = room.at("again.sqlite");
    let arguments = ["replay", "--data", &data, "totals", "--into", &again, "--steps-from", "1"];
    let told = objects(&run(&[&arguments[..], &["--json"]].concat()));
    assert_eq!(told.len(), 41, "40 steps and the end");
    assert_eq!(told[0]["rows"][0]["before"], Value::Null);
    assert_eq!(told[40]["events"], 40);
}

#[test]
fn a_replay_needs_the_service() {
    let room = Room::new();
    let (data, service) = service(&room);
    drop(service);
    let line = refusal(&run(&["replay", "--data", &data, "totals", "--into", &room.at("x")]));
    assert!(line.contains("no service holds") && line.contains("start it"), "{line}");
}
