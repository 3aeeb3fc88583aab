//! The builder of a service over HTTP.

use crate::{
    conflicts::Paths,
    creating::Seeds,
    limits::HttpLimits,
    metrics::Metrics,
    openapi::{self, Description},
    query::Query,
    routes,
    shared::Shared,
};
use axum::Router;
use kronika_runtime::Kronika;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// A service over HTTP: routes for every registered aggregate, the application's queries, and what operators
/// and clients need beside them.
///
/// ```no_run
/// # use axum::Json;
/// # use kronika_http::{Query, Service, ServiceError};
/// # use kronika_runtime::Kronika;
/// # async fn auctions() -> Json<Vec<String>> { Json(Vec::new()) }
/// # fn example(kronika: Kronika) -> Result<axum::Router, ServiceError> {
/// Service::new(kronika)
///     .title("Auctions", "1.0")
///     .allow_journal()
///     .query(Query::get("/auctions", auctions).waits_for(["auctions"]))
///     .router()
/// # }
/// ```
///
/// Who sends a command is said by a layer of the application, which puts a [`kronika_core::Origin`] into the
/// request's extensions; without one, commands have no principal. Permissions are such a layer's too.
#[must_use = "nothing is served until `router` is called"]
pub struct Service {
    kronika: Kronika,
    title: String,
    version: String,
    journal: bool,
    admin: Option<String>,
    queries: Vec<Query>,
    limits: HttpLimits,
}

/// Why a service has no routes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The name is the service's own.
    #[error("{name:?} is a path of every service and can be neither an aggregate type nor a query")]
    Reserved {
        /// The name.
        name: String,
    },
    /// Two things would answer to the same path.
    #[error("{path} would hide, or be hidden by, a path of the {owner}")]
    Collision {
        /// The path of the later one.
        path: String,
        /// Who has it already.
        owner: String,
    },
    /// The path is not one that can be routed.
    #[error("{path:?} is no path for a route: {why}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The command's name is not a segment of a path.
    #[error(
        "{aggregate_type} has a command {command:?}, which is no name for a path: a-z, 0-9 and -"
    )]
    CommandName {
        /// The aggregate type.
        aggregate_type: String,
        /// The command.
        command: String,
    },
    /// A query waits for a projection that does not run here.
    #[error("the query {path} waits for projection {projection:?}, which is not registered")]
    NoProjection {
        /// The query's path.
        path: String,
        /// The projection.
        projection: String,
    },
}

impl Service {
    /// A service from all aggregates that are registered.
    pub fn new(kronika: Kronika) -> Self {
        Self {
            kronika,
            title: "Kronika service".to_owned(),
            version: "0".to_owned(),
            journal: false,
            admin: None,
            queries: Vec::new(),
            limits: HttpLimits::default(),
        }
    }

    /// Name and version of the application, for its description.
    pub fn title(mut self, title: impl Into<String>, version: impl Into<String>) -> Self {
        (self.title, self.version) = (title.into(), version.into());
        self
    }

    /// Serves the whole journal at `GET /events`, as a list and as a live feed: everything that was ever
    /// recorded, to whoever may ask.
    pub fn allow_journal(mut self) -> Self {
        self.journal = true;
        self
    }

    /// Serves the operator's API below a path, such as `/admin`: whoever may ask there may pause, rebuild and drop
    /// read models and parked events. Without a layer of the application before it, that is everybody; where
    /// operators come to the machine, [`crate::AdminSocket`] is safer.
    pub fn admin(mut self, path: impl Into<String>) -> Self {
        self.admin = Some(path.into());
        self
    }

    /// A route of the application's own.
    pub fn query(mut self, query: Query) -> Self {
        self.queries.push(query);
        self
    }

    /// Bounds other than the default ones.
    pub fn limits(mut self, limits: HttpLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The routes. The router may be nested, layered and served like any other.
    pub fn router(self) -> Result<Router, ServiceError> {
        let Self { kronika, title, version, journal, admin, queries, limits } = self;
        let known: Vec<_> = kronika.projections().names().collect();
        let mut paths = Paths::default();
        for aggregates in kronika.registered() {
            routes::take_paths(&mut paths, &**aggregates)?;
        }
        if let Some(path) = &admin {
            paths.admin(path)?;
        }
        for query in &queries {
            paths.query(&query.path)?;
            if let Some(missing) =
                query.waits_for.iter().find(|name| !known.contains(&name.as_str()))
            {
                let (path, projection) = (query.path.clone(), missing.clone());
                return Err(ServiceError::NoProjection { path, projection });
            }
        }
        let description = openapi::describe(&Description {
            title,
            version,
            aggregates: kronika.registered(),
            queries: queries.iter().filter_map(Query::described).collect(),
            journal,
        });
        let permits = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        let shared = Arc::new(Shared {
            requests: permits(limits.requests),
            feeds: permits(limits.feeds),
            metrics: Metrics::new(),
            seeds: Seeds::new(),
            kronika,
            limits,
        });
        Ok(routes::router(&shared, queries, description, journal, admin.as_deref()))
    }
}
