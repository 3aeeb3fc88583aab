//! Files of bids that cannot be replayed: the row is named, and nothing was recorded.

use crate::support::{place, refusal, run, text};
use std::fs;

pub const SOME: &str = "auctionid,bid,bidtime,bidder,bidderrate,openbid,price,item,auction_type\n\
    1,175,2.2,b1,0,99,177.5,Watch,3 day auction\n\
    1,180.5,2.3,b2,0,99,177.5,Watch,3 day auction\n\
    2,5,0.1,b2,0,1,5,Xbox,7 day auction\n";

/// Replays a file of these bytes; gives what was said.
#[track_caller]
fn refused(content: &[u8]) -> String {
    let (room, data) = place();
    let bids = room.path().join("bids.csv");
    fs::write(&bids, content).unwrap();
    let line = refusal(&run(&["replay", text(&bids), "--data", text(&data), "--json"]));
    assert!(line.contains(text(&bids)), "the file is not named: {line}");
    assert!(!data.exists(), "something was made for a file that cannot be replayed");
    line
}

#[test]
fn a_file_that_is_wrong_is_refused_with_its_row_before_anything_is_recorded() {
    let check = |content: &str, expected: &str| {
        let line = refused(content.as_bytes());
        assert!(line.contains(expected), "{expected} is not in {line}");
    };
    let head = SOME.lines().next().unwrap();
    check("", "is empty");
    check(head, "holds no bids");
    check("a,b,c\n1,2,3\n", "row 1: the columns are not auctionid,bid");
    check(&SOME.replace("auctionid,bid,", "bid,auctionid,"), "row 1: the columns are not");
    check(&format!("{SOME}2,5\n"), "row 5: 2 fields instead of 9");
    // Cut anywhere in its last row.
    let (begin, end) = (SOME.find("2,5,").unwrap(), SOME.trim_end().len());
    (begin + 1..end).for_each(|cut| check(&SOME[..cut], "row 4: "));
    check(&SOME.replace("180.5", "180.555"), "row 3: bid is no amount");
    check(&SOME.replace("180.5", "-1"), "row 3: bid is no amount");
    check(&SOME.replace("180.5", "NaN"), "row 3: bid is no amount");
    check(&SOME.replace("180.5", "10000000000.01"), "row 3: bid is no amount");
    check(&SOME.replace("2,5,", ",5,"), "row 4: auctionid is empty");
    check(&SOME.replace("b1", "b\u{7}"), "row 2: bidder is empty, too long or not plain");
    check(&SOME.replace("Xbox", &"x".repeat(256)), "row 4: item is empty, too long");
}

#[test]
fn a_file_that_is_not_text_is_refused_with_its_row() {
    let mut content = SOME.as_bytes().to_vec();
    let at = SOME.find("b1").unwrap();
    content[at] = 0xff;
    assert!(refused(&content).contains("row 2: not UTF-8"));
    content[0] = 0xff;
    assert!(refused(&content).contains("row 1: not UTF-8"));
}

#[test]
fn what_is_no_file_is_named() {
    let (room, data) = place();
    let missing = room.path().join("missing.csv");
    let line = refusal(&run(&["replay", text(&missing), "--data", text(&data)]));
    assert!(line.contains("missing.csv cannot be read"), "{line}");
    let line = refusal(&run(&["replay", text(room.path()), "--data", text(&data)]));
    assert!(line.contains(text(room.path())) && line.contains("directory"), "{line}");
    assert!(!data.exists());
}

#[test]
fn a_file_that_was_mended_is_replayed_where_it_broke_off() {
    let (room, data) = place();
    let bids = room.path().join("bids.csv");
    let replay = || run(&["replay", text(&bids), "--data", text(&data), "--json"]);
    // Cut at the end of a row, which nobody can tell from a whole file.
    fs::write(&bids, SOME.lines().take(3).collect::<Vec<_>>().join("\n")).unwrap();
    assert!(replay().status.success());
    fs::write(&bids, SOME).unwrap();
    let output = replay();
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&figures["events"], &figures["bids"]), (&5.into(), &3.into()));
    // A row that says something else than it did belongs to another file.
    fs::write(&bids, SOME.replace("180.5", "190")).unwrap();
    assert!(refusal(&replay()).contains("auction 1, row 3: "));
}
