//! Which path is answered by what.

use crate::{
    admin,
    commands::{CommandRoute, json},
    conflicts::Paths,
    events::{self, EventsRoute},
    guard, health, metrics,
    parameters::AggregateIdInPath,
    problem::{self, Problem, ProblemKind},
    queries,
    query::Query,
    service::ServiceError,
    shared::Shared,
    states::StateRoute,
};
use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, StatusCode, header::ACCEPT},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use kronika_core::check_type;
use kronika_runtime::DynAggregates;
use std::sync::Arc;

/// The paths of one aggregate type.
pub(crate) fn take_paths(
    paths: &mut Paths,
    aggregates: &dyn DynAggregates,
) -> Result<(), ServiceError> {
    let name = aggregates.aggregate_type();
    paths.aggregate(name, &format!("/{name}"))?;
    paths.aggregate(name, &format!("/{name}/{{id}}"))?;
    paths.aggregate(name, &format!("/{name}/{{id}}/events"))?;
    for command in aggregates.commands() {
        // Names of commands and of types are of the same letters.
        check_type(command.name).map_err(|_| ServiceError::CommandName {
            aggregate_type: name.to_owned(),
            command: command.name.to_owned(),
        })?;
        if command.name != "events" {
            paths.aggregate(name, &format!("/{name}/{{id}}/{}", command.name))?;
        }
    }
    Ok(())
}

/// All routes.
pub(crate) fn router(
    shared: &Arc<Shared>,
    queries: Vec<Query>,
    description: Bytes,
    journal: bool,
    admin: Option<&str>,
) -> Router {
    let mut served = Router::new();
    for aggregates in shared.kronika.registered() {
        served = served.merge(aggregate(shared, aggregates));
    }
    for query in queries {
        let path = query.path.clone();
        served = served.route(&path, queries::served(query, shared));
    }
    if journal {
        let shared = shared.clone();
        let read = move |request: Request| journal_or_feed(shared.clone(), request);
        served = served.route("/events", get(read));
    }
    if let Some(below) = admin {
        served = served.merge(admin::routes(&shared.kronika, below));
    }
    let served = served.layer(from_fn_with_state(shared.clone(), guard::admit));
    let unknown = {
        let shared = shared.clone();
        move |request: Request| async move { unknown(&shared, &request) }
    };
    served
        .merge(plain(shared, description))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(unknown)
        .layer(from_fn_with_state(shared.clone(), guard::observe))
}

fn aggregate(shared: &Arc<Shared>, aggregates: &Arc<dyn DynAggregates>) -> Router {
    let name = aggregates.aggregate_type();
    let command = |command: &'static str| CommandRoute {
        shared: shared.clone(),
        aggregates: aggregates.clone(),
        command,
    };
    let state = StateRoute { shared: shared.clone(), aggregates: aggregates.clone() };
    let read = move |AggregateIdInPath(id), request| state.clone().get(id, request);
    let events = EventsRoute { shared: shared.clone(), aggregate_type: name };
    let list = move |AggregateIdInPath(id), request| events.clone().get(id, request);
    let mut router = Router::new()
        .route(&format!("/{name}/{{id}}"), get(read))
        .route(&format!("/{name}/{{id}}/events"), get(list));
    for info in aggregates.commands() {
        let route = command(info.name);
        let send = move |AggregateIdInPath(id), request| route.clone().send(id, request);
        router = router.route(&format!("/{name}/{{id}}/{}", info.name), post(send));
    }
    if let Some(creating) = aggregates.creating() {
        let route = command(creating);
        let create = move |request| route.clone().create(request);
        router = router.route(&format!("/{name}"), post(create));
    }
    router
}

/// What is answered however much is waiting.
fn plain(shared: &Arc<Shared>, description: Bytes) -> Router {
    let registry = Arc::new(metrics::registry(shared));
    let metrics = move |headers: HeaderMap| async move { metrics::told(&registry, &headers) };
    let shared = shared.clone();
    let ready = move |request: Request| async move { health::ready(&shared, &request) };
    Router::new()
        .route("/health/live", get(health::live))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(move || async move { json(description) }))
        .route("/problems/{name}", get(problem::page))
}

async fn journal_or_feed(shared: Arc<Shared>, request: Request) -> Result<Response, Problem> {
    let accepts = |accept: &str| accept.contains("text/event-stream");
    let mut accept = request.headers().get_all(ACCEPT).iter().filter_map(|it| it.to_str().ok());
    if accept.any(accepts) {
        events::feed(shared, request).await
    } else {
        events::list(&shared, request).await
    }
}

/// `Allow` is added by the router.
pub(crate) async fn method_not_allowed(request: Request) -> Response {
    let detail = format!("this path does not take {}", request.method());
    let status = StatusCode::METHOD_NOT_ALLOWED;
    Problem::new(ProblemKind::MethodNotAllowed, status, detail).into_response()
}

/// What no route fits, named as well as it can be.
fn unknown(shared: &Shared, request: &Request) -> Problem {
    let mut segments = request.uri().path().trim_start_matches('/').split('/');
    let (first, id, last) = (segments.next(), segments.next(), segments.next());
    let mut registered = shared.kronika.registered().iter();
    let Some(aggregates) = registered.find(|it| Some(it.aggregate_type()) == first) else {
        return Problem::not_found("there is nothing at this path");
    };
    let name = aggregates.aggregate_type();
    match (id, last) {
        (Some(""), _) => {
            Problem::new(ProblemKind::BadId, StatusCode::BAD_REQUEST, "the id is empty")
        }
        (Some(_), Some(_)) => {
            let names: Vec<_> = aggregates.commands().iter().map(|command| command.name).collect();
            let detail = format!("{name} has no such command; it has {}", names.join(", "));
            Problem::not_found(detail)
        }
        _ => Problem::not_found(format!("there is nothing at this path of {name}")),
    }
}
