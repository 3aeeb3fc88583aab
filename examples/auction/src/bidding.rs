//! eBay's proxy bidding: a bidder names a maximum; the price stays as low as the second highest maximum
//! allows. What a bid comes to, and why it may be refused.

use crate::{
    auction::{Auction, PlaceBid},
    money::Cents,
};
use kronika::{Rejection, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An accepted bid, and what it changed.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
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

#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum BidKind {
    First,
    NewLeader,
    OutbidAtOnce,
    OwnRaise,
}

impl Bid {
    /// Where it leaves the bidder.
    pub fn standing(&self) -> Standing {
        let leading = self.kind != BidKind::OutbidAtOnce;
        Standing { leading, price_cents: self.price_cents }
    }
}

/// Where a bid leaves the bidder.
#[derive(Serialize, Deserialize, JsonSchema, Debug, PartialEq)]
pub struct Standing {
    pub leading: bool,
    pub price_cents: Cents,
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

impl Auction {
    /// What a bid comes to.
    pub(crate) fn place(&self, bid: &PlaceBid) -> Result<Bid, Refused> {
        let (kind, price_cents) = self.outcome(bid)?;
        let stays = self.leader.as_ref().filter(|_| kind == BidKind::OutbidAtOnce);
        Ok(Bid {
            bidder: bid.bidder.clone(),
            max_cents: bid.max_cents,
            kind,
            leader: stays.unwrap_or(&bid.bidder).clone(),
            price_cents,
            item: self.item.clone(),
            previous_leader: self.leader.clone(),
            previous_price_cents: self.price_cents,
        })
    }

    /// Takes over what an accepted bid changed.
    pub(crate) fn accept(&mut self, bid: &Bid) {
        if bid.kind != BidKind::OutbidAtOnce {
            self.leader = Some(bid.leader.clone());
            self.max_cents = bid.max_cents;
        }
        self.price_cents = bid.price_cents;
    }

    /// The five rules.
    pub(crate) fn outcome(&self, bid: &PlaceBid) -> Result<(BidKind, Cents), Refused> {
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
