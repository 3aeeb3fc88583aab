//! Replaying a file of bids: a killed replay is simply started again, since each command carries a key
//! from its row.

use crate::{
    auction::{Auction, Open, PlaceBid, Refused},
    bids::{self, FileAuction},
    output,
    progress::Progress,
    service::{READ_MODELS, Running},
};
use kronika::{Aggregates, CommandError, Token};
use serde::Serialize;
use std::{path::Path, sync::Arc, time::Duration};
use tokio::{sync::Semaphore, task::JoinSet};

/// Auctions replayed at a time.
const AUCTIONS_AT_ONCE: usize = 64;
/// How long the read models may take at the end.
const WAIT: Duration = Duration::from_secs(60);

/// What a replay came to.
#[derive(Serialize, Debug)]
pub struct Figures {
    auctions: usize,
    bids: usize,
    accepted: Accepted,
    refused: Refusals,
    events: u64,
    results: Vec<AuctionResult>,
}

#[derive(Serialize, Debug, Default)]
pub struct Accepted {
    pub first: u64,
    pub new_leader: u64,
    pub outbid_at_once: u64,
    pub own_raise: u64,
}

/// Of this run: a replay that is started again refuses what it refused before, perhaps for another reason.
#[derive(Serialize, Debug, Default, Clone, Copy)]
pub struct Refusals {
    too_low: u64,
    own_not_higher: u64,
    below_opening: u64,
}

#[derive(Serialize, Debug)]
pub struct AuctionResult {
    pub auction: String,
    pub winner: Option<String>,
    pub max_cents: Option<u64>,
    pub price_cents: Option<u64>,
}

/// Replays the file into the data directory and prints what came of it.
pub async fn run(file: &Path, data: &Path, json: bool) -> Result<(), String> {
    let auctions = bids::read(file)?;
    let running = Running::start(data).await?;
    let figures = replay(auctions, &running).await;
    running.stop().await?;
    let figures = figures?;
    if !json {
        return output::print(&figures);
    }
    let line = serde_json::to_string(&figures).expect("figures are plain numbers and text");
    output::print(&line)
}

async fn replay(auctions: Vec<FileAuction>, running: &Running) -> Result<Figures, String> {
    let (count, names) = (auctions.len(), names(&auctions));
    let bids = auctions.iter().map(|auction| auction.bids.len()).sum();
    let progress = Arc::new(Progress::new("replaying", (count + bids) as u64, "commands"));
    let (permits, mut tasks) = (Arc::new(Semaphore::new(AUCTIONS_AT_ONCE)), JoinSet::new());
    let commands = running.service.aggregates::<Auction>();
    for auction in auctions {
        let (permits, progress, commands) = (permits.clone(), progress.clone(), commands.clone());
        tasks.spawn(async move {
            let _permit = permits.acquire_owned().await.expect("the semaphore is never closed");
            replay_one(auction, &commands, &progress).await
        });
    }
    let (mut refused, mut token) = (Refusals::default(), running.service.empty_token());
    while let Some(done) = tasks.join_next().await {
        let (refusals, seen) =
            done.map_err(|error| format!("a replaying task ended: {error}"))??;
        refused.too_low += refusals.too_low;
        refused.own_not_higher += refusals.own_not_higher;
        refused.below_opening += refusals.below_opening;
        token.merge(&seen).map_err(|error| error.to_string())?;
    }
    progress.finish();
    running.wait(&READ_MODELS, &token, WAIT).await?;
    let accepted = running.accepted().await?;
    let results = running.results(names).await?;
    let events = running.events().await?;
    Ok(Figures { auctions: count, bids, accepted, refused, events, results })
}

fn names(auctions: &[FileAuction]) -> Vec<String> {
    auctions.iter().map(|auction| auction.auction.clone()).collect()
}

async fn replay_one(
    auction: FileAuction,
    commands: &Aggregates<Auction>,
    progress: &Progress,
) -> Result<(Refusals, Token), String> {
    let FileAuction { auction, item, opening_bid_cents, bids } = auction;
    let stopped = |error: &dyn std::fmt::Display| format!("auction {auction}: {error}");
    let mut refusals = Refusals::default();
    let open = Open { item, opening_bid_cents };
    let opened = commands.send(&auction, open).idempotency_key(format!("open-{auction}"));
    let opened = opened.receipt().await.map_err(|error| stopped(&error))?;
    progress.advance();
    let mut token = opened.token;
    for bid in bids {
        let place = PlaceBid { bidder: bid.bidder, max_cents: bid.max_cents };
        let placed = commands.send(&auction, place).idempotency_key(format!("row-{}", bid.line));
        match placed.receipt().await {
            Ok(receipt) => token.merge(&receipt.token).map_err(|error| stopped(&error))?,
            Err(CommandError::Rejected(refused)) => match refused {
                Refused::TooLow { .. } => refusals.too_low += 1,
                Refused::OwnNotHigher { .. } => refusals.own_not_higher += 1,
                Refused::BelowOpening { .. } => refusals.below_opening += 1,
                other => return Err(format!("auction {auction}, row {}: {other}", bid.line)),
            },
            Err(error) => return Err(format!("auction {auction}, row {}: {error}", bid.line)),
        }
        progress.advance();
    }
    Ok((refusals, token))
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { auctions, bids, accepted, refused, events, results } = self;
        writeln!(f, "{auctions} auctions, {bids} bids, {events} events in the journal")?;
        let Accepted { first, new_leader, outbid_at_once, own_raise } = accepted;
        writeln!(
            f,
            "accepted: {first} first, {new_leader} new leader, {outbid_at_once} outbid at once, {own_raise} own raise"
        )?;
        let Refusals { too_low, own_not_higher, below_opening } = refused;
        writeln!(
            f,
            "refused:  {too_low} too low, {own_not_higher} own not higher, {below_opening} below the opening bid"
        )?;
        let dearest = results.iter().max_by_key(|result| result.price_cents);
        if let Some(AuctionResult {
            auction, winner: Some(winner), price_cents: Some(price), ..
        }) = dearest
        {
            write!(
                f,
                "dearest:  auction {auction}, {}.{:02} by {winner}",
                price / 100,
                price % 100
            )?;
        }
        Ok(())
    }
}
