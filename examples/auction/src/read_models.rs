//! What is asked about auctions: three tables, and one that counts bids by kind.

use crate::{
    auction::{Auction, AuctionEvent, BidKind},
    money::Cents,
};
use kronika::{About, Folded, Key, On, Projection, Row};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One row for each auction.
pub struct Auctions;

#[derive(Key, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuctionKey {
    auction: String,
}

#[derive(Row, Serialize, Deserialize, JsonSchema, Debug, PartialEq)]
pub struct AuctionRow {
    pub item: String,
    pub opening_bid_cents: Cents,
    pub price_cents: Option<Cents>,
    pub leader: Option<String>,
    pub max_cents: Option<Cents>,
    pub bids: u64,
    pub open: bool,
}

impl Projection for Auctions {
    const NAME: &'static str = "auctions";
    type Key = AuctionKey;
    type Row = AuctionRow;
    type Follows = (Auction,);
}

impl On<Auction> for Auctions {
    fn keys(&self, _: &AuctionEvent, about: &About<'_>) -> impl IntoIterator<Item = AuctionKey> {
        [AuctionKey { auction: about.id().to_owned() }]
    }

    fn on(
        &self,
        row: &mut Option<AuctionRow>,
        _: &AuctionKey,
        event: &AuctionEvent,
        _: &About<'_>,
    ) -> Folded {
        if let AuctionEvent::Opened { item, opening_bid_cents } = event {
            *row = Some(AuctionRow {
                item: item.clone(),
                opening_bid_cents: *opening_bid_cents,
                price_cents: None,
                leader: None,
                max_cents: None,
                bids: 0,
                open: true,
            });
            return Ok(());
        }
        let row = row.as_mut().ok_or("the auction was never opened")?;
        match event {
            AuctionEvent::Opened { .. } => unreachable!("handled above"),
            AuctionEvent::BidPlaced(bid) => {
                if bid.kind != BidKind::OutbidAtOnce {
                    row.leader = Some(bid.leader.clone());
                    row.max_cents = Some(bid.max_cents);
                }
                row.price_cents = Some(bid.price_cents);
                row.bids += 1;
            }
            AuctionEvent::Closed {} => row.open = false,
        }
        Ok(())
    }
}

/// One row for each bidder; a new leader touches two.
pub struct Bidders;

#[derive(Key, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BidderKey {
    bidder: String,
}

#[derive(Row, Serialize, Deserialize, JsonSchema, Debug, PartialEq, Default)]
pub struct BidderRow {
    pub auctions_led: u64,
    pub bids: u64,
    /// To be paid if all auctions closed now.
    pub due_cents: u64,
}

impl Projection for Bidders {
    const NAME: &'static str = "bidders";
    type Key = BidderKey;
    type Row = BidderRow;
    type Follows = (Auction,);
}

impl On<Auction> for Bidders {
    fn keys(&self, event: &AuctionEvent, _: &About<'_>) -> impl IntoIterator<Item = BidderKey> {
        let AuctionEvent::BidPlaced(bid) = event else { return Vec::new() };
        let mut bidders = vec![&bid.bidder, &bid.leader];
        bidders.extend(&bid.previous_leader);
        bidders.sort();
        bidders.dedup();
        bidders.into_iter().map(|bidder| BidderKey { bidder: bidder.clone() }).collect()
    }

    fn on(
        &self,
        row: &mut Option<BidderRow>,
        key: &BidderKey,
        event: &AuctionEvent,
        _: &About<'_>,
    ) -> Folded {
        let AuctionEvent::BidPlaced(bid) = event else { return Ok(()) };
        let row = row.get_or_insert_default();
        row.bids += u64::from(bid.bidder == key.bidder);
        if bid.previous_leader.as_ref() == Some(&key.bidder) {
            row.auctions_led -= 1;
            row.due_cents -= bid.previous_price_cents.get();
        }
        if bid.leader == key.bidder {
            row.auctions_led += 1;
            row.due_cents += bid.price_cents.get();
        }
        Ok(())
    }
}

/// One row for each kind of item.
pub struct Items;

#[derive(Key, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ItemKey {
    item: String,
}

#[derive(Row, Serialize, Deserialize, JsonSchema, Debug, PartialEq, Default)]
pub struct ItemRow {
    pub auctions: u64,
    pub auctions_with_bids: u64,
    pub bids: u64,
    pub price_sum_cents: u64,
    pub highest_price_cents: u64,
}

impl Projection for Items {
    const NAME: &'static str = "items";
    type Key = ItemKey;
    type Row = ItemRow;
    type Follows = (Auction,);
}

impl On<Auction> for Items {
    fn keys(&self, event: &AuctionEvent, _: &About<'_>) -> impl IntoIterator<Item = ItemKey> {
        match event {
            AuctionEvent::Opened { item, .. } => Some(ItemKey { item: item.clone() }),
            AuctionEvent::BidPlaced(bid) => Some(ItemKey { item: bid.item.clone() }),
            AuctionEvent::Closed {} => None,
        }
    }

    fn on(
        &self,
        row: &mut Option<ItemRow>,
        _: &ItemKey,
        event: &AuctionEvent,
        _: &About<'_>,
    ) -> Folded {
        let row = row.get_or_insert_default();
        match event {
            AuctionEvent::Opened { .. } => row.auctions += 1,
            AuctionEvent::BidPlaced(bid) => {
                row.bids += 1;
                row.auctions_with_bids += u64::from(bid.kind == BidKind::First);
                row.price_sum_cents += bid.price_cents.get() - bid.previous_price_cents.get();
                row.highest_price_cents = row.highest_price_cents.max(bid.price_cents.get());
            }
            AuctionEvent::Closed {} => {}
        }
        Ok(())
    }
}

/// How many bids of each kind were accepted.
pub struct BidKinds;

#[derive(Key, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BidKindKey {
    kind: String,
}

#[derive(Row, Serialize, Deserialize, JsonSchema, Debug, PartialEq, Default)]
pub struct BidKindRow {
    pub bids: u64,
}

impl Projection for BidKinds {
    const NAME: &'static str = "bid_kinds";
    type Key = BidKindKey;
    type Row = BidKindRow;
    type Follows = (Auction,);
}

impl On<Auction> for BidKinds {
    fn keys(&self, event: &AuctionEvent, _: &About<'_>) -> impl IntoIterator<Item = BidKindKey> {
        let AuctionEvent::BidPlaced(bid) = event else { return None };
        let kind = match bid.kind {
            BidKind::First => "first",
            BidKind::NewLeader => "new_leader",
            BidKind::OutbidAtOnce => "outbid_at_once",
            BidKind::OwnRaise => "own_raise",
        };
        Some(BidKindKey { kind: kind.to_owned() })
    }

    fn on(
        &self,
        row: &mut Option<BidKindRow>,
        _: &BidKindKey,
        _: &AuctionEvent,
        _: &About<'_>,
    ) -> Folded {
        row.get_or_insert_default().bids += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
