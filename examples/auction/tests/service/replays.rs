//! Real bids replayed: every figure that the data set says must come out.
//!
//! The data set has no licence to be copied, so it lies beside the checkout. Where tests must all run, its
//! absence is a failure.

use crate::support::{place, run, text};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// The folder with the data set; `None` where there is none, and that is said.
pub fn data_set() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/ebay");
    if folder.join("bids.csv").is_file() {
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing", folder.display());
    eprintln!("skipped: {} is missing", folder.display());
    None
}

/// All rows of all read models, as text.
pub type Rows = BTreeMap<&'static str, Vec<String>>;

/// Reads the read models of a directory that nobody has open.
pub fn rows(data: &Path) -> Rows {
    let file = data.join("read-models.sqlite");
    let connection = kronika::rusqlite::Connection::open(file).unwrap();
    let rows = |table: &'static str| {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let row = statement.query_map([], |row| {
            let values =
                (0..columns).map(|column| row.get::<_, kronika::rusqlite::types::Value>(column));
            Ok(format!("{:?}", values.collect::<Result<Vec<_>, _>>()?))
        });
        let mut rows: Vec<_> = row.unwrap().map(Result::unwrap).collect();
        rows.sort();
        (table, rows)
    };
    ["auctions", "bidders", "items", "bid_kinds"].into_iter().map(rows).collect()
}

/// Replays to the end, and gives what was printed.
#[track_caller]
pub fn replay(bids: &Path, data: &Path) -> Value {
    let output = run(&["replay", text(bids), "--data", text(data), "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let line = String::from_utf8(output.stdout).unwrap();
    assert_eq!(line.lines().count(), 1, "one object on one line");
    serde_json::from_str(&line).unwrap()
}

/// Figures and read models of a replay that nothing disturbed, made once.
pub fn undisturbed(folder: &Path) -> &'static (Value, Rows) {
    static UNDISTURBED: OnceLock<(Value, Rows)> = OnceLock::new();
    UNDISTURBED.get_or_init(|| {
        let (_room, data) = place();
        let figures = replay(&folder.join("bids.csv"), &data);
        (figures, rows(&data))
    })
}

/// Cents of a decimal number.
fn cents(text: &str) -> u64 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{part:0<2}").parse().unwrap()
}

#[test]
fn real_bids_come_to_the_figures_that_are_known() {
    let Some(folder) = data_set() else { return };
    let (figures, _) = undisturbed(&folder);
    let count = |name: &str| figures[name].as_u64().unwrap();
    assert_eq!((count("auctions"), count("bids"), count("events")), (628, 10_681, 11_244));
    let accepted =
        json!({"first": 628, "new_leader": 4_074, "outbid_at_once": 5_382, "own_raise": 532});
    assert_eq!(figures["accepted"], accepted);
    let refused = json!({"too_low": 5, "own_not_higher": 60, "below_opening": 0});
    assert_eq!(figures["refused"], refused);

    let results = figures["results"].as_array().unwrap();
    let results: HashMap<_, _> =
        results.iter().map(|result| (result["auction"].as_str().unwrap(), result)).collect();
    assert_eq!(results.len(), 628);
    let mut expected = csv::Reader::from_path(folder.join("expected.csv")).unwrap();
    let (mut winners, mut maxima, mut proxy_prices, mut prices) = (0, 0, 0, 0);
    for row in expected.deserialize::<HashMap<String, String>>() {
        let row = row.unwrap();
        let result = results[row["auctionid"].as_str()];
        winners += u32::from(result["winner"] == row["winner"].as_str());
        maxima += u32::from(result["max_cents"] == cents(&row["max_bid"]));
        proxy_prices += u32::from(result["price_cents"] == cents(&row["proxy_price"]));
        prices += u32::from(result["price_cents"] == cents(&row["price"]));
    }
    assert_eq!((winners, maxima, proxy_prices, prices), (628, 628, 620, 589));
}

#[test]
fn a_replay_started_again_changes_nothing() {
    let Some(folder) = data_set() else { return };
    let (_room, data) = place();
    let first = replay(&folder.join("bids.csv"), &data);
    let before = rows(&data);
    let second = replay(&folder.join("bids.csv"), &data);
    assert_eq!((&first, before), (&second, rows(&data)));
}
