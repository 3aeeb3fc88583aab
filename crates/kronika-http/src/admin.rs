//! The operator's API: how read models stand, what is parked, and acts on both.
//!
//! Whoever reaches it may do all of it: it authenticates nobody, so it is served where only operators come, on a
//! Unix socket of the data directory or behind a layer of the application. It carries nothing out itself:
//! acts are recorded in the store of read models, and the projections follow them.
//!
//! | route | is |
//! | --- | --- |
//! | `GET /projections`, `GET /projections/{name}` | how read models stand |
//! | `GET /projections/{name}/parked` | parked keys, of the live one or of `?generation=&run=` |
//! | `GET /projections/{name}/parked/{key}` | one of them, with its letters |
//! | `GET /acts` | what was asked for, by whom and why, newest first |
//! | `POST /projections/{name}/{act}` | rebuild, switch, pause, resume, throttle, workers, drop |
//! | `POST /projections/{name}/parked/{request}` | retry or drop all parked keys |
//! | `POST /projections/{name}/parked/{key}/{request}` | retry, skip or drop one |

mod acts;
mod asked;
mod chosen;
mod fields;
mod forms;
mod reads;
mod refusals;
mod socket;

pub use socket::{AdminSocket, AdminSocketError};

use crate::{
    guard,
    limits::{HttpLimits, JSON_DEPTH_MAX},
    parameters::in_path,
    problem::{self, Problem, ProblemKind},
    routes::method_not_allowed,
};
use axum::{
    Router,
    extract::{FromRequestParts, Request, State},
    http::{Method, StatusCode, request::Parts},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use kronika_core::{KeyText, ProjectionName};
use kronika_runtime::Kronika;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::timeout};

/// From a request's arrival until it is answered. One that is to be dropped may take ten seconds to end.
const TIME_MAX: Duration = Duration::from_secs(30);
/// Who, why and some numbers.
const BODY_BYTES_MAX: usize = 64 << 10;
/// Requests of operators that are answered at a time; more are refused.
const REQUESTS_MAX: usize = 64;

/// The operator's routes as a router of their own, to be served where only operators come: see [`AdminSocket`],
/// and [`crate::Service::admin`] for the service's own port.
///
/// ```no_run
/// # async fn example(kronika: kronika_runtime::Kronika) -> std::io::Result<()> {
/// use kronika_http::{ServeLimits, admin, serve};
///
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:9090").await?;
/// serve(listener, admin(&kronika), ServeLimits::default(), std::future::pending()).await;
/// # Ok(())
/// # }
/// ```
pub fn admin(kronika: &Kronika) -> Router {
    routes(kronika, "")
        .route("/problems/{name}", get(problem::page))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(async || Problem::not_found("operators have nothing at this path"))
        .layer(from_fn(guard::contain))
}

/// What the routes of operators stand on.
pub(crate) struct Operated {
    kronika: Kronika,
    limits: HttpLimits,
    requests: Arc<Semaphore>,
}

/// The routes alone, below a path: what is around them is the router's that they become part of.
pub(crate) fn routes(kronika: &Kronika, below: &str) -> Router {
    let limits = HttpLimits {
        body_bytes: BODY_BYTES_MAX,
        json_depth: JSON_DEPTH_MAX,
        ..HttpLimits::default()
    };
    let requests = Arc::new(Semaphore::new(REQUESTS_MAX));
    let operated = Arc::new(Operated { kronika: kronika.clone(), limits, requests });
    let at = |path: &str| format!("{below}{path}");
    Router::new()
        .route(&at("/projections"), get(reads::all))
        .route(&at("/projections/{name}"), get(reads::of_name))
        .route(&at("/projections/{name}/{act}"), post(acts::act))
        .route(&at("/projections/{name}/parked"), get(reads::parked))
        // A key may be called like a request.
        .route(&at("/projections/{name}/parked/{key}"), get(reads::key).post(acts::on_all_parked))
        .route(&at("/projections/{name}/parked/{key}/{request}"), post(acts::on_parked))
        .route(&at("/acts"), get(reads::acts))
        .route_layer(from_fn_with_state(operated.clone(), bounded))
        .with_state(operated)
}

/// In bounded time, and not too many at a time.
async fn bounded(State(operated): State<Arc<Operated>>, request: Request, next: Next) -> Response {
    let acts = request.method() == Method::POST;
    let _place = match crate::shared::place(&operated.requests, "requests of operators") {
        Ok(place) => place,
        Err(problem) => return problem.into_response(),
    };
    let late = |_| {
        if acts {
            let (kind, status) = (ProblemKind::UnknownOutcome, StatusCode::GATEWAY_TIMEOUT);
            let detail = "whether the act was recorded is not known: look at the list of acts";
            return Problem::new(kind, status, detail).into_response();
        }
        let detail = "the read models did not answer in time";
        Problem::unavailable(ProblemKind::Deadline, detail).into_response()
    };
    timeout(TIME_MAX, next.run(request)).await.unwrap_or_else(late)
}

/// What the path names. What it cannot name is not there.
struct Named {
    projection: ProjectionName,
    pairs: Vec<(String, String)>,
}

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let pairs = in_path(parts, state).await;
        let pairs = pairs.ok_or_else(|| Problem::not_found("a name in the path is not UTF-8"))?;
        let name = pairs.iter().rev().find(|(name, _)| name == "name").map(|(_, name)| name);
        let name = name.map(String::as_str).unwrap_or_default();
        let projection = ProjectionName::new(name).map_err(|_| refusals::no_projection(name))?;
        Ok(Self { projection, pairs })
    }
}

impl Named {
    /// A further segment; empty where the route has none of that name.
    fn segment(&self, name: &str) -> &str {
        let found = self.pairs.iter().rev().find(|(given, _)| given == name);
        found.map(|(_, segment)| segment.as_str()).unwrap_or_default()
    }

    fn key(&self) -> Result<KeyText, Problem> {
        let key = KeyText::new(self.segment("key"));
        key.map_err(|error| Problem::bad_parameter("key", error.to_string()))
    }
}
