//! The socket of operators: private, and where it is another's left alone.

use super::*;
use kronika_http::{AdminSocket, AdminSocketError, ServeLimits, Served};
use std::{
    fs,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixListener,
    },
    path::Path,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    sync::oneshot,
};

/// One request on a connection of its own; gives the whole answer.
async fn ask(path: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn operators_ask_by_the_socket_and_it_is_gone_with_the_service() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("admin.sock");
    let operated = Operated::new().await;
    let socket = AdminSocket::bind(&path).await.unwrap();
    assert_eq!(socket.path(), path);
    let found = fs::symlink_metadata(&path).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    assert_eq!(names(room.path()), ["admin.sock"]);
    let (stop, stopped) = oneshot::channel::<()>();
    let kronika = operated.service.kronika.clone();
    let served = tokio::spawn(async move {
        socket.serve(&kronika, ServeLimits::default(), async { drop(stopped.await) }).await
    });
    let get = "GET /projections HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = ask(&path, get).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("\"counts\""), "{answer}");
    let body = body(json!({})).to_string();
    let post = format!(
        "POST /projections/counts/pause HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = ask(&path, &post).await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    let refused = AdminSocket::bind(&path).await.unwrap_err();
    assert!(matches!(refused, AdminSocketError::InUse(_)), "{refused}");
    stop.send(()).unwrap();
    assert_eq!(served.await.unwrap(), Served::Drained);
    assert_eq!(names(room.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_socket_that_nobody_answers_on_is_replaced() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("admin.sock");
    drop(UnixListener::bind(&path).unwrap());
    // What a process leaves that is killed while it binds.
    let private = room.path().join("admin.sock.new");
    fs::create_dir(&private).unwrap();
    drop(UnixListener::bind(private.join("s")).unwrap());
    let socket = AdminSocket::bind(&path).await.unwrap();
    UnixStream::connect(&path).await.unwrap();
    assert_eq!(names(room.path()), ["admin.sock"]);
    drop(socket);
    assert_eq!(names(room.path()), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_somebody_elses_is_left_alone() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("admin.sock");
    let other = UnixListener::bind(&path).unwrap();
    let error = AdminSocket::bind(&path).await.unwrap_err();
    assert!(matches!(error, AdminSocketError::InUse(_)), "{error}");
    drop(other);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "somebody's").unwrap();
    let error = AdminSocket::bind(&path).await.unwrap_err();
    assert!(matches!(error, AdminSocketError::NoSocket(_)), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "somebody's");
    fs::remove_file(&path).unwrap();
    let socket = AdminSocket::bind(&path).await.unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "a later one's").unwrap();
    drop(socket);
    assert_eq!(fs::read_to_string(&path).unwrap(), "a later one's");
    let nowhere = AdminSocket::bind(room.path().join("none/admin.sock")).await.unwrap_err();
    assert!(matches!(nowhere, AdminSocketError::System { .. }), "{nowhere}");
    assert!(nowhere.to_string().contains("none/admin.sock"), "{nowhere}");
}

#[tokio::test]
async fn headers_without_measure_are_refused_on_the_socket_too() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("admin.sock");
    let operated = Operated::new().await;
    let socket = AdminSocket::bind(&path).await.unwrap();
    let kronika = operated.service.kronika.clone();
    let mut limits = ServeLimits::default();
    limits.header_time = Duration::from_millis(200);
    limits.connections = 1;
    let served =
        tokio::spawn(async move { socket.serve(&kronika, limits, std::future::pending()).await });
    // The only place is held by a slow one, until it is thrown out.
    let slow = ask(&path, "GET /projections HTTP/1.1\r\nx-slow: ");
    let many: String = (0..200).map(|number| format!("x-{number}: y\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\n{many}\r\n");
    let many = ask(&path, &many);
    let (slow, many) = futures_util::future::join(slow, many).await;
    assert!(!slow.contains("200 OK"), "{slow}");
    assert!(many.contains("431"), "{many}");
    served.abort();
    assert!(served.await.unwrap_err().is_cancelled());
    assert_eq!(names(room.path()), Vec::<String>::new());
}
