//! Waiting by token until read models have what a caller has seen.

use super::{Projections, status::ProjectionStatus};
use kronika_core::{KeyText, Mark, Order, Token};
use std::time::Duration;
use tokio::{sync::watch, time::timeout};

/// What came of waiting for read models.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Waited {
    /// All of them have it.
    There,
    /// Not in time.
    Late,
    /// The key's row waits for an operator: an event of it could not be handled.
    Parked {
        /// The projection.
        projection: String,
        /// The key.
        key: String,
    },
    /// The token, or a read model, is of another history of the journal.
    Diverged,
    /// A projection does not go on, or it cannot be told whether the token is of this history.
    Failed {
        /// Its name.
        projection: String,
        /// Why, in one line.
        error: String,
    },
    /// No projection of this name is registered.
    NotFound {
        /// The name.
        projection: String,
    },
}

impl Projections {
    /// Waits until the named projections have what the token has seen; all that keep a read model where none is
    /// named, so not for effects.
    /// A token beyond the journal's head is waited for like any other.
    pub async fn wait_for(&self, names: &[&str], token: &Token, within: Duration) -> Waited {
        if token.incarnation() != self.journal.incarnation() {
            return Waited::Diverged;
        }
        let all: Vec<&str>;
        let names = match names {
            [] => {
                all = self.names().filter(|name| self.keeps_read_model(name)).collect();
                &all
            }
            names => names,
        };
        let there = async {
            for name in names {
                match self.named.get(*name) {
                    Some(named) => {
                        self.wait_for_one(name, named.shown.subscribe(), token).await?;
                    }
                    None => Err(Waited::NotFound { projection: (*name).to_owned() })?,
                }
            }
            Ok(())
        };
        match timeout(within, there).await {
            Err(_) => Waited::Late,
            Ok(Ok(())) => Waited::There,
            Ok(Err(other)) => other,
        }
    }

    /// The same for the row of one key: if the key is parked, its row is not what the token has seen.
    pub async fn wait_for_key(
        &self,
        name: &str,
        key: &KeyText,
        token: &Token,
        within: Duration,
    ) -> Waited {
        match self.wait_for(&[name], token, within).await {
            Waited::There if self.is_parked(name, key) => {
                Waited::Parked { projection: name.to_owned(), key: key.to_string() }
            }
            waited => waited,
        }
    }

    /// Whether a key is parked in the projection's live read model. Never so by stream: what is parked then are
    /// streams, and which rows lack events cannot be told.
    pub fn is_parked(&self, name: &str, key: &KeyText) -> bool {
        let named = self.named.get(name);
        named.is_some_and(|named| {
            let status = named.shown.borrow();
            status.order == Order::Key && status.parked.contains(key)
        })
    }

    /// How many keys are parked in the projection's live read model that a row's events may wait for: with a key,
    /// 1 if it is one of them; by stream, all of them.
    pub fn parked_count(&self, name: &str, key: Option<&KeyText>) -> usize {
        let Some(named) = self.named.get(name) else { return 0 };
        let status = named.shown.borrow();
        match key.filter(|_| status.order == Order::Key) {
            Some(key) => usize::from(status.parked.contains(key)),
            None => status.parked.len(),
        }
    }

    async fn wait_for_one(
        &self,
        name: &str,
        mut watch: watch::Receiver<ProjectionStatus>,
        token: &Token,
    ) -> Result<(), Waited> {
        let failed = |error: String| Err(Waited::Failed { projection: name.to_owned(), error });
        let settled = watch.wait_for(|status| status.has(token) || status.state.is_over()).await;
        // What is borrowed is a lock: it must not be held over what is waited for below.
        let settled = settled.map(|status| status.clone());
        let Ok(status) = settled else { return failed("it has stopped".to_owned()) };
        match &status.error {
            _ if status.has(token) => {}
            Some(error) if error.is_diverged() => return Err(Waited::Diverged),
            Some(error) => return failed(error.to_string()),
            None => return failed("it has stopped".to_owned()),
        }
        // The journal may have lost events and grown beyond the token's position since.
        for mark in token.marks() {
            match self.is_of_this_history(mark, &status.seen).await {
                Ok(true) => {}
                Ok(false) => return Err(Waited::Diverged),
                Err(error) => return failed(error),
            }
        }
        Ok(())
    }

    async fn is_of_this_history(&self, mark: Mark, seen: &Token) -> Result<bool, String> {
        let at = seen.mark(mark.partition);
        if at.position == mark.position {
            return Ok(at == mark);
        }
        let found = self.journal.mark_at(mark.partition, mark.position).await;
        found.map(|found| found == Some(mark)).map_err(|error| error.to_string())
    }
}
