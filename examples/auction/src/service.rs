//! The parts of the auction house put together: store, aggregate, read models, routes.

use crate::{
    auction::{Auction, Close, Open, PlaceBid},
    check::{AuctionModel, Model},
    queries,
    read_models::{Auctions, BidKinds, Bidders, Items},
    replay::{Accepted, AuctionResult},
};
use axum::Router;
use kronika::{
    Commands, Embedded, Kronika, PartitionId, ProjectionState, Service, SqliteReadModels, Token,
    Waited,
};
use std::{
    collections::HashMap,
    error::Error,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// The projections that a caller may wait for.
pub const READ_MODELS: [&str; 4] = ["auctions", "bidders", "bid_kinds", "items"];

/// The running service and its read models.
#[derive(Clone)]
pub struct Running {
    pub service: Kronika,
    read_models: SqliteReadModels,
    /// Where operators find the service.
    pub admin_socket: PathBuf,
}

impl Running {
    /// Opens the data directory, and starts every part.
    pub async fn start(data: &Path) -> Result<Self, String> {
        let store = Embedded::open(data).map_err(|error| error.to_string())?;
        let read_models = store.sqlite().clone();
        let admin_socket = store.admin_socket().to_owned();
        let service = Kronika::builder()
            .store(store)
            .aggregate(Commands::<Auction>::default().on::<Open>().on::<PlaceBid>().on::<Close>())
            .projection(Auctions)
            .projection(Bidders)
            .projection(Items)
            .projection(BidKinds)
            .start()
            .await
            .map_err(|error| with_causes(&error))?;
        Ok(Self { service, read_models, admin_socket })
    }

    /// The routes: commands and states by the framework, queries by the application.
    pub fn router(&self) -> Result<Router, String> {
        let mut service = Service::new(self.service.clone())
            .title("Auctions", env!("CARGO_PKG_VERSION"))
            .allow_journal();
        for query in queries::queries(&self.read_models) {
            service = service.query(query);
        }
        service.router().map_err(|error| error.to_string())
    }

    /// Answers what was taken, finishes the batches in flight, and ends.
    pub async fn stop(&self) -> Result<(), String> {
        self.service.stop().await;
        Ok(())
    }

    /// Waits until read models have what the token has seen.
    pub async fn wait(
        &self,
        names: &[&str],
        token: &Token,
        within: Duration,
    ) -> Result<(), String> {
        match self.service.projections().wait_for(names, token, within).await {
            Waited::There => Ok(()),
            Waited::Late => Err(format!("the read models are not there after {within:?}")),
            Waited::Failed { projection, error } => {
                Err(format!("projection {projection}: {error}"))
            }
            other => Err(format!("the read models cannot be waited for: {other:?}")),
        }
    }

    /// Events in the journal.
    pub async fn events(&self) -> Result<u64, String> {
        let head = self.service.journal().head(PartitionId::default()).await;
        head.map(|head| head.position.get()).map_err(|error| error.to_string())
    }

    /// Bids by kind, from the read model.
    pub async fn accepted(&self) -> Result<Accepted, String> {
        let rows = self.query("SELECT kind, bids FROM bid_kinds", |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, u64>(1)?))
        });
        let bids: HashMap<_, _> = rows.await?.into_iter().collect();
        let of = |kind: &str| bids.get(kind).copied().unwrap_or_default();
        Ok(Accepted {
            first: of("first"),
            new_leader: of("new_leader"),
            outbid_at_once: of("outbid_at_once"),
            own_raise: of("own_raise"),
        })
    }

    /// How the named auctions stand, in the order of the names, from the read model.
    pub async fn results(&self, auctions: Vec<String>) -> Result<Vec<AuctionResult>, String> {
        let sql = "SELECT auction, leader, max_cents, price_cents FROM auctions";
        let rows = self.query(sql, |row| {
            let auction: String = row.get(0)?;
            let (winner, max_cents, price_cents) = (row.get(1)?, row.get(2)?, row.get(3)?);
            Ok((auction.clone(), AuctionResult { auction, winner, max_cents, price_cents }))
        });
        let mut rows: HashMap<_, _> = rows.await?.into_iter().collect();
        let row = |name: &String| {
            rows.remove(name).ok_or_else(|| format!("auction {name} is not in the read model"))
        };
        auctions.iter().map(row).collect()
    }

    /// All read models, as the check's independent fold has them.
    pub async fn model(&self) -> Result<Model, String> {
        let sql = "SELECT auction, item, price_cents, leader, max_cents, bids, open FROM auctions";
        let auctions = self.query(sql, |row| {
            let model = AuctionModel {
                item: row.get(1)?,
                price_cents: row.get(2)?,
                leader: row.get(3)?,
                max_cents: row.get(4)?,
                bids: row.get(5)?,
                open: row.get(6)?,
            };
            Ok((row.get(0)?, model))
        });
        let triple = |row: &kronika::rusqlite::Row<'_>| {
            Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?)))
        };
        let bidders = "SELECT bidder, auctions_led, bids, due_cents FROM bidders";
        let items = "SELECT item, auctions, bids, highest_price_cents FROM items";
        Ok(Model {
            auctions: auctions.await?.into_iter().collect(),
            bidders: self.query(bidders, triple).await?.into_iter().collect(),
            items: self.query(items, triple).await?.into_iter().collect(),
        })
    }

    async fn query<T: Send + 'static>(
        &self,
        sql: &'static str,
        row: impl FnMut(&kronika::rusqlite::Row<'_>) -> kronika::rusqlite::Result<T> + Send + 'static,
    ) -> Result<Vec<T>, String> {
        let query = move |connection: &kronika::rusqlite::Connection| {
            connection.prepare(sql)?.query_map([], row)?.collect::<Result<Vec<_>, _>>()
        };
        self.read_models.query(query).await.map_err(|error| error.to_string())
    }

    /// Commands a second, events, residents and lag, in one line.
    pub async fn live_line(&self, before: &mut u64, at: &mut Instant) -> String {
        let stats = self.service.aggregates::<Auction>().stats();
        let seconds = at.elapsed().as_secs_f64().max(0.001);
        let rate = (stats.commands - *before) as f64 / seconds;
        (*before, *at) = (stats.commands, Instant::now());
        let events = self.events().await.unwrap_or_default();
        let status = self.service.projections().status();
        let lag = status.iter().map(|it| it.lag_events).max().unwrap_or_default();
        let failed = status.iter().filter(|it| it.state == ProjectionState::Failed);
        let failed: Vec<_> = failed.map(|it| it.name.as_str()).collect();
        let failed = match &failed[..] {
            [] => String::new(),
            names => format!(" | FAILED: {}", names.join(", ")),
        };
        format!(
            "{rate:.0} commands/s | {events} events | {} residents | lag {lag} events{failed}",
            stats.residents
        )
    }
}

/// An error and what caused it, in one line.
fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}
