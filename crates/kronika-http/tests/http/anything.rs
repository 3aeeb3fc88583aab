//! Whatever a client sends, it gets an answer that blames the right one.

use crate::support::{Ask, Fixture};
use axum::http::Method;
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};

fn method() -> impl Strategy<Value = Method> {
    prop_oneof![
        4 => Just(Method::POST),
        4 => Just(Method::GET),
        1 => Just(Method::PUT),
        1 => Just(Method::HEAD),
    ]
}

fn segment() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("account".to_owned()),
        Just("ticket".to_owned()),
        Just("events".to_owned()),
        Just("open".to_owned()),
        Just("deposit".to_owned()),
        Just("touch".to_owned()),
        Just("problems".to_owned()),
        "[a-z0-9]{0,3}",
        vec(any::<u8>(), 0..12)
            .prop_map(|bytes| bytes.iter().map(|byte| format!("%{byte:02x}")).collect()),
    ]
}

fn parameter() -> impl Strategy<Value = String> {
    let name = prop_oneof![Just("after"), Just("limit"), Just("version"), Just("x")];
    (name, "[ -~]{0,8}").prop_map(|(name, value)| {
        let value: String = value.bytes().map(|byte| format!("%{byte:02x}")).collect();
        format!("{name}={value}")
    })
}

fn path() -> impl Strategy<Value = String> {
    (vec(segment(), 0..5), vec(parameter(), 0..3)).prop_map(|(segments, parameters)| {
        format!("/{}?{}", segments.join("/"), parameters.join("&"))
    })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..200),
        "[\\[\\]{}\",:0-9a-z\\\\]{0,100}".prop_map(String::into_bytes),
        any::<i64>().prop_map(|cents| format!("{{\"cents\":{cents}}}").into_bytes()),
        ".{0,30}".prop_map(|owner| serde_json::json!({"owner": owner}).to_string().into_bytes()),
    ]
}

fn headers() -> impl Strategy<Value = Vec<(&'static str, Vec<u8>)>> {
    let names = [
        "if-match",
        "if-none-match",
        "idempotency-key",
        "content-length",
        "traceparent",
        "last-event-id",
        "x-anything",
    ];
    let value = prop_oneof![
        Just(b"*".to_vec()),
        Just(b"\"1\"".to_vec()),
        vec(prop_oneof![b' '..=b'~', 0x80..=0xff_u8], 0..20),
    ];
    vec((proptest::sample::select(names.to_vec()), value), 0..3)
}

#[test]
fn nothing_that_a_client_sends_is_the_services_fault() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let service = runtime.block_on(Fixture::new());
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let strategy = (method(), path(), headers(), body());
    let tested = runner.run(&strategy, |(method, path, headers, body)| {
        let ask = Ask::new(method, &path).body(body).header("content-type", "application/json");
        let ask = headers.into_iter().fold(ask, |ask, (name, value)| ask.header(name, value));
        let answer = runtime.block_on(ask.of(&service));
        let status = answer.status.as_u16();
        prop_assert!(status < 500, "{answer:?}");
        if status >= 400 && !answer.body.is_empty() {
            prop_assert_eq!(answer.header("content-type"), "application/problem+json");
            prop_assert_eq!(answer.json()["status"].as_u64(), Some(status.into()));
        }
        Ok(())
    });
    tested.unwrap();
}
