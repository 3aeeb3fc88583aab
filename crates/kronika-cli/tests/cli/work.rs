//! What each command does.

use crate::support::{Room, complaint, done, json, line, lines, run, run_with};
use std::fs;

#[test]
fn events_are_imported_counted_printed_and_exported() {
    let room = Room::new();
    let data = room.filled("data", 100);
    let verified = json(&run(&["verify", "--data", &data, "--json"]));
    assert_eq!((&verified["sound"], &verified["events"]), (&true.into(), &100.into()));
    assert!(done(&run(&["verify", "--data", &data])).starts_with("sound: 100 events"));
    let stats = json(&run(&["stats", "--data", &data, "--json"]));
    assert_eq!((&stats["streams"], &stats["appends"]), (&10.into(), &50.into()));
    assert_eq!(stats["names"]["order/paid"]["events"], 50);
    assert_eq!(stats["types"]["order"]["events"], 100);
    let text = done(&run(&["events", "--data", &data, "order/3", "--limit", "3"]));
    let found = text.lines().map(|line| line.split("  ").filter(|part| !part.is_empty()));
    let found = found.map(|mut parts| (parts.next().unwrap().trim(), parts.nth(1).unwrap()));
    assert_eq!(
        found.collect::<Vec<_>>(),
        [("7", "order/3 v1"), ("8", "order/3 v2"), ("27", "order/3 v3")]
    );
    assert!(text.contains("placed#1  {\"number\":6}"), "{text}");
    let exported = done(&run(&["export", "--data", &data]));
    assert_eq!(exported.lines().count(), 100);
    let printed = done(&run(&["events", "--data", &data, "--json"]));
    assert_eq!(printed, exported);
    let last = done(&run(&["events", "--data", &data, "--json", "--after", "99"]));
    assert_eq!(last.lines().collect::<Vec<_>>(), [exported.lines().last().unwrap()]);
    let one = done(&run(&["export", "--data", &data, "--stream", "order/3", "--after", "27"]));
    assert_eq!(one.lines().count(), 10 - 3);
    assert_eq!(done(&run(&["export", "--data", &data, "--type", "other"])), "");
    // There and back again: the same lines but for the times of recording.
    let again = room.at("again");
    run_with(&["import", "--data", &again], exported.as_bytes());
    let back = done(&run(&["export", "--data", &again]));
    let without_time = |text: &str| {
        let lines = text.lines().map(|line| {
            let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
            line.as_object_mut().unwrap().remove("time");
            line
        });
        lines.collect::<Vec<_>>()
    };
    assert_eq!(without_time(&back), without_time(&exported));
}

#[test]
fn a_backup_grows_and_is_restored_whole_or_cut() {
    let room = Room::new();
    let (data, backup) = (room.filled("data", 60), room.at("backup"));
    let first = json(&run(&["backup", "--data", &data, "--to", &backup, "--json"]));
    assert_eq!((&first["head"], &first["segments_kept"]), (&60.into(), &0.into()));
    let more = run_with(&["import", "--data", &data, "--json"], lines(0, 80).as_bytes());
    assert_eq!(json(&more)["appends_skipped"], 30);
    assert!(
        done(&run(&["backup", "--data", &data, "--to", &backup]))
            .starts_with("backed up to position 80")
    );
    assert_eq!(json(&run(&["verify", "--data", &backup, "--json"]))["events"], 80);
    let whole = room.at("whole");
    let restored = json(&run(&["restore", "--from", &backup, "--data", &whole, "--json"]));
    assert_eq!(restored["incarnation"], first["incarnation"]);
    assert_eq!(done(&run(&["export", "--data", &whole])), done(&run(&["export", "--data", &data])));
    let cut = room.at("cut");
    let arguments = ["restore", "--from", &backup, "--data", &cut, "--position", "41"];
    let text = done(&run(&arguments));
    assert!(text.contains("restored to position 40") && text.contains("a new history"), "{text}");
    assert!(text.contains("1 events before the position"), "{text}");
    assert_eq!(json(&run(&["verify", "--data", &cut, "--json"]))["head"], 40);
    let early = room.at("early");
    let arguments = [
        "restore",
        "--from",
        &backup,
        "--data",
        &early,
        "--time",
        "2001-01-01T00:00:00Z",
        "--json",
    ];
    assert_eq!(json(&run(&arguments))["head"], 0);
    // What was restored can be written to.
    assert_eq!(
        json(&run_with(&["import", "--data", &cut, "--json"], lines(0, 80).as_bytes()))["events"],
        40
    );
}

#[test]
fn what_only_reads_changes_nothing() {
    let room = Room::new();
    let data = room.filled("data", 40);
    let seen = || {
        let files = [room.path("data"), room.path("data/journal")];
        let entries = files.iter().flat_map(|directory| fs::read_dir(directory).unwrap());
        let mut seen = entries
            .map(|entry| {
                let (path, metadata) = (entry.as_ref().unwrap().path(), entry.unwrap().metadata());
                (path.clone(), metadata.unwrap().modified().unwrap(), fs::read(path).ok())
            })
            .collect::<Vec<_>>();
        seen.sort();
        seen
    };
    let before = seen();
    for command in ["verify", "stats", "export", "events"] {
        done(&run(&[command, "--data", &data]));
    }
    done(&run(&["backup", "--data", &data, "--to", &room.at("to")]));
    done(&run(&["restore", "--from", &data, "--data", &room.at("restored")]));
    assert!(before == seen());
}

#[test]
fn damage_is_told_on_both_outputs() {
    let room = Room::new();
    let data = room.filled("data", 400);
    let segment = room.path("data/journal/00000001.segment");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[9_000] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    let output = run(&["verify", "--data", &data, "--json"]);
    let line = complaint(&output);
    assert!(line.contains("damaged in 1 places") && line.contains("restore"), "{line}");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["sound"], &told["findings"][0]["kind"]), (&false.into(), &"damage".into()));
    assert_eq!(told["findings"][0]["segment"], 1);
    assert!(told["findings"][0]["streams"][0].as_str().unwrap().starts_with("order/"));
    let output = run(&["verify", "--data", &data]);
    complaint(&output);
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("damage: segment 1 at offset"));
    // Whoever reads on is told too, after what stands before the damage.
    for command in ["export", "events"] {
        let line = complaint(&run(&[command, "--data", &data]));
        assert!(
            line.contains("damaged: segment 1 at offset") && line.contains("kronika verify"),
            "{line}"
        );
    }
}

#[test]
fn an_import_reads_a_file_and_names_the_line_that_is_wrong() {
    let room = Room::new();
    let (data, file) = (room.at("data"), room.at("lines"));
    let whole = lines(0, 40);
    // The last line is cut in the middle.
    fs::write(&file, &whole[..whole.len() - 20]).unwrap();
    let line_40 = complaint(&run(&["import", "--data", &data, &file]));
    assert!(line_40.starts_with("line 40: ") && line_40.contains("left out"), "{line_40}");
    fs::write(&file, &whole).unwrap();
    let imported = json(&run(&["import", "--data", &data, &file, "--json"]));
    assert_eq!((&imported["appends"], &imported["appends_skipped"]), (&1.into(), &19.into()));
    fs::write(&file, format!("{whole}{}", line(40))).unwrap();
    let half = complaint(&run(&["import", "--data", &data, &file]));
    assert!(half.contains("line 41: append") && half.contains("1 of its 2 events"), "{half}");
}
