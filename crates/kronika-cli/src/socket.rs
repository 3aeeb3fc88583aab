//! Asking a running service: HTTP over the socket in its data directory.
//!
//! One request on one connection. Whether the request was received is told from whether it was not: what was sent
//! and not answered may have been done.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Response, StatusCode, body::Incoming, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{net::UnixStream, time::timeout};

/// How long a service may take to answer: longer than it gives itself, which is 30 seconds.
const PATIENCE: Duration = Duration::from_secs(40);
/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Why there is no answer.
#[derive(Debug)]
pub enum Unanswered {
    /// Nobody was asked.
    NotConnected(io::Error),
    /// It was asked, and may have done it.
    Unknown(String),
}

/// What a service answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

/// The socket of the service that holds a data directory.
pub fn path(data: &Path) -> PathBuf {
    data.join("admin.sock")
}

/// Posts JSON to a route and waits for the answer.
pub async fn post(socket: &Path, route: &str, body: &Value) -> Result<Answer, Unanswered> {
    post_within(PATIENCE, socket, route, body).await
}

async fn post_within(
    patience: Duration,
    socket: &Path,
    route: &str,
    body: &Value,
) -> Result<Answer, Unanswered> {
    let stream = UnixStream::connect(socket).await.map_err(Unanswered::NotConnected)?;
    let answer = timeout(patience, exchange(stream, request(route, body))).await;
    let late = |_| Unanswered::Unknown(format!("there was no answer within {patience:?}"));
    answer.map_err(late)?.map_err(Unanswered::Unknown)
}

/// Posts JSON to a route whose answer comes line by line, for as long as it takes; `each` is given the lines and
/// tells whether there is to be more. Gives the whole answer where it is a refusal.
pub async fn lines(
    socket: &Path,
    route: &str,
    body: &Value,
    mut each: impl FnMut(&str) -> bool,
) -> Result<Option<Answer>, Unanswered> {
    let stream = UnixStream::connect(socket).await.map_err(Unanswered::NotConnected)?;
    let failed = |error: hyper::Error| Unanswered::Unknown(error.to_string());
    let (response, _connection) = ask(stream, request(route, body)).await.map_err(failed)?;
    let status = response.status();
    let mut body = response.into_body();
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(failed)?.into_data() else { continue };
        text.extend_from_slice(&data);
        if text.len() > ANSWER_BYTES_MAX {
            return Err(Unanswered::Unknown("one line of its answer is too long".to_owned()));
        }
        while status.is_success()
            && let Some(end) = text.iter().position(|byte| *byte == b'\n')
        {
            let line: Vec<u8> = text.drain(..=end).collect();
            if !each(String::from_utf8_lossy(&line).trim_end()) {
                return Ok(None);
            }
        }
    }
    Ok((!status.is_success()).then(|| Answer { status, body: text.into() }))
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn request(route: &str, body: &Value) -> Request<Full<Bytes>> {
    Request::post(route)
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body.to_string())))
        .expect("routes are percent-encoded")
}

/// Sends a request; what it gives beside the answer keeps the connection.
async fn ask(
    stream: UnixStream,
    request: Request<Full<Bytes>>,
) -> hyper::Result<(Response<Incoming>, AbortOnDrop<hyper::Result<()>>)> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the sender, or with an error that the sender tells too.
    let connection = AbortOnDrop(tokio::spawn(connection));
    Ok((sender.send_request(request).await?, connection))
}

async fn exchange(stream: UnixStream, request: Request<Full<Bytes>>) -> Result<Answer, String> {
    let (response, _connection) = ask(stream, request).await.map_err(|error| error.to_string())?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|error| error.to_string())?.to_bytes();
    Ok(Answer { status, body })
}

/// A part of a path, in which everything else than letters, digits and `-._~` is percent-encoded.
pub fn encoded(part: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let letter = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    let encoded: String = part.bytes().map(letter).collect();
    match &*encoded {
        // Else a path would lose them.
        "." | ".." => encoded.replace('.', "%2E"),
        _ => encoded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_part_of_a_path() {
        let check = |key: &str, part: &str| assert_eq!(encoded(key), part);
        check("a17-x_~.", "a17-x_~.");
        check("order/1 7", "order%2F1%207");
        check("a%2Fb", "a%252Fb");
        check("ü?#", "%C3%BC%3F%23");
        check("..", "%2E%2E");
    }

    #[tokio::test]
    async fn a_service_that_does_not_answer_may_have_done_it() {
        let directory = tempfile::tempdir().unwrap();
        let socket = path(directory.path());
        let ask = || post_within(Duration::from_millis(20), &socket, "/acts", &Value::Null);
        assert!(matches!(ask().await, Err(Unanswered::NotConnected(_))));
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let Err(Unanswered::Unknown(what)) = ask().await else { panic!("it was connected") };
        assert_eq!(what, "there was no answer within 20ms");
        let closes = async {
            drop(listener.accept().await.unwrap());
            drop(listener.accept().await.unwrap());
        };
        let (answer, ()) = tokio::join!(ask(), closes);
        assert!(matches!(answer, Err(Unanswered::Unknown(_))), "{answer:?}");
    }
}
