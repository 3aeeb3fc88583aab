//! Acts on read models, from the request to what is seen of them.

use super::*;

const COUNTS: &str = "/projections/counts";

/// The only one, or the first, as it is told.
async fn first(operated: &Operated, is_so: impl Fn(&Value) -> bool) {
    operated.until(COUNTS, |told| is_so(&told["projections"][0])).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_wished_for_a_read_model_is_told_and_done() {
    let operated = Operated::new().await;
    let paused = operated.act(&format!("{COUNTS}/pause"), json!({})).await;
    assert_eq!(paused["projections"][0]["paused"], true);
    assert_eq!(paused["next"], Value::Null);
    first(&operated, |it| it["state"] == "paused").await;
    operated.service.account("a1", 1).await;
    first(&operated, |it| it["lag_events"] == 2 && it["seconds_left"].is_null()).await;
    operated.act(&format!("{COUNTS}/resume"), json!({"run": 1})).await;
    first(&operated, |it| it["state"] == "running" && it["lag_events"] == 0).await;
    operated.act(&format!("{COUNTS}/throttle"), json!({"events_per_second": 7})).await;
    operated.act(&format!("{COUNTS}/workers"), json!({"workers": 4})).await;
    first(&operated, |it| it["events_per_second_max"] == 7 && it["workers"] == 4).await;
    operated.act(&format!("{COUNTS}/throttle"), json!({"events_per_second": null})).await;
    first(&operated, |it| it["events_per_second_max"].is_null() && it["paused"] == false).await;
}

#[tokio::test(start_paused = true)]
async fn acts_are_told_with_who_and_why_newest_first() {
    let operated = Operated::new().await;
    operated.act(&format!("{COUNTS}/pause"), json!({})).await;
    operated.act(&format!("{COUNTS}/resume"), json!({"who": "bob", "why": "enough"})).await;
    let mut told = operated.get("/acts").await.is(StatusCode::OK).json();
    for act in told["acts"].as_array_mut().unwrap() {
        assert!(act["at"].take().as_str().unwrap().ends_with('Z'));
    }
    let expected = json!({"acts": [
        {"number": 2, "at": null, "who": "bob", "why": "enough",
         "act": "resume counts (generation 1, run 1)"},
        {"number": 1, "at": null, "who": "ann", "why": "to try it",
         "act": "pause counts (generation 1, run 1)"},
    ], "next": null});
    assert_eq!(told, expected);
    let newest = operated.get("/acts?limit=1").await.json();
    assert_eq!(each(&newest, "acts", "number"), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_is_switched_to_switched_back_and_dropped() {
    let operated = Operated::new().await;
    operated.service.account("a1", 2).await;
    let stages = |told: &Value| each(told, "projections", "stage");
    let wished = json!({"hold": true, "events_per_second": 1000});
    let rebuilt = operated.act(&format!("{COUNTS}/rebuild"), wished).await;
    assert_eq!(stages(&rebuilt), ["live", "building"]);
    assert_eq!(rebuilt["projections"][1]["events_per_second_max"], 1000);
    let again = operated.operators.post(&format!("{COUNTS}/rebuild"), body(json!({}))).await;
    let refused = again.problem(409, "refused");
    assert!(refused["detail"].as_str().unwrap().contains("building already"), "{refused}");
    operated.until(COUNTS, |told| each(told, "projections", "events") == [3, 3]).await;
    // The one that is building, then the only old one.
    let switched = operated.act(&format!("{COUNTS}/switch"), json!({})).await;
    assert!(switched["projections"].as_array().unwrap().len() == 2);
    operated.until(COUNTS, |told| stages(told) == ["old", "live"]).await;
    operated.act(&format!("{COUNTS}/switch"), json!({})).await;
    operated.until(COUNTS, |told| stages(told) == ["live", "old"]).await;
    operated.act(&format!("{COUNTS}/switch"), json!({"generation": 1, "run": 2})).await;
    operated.until(COUNTS, |told| stages(told) == ["old", "live"]).await;
    let live = json!({"generation": 1, "run": 2});
    let live = operated.operators.post(&format!("{COUNTS}/drop"), body(live)).await;
    assert!(live.problem(409, "refused")["detail"].as_str().unwrap().contains("live"));
    let dropped = operated.act(&format!("{COUNTS}/drop"), json!({})).await;
    assert_eq!(each(&dropped, "projections", "run"), [2]);
    for act in ["switch", "drop"] {
        let none = operated.operators.post(&format!("{COUNTS}/{act}"), body(json!({}))).await;
        none.problem(409, "refused");
    }
    let runs = operated.get(COUNTS).await.json();
    assert_eq!(each(&runs, "projections", "run"), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_that_is_not_held_is_switched_to_by_itself() {
    let operated = Operated::new().await;
    operated.service.account("a1", 2).await;
    let rebuilt = operated.act(&format!("{COUNTS}/rebuild"), json!({"generation": 1})).await;
    assert!(rebuilt["projections"].as_array().unwrap().len() == 2);
    let stages = |told: &Value| each(told, "projections", "stage") == ["old", "live"];
    let told = operated.until(COUNTS, stages).await;
    assert_eq!(each(&told, "projections", "switching"), [false, false]);
}

#[tokio::test(start_paused = true)]
async fn generations_of_a_name_are_told_apart() {
    let older = Counts::<1>::default();
    let operated = Operated::<2>::started(|builder| builder.projection(older)).await;
    let told = |told: &Value| each(told, "projections", "generation") == [1, 2];
    operated.until(COUNTS, told).await;
    // At the first start the newest generation is not always the first to be there.
    operated.act(&format!("{COUNTS}/pause"), json!({"generation": 2})).await;
    operated.until(COUNTS, |told| told["projections"][1]["state"] == "paused").await;
    let acts = operated.get("/acts").await.json();
    assert_eq!(acts["acts"][0]["act"], "pause counts (generation 2, run 1)");
}
