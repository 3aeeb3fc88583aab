//! Where a reader of the journal has come to: a token, or, where there is one partition, a bare position.

use crate::{
    headers::{check_history, wait},
    parameters::number,
    problem::Problem,
    shared::Shared,
};
use axum::http::HeaderMap;
use kronika_core::{Mark, PartitionId, Position, Token};
use tokio::time::Instant;

/// A place in every partition of the journal, which moves on with what is read.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// A bare position says nothing of the event there, so it is kept apart from the token until an event
    /// behind it was read.
    bare: Position,
    pub token: Token,
}

impl Place {
    /// Before the first event.
    pub fn start(shared: &Shared) -> Self {
        Self { bare: Position::ZERO, token: shared.kronika.empty_token() }
    }

    /// What a client hands in, checked against the journal's history.
    pub async fn parse(
        shared: &Shared,
        headers: &HeaderMap,
        name: &str,
        text: &str,
    ) -> Result<Self, Problem> {
        let mut place = Self::start(shared);
        if let Some(position) = number(text) {
            if shared.journal().capabilities().partitions > 1 {
                let detail = format!("{name} is a token: this journal has several partitions");
                return Err(Problem::bad_parameter(name, detail));
            }
            place.bare = Position::new(position);
            return Ok(place);
        }
        place.token = text.parse().map_err(|_| {
            Problem::bad_parameter(name, format!("{name} is a position or a token of this service"))
        })?;
        let until = Instant::now() + wait(headers)?;
        check_history(shared.journal(), &place.token, until, &shared.standing()).await?;
        Ok(place)
    }

    /// The position after which a partition is to be read.
    pub fn after(&self, partition: PartitionId) -> Position {
        self.bare.max(self.token.mark(partition).position)
    }

    /// Everything up to there was read.
    pub fn see(&mut self, mark: Mark) {
        self.token.see(mark);
    }
}
