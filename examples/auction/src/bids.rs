//! Reading a file of bids: all of it is checked before the first command is sent.

use crate::{money::Cents, names::is_plain};
use std::{collections::HashMap, fs::File, io::BufReader, path::Path};

/// One auction of the file, with its bids in file order.
#[derive(Debug, PartialEq)]
pub struct FileAuction {
    pub auction: String,
    pub item: String,
    pub opening_bid_cents: Cents,
    pub bids: Vec<FileBid>,
}

/// One row of the file.
#[derive(Debug, PartialEq)]
pub struct FileBid {
    /// Line of the file, from 1; the head is line 1.
    pub line: u64,
    pub bidder: String,
    pub max_cents: Cents,
}

const COLUMNS: [&str; 9] = [
    "auctionid",
    "bid",
    "bidtime",
    "bidder",
    "bidderrate",
    "openbid",
    "price",
    "item",
    "auction_type",
];

/// Reads all auctions of a file, in the order in which they first appear.
///
/// # Errors
/// One line that names the file, and the row where a row is wrong.
pub fn read(path: &Path) -> Result<Vec<FileAuction>, String> {
    let name = path.display();
    let file = File::open(path).map_err(|error| format!("{name} cannot be read: {error}"))?;
    let mut rows = csv::Reader::from_reader(BufReader::new(file));
    let head =
        rows.headers().map_err(|error| format!("{name}, row 1: {}", cut_or_bad(&error)))?.clone();
    if head.is_empty() {
        return Err(format!("{name} is empty: the first row names the columns"));
    }
    if head.iter().ne(COLUMNS) {
        return Err(format!("{name}, row 1: the columns are not {}", COLUMNS.join(",")));
    }
    let (mut auctions, mut index) = (Vec::<FileAuction>::new(), HashMap::new());
    let mut line = 1;
    for row in rows.records() {
        let row =
            row.map_err(|error| format!("{name}, row {}: {}", line + 1, cut_or_bad(&error)))?;
        line = row.position().map_or(line + 1, csv::Position::line);
        let refuse = |what: String| format!("{name}, row {line}: {what}");
        let parsed = parse(&row, line).map_err(refuse)?;
        let (auction, bid) = parsed;
        let place = *index.entry(auction.auction.clone()).or_insert_with(|| {
            auctions.push(auction);
            auctions.len() - 1
        });
        auctions[place].bids.push(bid);
    }
    if auctions.is_empty() {
        return Err(format!("{name} holds no bids, only the row that names the columns"));
    }
    Ok(auctions)
}

fn cut_or_bad(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields instead of {expected_len}; the row is cut or has too many")
        }
        csv::ErrorKind::Utf8 { .. } => "not UTF-8".to_owned(),
        csv::ErrorKind::Io(error) => format!("cannot be read: {error}"),
        _ => error.to_string(),
    }
}

fn parse(row: &csv::StringRecord, line: u64) -> Result<(FileAuction, FileBid), String> {
    let cents = |column: usize| {
        let what = || {
            format!("{} is no amount of at most two places: {:?}", COLUMNS[column], &row[column])
        };
        Cents::parse(&row[column]).ok_or_else(what)
    };
    let text = |column: usize| {
        let what =
            || format!("{} is empty, too long or not plain: {:?}", COLUMNS[column], &row[column]);
        if is_plain(&row[column]) { Ok(row[column].to_owned()) } else { Err(what()) }
    };
    let days = row[8].strip_suffix(" day auction").and_then(|days| days.parse::<u8>().ok());
    if days.is_none() {
        return Err(format!("auction_type is not of the form \"3 day auction\": {:?}", &row[8]));
    }
    let bid = FileBid { line, bidder: text(3)?, max_cents: cents(1)? };
    let (auction, item, opening_bid_cents) = (text(0)?, text(7)?, cents(5)?);
    Ok((FileAuction { auction, item, opening_bid_cents, bids: Vec::new() }, bid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const HEAD: &str = "auctionid,bid,bidtime,bidder,bidderrate,openbid,price,item,auction_type\n";
    const ROW: &str = "1,175,2.2,b1,0,99,177.5,Watch,3 day auction\n";

    fn check(text: &str, expected: Result<usize, &str>) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        match (read(file.path()), expected) {
            (Ok(auctions), Ok(count)) => assert_eq!(auctions.len(), count),
            (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
            (read, expected) => panic!("{read:?} instead of {expected:?} for {text:?}"),
        }
    }

    #[test]
    fn a_file_is_read_whole_or_refused_with_its_row() {
        check(&format!("{HEAD}{ROW}{ROW}"), Ok(1));
        check(&format!("{HEAD}{}", ROW.trim_end()), Ok(1));
        check("", Err("is empty"));
        check(HEAD, Err("holds no bids"));
        check(&format!("a,b\n{ROW}"), Err("row 1: the columns are not"));
        check(&format!("{HEAD}{ROW}1,175,2.2,b1"), Err("row 3: 4 fields instead of 9"));
        check(&format!("{HEAD}{ROW}{}", &ROW[..ROW.len() - 4]), Err("row 3: auction_type"));
        check(&format!("{HEAD}{}", ROW.replace("175", "1x")), Err("row 2: bid is no amount"));
        check(&format!("{HEAD}{}", ROW.replace("b1", "")), Err("row 2: bidder is empty"));
    }

    #[test]
    fn a_missing_file_is_named() {
        assert!(read(Path::new("no/such/file.csv")).unwrap_err().contains("no/such/file.csv"));
    }
}
