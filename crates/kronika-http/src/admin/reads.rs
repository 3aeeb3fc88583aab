//! What operators look at: read models, parked keys with their letters, and acts.

use super::{
    Named, Operated,
    chosen::{Choice, Meant},
    forms::{
        self, ActForm, ActList, LetterForm, LettersListed, ParkedForm, ParkedList, ProjectionForm,
        ProjectionList,
    },
    refusals::{act_problem, no_projection, store_problem},
};
use crate::{
    parameters::{Parameters, number},
    problem::Problem,
};
use axum::{
    Json,
    extract::State,
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
};
use kronika_core::{Generation, KeyText, ParkedKey, ProjectionName, ReadModel, ReadModelId};
use std::sync::Arc;

/// Parked keys that are read at a time where one is looked for.
const KEYS_AT_ONCE: usize = 1000;

/// `GET /projections`
pub(super) async fn all(State(operated): State<Arc<Operated>>) -> Result<Response, Problem> {
    Ok(told(StatusCode::OK, operated.forms(&operated.stored().await?, None)))
}

/// `GET /projections/{name}`
pub(super) async fn of_name(
    State(operated): State<Arc<Operated>>,
    named: Named,
) -> Result<Response, Problem> {
    let forms = operated.forms(&operated.stored().await?, Some(&named.projection));
    if forms.is_empty() {
        return Err(no_projection(named.projection));
    }
    Ok(told(StatusCode::OK, forms))
}

pub(super) fn told(status: StatusCode, projections: Vec<ProjectionForm>) -> Response {
    (status, Json(ProjectionList { projections, next: None })).into_response()
}

/// `GET /projections/{name}/parked`
pub(super) async fn parked(
    State(operated): State<Arc<Operated>>,
    named: Named,
    uri: Uri,
) -> Result<Response, Problem> {
    let parameters = Parameters::of(&uri)?;
    let limit = parameters.limit()?;
    let after = parameters.once("after")?.map(KeyText::new).transpose();
    let after = after.map_err(|error| Problem::bad_parameter("after", error.to_string()))?;
    let id = operated.asked_for(&named, &parameters).await?;
    let mut keys = operated.parked(&id, after, limit + 1).await?;
    let next = cut(&mut keys, limit).then(|| keys.last().map(|last| last.key.to_string()));
    let parked = keys.into_iter().map(ParkedForm::from).collect();
    Ok(Json(ParkedList { parked, next: next.flatten() }).into_response())
}

/// `GET /projections/{name}/parked/{key}`
pub(super) async fn key(
    State(operated): State<Arc<Operated>>,
    named: Named,
    uri: Uri,
) -> Result<Response, Problem> {
    let (key, parameters) = (named.key()?, Parameters::of(&uri)?);
    let (limit, skip) = (parameters.limit()?, count(&parameters, "after")?.unwrap_or(0));
    let id = operated.asked_for(&named, &parameters).await?;
    let mut form = ParkedForm::from(operated.parked_key(&id, &key).await?);
    let letters = operated.kronika.projections().letters(&id, key, skip, limit + 1).await;
    let mut letters = letters.map_err(act_problem)?;
    let next = cut(&mut letters, limit).then(|| skip + limit as u64);
    let letters = letters.into_iter().map(LetterForm::from).collect();
    form.letters_listed = Some(LettersListed { letters, next });
    Ok(Json(form).into_response())
}

/// `GET /acts`
pub(super) async fn acts(
    State(operated): State<Arc<Operated>>,
    uri: Uri,
) -> Result<Response, Problem> {
    let limit = Parameters::of(&uri)?.limit()?;
    let acts = operated.kronika.projections().acts(limit).await;
    let acts = acts.map_err(|fault| store_problem(&fault))?;
    let acts = acts.into_iter().map(ActForm::from).collect();
    Ok(Json(ActList { acts, next: None }).into_response())
}

/// Cuts a list to its limit; gives whether there was more.
fn cut<T>(list: &mut Vec<T>, limit: usize) -> bool {
    let more = list.len() > limit;
    list.truncate(limit);
    more
}

fn count(parameters: &Parameters, name: &str) -> Result<Option<u64>, Problem> {
    let Some(text) = parameters.once(name)? else { return Ok(None) };
    let refuse = || Problem::bad_parameter(name, format!("{name} is a whole number"));
    number(text).map(Some).ok_or_else(refuse)
}

impl Operated {
    /// All read models, as stored.
    pub(super) async fn stored(&self) -> Result<Vec<ReadModel>, Problem> {
        let stored = self.kronika.projections().read_models().await;
        stored.map_err(|fault| store_problem(&fault))
    }

    pub(super) fn forms(
        &self,
        stored: &[ReadModel],
        name: Option<&ProjectionName>,
    ) -> Vec<ProjectionForm> {
        forms::projections(self.kronika.projections(), stored, name, &self.kronika.empty_token())
    }

    /// The read model that the parameters name; the live one where they name none.
    async fn asked_for(
        &self,
        named: &Named,
        parameters: &Parameters,
    ) -> Result<ReadModelId, Problem> {
        // Beyond what there can be, there is none.
        let small = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let generation = count(parameters, "generation")?.map(small).map(Generation::new);
        let run = count(parameters, "run")?.map(small);
        let choice = Choice { name: &named.projection, generation, run };
        choice.among(&self.stored().await?, Meant::Live)
    }

    async fn parked(
        &self,
        id: &ReadModelId,
        after: Option<KeyText>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>, Problem> {
        self.kronika.projections().parked(id, after, limit).await.map_err(act_problem)
    }

    /// Keys come in order, and few are parked: a projection stops where there are many.
    async fn parked_key(&self, id: &ReadModelId, key: &KeyText) -> Result<ParkedKey, Problem> {
        let mut after = None;
        loop {
            let keys = self.parked(id, after, KEYS_AT_ONCE).await?;
            let last = keys.last().map(|last| last.key.clone());
            if let Some(found) = keys.into_iter().find(|parked| parked.key == *key) {
                return Ok(found);
            }
            match last {
                Some(last) if last < *key => after = Some(last),
                _ => return Err(Problem::not_found(format!("key {key} is not parked in {id}"))),
            }
        }
    }
}
