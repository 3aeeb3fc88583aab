//! What is refused when a service is built.

use crate::{domain::accounts, support::kronika};
use kronika_core::{Aggregate, Command, Context, Handle, Never, Outcome};
use kronika_http::{Query, Service, ServiceError};
use kronika_macros::{Command, Event};
use kronika_runtime::{Commands, Kronika, Limits};
use kronika_testkit::MemoryJournal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Event, Serialize, Deserialize)]
enum Nothing {
    Happened {},
}

macro_rules! aggregate {
    ($type:ident, $name:literal) => {
        #[derive(Default, Serialize, Deserialize)]
        struct $type {}
        impl Aggregate for $type {
            const TYPE: &'static str = $name;
            type Id = String;
            type Event = Nothing;
            fn apply(&mut self, _: &Nothing) {}
        }
        impl<C: Command> Handle<C> for $type {
            type Reply = ();
            type Rejection = Never;
            fn handle(&self, _: &C, context: &Context<'_, Self>) -> Outcome<Self, C> {
                Ok(context.record(Nothing::Happened {}))
            }
        }
    };
}
aggregate!(Events, "events");
aggregate!(Metrics, "metrics");
aggregate!(Health, "health");
aggregate!(Problems, "problems");
aggregate!(Plain, "plain");

async fn build<A: Aggregate>(commands: Commands<A>) -> Result<axum::Router, ServiceError> {
    let builder = Kronika::builder().journal(Arc::new(MemoryJournal::new(1)));
    Service::new(builder.aggregate(commands).start().await.unwrap()).router()
}

#[tokio::test]
async fn names_of_the_service_itself_are_no_aggregate_types() {
    let errors = [
        build(Commands::<Events>::default()).await.unwrap_err(),
        build(Commands::<Metrics>::default()).await.unwrap_err(),
        build(Commands::<Health>::default()).await.unwrap_err(),
        build(Commands::<Problems>::default()).await.unwrap_err(),
    ];
    for (error, name) in errors.into_iter().zip(["events", "metrics", "health", "problems"]) {
        assert_eq!(error, ServiceError::Reserved { name: name.into() });
    }
}

#[derive(Command, Serialize, Deserialize, JsonSchema)]
#[command(name = "events")]
struct EventsCommand {}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Sneaky {}
impl Command for Sneaky {
    const NAME: &'static str = "{x}/y";
}

#[tokio::test]
async fn names_of_commands_are_segments_of_paths() {
    assert!(build(Commands::<Plain>::default().on::<EventsCommand>()).await.is_ok());
    let error = build(Commands::<Plain>::default().on::<Sneaky>()).await.unwrap_err();
    assert!(matches!(error, ServiceError::CommandName { .. }), "{error}");
}

#[tokio::test]
async fn queries_hide_nothing_and_are_not_hidden() {
    let kronika = kronika(MemoryJournal::new(1), Limits::default()).await;
    let check = |path: &str, fits: bool| {
        let service = Service::new(kronika.clone()).query(Query::get("/taken/{x}", async || ()));
        let built = service.query(Query::get(path, async || ())).router();
        assert_eq!(built.is_ok(), fits, "{path}: {:?}", built.err());
    };
    check("/accounts", true);
    check("/accounts/{id}/history", true);
    check("/account", false);
    check("/account/newest", false);
    check("/account/{id}", false);
    check("/account/{id}/events", false);
    check("/account/{id}/open", false);
    check("/account/{id}/history", true);
    check("/account/{name}/history", true);
    check("/events", false);
    check("/events/all", false);
    check("/metrics", false);
    check("/health", false);
    check("/openapi.json", false);
    check("/problems/mine", false);
    check("/taken/{y}", false);
    check("/taken/x", false);
    check("accounts", false);
    check("", false);
    check("/", false);
    check("/{*rest}", false);
    check("/{tenant}/accounts/{id}/x", true);
    check("/:old/style", false);
    check("/{unclosed", false);
    check("/x/*old", false);
}

#[tokio::test]
async fn the_operators_api_hides_nothing_and_is_not_hidden() {
    let kronika = kronika(MemoryJournal::new(1), Limits::default()).await;
    let check = |path: &str, fits: bool| {
        let service = Service::new(kronika.clone()).query(Query::get("/taken/{x}", async || ()));
        let built = service.admin(path).router();
        assert_eq!(built.is_ok(), fits, "{path}: {:?}", built.err());
    };
    check("/admin", true);
    check("/for/operators", true);
    check("/account", false);
    check("/account/a1/open", true);
    check("/taken", false);
    check("/events", false);
    check("/metrics/more", false);
    check("/{tenant}/admin", false);
    check("/admin/", false);
    check("admin", false);
    check("/", false);
    check("", false);
}

#[tokio::test]
async fn a_query_waits_only_for_what_runs() {
    let kronika = kronika(MemoryJournal::new(1), Limits::default()).await;
    let query = Query::get("/balances", async || ()).waits_for(["balances"]);
    let error = Service::new(kronika).query(query).router().unwrap_err();
    assert!(matches!(error, ServiceError::NoProjection { .. }), "{error}");
    let _ = accounts();
}
