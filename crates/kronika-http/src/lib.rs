//! An HTTP service from registered aggregates: an axum router with a route for each command, problems for
//! every refusal, live feeds, OpenAPI, health and figures, beside the application's own queries.
//!
//! It decides nothing and stores nothing: what a command does is the runtime's, what is recorded the
//! journal's. It knows no back end, authenticates nobody and speaks no TLS.
//!
//! | route | is |
//! | --- | --- |
//! | `POST /{type}/{id}/{command}` | a command |
//! | `POST /{type}` | the creating command; the service makes the id |
//! | `GET /{type}/{id}[?version=N]` | the state, now or then |
//! | `GET /{type}/{id}/events?after=&limit=` | the events of one aggregate |
//! | `GET /events?after=&limit=` | the journal, where allowed; with `Accept: text/event-stream` a live feed |
//! | `GET /openapi.json` | what can be asked, as OpenAPI 3.1 |
//! | `GET /problems/{name}` | what a problem means, and what to do |
//! | `GET /health/live`, `GET /health/ready` | whether it runs, and whether to ask it |
//! | `GET /metrics` | figures for Prometheus |
//!
//! Operators look at read models and act on them by [`admin`], on a socket of its own ([`AdminSocket`]) or where
//! the application mounts it ([`Service::admin`]).

mod admin;
mod body;
mod commands;
mod conflicts;
mod creating;
mod events;
mod guard;
mod headers;
mod health;
mod limits;
mod live;
mod metrics;
mod openapi;
mod parameters;
mod problem;
mod queries;
mod query;
mod routes;
mod serve;
mod service;
mod shared;
mod sse;
mod states;

pub use admin::{AdminSocket, AdminSocketError, admin};
pub use limits::HttpLimits;
pub use problem::{Problem, ProblemKind};
pub use query::Query;
pub use serve::{ServeLimits, Served, listen, serve};
pub use service::{Service, ServiceError};
