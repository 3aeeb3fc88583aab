//! What cannot be done: one line says why and what to do, and nothing was changed.

use crate::support::{Room, complaint, json, lines, refusal, run, run_with, text};
use std::{fs, path::Path};

const READING: [&str; 4] = ["verify", "stats", "export", "events"];

#[test]
fn a_directory_that_is_not_there_or_holds_no_journal_is_named_and_not_made() {
    let room = Room::new();
    let (gone, empty, other) = (room.at("gone"), room.at("empty"), room.at("other"));
    fs::create_dir(&empty).unwrap();
    fs::create_dir_all(room.path("other/journal")).unwrap();
    fs::write(room.path("other/journal/notes.txt"), "kept").unwrap();
    for data in [&gone, &empty, &other] {
        for command in READING {
            let line = refusal(&run(&[command, "--data", data]));
            assert!(line.contains(&format!("no journal in {data}/journal")), "{line}");
        }
        let to = room.at("to");
        for arguments in
            [["backup", "--data", data, "--to", &to], ["restore", "--from", data, "--data", &to]]
        {
            assert!(refusal(&run(&arguments)).contains("no journal in"), "{arguments:?}");
        }
        assert!(!Path::new(&to).exists());
    }
    assert!(!Path::new(&gone).exists());
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
}

#[test]
fn a_file_is_no_data_directory_and_no_journal() {
    let room = Room::new();
    let file = room.at("file");
    fs::write(&file, "kept").unwrap();
    for command in READING {
        let line = refusal(&run(&[command, "--data", &file]));
        assert!(line.contains(&format!("{file} is not a directory")), "{line}");
    }
    assert!(refusal(&run_with(&["import", "--data", &file], b"")).contains("not a directory"));
    fs::create_dir_all(room.path("data")).unwrap();
    fs::write(room.path("data/journal"), "kept").unwrap();
    let line = refusal(&run(&["verify", "--data", &room.at("data")]));
    assert!(line.contains("journal is not a directory"), "{line}");
}

#[test]
fn an_empty_journal_is_sound_and_backed_up() {
    let room = Room::new();
    let data = room.filled("data", 0);
    assert_eq!(json(&run(&["verify", "--data", &data, "--json"]))["head"], 0);
    assert_eq!(json(&run(&["stats", "--data", &data, "--json"]))["events"], 0);
    assert_eq!(run(&["export", "--data", &data]).stdout, b"");
    let to = room.at("to");
    assert_eq!(json(&run(&["backup", "--data", &data, "--to", &to, "--json"]))["head"], 0);
}

#[test]
fn a_segment_of_another_kind_is_damage() {
    let room = Room::new();
    fs::create_dir_all(room.path("data/journal")).unwrap();
    fs::write(room.path("data/journal/00000001.segment"), "no segment at all").unwrap();
    let line = refusal(&run(&["export", "--data", &room.at("data")]));
    assert!(line.contains("segment 1 at offset 0"), "{line}");
}

#[test]
fn what_is_there_is_not_overwritten() {
    let room = Room::new();
    let (data, other) = (room.filled("data", 4), room.filled("other", 8));
    let line = refusal(&run(&["restore", "--from", &data, "--data", &other]));
    assert!(line.contains(&other) && line.contains("not empty"), "{line}");
    let line = refusal(&run(&["backup", "--data", &data, "--to", &other]));
    assert!(line.contains("another history") && line.contains("name another directory"), "{line}");
    let line = refusal(&run(&["backup", "--data", &data, "--to", &data]));
    assert!(line.contains("is the journal itself"), "{line}");
    let backup = room.at("backup");
    json(&run(&["backup", "--data", &data, "--to", &backup, "--json"]));
    json(&run_with(&["import", "--data", &backup, "--json"], lines(4, 8).as_bytes()));
    assert!(refusal(&run(&["backup", "--data", &data, "--to", &backup])).contains("ahead"));
    assert_eq!(json(&run(&["verify", "--data", &other, "--json"]))["events"], 8);
}

#[test]
fn a_position_that_was_never_reached_is_told_and_nothing_is_left_behind() {
    let room = Room::new();
    let (data, to) = (room.filled("data", 4), room.at("to"));
    let line = refusal(&run(&["restore", "--from", &data, "--data", &to, "--position", "5"]));
    assert!(line.contains("position 5 is beyond the journal's last event, 4"), "{line}");
    // The directory may be used for the next try.
    json(&run(&["restore", "--from", &data, "--data", &to, "--position", "4", "--json"]));
}

#[test]
fn a_line_of_any_length_is_bounded() {
    let room = Room::new();
    let data = room.at("data");
    let mut input = lines(0, 2).into_bytes();
    input.resize(input.len() + (65 << 20), b'x');
    let line = complaint(&run_with(&["import", "--data", &data], &input));
    assert!(line.starts_with("line 3: the line has more than 67108864 bytes"), "{line}");
    assert_eq!(json(&run(&["verify", "--data", &data, "--json"]))["events"], 2);
}

#[test]
fn a_file_to_import_that_is_not_there_makes_no_journal() {
    let room = Room::new();
    let line = refusal(&run(&["import", "--data", &room.at("data"), &room.at("gone")]));
    assert!(line.contains("gone cannot be read"), "{line}");
    assert!(!room.path("data").exists());
    let line = refusal(&run(&["import", "--data", &room.at("data"), text(&room.path(""))]));
    assert!(line.contains("input cannot be read"), "{line}");
}

/// Nobody can make anything there, however much they may.
#[cfg(target_os = "linux")]
#[test]
fn a_destination_that_cannot_be_written_is_named() {
    let room = Room::new();
    let data = room.filled("data", 4);
    let nowhere = "/proc/kronika-data";
    for arguments in [
        ["backup", "--data", &data, "--to", nowhere],
        ["restore", "--from", &data, "--data", nowhere],
    ] {
        let line = refusal(&run(&arguments));
        assert!(line.contains(nowhere), "{line}");
    }
}
