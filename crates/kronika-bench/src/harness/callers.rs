//! Callers in a closed loop: each has one append under way, and sends the next when it is answered.

use super::{Bodies, Latencies};
use hdrhistogram::Histogram;
use std::{
    fmt::{self, Display},
    future::Future,
    str::FromStr,
    thread,
    time::{Duration, Instant},
};
use tokio::{runtime::Handle, task::JoinHandle};

/// One caller with a stream of its own.
pub trait Caller: Send + 'static {
    /// Appends one event to its stream; done when it is durable.
    fn append(&mut self, body: &[u8]) -> impl Future<Output = Result<(), String>> + Send;
}

/// What callers came to.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Appends answered.
    pub events: u64,
    /// Time from the first to the last.
    pub time: Duration,
    /// Latencies in nanoseconds.
    pub latencies: Histogram<u64>,
}

impl Measured {
    /// Events a second.
    pub fn rate(&self) -> f64 {
        self.events as f64 / self.time.as_secs_f64()
    }
    /// A quantile of the latencies in microseconds.
    pub fn quantile_us(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1_000.0
    }
    /// The longest latency in microseconds.
    pub fn longest_us(&self) -> f64 {
        self.latencies.max() as f64 / 1_000.0
    }
}

/// What a caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// A task on the runtime.
    #[default]
    Tasks,
    /// A thread that blocks until it is answered.
    Threads,
}

impl FromStr for Style {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "tasks" => Ok(Self::Tasks),
            "threads" => Ok(Self::Threads),
            other => Err(format!("callers are tasks or threads, not {other}")),
        }
    }
}

impl Display for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Tasks { "tasks" } else { "threads" })
    }
}

/// Runs the callers for a time and gives them back. Bodies have so many bytes.
pub async fn closed_loop<C: Caller>(
    callers: Vec<C>,
    style: Style,
    body_bytes: usize,
    time: Duration,
) -> Result<(Measured, Vec<C>), String> {
    let (latencies, bodies) = (Latencies::default(), Bodies::new(body_bytes, 1));
    let started = Instant::now();
    let until = started + time;
    let runtime = Handle::current();
    let running: Vec<_> = callers
        .into_iter()
        .enumerate()
        .map(|(number, caller)| {
            let one = repeat(caller, number, until, latencies.clone(), bodies.from(number));
            match style {
                Style::Tasks => Running::Task(tokio::spawn(one)),
                Style::Threads => {
                    let runtime = runtime.clone();
                    Running::Thread(thread::spawn(move || runtime.block_on(one)))
                }
            }
        })
        .collect();
    let mut callers = Vec::with_capacity(running.len());
    for caller in running {
        callers.push(match caller {
            Running::Task(task) => task.await.map_err(|error| error.to_string())??,
            Running::Thread(thread) => thread.join().map_err(|_| "a caller panicked")??,
        });
    }
    let (time, latencies) = (started.elapsed(), latencies.sum());
    Ok((Measured { events: latencies.len(), time, latencies }, callers))
}

enum Running<C> {
    Task(JoinHandle<Result<C, String>>),
    Thread(thread::JoinHandle<Result<C, String>>),
}

async fn repeat<C: Caller>(
    mut caller: C,
    number: usize,
    until: Instant,
    latencies: Latencies,
    mut bodies: Bodies,
) -> Result<C, String> {
    let mut now = Instant::now();
    while now < until {
        caller.append(bodies.next()).await?;
        let answered = Instant::now();
        latencies.record(number, (answered - now).as_nanos() as u64);
        now = answered;
    }
    Ok(caller)
}
