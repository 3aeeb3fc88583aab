//! In which forms operators are told, and where.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_read_model_is_told_with_all_that_is_known_of_it() {
    let operated = Operated::new().await;
    operated.service.account("a1", 2).await;
    operated.caught_up().await;
    let mut told = operated.get("/projections").await.is(StatusCode::OK).json();
    let one = &mut told["projections"][0];
    assert!(one["events_per_second"].take().as_f64().is_some_and(|rate| rate >= 0.0));
    let incarnation = operated.service.kronika.empty_token().to_string();
    let position = one["position"].take();
    assert!(position.as_str().unwrap().starts_with(&incarnation), "{position}");
    let expected = json!({
        "projections": [{
            "name": "counts", "generation": 1, "run": 1, "stage": "live", "state": "running",
            "position": null, "positions": [{"partition": 0, "position": 3}],
            "lag_events": 0, "lag_seconds": 0.0, "events": 3, "events_per_second": null,
            "seconds_left": 0.0, "parked": 0, "letters": 0, "workers": 1,
            "events_per_second_max": null, "paused": false, "switching": false,
            "error": null, "reported": NOW,
        }],
        "next": null,
    });
    assert_eq!(told, expected);
    let one = operated.get("/projections/counts").await.is(StatusCode::OK).json();
    assert_eq!(each(&one, "projections", "run"), [1]);
}

/// Another projection, which has nothing to do.
struct Others;

impl Projection for Others {
    const NAME: &'static str = "others";
    type Key = String;
    type Row = Count;
    type Follows = (Account,);
}

impl On<Account> for Others {
    fn keys(&self, _: &AccountEvent, _: &About<'_>) -> impl IntoIterator<Item = String> {
        None
    }
    fn on(&self, _: &mut Option<Count>, _: &String, _: &AccountEvent, _: &About<'_>) -> Folded {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_model_that_is_only_stored_is_told_as_frozen() {
    let kept = || Kept {
        journal: MemoryJournal::open(MemorySettings::default()),
        read_models: MemoryReadModels::new(),
    };
    let first = kept();
    let read_models = first.read_models.clone();
    let operated = Operated::<1>::on(first, |builder| builder).await;
    operated.service.account("a1", 2).await;
    operated.caught_up().await;
    operated.service.kronika.stop().await;
    let second = Kept { read_models, ..kept() };
    let journal = second.journal.clone();
    let builder = builder(journal.clone()).store(second).projection(Others);
    let kronika = builder.start().await.unwrap();
    let router = admin(&kronika);
    let bare = Fixture { journal, kronika, router };
    let told = bare.get("/projections/counts").await.is(StatusCode::OK).json();
    let one = &told["projections"][0];
    assert_eq!((&one["state"], &one["events"]), (&json!("frozen"), &json!(3)));
    let pause = bare.post("/projections/counts/pause", body(json!({}))).await;
    assert!(pause.problem(404, "not-found")["detail"].to_string().contains("registered"));
}

#[tokio::test(start_paused = true)]
async fn figures_are_told_of_each_read_model() {
    let operated = Operated::new().await;
    operated.parked(&["b"]).await;
    operated.act("/projections/counts/rebuild", json!({"hold": true})).await;
    let built = |told: &Value| each(told, "projections", "events") == [4, 4];
    operated.until("/projections/counts", built).await;
    operated.caught_up().await;
    let told = operated.service.get("/metrics").await.is(StatusCode::OK);
    let told = std::str::from_utf8(&told.body).unwrap();
    let live = "{projection=\"counts\",generation=\"1\",run=\"1\",stage=\"live\"}";
    let building = "{projection=\"counts\",generation=\"1\",run=\"2\",stage=\"building\"}";
    let lines = [live, building].into_iter().flat_map(|labels| {
        [
            format!("kronika_read_model_events_total{labels} 4"),
            format!("kronika_read_model_lag_events{labels} 0"),
            format!("kronika_read_model_lag_seconds{labels} 0.0"),
            format!("kronika_read_model_parked_keys{labels} 1"),
            format!("kronika_read_model_failed{labels} 0"),
        ]
    });
    let by_name = "kronika_projection_events_total{projection=\"counts\"} 4".to_owned();
    for line in lines.chain([by_name]) {
        assert!(told.lines().any(|told| told == line), "{line} is not in\n{told}");
    }
    assert!(told.contains(&format!("kronika_read_model_events_per_second{live} ")), "{told}");
    let pages = operated.service.kronika.projections().readings();
    assert!(pages > 0 && told.contains(&format!("kronika_projection_pages_total {pages}\n")));
    assert!(!told.contains("\"b\""), "figures hold no keys");
}
