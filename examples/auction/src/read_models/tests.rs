//! The read models, each as events given and rows expected.

use super::*;
use crate::auction::Bid;
use kronika_testkit::{Projected, projected};

fn cents(cents: u64) -> Cents {
    Cents::try_from(cents).expect("amounts of tests are small")
}

fn opened(item: &str) -> AuctionEvent {
    AuctionEvent::Opened { item: item.to_owned(), opening_bid_cents: cents(100) }
}

fn placed(kind: BidKind, bidder: &str, max: u64, (leader, price): (&str, u64)) -> Bid {
    Bid {
        bidder: bidder.to_owned(),
        max_cents: cents(max),
        kind,
        leader: leader.to_owned(),
        price_cents: cents(price),
        item: "Xbox".to_owned(),
        previous_leader: None,
        previous_price_cents: cents(0),
    }
}

/// Ada leads at 1.00, Bob is outbid at once, Ada raises her maximum, Bob takes the lead; Eve's auction is
/// another one of the same item, and closed without a bid.
fn told<P: Projection + On<Auction>>(projection: P) -> Projected<P> {
    let bids = [
        placed(BidKind::First, "ada", 500, ("ada", 100)),
        placed(BidKind::OutbidAtOnce, "bob", 300, ("ada", 325)),
        placed(BidKind::OwnRaise, "ada", 600, ("ada", 325)),
        placed(BidKind::NewLeader, "bob", 900, ("bob", 650)),
    ];
    let mut told = projected(projection)
        .event::<Auction>("a1", opened("Xbox"))
        .event::<Auction>("a2", opened("Xbox"));
    let mut before: Option<Bid> = None;
    for bid in bids {
        let previous_leader = before.as_ref().map(|before| before.leader.clone());
        let previous_price_cents = before.map_or(cents(0), |before| before.price_cents);
        let bid = Bid { previous_leader, previous_price_cents, ..bid };
        told = told.event::<Auction>("a1", AuctionEvent::BidPlaced(bid.clone()));
        before = Some(bid);
    }
    told.event::<Auction>("a2", AuctionEvent::Closed {})
}

#[test]
fn an_auction_has_a_row_that_says_how_it_stands() {
    let key = |auction: &str| AuctionKey { auction: auction.to_owned() };
    let row = AuctionRow {
        item: "Xbox".to_owned(),
        opening_bid_cents: cents(100),
        price_cents: None,
        leader: None,
        max_cents: None,
        bids: 0,
        open: false,
    };
    let bidden = AuctionRow {
        item: "Xbox".to_owned(),
        opening_bid_cents: cents(100),
        price_cents: Some(cents(650)),
        leader: Some("bob".to_owned()),
        max_cents: Some(cents(900)),
        bids: 4,
        open: true,
    };
    told(Auctions).then_rows([(key("a1"), bidden), (key("a2"), row)]).then_parked([]);
}

#[test]
fn a_bidder_who_is_no_longer_leading_owes_nothing() {
    let key = |bidder: &str| BidderKey { bidder: bidder.to_owned() };
    let ada = BidderRow { auctions_led: 0, bids: 2, due_cents: 0 };
    let bob = BidderRow { auctions_led: 1, bids: 2, due_cents: 650 };
    told(Bidders).then_rows([(key("ada"), ada), (key("bob"), bob)]).then_parked([]);
}

#[test]
fn an_item_counts_what_its_auctions_came_to() {
    let key = ItemKey { item: "Xbox".to_owned() };
    let row = ItemRow {
        auctions: 2,
        auctions_with_bids: 1,
        bids: 4,
        price_sum_cents: 650,
        highest_price_cents: 650,
    };
    told(Items).then_rows([(key, row)]).then_parked([]);
}

#[test]
fn bids_are_counted_by_their_kind() {
    let kinds = ["first", "new_leader", "outbid_at_once", "own_raise"];
    let rows = kinds.map(|kind| (BidKindKey { kind: kind.to_owned() }, BidKindRow { bids: 1 }));
    told(BidKinds).then_rows(rows).then_parked([]);
}

#[test]
fn a_bid_before_its_auction_stops_that_auction_and_no_other() {
    let bid = AuctionEvent::BidPlaced(placed(BidKind::First, "ada", 500, ("ada", 100)));
    projected(Auctions)
        .event::<Auction>("lost", bid)
        .event::<Auction>("a2", opened("Xbox"))
        .then_parked([AuctionKey { auction: "lost".to_owned() }]);
}
