//! The aggregate that benchmarks command: it records one event of a given size.

use hdrhistogram::Histogram;
use kronika::{Aggregate, Command, CommandError, Context, Event, Handle, Kronika, Never, Outcome};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

/// Counts what it recorded.
#[derive(Default, Serialize, Deserialize)]
pub struct Recorder {
    recorded: u64,
}

impl Recorder {
    /// How many events it has.
    pub fn recorded(&self) -> u64 {
        self.recorded
    }
}

/// What it records: its body is 256 bytes of JSON.
#[derive(Event, Serialize, Deserialize)]
pub enum RecorderEvent {
    /// Some payload was recorded.
    Recorded {
        /// As long as is needed.
        payload: String,
    },
}

/// Bytes of an event's body.
pub const BODY_BYTES: usize = 256;

impl Aggregate for Recorder {
    const TYPE: &'static str = "recorder";
    type Id = u32;
    type Event = RecorderEvent;

    fn apply(&mut self, _: &RecorderEvent) {
        self.recorded += 1;
    }
}

/// Records a payload.
#[derive(Command, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// As long as is needed.
    pub payload: String,
}

impl Record {
    /// One whose event has a body of [`BODY_BYTES`].
    pub fn sized() -> Self {
        Self { payload: "x".repeat(BODY_BYTES - r#"{"payload":""}"#.len()) }
    }
}

impl Handle<Record> for Recorder {
    type Reply = u64;
    type Rejection = Never;

    fn handle(&self, record: &Record, context: &Context<Self>) -> Outcome<Self, Record> {
        let recorded = RecorderEvent::Recorded { payload: record.payload.clone() };
        Ok(context.record(recorded).reply_from(|recorder| recorder.recorded))
    }
}

/// What callers in a closed loop came to.
pub struct Measured {
    /// Commands answered.
    pub commands: u64,
    /// Time from the first to the last.
    pub time: Duration,
    /// Latencies in nanoseconds.
    pub latencies: Histogram<u64>,
}

/// Runs callers in a closed loop, each with one command under way, over these aggregates.
pub async fn run(
    service: &Kronika,
    callers: usize,
    aggregates: Range<u32>,
    time: Duration,
) -> Result<Measured, CommandError<Never>> {
    let until = Instant::now() + time;
    let started = Instant::now();
    let recorders = Arc::new(service.aggregates::<Recorder>());
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (recorders, aggregates) = (recorders.clone(), aggregates.clone());
            tokio::spawn(async move {
                let mut random = fastrand::Rng::new();
                let mut latencies = histogram();
                let mut now = Instant::now();
                while now < until {
                    recorders
                        .send(&random.u32(aggregates.clone()), Record::sized())
                        .receipt()
                        .await?;
                    let answered = Instant::now();
                    latencies.saturating_record((answered - now).as_nanos() as u64);
                    now = answered;
                }
                Ok(latencies)
            })
        })
        .collect();
    let mut latencies = histogram();
    for task in tasks {
        let caller = task.await.expect("a caller does not panic")?;
        latencies.add(&caller).expect("all histograms have the same bounds");
    }
    Ok(Measured { commands: latencies.len(), time: started.elapsed(), latencies })
}

/// To one per cent, so that one for each caller does not fill the caches.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 60_000_000_000, 2).expect("the bounds are valid")
}
