//! What operators do. An act is taken on once it is recorded; what follows is seen in the read models' states.

use super::{
    Named, Operated,
    asked::{Asked, request},
    chosen::{Choice, Meant},
    fields::Fields,
    reads::told,
    refusals::act_problem,
};
use crate::problem::Problem;
use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use kronika_core::{
    Act,
    ParkedRequest::{Drop, Retry, Skip},
};
use std::sync::Arc;

/// `POST /projections/{name}/{act}`
pub(super) async fn act(
    State(operated): State<Arc<Operated>>,
    named: Named,
    body: Request,
) -> Result<Response, Problem> {
    let mut fields = Fields::of(body, &operated).await?;
    let asked = Asked::of(named.segment("act"), &named.projection, &mut fields)?;
    operated.take_on(named, fields, asked).await
}

/// `POST /projections/{name}/parked/{request}`, where the request stands in the place of a key.
pub(super) async fn on_all_parked(
    State(operated): State<Arc<Operated>>,
    named: Named,
    body: Request,
) -> Result<Response, Problem> {
    let fields = Fields::of(body, &operated).await?;
    let request = request(named.segment("key"), &[Retry, Drop])?;
    let asked = Asked::on(Meant::Live, move |id| Act::AllParked(id, request));
    operated.take_on(named, fields, asked).await
}

/// `POST /projections/{name}/parked/{key}/{request}`
pub(super) async fn on_parked(
    State(operated): State<Arc<Operated>>,
    named: Named,
    body: Request,
) -> Result<Response, Problem> {
    let fields = Fields::of(body, &operated).await?;
    let request = request(named.segment("request"), &[Retry, Skip, Drop])?;
    let key = named.key()?;
    let asked = Asked::on(Meant::Live, move |id| Act::Parked(id, key, request));
    operated.take_on(named, fields, asked).await
}

impl Operated {
    /// Answers with the read models of the name, as they stand once the act is recorded.
    async fn take_on(
        &self,
        named: Named,
        mut fields: Fields,
        asked: Asked,
    ) -> Result<Response, Problem> {
        let (by, name) = (fields.by()?, &named.projection);
        let before = self.stored().await?;
        let act = match asked {
            Asked::OnName(act) => act,
            Asked::On(meant, act) => {
                let (generation, run) = (fields.generation()?, fields.run()?);
                act(Choice { name, generation, run }.among(&before, meant)?)
            }
        };
        fields.end()?;
        self.kronika.projections().act(act, by).await.map_err(act_problem)?;
        // The act is recorded, whatever can be told of the read models now.
        let after = self.stored().await.unwrap_or(before);
        Ok(told(StatusCode::ACCEPTED, self.forms(&after, Some(name))))
    }
}
