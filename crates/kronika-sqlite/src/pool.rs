//! Threads of their own for what blocks: each has a connection, and all take from one bounded queue.

use rusqlite::Connection;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
};
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The queue and its threads. Closing it waits for what was taken on.
pub(crate) struct Pool {
    queue: Mutex<Option<SyncSender<Job>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Why a job was not taken on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The queue is full.
    Overloaded,
    /// The pool is closed.
    Closed,
    /// The job panicked.
    Panicked,
}

impl Pool {
    /// A thread for each connection.
    pub fn start(
        name: &str,
        connections: Vec<Connection>,
        waiting_max: usize,
    ) -> std::io::Result<Self> {
        let (queue, jobs) = sync_channel(waiting_max);
        let jobs = Arc::new(Mutex::new(jobs));
        let threads = connections.into_iter().map(|connection| {
            let jobs = jobs.clone();
            thread::Builder::new().name(name.to_owned()).spawn(move || serve(connection, &jobs))
        });
        let threads = Mutex::new(threads.collect::<Result<_, _>>()?);
        Ok(Self { queue: Mutex::new(Some(queue)), threads })
    }

    /// Gives a job to the next free thread. Its answer comes when it is done, also if nobody waits for it.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> T + Send + 'static,
    ) -> Result<T, Refused> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Nobody may be waiting any more.
            let _ = answer.send(job(connection));
        });
        self.submit(job)?;
        answered.await.map_err(|_| Refused::Panicked)
    }

    fn submit(&self, job: Job) -> Result<(), Refused> {
        let queue = self.queue.lock().expect("nothing panics under it");
        queue.as_ref().ok_or(Refused::Closed)?.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => Refused::Overloaded,
            TrySendError::Disconnected(_) => Refused::Closed,
        })
    }

    /// Takes nothing more on and waits until everything taken on is done. A second call does nothing.
    pub fn close(&self) {
        drop(self.queue.lock().expect("nothing panics under it").take());
        let threads = std::mem::take(&mut *self.threads.lock().expect("nothing panics under it"));
        for thread in threads {
            // A job may hold the last handle of the pool; its thread ends by itself.
            if thread.thread().id() != thread::current().id() {
                thread.join().expect("a thread catches the panics of its jobs");
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}

fn serve(mut connection: Connection, jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().expect("nothing panics under it").recv();
        let Ok(job) = job else { return };
        if catch_unwind(AssertUnwindSafe(|| job(&mut connection))).is_err() {
            tracing::error!("a job of the read models panicked");
        }
        debug_assert!(connection.is_autocommit(), "a job ends its transaction");
    }
}
