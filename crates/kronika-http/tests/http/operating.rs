//! What operators ask: health, figures, pages of problems.

use crate::support::{Ask, Fixture};
use axum::http::StatusCode;
use kronika_http::ProblemKind;
use serde_json::json;

#[tokio::test]
async fn a_service_that_runs_is_live_and_ready() {
    let service = Fixture::new().await;
    assert_eq!(service.get("/health/live").await.is(StatusCode::OK).json()["status"], "live");
    assert_eq!(service.get("/health/ready").await.is(StatusCode::OK).json()["status"], "ready");
}

#[tokio::test]
async fn every_problem_has_a_page() {
    let service = Fixture::new().await;
    for kind in ProblemKind::ALL {
        let page = service.get(&format!("/problems/{}", kind.name())).await.is(StatusCode::OK);
        assert!(page.header("content-type").starts_with("text/html"));
        let text = std::str::from_utf8(&page.body).unwrap();
        assert!(text.contains(kind.title()), "{text}");
        assert_eq!(text.matches("<code>").count(), text.matches("</code>").count(), "{text}");
        assert!(!text.contains('`'), "{text}");
    }
    service.get("/problems/none").await.problem(404, "not-found");
    service.get("/problems/%FF").await.problem(404, "not-found");
}

#[tokio::test]
async fn figures_are_told_in_the_form_of_prometheus() {
    let service = Fixture::new().await;
    service.account("a1", 2).await;
    service.post("/account/a1/deposit", json!({"cents": 0})).await;
    service.get("/nothing/at/all").await;
    Ask::new("BREW".parse().unwrap(), "/account/a1").of(&service).await;
    let figures = service.get("/metrics").await.is(StatusCode::OK);
    assert_eq!(figures.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let text = std::str::from_utf8(&figures.body).unwrap();
    for line in [
        "kronika_commands_total{type=\"account\"} 4",
        "kronika_commands_accepted_total{type=\"account\"} 3",
        "kronika_commands_rejected_total{type=\"account\"} 1",
        "kronika_events_total{type=\"account\"} 3",
        "kronika_events_total{type=\"ticket\"} 0",
        "kronika_residents{type=\"account\"} 1",
        "kronika_owner 1",
        "kronika_http_feeds 0",
        "kronika_http_requests_total{method=\"POST\",route=\"/account/{id}/deposit\",status=\"422\"} 1",
        "kronika_http_requests_total{method=\"GET\",route=\"unmatched\",status=\"404\"} 1",
        "kronika_http_requests_total{method=\"other\",route=\"/account/{id}\",status=\"405\"} 1",
        "kronika_http_request_duration_seconds_count{route=\"/account/{id}/open\"} 1",
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("a1"), "figures hold no ids");
    let open = Ask::get("/metrics").header("accept", "application/openmetrics-text;version=1.0.0");
    let open = open.of(&service).await;
    assert!(open.header("content-type").starts_with("application/openmetrics-text"));
    assert!(open.body.ends_with(b"# EOF\n"));
}
