//! Callers in a closed loop: each has one append under way, and sends the next when it is answered.

use super::Bodies;
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
    let started = Instant::now();
    let until = started + time;
    let tasks: Vec<_> = callers
        .into_iter()
        .zip(0..)
        .map(|(mut caller, seed)| {
            tokio::spawn(async move {
                let mut bodies = Bodies::new(body_bytes, seed);
                let mut latencies = histogram();
                let mut now = Instant::now();
                while now < until {
                    caller.append(bodies.next()).await?;
                    let answered = Instant::now();
                    latencies.saturating_record((answered - now).as_nanos() as u64);
                    now = answered;
                }
                Ok::<_, String>((caller, latencies))
            })
        })
        .collect();
    let (mut callers, mut latencies) = (Vec::with_capacity(tasks.len()), histogram());
    for task in tasks {
        let (caller, own) = task.await.map_err(|error| format!("a caller ended: {error}"))??;
        latencies.add(&own).expect("all histograms have the same bounds");
        callers.push(caller);
    }
    Ok((Measured { events: latencies.len(), time: started.elapsed(), latencies }, callers))
}

/// To one per cent, so that one for each caller does not fill the caches.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 600_000_000_000, 2).expect("the bounds are valid")
}
