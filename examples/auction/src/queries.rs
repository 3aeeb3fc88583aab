//! What can be asked over HTTP, answered by SQL from the read models.

use axum::{
    Json,
    extract::{Path, Query as Parameters},
    http::StatusCode,
};
use kronika::{Problem, ProblemKind, Query, QueryError, SqliteReadModels};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// All queries, each waiting for the read models that it is answered from.
pub fn queries(read_models: &SqliteReadModels) -> Vec<Query> {
    let (for_auctions, for_bidders) = (read_models.clone(), read_models.clone());
    let for_items = read_models.clone();
    vec![
        Query::get("/auctions", move |parameters| auctions(for_auctions.clone(), parameters))
            .waits_for(["auctions"])
            .live()
            .summary("Auctions: filtered, ordered, in pages")
            .parameter::<Option<String>>("item", "Only of this item")
            .parameter::<Option<bool>>("open", "Only open ones, or only closed ones")
            .parameter::<Option<String>>("leader", "Only those that this bidder leads")
            .parameter::<Option<String>>(
                "order",
                "auction, price_cents or bids; with a minus sign in front the greatest first",
            )
            .parameter::<Option<u32>>("limit", "Rows of a page, 1 to 1,000; 100 without it")
            .parameter::<Option<String>>("after", "What the last page said is next")
            .answers::<AuctionsPage>(),
        Query::get("/bidders/{id}", move |id| bidder(for_bidders.clone(), id))
            .waits_for(["bidders"])
            .key(["id"])
            .live()
            .summary("A bidder: auctions led, bids placed, amount due if all closed now")
            .answers::<BidderView>(),
        Query::get("/items", move || items(for_items.clone()))
            .waits_for(["items"])
            .live()
            .summary("Items: auctions, bids, mean and highest price")
            .answers::<ItemsPage>(),
    ]
}

#[derive(Deserialize)]
struct AuctionsParameters {
    item: Option<String>,
    open: Option<bool>,
    leader: Option<String>,
    order: Option<String>,
    limit: Option<u32>,
    after: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct AuctionsPage {
    auctions: Vec<AuctionView>,
    next: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct AuctionView {
    auction: String,
    item: String,
    opening_bid_cents: u64,
    price_cents: Option<u64>,
    leader: Option<String>,
    max_cents: Option<u64>,
    bids: u64,
    open: bool,
}

const PAGE: u32 = 100;
const PAGE_MAX: u32 = 1_000;

async fn auctions(
    read_models: SqliteReadModels,
    Parameters(parameters): Parameters<AuctionsParameters>,
) -> Result<Json<AuctionsPage>, Problem> {
    let AuctionsParameters { item, open, leader, order, limit, after } = parameters;
    let order = order.as_deref().unwrap_or("auction");
    let (column, descends) = match order.strip_prefix('-') {
        Some(column) => (column, true),
        None => (order, false),
    };
    // Chosen from this list, never taken from the request.
    let column = match column {
        "auction" => "0",
        "price_cents" => "coalesce(price_cents, -1)",
        "bids" => "bids",
        _ => {
            return Err(bad_parameter(
                "order",
                "auction, price_cents or bids, or one of them after a minus sign",
            ));
        }
    };
    let limit = match limit {
        Some(0) => return Err(bad_parameter("limit", "a number from 1")),
        limit => limit.unwrap_or(PAGE).min(PAGE_MAX),
    };
    let after = after.map(|after| cursor(&after)).transpose()?;
    let by_name = column == "0";
    let (sorted, beyond) = match (by_name, descends) {
        (true, true) => ("auction DESC", "auction < ?5"),
        (_, false) => ("value, auction", "(value, auction) > (?4, ?5)"),
        (false, true) => ("value DESC, auction", "(value < ?4 OR (value = ?4 AND auction > ?5))"),
    };
    let sql = format!(
        "SELECT *, {column} AS value FROM auctions
         WHERE (?1 IS NULL OR item = ?1) AND (?2 IS NULL OR open = ?2) AND (?3 IS NULL OR leader = ?3)
           AND (?5 IS NULL OR {beyond})
         ORDER BY {sorted} LIMIT ?6"
    );
    let (value, auction) = after.unzip();
    let query = move |connection: &kronika::rusqlite::Connection| {
        let mut statement = connection.prepare_cached(&sql)?;
        let parameters = kronika::rusqlite::params![item, open, leader, value, auction, limit + 1];
        let rows = statement.query_map(parameters, |row| {
            let view = AuctionView {
                auction: row.get("auction")?,
                item: row.get("item")?,
                opening_bid_cents: row.get("opening_bid_cents")?,
                price_cents: row.get("price_cents")?,
                leader: row.get("leader")?,
                max_cents: row.get("max_cents")?,
                bids: row.get("bids")?,
                open: row.get("open")?,
            };
            Ok((row.get::<_, i64>("value")?, view))
        })?;
        rows.collect::<Result<Vec<_>, _>>()
    };
    let mut rows = read_models.query(query).await.map_err(problem)?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|(value, row)| format!("{value}.{}", row.auction));
    Ok(Json(AuctionsPage { auctions: rows.into_iter().map(|(_, row)| row).collect(), next }))
}

fn cursor(after: &str) -> Result<(i64, String), Problem> {
    let parts = after.split_once('.').and_then(|(value, auction)| {
        value.parse::<i64>().ok().map(|value| (value, auction.to_owned()))
    });
    parts.ok_or_else(|| bad_parameter("after", "what an earlier page gave as next"))
}

#[derive(Serialize, JsonSchema)]
struct BidderView {
    bidder: String,
    auctions_led: u64,
    bids: u64,
    due_cents: u64,
}

async fn bidder(
    read_models: SqliteReadModels,
    Path(id): Path<String>,
) -> Result<Json<BidderView>, Problem> {
    let name = id.clone();
    let query = move |connection: &kronika::rusqlite::Connection| {
        let sql = "SELECT bidder, auctions_led, bids, due_cents FROM bidders WHERE bidder = ?1";
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query_map([&name], |row| {
            Ok(BidderView {
                bidder: row.get(0)?,
                auctions_led: row.get(1)?,
                bids: row.get(2)?,
                due_cents: row.get(3)?,
            })
        })?;
        rows.next().transpose()
    };
    let found = read_models.query(query).await.map_err(problem)?;
    found.map(Json).ok_or_else(|| {
        let detail = format!("no bid of bidder {id:?} is known");
        Problem::new(ProblemKind::NotFound, StatusCode::NOT_FOUND, detail)
    })
}

#[derive(Serialize, JsonSchema)]
struct ItemsPage {
    items: Vec<ItemView>,
    next: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct ItemView {
    item: String,
    auctions: u64,
    bids: u64,
    /// Of the auctions with a bid; null where there is none.
    mean_price_cents: Option<f64>,
    highest_price_cents: u64,
}

async fn items(read_models: SqliteReadModels) -> Result<Json<ItemsPage>, Problem> {
    let query = |connection: &kronika::rusqlite::Connection| {
        let sql = "SELECT item, auctions, bids,
                price_sum_cents * 1.0 / nullif(auctions_with_bids, 0), highest_price_cents
            FROM items ORDER BY item LIMIT 1000";
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| {
            Ok(ItemView {
                item: row.get(0)?,
                auctions: row.get(1)?,
                bids: row.get(2)?,
                mean_price_cents: row.get(3)?,
                highest_price_cents: row.get(4)?,
            })
        })?;
        rows.collect::<Result<Vec<_>, _>>()
    };
    let items = read_models.query(query).await.map_err(problem)?;
    Ok(Json(ItemsPage { items, next: None }))
}

fn bad_parameter(name: &str, expected: &str) -> Problem {
    let detail = format!("{name} takes {expected}");
    Problem::new(ProblemKind::BadParameter, StatusCode::BAD_REQUEST, detail).with("parameter", name)
}

fn problem(error: QueryError) -> Problem {
    let (kind, status) = match error {
        QueryError::Overloaded => (ProblemKind::Overloaded, StatusCode::TOO_MANY_REQUESTS),
        _ => (ProblemKind::Unavailable, StatusCode::SERVICE_UNAVAILABLE),
    };
    Problem::new(kind, status, error.to_string()).retry_after(Duration::from_secs(1))
}
