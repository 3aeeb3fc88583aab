//! Serving a router on a socket, with a bound on everything that a client can hold: connections, headers and
//! the time to send them. Ends gracefully: what runs is finished, live feeds are ended, new work is refused.
//!
//! It speaks HTTP/1.1 without TLS: a proxy in front does the rest.

use axum::Router;
use futures_util::future::Either;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use std::{future::Future, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::timeout,
};

/// Bounds of one listening socket.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServeLimits {
    /// Connections at a time; more wait in the system's queue. Default 10,000.
    pub connections: usize,
    /// From the first byte that is waited for until a request's headers are whole; a connection that is idle
    /// for longer is closed too. Default 30 seconds.
    pub header_time: Duration,
    /// Headers of one request; more are refused with 431. Default 100.
    pub headers: usize,
    /// Bytes of one request's headers, at least 8 KiB. Default 64 KiB.
    pub header_bytes: usize,
    /// How long what runs may take to finish, once the end was asked for. Default 30 seconds.
    pub drain: Duration,
}

/// What the HTTP library takes when it is told nothing.
const HEADERS_DEFAULT: usize = 100;

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            header_time: Duration::from_secs(30),
            headers: HEADERS_DEFAULT,
            header_bytes: 64 << 10,
            drain: Duration::from_secs(30),
        }
    }
}

/// Connections that may wait to be accepted; the system's own bound may be lower.
const WAITING_MAX: u32 = 4096;

/// Listens on an address, within a tokio runtime, with room for a thousand clients that come at once. The system's
/// default queue of 128 connections resets some of them.
///
/// # Errors
/// If the address cannot be listened on.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Connections of a service that has just ended keep no other from starting.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING_MAX)
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// Every request that was taken was answered.
    Drained,
    /// So many connections were cut, because they took longer than [`ServeLimits::drain`].
    Cut(usize),
}

/// Serves until `shutdown` is ready, then lets what runs finish. The listener is closed before that, so that
/// nobody connects any more.
///
/// ```no_run
/// # async fn example(router: axum::Router) -> std::io::Result<()> {
/// use kronika_http::{ServeLimits, serve};
///
/// let listener = kronika_http::listen(([127, 0, 0, 1], 8080).into())?;
/// serve(listener, router, ServeLimits::default(), std::future::pending()).await;
/// # Ok(())
/// # }
/// ```
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ServeLimits,
    shutdown: impl Future<Output = ()>,
) -> Served {
    serve_on(listener, router, limits, shutdown).await
}

/// [`serve`] on a socket of any kind.
pub(crate) async fn serve_on(
    listener: impl Listener,
    router: Router,
    limits: ServeLimits,
    shutdown: impl Future<Output = ()>,
) -> Served {
    let (drain, draining) = watch::channel(false);
    let router = router.layer(axum::Extension(Draining(Some(draining))));
    let service = TowerToHyperService::new(router);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(limits.connections.clamp(1, Semaphore::MAX_PERMITS)));
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepting = pin!(accept(&listener, &places));
        let (stream, place) = match futures_util::future::select(accepting, shutdown).await {
            Either::Left((accepted, rest)) => {
                shutdown = rest;
                accepted
            }
            Either::Right(_) => break,
        };
        while connections.try_join_next().is_some() {}
        let connection = http1(&limits).serve_connection(TokioIo::new(stream), service.clone());
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    drain.send_replace(true);
    match timeout(limits.drain, graceful.shutdown()).await {
        Ok(()) => Served::Drained,
        Err(_) => {
            while connections.try_join_next().is_some() {}
            let cut = connections.len();
            tracing::warn!(cut, "connections were cut: they took longer to finish than is allowed");
            connections.shutdown().await;
            Served::Cut(cut)
        }
    }
}

fn http1(limits: &ServeLimits) -> http1::Builder {
    let mut http1 = http1::Builder::new();
    http1
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_header_size(limits.header_bytes.max(8 << 10));
    // Naming a number at all moves the headers to the heap, for every request.
    if limits.headers != HEADERS_DEFAULT {
        http1.max_headers(limits.headers);
    }
    http1
}

/// The next connection, once there is a place for it. Errors are the client's, or pass when others let go of
/// their sockets.
async fn accept<L: Listener>(
    listener: &L,
    places: &Arc<Semaphore>,
) -> (L::Stream, OwnedSemaphorePermit) {
    let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
    loop {
        match listener.next().await {
            Ok(stream) => return (stream, place),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// A socket that is listened on.
pub(crate) trait Listener {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// The next connection. Nothing is lost if it is not waited for to the end.
    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>>;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        let (stream, _) = self.accept().await?;
        // Answers are small: waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

/// Whether the end was asked for; without [`serve`] it never is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draining(Option<watch::Receiver<bool>>);

impl Draining {
    pub fn has_begun(&self) -> bool {
        self.0.as_ref().is_some_and(|draining| *draining.borrow())
    }

    /// Ready when the end is asked for.
    pub async fn wait(self) {
        if let Some(mut draining) = self.0 {
            // An error means that serving has ended altogether.
            let _ = draining.wait_for(|begun| *begun).await;
        } else {
            std::future::pending().await
        }
    }
}
