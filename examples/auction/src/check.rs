//! An independent fold over the journal, against which the read models are held: it shares no code with
//! the projections.

use serde_json::Value as Json;
use std::collections::BTreeMap;

/// What the three read models must hold, folded from event bodies as plain JSON.
#[derive(Default, PartialEq, Debug)]
pub struct Model {
    /// By auction: item, price, leader, maximum, bids, open.
    pub auctions: BTreeMap<String, AuctionModel>,
    /// By bidder: auctions led, bids, amount due.
    pub bidders: BTreeMap<String, (u64, u64, u64)>,
    /// By item: auctions, bids, highest price.
    pub items: BTreeMap<String, (u64, u64, u64)>,
}

#[derive(Default, PartialEq, Debug)]
pub struct AuctionModel {
    pub item: String,
    pub price_cents: Option<u64>,
    pub leader: Option<String>,
    pub max_cents: Option<u64>,
    pub bids: u64,
    pub open: bool,
}

impl Model {
    /// One more event, by the name of its auction, its own name and its body.
    pub fn fold(&mut self, auction: &str, name: &str, body: &[u8]) -> Result<(), String> {
        let body: Json = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
        let number = |field: &str| body[field].as_u64().unwrap_or_default();
        match name {
            "opened" => {
                let item = text("item");
                self.items.entry(item.clone()).or_default().0 += 1;
                let opened = AuctionModel { item, open: true, ..AuctionModel::default() };
                self.auctions.insert(auction.to_owned(), opened);
            }
            "bid-placed" => {
                let state = self.auctions.get_mut(auction).ok_or("a bid before its auction")?;
                let (bidder, leader) = (text("bidder"), text("leader"));
                let price = number("price_cents");
                state.bids += 1;
                self.bidders.entry(bidder).or_default().1 += 1;
                if let Some(before) = &state.leader {
                    let row = self.bidders.entry(before.clone()).or_default();
                    (row.0, row.2) = (row.0 - 1, row.2 - state.price_cents.unwrap_or_default());
                }
                let row = self.bidders.entry(leader.clone()).or_default();
                (row.0, row.2) = (row.0 + 1, row.2 + price);
                if body["kind"] != "outbid_at_once" {
                    state.max_cents = Some(number("max_cents"));
                }
                (state.leader, state.price_cents) = (Some(leader), Some(price));
                let item = self.items.entry(state.item.clone()).or_default();
                (item.1, item.2) = (item.1 + 1, item.2.max(price));
            }
            "closed" => {
                self.auctions.get_mut(auction).ok_or("a close before its auction")?.open = false;
            }
            other => return Err(format!("an event named {other} is not known")),
        }
        Ok(())
    }
}
