//! The auction: its state, its events, and what it does with each command. The rules of bidding stand in
//! `bidding.rs`.

pub use crate::bidding::{Bid, BidKind, Refused, Standing};
use crate::{money::Cents, names::plain};
use kronika::{Aggregate, Command, Context, Event, Handle, Outcome, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

// lines: begin auction
#[derive(Default, Serialize, Deserialize, JsonSchema)]
pub struct Auction {
    pub(crate) item: String,
    pub(crate) opening_bid_cents: Cents,
    pub(crate) price_cents: Cents,
    pub(crate) leader: Option<String>,
    pub(crate) max_cents: Cents,
    closed: bool,
}

#[derive(Event, Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub enum AuctionEvent {
    Opened { item: String, opening_bid_cents: Cents },
    BidPlaced(Bid),
    Closed {},
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
            AuctionEvent::BidPlaced(bid) => self.accept(bid),
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

impl Handle<PlaceBid> for Auction {
    type Reply = Standing;
    type Rejection = Refused;

    fn handle(&self, bid: &PlaceBid, context: &Context<Self>) -> Outcome<Self, PlaceBid> {
        ensure(!context.is_new() && !self.closed, Refused::NotOpen)?;
        let bid = self.place(bid)?;
        let standing = bid.standing();
        Ok(context.record(AuctionEvent::BidPlaced(bid)).reply(standing))
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

#[cfg(test)]
mod tests;
