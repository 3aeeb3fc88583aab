//! Bidding at random, for the load and for a service that should look alive.

use crate::{
    auction::{Auction, Open, PlaceBid},
    money::Cents,
};
use kronika::{Aggregates, CommandError, Token};

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
}

impl Traffic {
    pub fn new(commands: Aggregates<Auction>, name: String, auctions: u32, seed: u64) -> Self {
        Self { commands, random: fastrand::Rng::with_seed(seed), name, auctions }
    }

    /// The same auctions, bid in by another caller.
    pub fn for_caller(&self, seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), ..self.clone() }
    }

    /// Opens an auction by its number; one that is open already is as good.
    pub async fn open(&self, number: u32) -> Result<Came, String> {
        let item = ITEMS[number as usize % ITEMS.len()].to_owned();
        let open = Open { item, opening_bid_cents: cents(u64::from(number % 50) * 100 + 99) };
        came(self.commands.send(&self.auction(number), open).receipt().await)
    }

    /// A bid in any auction.
    pub async fn bid(&mut self) -> Result<Came, String> {
        let number = self.random.u32(..self.auctions);
        let auction = self.auction(number);
        let bidder = format!("bidder-{}", self.random.u32(..self.auctions.max(10)));
        let max_cents = cents(self.random.u64(100..5_000_000));
        came(self.commands.send(&auction, PlaceBid { bidder, max_cents }).receipt().await)
    }

    fn auction(&self, number: u32) -> String {
        format!("{}-{number}", self.name)
    }
}

fn cents(cents: u64) -> Cents {
    Cents::try_from(cents).expect("simulated amounts are small")
}

fn came<R, E>(answer: Result<kronika::Receipt<R>, CommandError<E>>) -> Result<Came, String>
where
    CommandError<E>: std::fmt::Display,
{
    match answer {
        Ok(receipt) => Ok(Came::Accepted(receipt.token)),
        Err(CommandError::Rejected(_)) => Ok(Came::Refused),
        Err(error) => Err(error.to_string()),
    }
}
