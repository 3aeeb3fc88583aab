//! The service: HTTP on a socket, simulated bidding beside it, and one live line.

use crate::{
    output,
    service::Running,
    traffic::{Came, Traffic},
};
use kronika::{AdminSocket, Kronika, ServeLimits, Served, Standing};
use std::{
    io::{IsTerminal, Write},
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::JoinHandle,
};

/// Auctions and bidders of the simulated bidding.
const LIVELY_AUCTIONS: u32 = 24;
/// Pause between two simulated commands.
const LIVELY_PAUSE: Duration = Duration::from_millis(25);

/// Serves until Ctrl-C, SIGTERM, or a journal that has failed.
pub async fn run(data: &Path, listen: SocketAddr, quiet: bool) -> Result<(), String> {
    let running = Running::start(data).await?;
    let served = serve(&running, data, listen, quiet).await;
    running.stop().await?;
    served
}

async fn serve(
    running: &Running,
    data: &Path,
    listen: SocketAddr,
    quiet: bool,
) -> Result<(), String> {
    let listener = kronika::listen(listen);
    let listener = listener.map_err(|error| format!("{listen} cannot be listened on: {error}"))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let router = running.router()?;
    let signals = Signals::new()?;
    let (stop, stopped) = watch::channel(false);
    let operators = operators(&running.admin_socket, &running.service, stopped.clone()).await;
    if !quiet {
        output::print(&greeting(address, data))?;
        tokio::spawn(lively(running.clone(), stopped.clone()));
        tokio::spawn(live_line(running.clone(), stopped.clone()));
    } else {
        output::print(&format_args!("http://{address}"))?;
    }
    let mut standing = running.service.standing();
    let failed = async move {
        match standing.wait_for(|standing| *standing != Standing::Owner).await {
            Ok(standing) => format!("{:?}", *standing),
            Err(_) => std::future::pending().await,
        }
    };
    let (cause, causes) = tokio::sync::oneshot::channel();
    let shutdown = async move {
        let cause_of_end = tokio::select! {
            () = signals.asked_to_end() => None,
            why = failed => Some(why),
        };
        let _ = cause.send(cause_of_end); // read below, after the drain
        stop.send_replace(true);
    };
    kronika::serve(listener, router, ServeLimits::default(), shutdown).await;
    if let Some(operators) = operators {
        operators.await.map_err(|error| format!("serving operators ended early: {error}"))?;
    }
    match causes.await {
        Ok(Some(why)) => Err(format!("the journal takes no more commands ({why}); start again")),
        _ => Ok(()),
    }
}

/// Serves operators until it is told to stop. Customers are served without, say where the directory's path is too
/// long for a socket.
async fn operators(
    path: &Path,
    service: &Kronika,
    mut stopped: watch::Receiver<bool>,
) -> Option<JoinHandle<Served>> {
    let socket = AdminSocket::bind(path).await;
    let socket = socket.inspect_err(|error| tracing::warn!(%error, "operators cannot be served"));
    let (socket, service) = (socket.ok()?, service.clone());
    let end = async move {
        // An error means that nobody serves any more.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    Some(tokio::spawn(async move { socket.serve(&service, ServeLimits::default(), end).await }))
}

/// Ctrl-C and SIGTERM. Made before the address is told: who knows it may ask for the end at once.
struct Signals {
    interrupted: Signal,
    terminated: Signal,
}

impl Signals {
    fn new() -> Result<Self, String> {
        let listen =
            |kind| signal(kind).map_err(|error| format!("signals cannot be listened to: {error}"));
        Ok(Self {
            interrupted: listen(SignalKind::interrupt())?,
            terminated: listen(SignalKind::terminate())?,
        })
    }

    async fn asked_to_end(mut self) {
        tokio::select! {
            _ = self.interrupted.recv() => {}
            _ = self.terminated.recv() => {}
        }
    }
}

/// The address, and three things to try.
fn greeting(address: SocketAddr, data: &Path) -> String {
    format!(
        r#"http://{address}  (data in {}; Ctrl-C ends it)

  curl 'http://{address}/auctions?order=-price_cents&limit=3'
  curl http://{address}/auction/lively-0/place-bid -H 'content-type: application/json' -d '{{"bidder":"you","max_cents":10000000}}'
  curl http://{address}/auction/lively-0/events
"#,
        data.display()
    )
}

/// Bids at random until it is told to stop.
async fn lively(running: Running, stopped: watch::Receiver<bool>) {
    let seed = running.service.journal().incarnation().get() as u64;
    let mut traffic =
        Traffic::new(running.service.aggregates(), "lively".to_owned(), LIVELY_AUCTIONS, seed);
    let mut opened = 0;
    while !*stopped.borrow() {
        let came = match opened {
            LIVELY_AUCTIONS => traffic.bid().await,
            number => {
                opened += 1;
                traffic.open(number).await
            }
        };
        if let Err(error) = came.map(|came| matches!(came, Came::Accepted(_))) {
            tracing::debug!(error, "simulated bidding was refused");
        }
        tokio::time::sleep(LIVELY_PAUSE).await;
    }
}

/// Commands a second, events, residents and lag, once a second on one line.
async fn live_line(running: Running, stopped: watch::Receiver<bool>) {
    let terminal = std::io::stdout().is_terminal();
    let (mut before, mut at) = (0, Instant::now());
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    while !*stopped.borrow() {
        ticks.tick().await;
        let line = running.live_line(&mut before, &mut at).await;
        if terminal {
            // A terminal that is gone shows nothing; the service goes on.
            let mut out = std::io::stdout();
            let _ = write!(out, "\r\x1b[2K{line}").and_then(|()| out.flush());
        }
    }
    if terminal {
        let _ = writeln!(std::io::stdout());
    }
}
