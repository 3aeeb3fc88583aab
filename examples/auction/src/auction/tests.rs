//! The rules of proxy bidding, each as given / when / then.

use super::*;
use kronika_testkit::{Given, given};

fn cents(cents: u64) -> Cents {
    Cents::try_from(cents).expect("amounts of tests are small")
}

fn opened(opening_bid: u64) -> AuctionEvent {
    AuctionEvent::Opened { item: "Leica M3".to_owned(), opening_bid_cents: cents(opening_bid) }
}

fn open(opening_bid: u64) -> Open {
    Open { item: "Leica M3".to_owned(), opening_bid_cents: cents(opening_bid) }
}

fn bid(bidder: &str, max: u64) -> PlaceBid {
    PlaceBid { bidder: bidder.to_owned(), max_cents: cents(max) }
}

/// An auction opened at 1.00 to which these bids were made, all of them accepted.
fn bidden(bids: &[(&str, u64)]) -> Given<Auction> {
    let mut auction = Auction::default();
    let mut events = vec![opened(100)];
    auction.apply(&events[0]);
    for (bidder, max) in bids {
        let (kind, price_cents) = auction.outcome(&bid(bidder, *max)).expect("it is high enough");
        events.push(placed(&auction, bidder, *max, kind, price_cents.get()));
        auction.apply(&events[events.len() - 1]);
    }
    given(events)
}

/// The event of a bid in an auction that stands like this.
fn placed(before: &Auction, bidder: &str, max: u64, kind: BidKind, price: u64) -> AuctionEvent {
    let leader = match (kind, &before.leader) {
        (BidKind::OutbidAtOnce, Some(leader)) => leader.clone(),
        _ => bidder.to_owned(),
    };
    AuctionEvent::BidPlaced(Bid {
        bidder: bidder.to_owned(),
        max_cents: cents(max),
        kind,
        leader,
        price_cents: cents(price),
        item: before.item.clone(),
        previous_leader: before.leader.clone(),
        previous_price_cents: before.price_cents,
    })
}

/// The next bid leads to this kind of event, and this price.
#[track_caller]
fn check(bids: &[(&str, u64)], (bidder, max): (&str, u64), kind: BidKind, price: u64) {
    let mut expected = Vec::new();
    let auction = bidden(bids)
        .then_state(|before| expected.push(placed(before, bidder, max, kind, price)))
        .when(bid(bidder, max));
    let leading = kind != BidKind::OutbidAtOnce;
    let auction =
        auction.then_events(expected).then_reply(Standing { leading, price_cents: cents(price) });
    auction.then_state(|after| {
        assert_eq!(after.price_cents, cents(price));
        assert_eq!(after.leader.as_deref() == Some(bidder), leading);
    });
}

/// The next bid is refused, and changes nothing.
#[track_caller]
fn refuse(bids: &[(&str, u64)], (bidder, max): (&str, u64), refused: Refused) {
    let (mut before, mut after) = (String::new(), String::new());
    let state = |auction: &Auction| serde_json::to_string(auction).expect("a state is plain");
    bidden(bids)
        .then_state(|auction| before = state(auction))
        .when(bid(bidder, max))
        .then_rejection(refused)
        .then_state(|auction| after = state(auction));
    assert_eq!(before, after);
}

#[test]
fn a_first_bid_leads_at_the_opening_bid() {
    check(&[], ("ada", 100), BidKind::First, 100);
    check(&[], ("ada", 5_000), BidKind::First, 100);
    refuse(&[], ("ada", 99), Refused::BelowOpening { opening_bid_cents: cents(100) });
}

#[test]
fn the_leader_raises_the_maximum_and_not_the_price() {
    check(&[("ada", 500)], ("ada", 501), BidKind::OwnRaise, 100);
    check(&[("ada", 500), ("bob", 300)], ("ada", 900), BidKind::OwnRaise, 325);
    refuse(&[("ada", 500)], ("ada", 500), Refused::OwnNotHigher { max_cents: cents(500) });
    refuse(&[("ada", 500)], ("ada", 200), Refused::OwnNotHigher { max_cents: cents(500) });
    bidden(&[("ada", 500)])
        .when(bid("ada", 900))
        .then_state(|auction| assert_eq!(auction.max_cents, cents(900)));
}

#[test]
fn a_bid_is_at_least_one_increment_above_the_price() {
    refuse(&[("ada", 500)], ("bob", 124), Refused::TooLow { minimum_cents: cents(125) });
    check(&[("ada", 500)], ("bob", 125), BidKind::OutbidAtOnce, 150);
    refuse(
        &[("ada", 500), ("bob", 475)],
        ("eve", 500),
        Refused::TooLow { minimum_cents: cents(550) },
    );
}

#[test]
fn a_bid_up_to_the_leaders_maximum_is_outbid_at_once() {
    check(&[("ada", 500)], ("bob", 300), BidKind::OutbidAtOnce, 325);
    // One increment above the bid would be beyond the maximum.
    check(&[("ada", 500)], ("bob", 490), BidKind::OutbidAtOnce, 500);
}

#[test]
fn a_tie_stays_with_the_earlier_bidder() {
    check(&[("ada", 500)], ("bob", 500), BidKind::OutbidAtOnce, 500);
    refuse(
        &[("ada", 500), ("bob", 500)],
        ("eve", 500),
        Refused::TooLow { minimum_cents: cents(550) },
    );
}

#[test]
fn a_bid_above_the_leaders_maximum_leads_one_increment_above_it() {
    check(&[("ada", 500)], ("bob", 5_000), BidKind::NewLeader, 550);
    // The new leader pays no more than was bid.
    check(&[("ada", 500)], ("bob", 501), BidKind::NewLeader, 501);
    check(&[("ada", 500), ("bob", 900)], ("ada", 1_000), BidKind::NewLeader, 950);
}

#[test]
fn nothing_is_higher_than_the_greatest_amount() {
    let most = Cents::MAX;
    check(&[("ada", most)], ("bob", most), BidKind::OutbidAtOnce, most);
    refuse(&[("ada", most), ("bob", most)], ("eve", most), Refused::AtLimit);
    refuse(&[("ada", most)], ("ada", most), Refused::OwnNotHigher { max_cents: cents(most) });
}

#[test]
fn an_auction_that_costs_nothing_yet_can_be_bidden_in() {
    given::<Auction>([opened(0)])
        .when(bid("ada", 0))
        .then_reply(Standing { leading: true, price_cents: cents(0) })
        .when(bid("bob", 4))
        .then_rejection(Refused::TooLow { minimum_cents: cents(5) })
        .when(bid("bob", 5))
        .then_reply(Standing { leading: true, price_cents: cents(5) });
}

#[test]
fn an_auction_is_opened_once() {
    given::<Auction>([])
        .when(open(100))
        .then_events([opened(100)])
        .then_reply(())
        .when(open(100))
        .then_rejection(Refused::AlreadyOpen);
    given::<Auction>([opened(100), AuctionEvent::Closed {}])
        .when(open(200))
        .then_rejection(Refused::AlreadyOpen);
}

#[test]
fn bids_are_made_from_the_opening_to_the_close() {
    given::<Auction>([]).when(bid("ada", 500)).then_rejection(Refused::NotOpen);
    bidden(&[("ada", 500)])
        .when(Close {})
        .then_events([AuctionEvent::Closed {}])
        .when(bid("bob", 900))
        .then_rejection(Refused::NotOpen)
        .when(bid("ada", 900))
        .then_rejection(Refused::NotOpen);
}

#[test]
fn an_auction_is_closed_once() {
    given::<Auction>([]).when(Close {}).then_rejection(Refused::NotOpen);
    given::<Auction>([opened(100), AuctionEvent::Closed {}])
        .when(Close {})
        .then_rejection(Refused::NotOpen);
}
