//! The auction: eBay's proxy bidding. A bidder names a maximum; the price stays as low as the second
//! highest maximum allows.

use crate::{money::Cents, names::plain};
use kronika::{Aggregate, Command, Context, Event, Handle, Outcome, Rejection, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

// lines: begin auction
#[derive(Default, Serialize, Deserialize)]
pub struct Auction {
    item: String,
    opening_bid_cents: Cents,
    price_cents: Cents,
    leader: Option<String>,
    max_cents: Cents,
    closed: bool,
}

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub enum AuctionEvent {
    Opened { item: String, opening_bid_cents: Cents },
    BidPlaced(Bid),
    Closed {},
}

/// An accepted bid, and what it changed.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Bid {
    pub bidder: String,
    pub max_cents: Cents,
    pub kind: BidKind,
    pub leader: String,
    pub price_cents: Cents,
    pub item: String,
    pub previous_leader: Option<String>,
    pub previous_price_cents: Cents,
}

#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum BidKind {
    First,
    NewLeader,
    OutbidAtOnce,
    OwnRaise,
}

#[derive(Rejection, thiserror::Error, Serialize, Deserialize, JsonSchema, Debug, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    #[error("the auction is open already")]
    AlreadyOpen,
    #[error("the auction is not open")]
    NotOpen,
    #[error("below the opening bid of {opening_bid_cents}")]
    BelowOpening { opening_bid_cents: Cents },
    #[error("too low: the next bid is at least {minimum_cents}")]
    TooLow { minimum_cents: Cents },
    #[error("the price can rise no further")]
    AtLimit,
    #[error("not above your own maximum of {max_cents}")]
    OwnNotHigher { max_cents: Cents },
}

impl Aggregate for Auction {
    const TYPE: &'static str = "auction";
    type Id = String;
    type Event = AuctionEvent;

    fn apply(&mut self, event: &AuctionEvent) {
        match event {
            AuctionEvent::Opened { item, opening_bid_cents } => {
                self.item = item.clone();
                self.opening_bid_cents = *opening_bid_cents;
            }
            AuctionEvent::BidPlaced(bid) => {
                if bid.kind != BidKind::OutbidAtOnce {
                    self.leader = Some(bid.leader.clone());
                    self.max_cents = bid.max_cents;
                }
                self.price_cents = bid.price_cents;
            }
            AuctionEvent::Closed {} => self.closed = true,
        }
    }
}

#[derive(Command, Serialize, Deserialize, JsonSchema)]
pub struct Open {
    #[serde(deserialize_with = "plain")]
    pub item: String,
    pub opening_bid_cents: Cents,
}

impl Handle<Open> for Auction {
    type Reply = ();
    type Rejection = Refused;

    fn handle(&self, open: &Open, context: &Context<Self>) -> Outcome<Self, Open> {
        ensure(context.is_new(), Refused::AlreadyOpen)?;
        let Open { item, opening_bid_cents } = open;
        let (item, opening_bid_cents) = (item.clone(), *opening_bid_cents);
        Ok(context.record(AuctionEvent::Opened { item, opening_bid_cents }))
    }
}

#[derive(Command, Serialize, Deserialize, JsonSchema)]
pub struct PlaceBid {
    #[serde(deserialize_with = "plain")]
    pub bidder: String,
    pub max_cents: Cents,
}

/// Where a bid leaves the bidder.
#[derive(Serialize, Deserialize, JsonSchema, Debug, PartialEq)]
pub struct Standing {
    pub leading: bool,
    pub price_cents: Cents,
}

impl Handle<PlaceBid> for Auction {
    type Reply = Standing;
    type Rejection = Refused;

    fn handle(&self, bid: &PlaceBid, context: &Context<Self>) -> Outcome<Self, PlaceBid> {
        ensure(!context.is_new() && !self.closed, Refused::NotOpen)?;
        let (kind, price_cents) = self.place(bid)?;
        let leads = kind != BidKind::OutbidAtOnce;
        let leader = self.leader.as_ref().filter(|_| !leads).unwrap_or(&bid.bidder).clone();
        let placed = AuctionEvent::BidPlaced(Bid {
            bidder: bid.bidder.clone(),
            max_cents: bid.max_cents,
            kind,
            leader,
            price_cents,
            item: self.item.clone(),
            previous_leader: self.leader.clone(),
            previous_price_cents: self.price_cents,
        });
        Ok(context.record(placed).reply(Standing { leading: leads, price_cents }))
    }
}

#[derive(Command, Serialize, Deserialize, JsonSchema)]
pub struct Close {}

impl Handle<Close> for Auction {
    type Reply = ();
    type Rejection = Refused;

    fn handle(&self, _: &Close, context: &Context<Self>) -> Outcome<Self, Close> {
        ensure(!context.is_new() && !self.closed, Refused::NotOpen)?;
        Ok(context.record(AuctionEvent::Closed {}))
    }
}
// lines: end auction

/// The five rules of proxy bidding.
impl Auction {
    fn place(&self, bid: &PlaceBid) -> Result<(BidKind, Cents), Refused> {
        let (price, maximum) = (self.price_cents, self.max_cents);
        let Some(leader) = &self.leader else {
            let opening_bid_cents = self.opening_bid_cents;
            ensure(
                bid.max_cents >= opening_bid_cents,
                Refused::BelowOpening { opening_bid_cents },
            )?;
            return Ok((BidKind::First, opening_bid_cents));
        };
        if *leader == bid.bidder {
            ensure(bid.max_cents > maximum, Refused::OwnNotHigher { max_cents: maximum })?;
            return Ok((BidKind::OwnRaise, price));
        }
        let minimum_cents = price.stepped();
        ensure(minimum_cents.get() <= Cents::MAX, Refused::AtLimit)?;
        ensure(bid.max_cents >= minimum_cents, Refused::TooLow { minimum_cents })?;
        if bid.max_cents <= maximum {
            return Ok((BidKind::OutbidAtOnce, maximum.min(bid.max_cents.stepped())));
        }
        Ok((BidKind::NewLeader, bid.max_cents.min(maximum.stepped())))
    }
}

#[cfg(test)]
mod tests;
