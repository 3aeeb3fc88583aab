//! Group commit for stores whose transactions are taken one at a time: one thread drains a channel, writes all that
//! waits in one durable transaction, and answers. Their users would do the same.

use crate::harness::Caller;
use std::thread::{self, JoinHandle};
use tokio::sync::{mpsc, oneshot};

/// Events in one transaction at most, and callers that may wait.
const GROUP_EVENTS: usize = 2048;
const QUEUE: usize = 16_384;

/// An event to be written.
pub struct Write {
    /// Its stream.
    pub stream: String,
    /// Its place in the stream.
    pub version: u64,
    /// Its body.
    pub body: Vec<u8>,
}

/// A store that writes a group in one durable transaction.
pub trait Transactions: Send + 'static {
    /// Writes all of them durably, or none.
    fn write(&mut self, group: &[Write]) -> Result<(), String>;
}

struct Request {
    writes: Vec<Write>,
    answer: oneshot::Sender<Result<(), String>>,
}

/// The thread that writes.
pub struct Grouped {
    requests: mpsc::Sender<Request>,
    writer: JoinHandle<()>,
}

impl Grouped {
    /// Starts the thread.
    pub fn start(transactions: impl Transactions) -> Result<Self, String> {
        let (requests, waiting) = mpsc::channel(QUEUE);
        let writer = thread::Builder::new().name("group-commit".into());
        let writer = writer.spawn(move || run(transactions, waiting));
        Ok(Self { requests, writer: writer.map_err(|error| error.to_string())? })
    }

    /// One more caller.
    pub fn caller(&self, number: u32) -> GroupedCaller {
        let stream = format!("caller/{number}");
        GroupedCaller { requests: self.requests.clone(), stream, version: 0 }
    }

    /// Writes many at once, on this thread's time.
    pub fn write(&self, writes: Vec<Write>) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        let sent = self.requests.blocking_send(Request { writes, answer });
        sent.map_err(|_| "the writer ended".to_owned())?;
        answered.blocking_recv().map_err(|_| "the writer ended".to_owned())?
    }

    /// Ends the thread.
    pub fn close(self) -> Result<(), String> {
        drop(self.requests);
        self.writer.join().map_err(|_| "the writer panicked".to_owned())
    }
}

/// Ends when all senders are gone.
fn run(mut transactions: impl Transactions, mut waiting: mpsc::Receiver<Request>) {
    while let Some(first) = waiting.blocking_recv() {
        let Request { mut writes, answer } = first;
        let mut answers = vec![answer];
        while writes.len() < GROUP_EVENTS
            && let Ok(next) = waiting.try_recv()
        {
            writes.extend(next.writes);
            answers.push(next.answer);
        }
        let done = transactions.write(&writes);
        for answer in answers {
            // Whoever dropped its end does not want to know.
            let _ = answer.send(done.clone());
        }
    }
}

/// One caller.
pub struct GroupedCaller {
    requests: mpsc::Sender<Request>,
    stream: String,
    version: u64,
}

impl Caller for GroupedCaller {
    async fn append(&mut self, body: &[u8]) -> Result<(), String> {
        self.version += 1;
        let write =
            Write { stream: self.stream.clone(), version: self.version, body: body.to_vec() };
        let (answer, answered) = oneshot::channel();
        let sent = self.requests.send(Request { writes: vec![write], answer }).await;
        sent.map_err(|_| "the writer ended".to_owned())?;
        answered.await.map_err(|_| "the writer ended".to_owned())?
    }
}
