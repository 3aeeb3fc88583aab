//! A service to ask, and how it is asked.

use crate::domain::{Buy, Ticket, accounts};
use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode},
    response::Response,
};
use kronika_core::Projection;
use kronika_http::Service;
use kronika_runtime::{Builder, Commands, Kronika, Limits, RegisteredProjection};
use kronika_testkit::{MemoryJournal, MemoryReadModels, MemorySettings};
use serde_json::{Value, json};
use std::sync::Arc;
use tower::ServiceExt;

/// A service on a journal in memory.
pub struct Fixture {
    pub journal: MemoryJournal,
    pub kronika: Kronika,
    pub router: Router,
}

impl Fixture {
    /// With the journal served too.
    pub async fn new() -> Self {
        Self::with(|service| service).await
    }

    pub async fn with(change: impl FnOnce(Service) -> Service) -> Self {
        Self::on(MemoryJournal::open(MemorySettings::default()), Limits::default(), change).await
    }

    pub async fn on(
        journal: MemoryJournal,
        limits: Limits,
        change: impl FnOnce(Service) -> Service,
    ) -> Self {
        let kronika = kronika(journal.clone(), limits).await;
        Self::of(journal, kronika, change)
    }

    /// With a projection.
    pub async fn projecting(
        projection: RegisteredProjection,
        change: impl FnOnce(Service) -> Service,
    ) -> Self {
        let journal = MemoryJournal::open(MemorySettings::default());
        let kronika = builder(journal.clone()).registered(projection).start().await.unwrap();
        Self::of(journal, kronika, change)
    }

    /// With a keyed projection, whose rows are in memory.
    pub async fn keeping<P: Projection>(
        projection: P,
        change: impl FnOnce(Service, &MemoryReadModels) -> Service,
    ) -> Self {
        let journal = MemoryJournal::open(MemorySettings::default());
        let read_models = MemoryReadModels::new();
        let builder = builder(journal.clone()).read_models(Arc::new(read_models.clone()));
        let kronika = builder.projection(projection).start().await.unwrap();
        Self::of(journal, kronika, |service| change(service, &read_models))
    }

    pub fn of(
        journal: MemoryJournal,
        kronika: Kronika,
        change: impl FnOnce(Service) -> Service,
    ) -> Self {
        let service = change(Service::new(kronika.clone()).allow_journal());
        Self { journal, kronika, router: service.router().unwrap() }
    }

    /// An account with so many deposits of one cent behind its opening.
    pub async fn account(&self, id: &str, deposits: usize) -> Answer {
        let mut answer = self.post(&format!("/account/{id}/open"), json!({"owner": "ann"})).await;
        for _ in 0..deposits {
            answer = self.post(&format!("/account/{id}/deposit"), json!({"cents": 1})).await;
        }
        answer.is(StatusCode::OK)
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        Ask::post(path).json(&body).of(self).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        Ask::get(path).of(self).await
    }
}

pub async fn kronika(journal: MemoryJournal, limits: Limits) -> Kronika {
    builder(journal).limits(limits).start().await.unwrap()
}

pub fn builder(journal: MemoryJournal) -> Builder {
    Kronika::builder()
        .journal(Arc::new(journal))
        .aggregate(accounts())
        .aggregate(Commands::<Ticket>::default().on::<Buy>())
}

/// A request on its way.
pub struct Ask(Request<Body>);

impl Ask {
    pub fn get(path: &str) -> Self {
        Self::new(Method::GET, path)
    }
    pub fn post(path: &str) -> Self {
        Self::new(Method::POST, path)
    }
    pub fn new(method: Method, path: &str) -> Self {
        Self(Request::builder().method(method).uri(path).body(Body::empty()).unwrap())
    }
    pub fn json(self, body: &Value) -> Self {
        self.body(body.to_string()).header("content-type", "application/json")
    }
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        *self.0.body_mut() = body.into();
        self
    }
    pub fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        let value = axum::http::HeaderValue::from_bytes(value.as_ref()).unwrap();
        self.0.headers_mut().append(name, value);
        self
    }
    pub fn extension<T: Clone + Send + Sync + 'static>(mut self, extension: T) -> Self {
        self.0.extensions_mut().insert(extension);
        self
    }
    pub async fn response(self, fixture: &Fixture) -> Response {
        fixture.router.clone().oneshot(self.0).await.unwrap()
    }
    pub async fn of(self, fixture: &Fixture) -> Answer {
        Answer::of(self.response(fixture).await).await
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Self { status: parts.status, headers: parts.headers, body }
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub fn is(self, status: StatusCode) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// That it is this problem with this status; gives the problem.
    #[track_caller]
    pub fn problem(&self, status: u16, name: &str) -> Value {
        let problem = self.json();
        assert_eq!(self.status.as_u16(), status, "{problem}");
        assert_eq!(problem["type"], format!("/problems/{name}"), "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        let retry = matches!(status, 429 | 503);
        assert_eq!(self.headers.contains_key("retry-after"), retry, "{problem}");
        assert!(!problem.to_string().contains("secret"), "{problem}");
        problem
    }
}
