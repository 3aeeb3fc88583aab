//! Bidding at random, for the load and for a service that should look alive.

use crate::{
    auction::{Auction, Open, PlaceBid, Refused},
    money::Cents,
};
use kronika::{Aggregates, CommandError, Receipt, Token};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

const ITEMS: [&str; 5] =
    ["Cartier wristwatch", "Palm Pilot", "Xbox", "Leica M3", "Selmer saxophone"];

/// What came of one random command.
pub enum Came {
    Accepted(Token),
    Refused,
}

/// Sends commands to some auctions, each opened before the first bid.
#[derive(Clone)]
pub struct Traffic {
    commands: Aggregates<Auction>,
    random: fastrand::Rng,
    /// Part of the names of its auctions, so that several runs do not meet.
    name: String,
    auctions: u32,
    /// What a bid in each auction must be at least, as far as any of the callers has been told.
    minimum: Arc<[AtomicU64]>,
}

impl Traffic {
    pub fn new(commands: Aggregates<Auction>, name: String, auctions: u32, seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        let minimum = (0..auctions).map(|_| AtomicU64::new(5_000)).collect();
        Self { commands, random, name, auctions, minimum }
    }

    /// The same auctions, bid in by another caller.
    pub fn for_caller(&self, seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), ..self.clone() }
    }

    /// Opens an auction by its number; one that is open already is as good.
    pub async fn open(&self, number: u32) -> Result<Came, String> {
        let item = ITEMS[number as usize % ITEMS.len()].to_owned();
        let opening_bid_cents = cents(u64::from(number % 50) * 100 + 99);
        let open = Open { item, opening_bid_cents };
        match self.commands.send(&self.auction(number), open).receipt().await {
            Ok(receipt) => Ok(Came::Accepted(receipt.token)),
            Err(CommandError::Rejected(_)) => Ok(Came::Refused),
            Err(error) => Err(error.to_string()),
        }
    }

    /// A bid in any auction, a few steps above what it takes.
    pub async fn bid(&mut self) -> Result<Came, String> {
        let number = self.random.u32(..self.auctions);
        let (auction, bidder) = (self.auction(number), self.random.u32(..self.auctions.max(10)));
        let minimum = cents(self.minimum[number as usize].load(Ordering::Relaxed));
        let steps = cents(minimum.increment().get() * self.random.u64(..6));
        let place = PlaceBid { bidder: format!("bidder-{bidder}"), max_cents: minimum + steps };
        let answer = self.commands.send(&auction, place).receipt().await;
        let (came, learned) = match answer {
            Ok(Receipt { reply, token, .. }) => {
                (Came::Accepted(token), reply.price_cents.stepped())
            }
            Err(CommandError::Rejected(refused)) => {
                let learned = match refused {
                    Refused::TooLow { minimum_cents } => minimum_cents,
                    Refused::OwnNotHigher { max_cents } => max_cents.stepped(),
                    _ => minimum,
                };
                (Came::Refused, learned)
            }
            Err(error) => return Err(error.to_string()),
        };
        self.minimum[number as usize].fetch_max(learned.get(), Ordering::Relaxed);
        Ok(came)
    }

    fn auction(&self, number: u32) -> String {
        format!("{}-{number}", self.name)
    }
}

fn cents(cents: u64) -> Cents {
    Cents::try_from(cents).expect("simulated amounts are small")
}
