//! A service behind a socket: it ends gracefully, and slow clients do not hold it.

use crate::support::Fixture;
use kronika_http::{Query, ServeLimits, Served, serve};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, oneshot},
    task::JoinHandle,
};

struct Running {
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Served>,
}

async fn run(service: &Fixture, limits: ServeLimits) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let shutdown = async { drop(stopped.await) };
    let served = tokio::spawn(serve(listener, service.router.clone(), limits, shutdown));
    Running { address, stop, served }
}

impl Running {
    async fn connect(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }
}

async fn until(stream: &mut TcpStream, text: &str) -> String {
    let (mut seen, mut buffer) = (String::new(), [0; 1024]);
    while !seen.contains(text) {
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "{text:?} never came, but {seen:?}");
        seen.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    seen
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    // A connection that is cut may end by a reset.
    let _ = stream.read_to_end(&mut seen).await;
    String::from_utf8(seen).unwrap()
}

#[tokio::test]
async fn what_runs_is_finished_and_nothing_new_is_taken() {
    let (arrived, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (arrived, go_on) = (arrived.clone(), go_on.clone());
        async move || {
            arrived.notify_one();
            go_on.notified().await;
            "done"
        }
    };
    let service = Fixture::with(|service| service.query(Query::get("/slow", slow))).await;
    let running = run(&service, ServeLimits::default()).await;
    let mut stream = running.connect("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    arrived.notified().await;
    running.stop.send(()).unwrap();
    while TcpStream::connect(running.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    go_on.notify_one();
    assert!(rest(&mut stream).await.ends_with("done"));
    assert_eq!(running.served.await.unwrap(), Served::Drained);
}

#[tokio::test]
async fn a_live_feed_ends_with_the_service() {
    let service = Fixture::new().await;
    service.account("a1", 0).await;
    let running = run(&service, ServeLimits::default()).await;
    let feed = "GET /events HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n";
    let mut stream = running.connect(feed).await;
    until(&mut stream, "account/a1").await;
    running.stop.send(()).unwrap();
    rest(&mut stream).await;
    assert_eq!(running.served.await.unwrap(), Served::Drained);
}

#[tokio::test]
async fn what_takes_too_long_to_finish_is_cut() {
    let arrived = Arc::new(Notify::new());
    let hangs = {
        let arrived = arrived.clone();
        async move || {
            arrived.notify_one();
            std::future::pending::<()>().await
        }
    };
    let service = Fixture::with(|service| service.query(Query::get("/hangs", hangs))).await;
    let mut limits = ServeLimits::default();
    limits.drain = Duration::from_millis(20);
    let running = run(&service, limits).await;
    let mut stream = running.connect("GET /hangs HTTP/1.1\r\nhost: x\r\n\r\n").await;
    arrived.notified().await;
    running.stop.send(()).unwrap();
    assert_eq!(running.served.await.unwrap(), Served::Cut(1));
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test]
async fn a_service_that_ends_says_that_it_is_not_ready() {
    let (arrived, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (arrived, go_on) = (arrived.clone(), go_on.clone());
        async move || {
            arrived.notify_one();
            go_on.notified().await;
        }
    };
    let service = Fixture::with(|service| service.query(Query::get("/slow", slow))).await;
    let running = run(&service, ServeLimits::default()).await;
    let slow = "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n";
    let ready = "GET /health/ready HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut stream = running.connect(&format!("{slow}{ready}")).await;
    arrived.notified().await;
    running.stop.send(()).unwrap();
    while TcpStream::connect(running.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    go_on.notify_one();
    // The request that was sent behind the one that runs may still be answered, or not be taken.
    let answers = rest(&mut stream).await;
    assert!(answers.starts_with("HTTP/1.1 200"), "{answers}");
    assert!(!answers.contains("\"ready\""), "{answers}");
    assert_eq!(running.served.await.unwrap(), Served::Drained);
}

#[tokio::test]
async fn connections_on_which_nothing_comes_are_closed() {
    let service = Fixture::new().await;
    let mut limits = ServeLimits::default();
    limits.header_time = Duration::from_millis(200);
    let running = run(&service, limits).await;
    let mut silent = running.connect("").await;
    assert_eq!(rest(&mut silent).await, "");
    let mut idle = running.connect("GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").await;
    until(&mut idle, "live").await;
    assert_eq!(rest(&mut idle).await, "");
}

#[tokio::test]
async fn headers_that_never_end_are_not_waited_for() {
    let service = Fixture::new().await;
    let mut limits = ServeLimits::default();
    limits.header_time = Duration::from_millis(200);
    limits.connections = 1;
    let running = run(&service, limits).await;
    let mut slow = running.connect("GET /health/live HTTP/1.1\r\nhost: x\r\nx-slow: ").await;
    // The only place is held by the slow one, until it is thrown out.
    let mut other = running.connect("GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").await;
    until(&mut other, "200 OK").await;
    assert!(!rest(&mut slow).await.contains("200 OK"));
}

#[tokio::test]
async fn headers_without_measure_are_refused() {
    let service = Fixture::new().await;
    let running = run(&service, ServeLimits::default()).await;
    let many: String = (0..200).map(|number| format!("x-{number}: y\r\n")).collect();
    let mut stream = running.connect(&format!("GET / HTTP/1.1\r\n{many}\r\n")).await;
    until(&mut stream, "431").await;
    let large = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(100_000));
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    // The service may close before all of it is written.
    let _ = stream.write_all(large.as_bytes()).await;
    until(&mut stream, "431").await;
}
