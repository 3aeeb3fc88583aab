//! A route of the application's own: what answers it, what it waits for, and what is said of it in OpenAPI.

use axum::{handler::Handler, routing::MethodRouter};
use schemars::{JsonSchema, Schema, SchemaGenerator};

pub(crate) type MakeSchema = fn(&mut SchemaGenerator) -> Schema;

/// A query of the application, answered from read models.
///
/// A request may carry the token of a receipt as `Kronika-Position`: then the named projections are waited
/// for, at most `Prefer: wait=SECONDS`, before the handler is called. What the handler refuses in plain text,
/// as axum's extractors do, is told as a problem.
///
/// ```
/// use axum::Json;
/// use kronika_http::Query;
///
/// async fn auctions() -> Json<Vec<String>> {
///     Json(vec!["a1".to_owned()])
/// }
///
/// let query = Query::get("/auctions", auctions)
///     .waits_for(["auctions"])
///     .summary("All auctions")
///     .parameter::<bool>("open", "Only those that are open, or closed")
///     .answers::<Vec<String>>();
/// ```
#[must_use = "a query is served once it is given to a service"]
pub struct Query {
    pub(crate) path: String,
    pub(crate) methods: MethodRouter,
    pub(crate) waits_for: Vec<String>,
    /// Parameters of the path that make the key whose row it is answered from.
    pub(crate) key: Vec<String>,
    pub(crate) is_live: bool,
    pub(crate) doc: Option<QueryDoc>,
}

/// What OpenAPI says of a query.
#[derive(Clone, Default)]
pub(crate) struct QueryDoc {
    pub path: String,
    pub summary: String,
    pub answer: Option<MakeSchema>,
    pub parameters: Vec<QueryParameter>,
    pub waits: bool,
    pub is_live: bool,
}

/// A parameter behind the question mark.
#[derive(Clone)]
pub(crate) struct QueryParameter {
    pub name: String,
    pub description: String,
    pub schema: MakeSchema,
}

impl Query {
    /// A query by GET. Its state, where it has one, is captured by the handler or given by
    /// [`MethodRouter::with_state`], see [`Query::routed`].
    pub fn get<H: Handler<T, ()>, T: 'static>(path: impl Into<String>, handler: H) -> Self {
        let mut query = Self::routed(path, axum::routing::get(handler));
        query.doc = Some(QueryDoc { path: query.path.clone(), ..QueryDoc::default() });
        query
    }

    /// Any methods on a path. OpenAPI tells of it only once something is said of it, and then as a GET.
    pub fn routed(path: impl Into<String>, methods: MethodRouter) -> Self {
        let (path, waits_for, key) = (path.into(), Vec::new(), Vec::new());
        Self { path, methods, waits_for, key, is_live: false, doc: None }
    }

    /// The projections whose read models it is answered from.
    pub fn waits_for<N: Into<String>>(mut self, projections: impl IntoIterator<Item = N>) -> Self {
        self.waits_for.extend(projections.into_iter().map(Into::into));
        self
    }

    /// The parameters of the path whose values make the key that it is answered from, in the order of the key's
    /// columns. A caller with a token is then told when that key is parked, instead of being given a row that
    /// lacks what the token has seen; and a live query is told of that key's changes only.
    ///
    /// The values are compared as text: a query that reads an id in several ways, with leading zeros or in capitals
    /// say, answers for the key but is not told of its changes. For a projection by stream it cannot be told which
    /// keys wait: then no wait is refused, and all parked streams are counted.
    ///
    /// Without a key, answers say in `Kronika-Parked` how many keys of its projections are parked.
    pub fn key<N: Into<String>>(mut self, parameters: impl IntoIterator<Item = N>) -> Self {
        self.key.extend(parameters.into_iter().map(Into::into));
        self
    }

    /// May be followed: with `Accept: text/event-stream` it is answered at once and again whenever rows of the
    /// projections that it waits for change, of its key where it has one. The handler is called for each
    /// answer, which is the `data` of an event; an answer that is the same as the one before is left out. The
    /// event's `id` is a token, from which a client that comes again with `Last-Event-ID` goes on: it is never
    /// shown less than it has seen.
    ///
    /// An answer 404 is told as an event named `gone`. What else is refused is told as an event named `problem`,
    /// which ends the feed.
    pub fn live(mut self) -> Self {
        self.is_live = true;
        self
    }

    /// What it is for, in a few words.
    pub fn summary(mut self, summary: impl Into<String>) -> Self {
        self.doc().summary = summary.into();
        self
    }

    /// The type that it answers with, as JSON.
    pub fn answers<T: JsonSchema>(mut self) -> Self {
        self.doc().answer = Some(SchemaGenerator::subschema_for::<T>);
        self
    }

    /// A parameter behind the question mark.
    pub fn parameter<T: JsonSchema>(mut self, name: &str, description: &str) -> Self {
        let schema = SchemaGenerator::subschema_for::<T>;
        let (name, description) = (name.to_owned(), description.to_owned());
        self.doc().parameters.push(QueryParameter { name, description, schema });
        self
    }

    /// What is to be said of it.
    pub(crate) fn described(&self) -> Option<QueryDoc> {
        let waits = !self.waits_for.is_empty();
        let is_live = self.is_live;
        self.doc.clone().map(|doc| QueryDoc { waits, is_live, ..doc })
    }

    fn doc(&mut self) -> &mut QueryDoc {
        let path = &self.path;
        self.doc.get_or_insert_with(|| QueryDoc { path: path.clone(), ..QueryDoc::default() })
    }
}
