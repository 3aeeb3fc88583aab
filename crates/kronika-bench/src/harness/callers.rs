//! Callers in a closed loop: each has one append under way, and sends the next when it is answered.

use super::{Bodies, Latencies};
use hdrhistogram::Histogram;
use std::{
    future::Future,
    time::{Duration, Instant},
};

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

/// Runs the callers for a time, each as a task, and gives them back. Bodies have so many bytes.
pub async fn closed_loop<C: Caller>(
    callers: Vec<C>,
    body_bytes: usize,
    time: Duration,
) -> Result<(Measured, Vec<C>), String> {
    let (latencies, bodies) = (Latencies::default(), Bodies::new(body_bytes, 1));
    let started = Instant::now();
    let until = started + time;
    let tasks: Vec<_> = callers
        .into_iter()
        .enumerate()
        .map(|(number, mut caller)| {
            let (latencies, mut bodies) = (latencies.clone(), bodies.from(number));
            tokio::spawn(async move {
                let mut now = Instant::now();
                while now < until {
                    caller.append(bodies.next()).await?;
                    let answered = Instant::now();
                    latencies.record(number, (answered - now).as_nanos() as u64);
                    now = answered;
                }
                Ok::<_, String>(caller)
            })
        })
        .collect();
    let mut callers = Vec::with_capacity(tasks.len());
    for task in tasks {
        callers.push(task.await.map_err(|error| format!("a caller ended: {error}"))??);
    }
    let (time, latencies) = (started.elapsed(), latencies.sum());
    Ok((Measured { events: latencies.len(), time, latencies }, callers))
}
