//! A key that cannot be handled: listed, read, tried again, skipped, dropped.

use super::*;

const PARKED: &str = "/projections/counts/parked";

#[tokio::test(start_paused = true)]
async fn a_parked_key_is_told_with_its_letters() {
    let operated = Operated::new().await;
    operated.parked(&["b"]).await;
    let events = operated.service.get("/account/b/events").await.json();
    let letter = |version: usize| {
        let time = &events["events"][version - 1]["time"];
        json!({"partition": 0, "position": version, "event": "deposited", "stream": "account/b",
               "version": version, "time": time})
    };
    let key = json!({
        "key": "b", "letters": 3, "attempts": 1, "parked": NOW, "asked": null, "cause": null,
        "first": letter(2),
    });
    let told = |mut told: Value| {
        let cause = told["cause"].take();
        assert!(cause.as_str().unwrap().contains("b is not to my taste"), "{cause}");
        told
    };
    let mut list = operated.get(PARKED).await.is(StatusCode::OK).json();
    assert_eq!(told(list["parked"][0].take()), key);
    assert_eq!(list, json!({"parked": [null], "next": null}));
    let mut one = told(operated.get(&format!("{PARKED}/b")).await.is(StatusCode::OK).json());
    let letters = [2, 3, 4].map(letter);
    assert_eq!(one["letters_listed"].take(), json!({"letters": letters, "next": null}));
    one.as_object_mut().unwrap().remove("letters_listed");
    assert_eq!(one, key);
    let projection = operated.get("/projections/counts").await.json();
    assert_eq!(each(&projection, "projections", "parked"), [1]);
}

#[tokio::test(start_paused = true)]
async fn keys_and_letters_are_listed_page_by_page() {
    let operated = Operated::new().await;
    operated.parked(&["a", "b/c", "d"]).await;
    let first = operated.get(&format!("{PARKED}?limit=2")).await.json();
    assert_eq!(each(&first, "parked", "key"), ["a", "b%2Fc"]);
    assert_eq!(first["next"], "b%2Fc");
    let rest = operated.get(&format!("{PARKED}?limit=2&after=b%252Fc")).await.json();
    assert_eq!(each(&rest, "parked", "key"), ["d"]);
    assert_eq!(rest["next"], Value::Null);
    let first = operated.get(&format!("{PARKED}/b%252Fc?limit=2")).await.json();
    assert_eq!(each(&first["letters_listed"], "letters", "version"), [2, 3]);
    assert_eq!(first["letters_listed"]["next"], 2);
    let rest = operated.get(&format!("{PARKED}/b%252Fc?limit=2&after=2")).await.json();
    assert_eq!(each(&rest["letters_listed"], "letters", "version"), [4]);
    assert_eq!(rest["letters_listed"]["next"], Value::Null);
    operated.get(&format!("{PARKED}?generation=1&run=1&limit=5000")).await.is(StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_tried_again_until_it_is_mended() {
    let operated = Operated::new().await;
    operated.parked(&["b"]).await;
    operated.act(&format!("{PARKED}/b/retry"), json!({})).await;
    let tried = operated.until(&format!("{PARKED}/b"), |told| told["attempts"] == 2).await;
    assert_eq!((&tried["asked"], &tried["letters"]), (&Value::Null, &json!(3)));
    operated.counts.refuse(&[]);
    operated.act(&format!("{PARKED}/b/retry"), json!({"generation": 1, "run": 1})).await;
    operated.until(PARKED, |told| told["parked"] == json!([])).await;
    operated.get(&format!("{PARKED}/b")).await.problem(404, "not-found");
    let again = operated.operators.post(&format!("{PARKED}/b/retry"), body(json!({}))).await;
    again.problem(404, "not-found");
}

#[tokio::test(start_paused = true)]
async fn a_key_goes_on_without_a_letter_or_without_all() {
    let operated = Operated::new().await;
    operated.parked(&["a", "b", "c"]).await;
    operated.act(&format!("{PARKED}/a/drop"), json!({})).await;
    operated.until(PARKED, |told| each(told, "parked", "key") == ["b", "c"]).await;
    // The letters behind the one that is skipped fail too: the next one is tried, and waits.
    operated.act(&format!("{PARKED}/b/skip"), json!({})).await;
    operated.until(&format!("{PARKED}/b"), |told| told["first"]["version"] == 3).await;
    operated.act(&format!("{PARKED}/drop"), json!({})).await;
    operated.until(PARKED, |told| told["parked"] == json!([])).await;
    let acts = operated.get("/acts?limit=2").await.is(StatusCode::OK).json();
    let told = [
        "drop all parked keys of counts (generation 1, run 1)",
        "skip key b of counts (generation 1, run 1)",
    ];
    assert_eq!(each(&acts, "acts", "act"), told);
}

/// What is asked of all stands where a key stands.
#[tokio::test(start_paused = true)]
async fn a_key_may_be_called_like_a_request() {
    let operated = Operated::new().await;
    operated.parked(&["retry", "drop", "x"]).await;
    operated.get(&format!("{PARKED}/retry")).await.is(StatusCode::OK);
    operated.act(&format!("{PARKED}/drop/drop"), json!({})).await;
    operated.until(PARKED, |told| each(told, "parked", "key") == ["retry", "x"]).await;
    operated.counts.refuse(&[]);
    operated.act(&format!("{PARKED}/retry/retry"), json!({})).await;
    operated.until(PARKED, |told| each(told, "parked", "key") == ["x"]).await;
    operated.act(&format!("{PARKED}/retry"), json!({})).await;
    operated.until(PARKED, |told| told["parked"] == json!([])).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_with_a_slash_is_one_segment_of_the_path() {
    let operated = Operated::<1, true>::of().await;
    operated.parked(&["b"]).await;
    let told = operated.get(&format!("{PARKED}/account%2Fb")).await.is(StatusCode::OK).json();
    assert_eq!(told["key"], "account/b");
    operated.counts.refuse(&[]);
    operated.act(&format!("{PARKED}/account%2Fb/retry"), json!({})).await;
    operated.until(PARKED, |told| told["parked"] == json!([])).await;
}
