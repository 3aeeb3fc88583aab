//! Data directories that cannot be served: one line says why, and nothing was changed.

use crate::support::{Server, auction, contents, place, refusal, run, text};
use std::{fs, path::Path};

/// Tries to serve; gives what was said.
#[track_caller]
fn refused(data: &Path) -> String {
    let serve = ["serve", "--quiet", "--listen", "127.0.0.1:0", "--data", text(data)];
    refusal(&auction(&serve).output().unwrap())
}

/// A directory with an auction and some bids, which nobody has open.
fn filled(data: &Path) {
    let server = Server::quiet(data);
    server.open("a1");
    for max_cents in [500, 900, 2_000, 5_000] {
        server.bid("a1", &format!("b{max_cents}"), max_cents).is(200);
    }
    assert_eq!(server.end("TERM"), Some(0));
}

/// What is spoiled is refused, by these words, and left as it is.
#[track_caller]
fn check(spoil: impl Fn(&Path), words: &[&str]) {
    let (_room, data) = place();
    filled(&data);
    spoil(&data);
    let before = contents(&data);
    let line = refused(&data);
    words.iter().for_each(|word| assert!(line.contains(word), "{word} is not in {line}"));
    assert!(before == contents(&data), "something was changed: {line}");
}

fn change(file: &Path, change: impl Fn(&mut [u8])) {
    let mut bytes = fs::read(file).unwrap();
    change(&mut bytes);
    fs::write(file, bytes).unwrap();
}

const SEGMENT: &str = "journal/00000001.segment";

#[test]
fn a_directory_in_use_names_the_process_that_holds_it() {
    let (_room, data) = place();
    let server = Server::quiet(&data);
    server.open("a1");
    let line = refused(&data);
    assert!(line.contains("in use") && line.contains(&server.pid().to_string()), "{line}");
    assert!(line.contains(text(&data)), "{line}");
    let replay = run(&["simulate", "--commands", "1", "--data", text(&data)]);
    assert!(refusal(&replay).contains(&server.pid().to_string()));
    server.bid("a1", "ada", 500).is(200);
    assert_eq!(server.end("TERM"), Some(0));
}

#[test]
fn an_address_in_use_is_named() {
    let (room, data) = place();
    let server = Server::quiet(&data);
    let other = room.path().join("other");
    let serve = ["serve", "--quiet", "--listen", server.address(), "--data", text(&other)];
    assert!(refusal(&run(&serve)).contains(server.address()));
}

#[test]
fn a_file_is_no_directory() {
    let (room, data) = place();
    fs::write(&data, "kept").unwrap();
    assert!(refused(&data).contains("is not a directory"));
    let below = data.join("below");
    assert!(refused(&below).contains(text(room.path())));
    assert_eq!(fs::read_to_string(&data).unwrap(), "kept");
}

/// Nobody can make anything there, however much they may.
#[cfg(target_os = "linux")]
#[test]
fn a_directory_that_cannot_be_made_is_named() {
    assert!(refused(Path::new("/proc/auction-data")).contains("/proc/auction-data"));
    assert!(refused(Path::new("/proc/self")).contains("/proc/self"));
}

#[test]
fn a_journal_of_a_later_release_is_left_alone() {
    let newer = |data: &Path| {
        change(&data.join(SEGMENT), |bytes| {
            bytes[12..16].copy_from_slice(&77u32.to_le_bytes());
            let check = crc32c::crc32c(&bytes[..508]);
            bytes[508..512].copy_from_slice(&check.to_le_bytes());
        });
    };
    check(newer, &["segment 1", "format 77", "release"]);
}

#[test]
fn a_journal_damaged_in_the_middle_is_refused_with_its_place() {
    let damaged = |data: &Path| change(&data.join(SEGMENT), |bytes| bytes[4096 + 200] ^= 1);
    check(damaged, &["damaged", "segment 1", "offset 4"]);
    let no_header = |data: &Path| change(&data.join(SEGMENT), |bytes| bytes[20] ^= 1);
    check(no_header, &["damaged", "segment 1"]);
}

#[test]
fn read_models_that_are_none_are_left_to_be_moved_away() {
    let garbage = |data: &Path| {
        for end in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(data.join(format!("read-models.sqlite{end}")));
        }
        fs::write(data.join("read-models.sqlite"), "no database\n".repeat(1_000)).unwrap();
    };
    check(garbage, &["read-models.sqlite", "not a SQLite database", "move it away"]);
}

#[test]
fn read_models_that_were_moved_away_are_built_anew() {
    let (_room, data) = place();
    filled(&data);
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(data.join(format!("read-models.sqlite{end}")));
    }
    let server = Server::quiet(&data);
    let token = server.get("/auction/a1").is(200).token().to_owned();
    let list = server.get_with("/auctions", &[("kronika-position", &token)]).is(200);
    assert_eq!(list.body["auctions"][0]["bids"], 4);
}
