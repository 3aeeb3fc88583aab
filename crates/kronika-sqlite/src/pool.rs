//! Threads of their own for what blocks: each has a connection, and all take from one bounded queue, or from a
//! second one while the first is empty, and once in a while.

use rusqlite::Connection;
use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread::{self, JoinHandle},
};
use tokio::sync::oneshot;

/// Jobs in a row before one from behind has its turn: else it might never have one under unbroken load.
const TURNS_MAX: u32 = 16;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The queues and their threads. Closing them waits for what was taken on.
pub(crate) struct Pool {
    queues: Arc<Queues>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Which queue a job waits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// In order of the calls.
    Next,
    /// Behind all of the others, also those that come later; but once in [`TURNS_MAX`].
    Behind,
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
    /// A thread for each connection. Each of the two queues holds so many jobs.
    pub fn start(
        name: &str,
        connections: Vec<Connection>,
        waiting_max: usize,
    ) -> std::io::Result<Self> {
        let queues = Arc::new(Queues::new(waiting_max));
        let threads = connections.into_iter().map(|connection| {
            let queues = queues.clone();
            thread::Builder::new().name(name.to_owned()).spawn(move || serve(connection, &queues))
        });
        // Some that started end when the rest cannot.
        let threads = threads.collect::<Result<_, _>>().inspect_err(|_| queues.close())?;
        Ok(Self { queues, threads: Mutex::new(threads) })
    }

    /// Gives a job to the next free thread. Its answer comes when it is done, also if nobody waits for it.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> T + Send + 'static,
    ) -> Result<T, Refused> {
        self.run_in_turn(Turn::Next, job).await
    }

    /// The same, in a queue to choose.
    pub async fn run_in_turn<T: Send + 'static>(
        &self,
        turn: Turn,
        job: impl FnOnce(&mut Connection) -> T + Send + 'static,
    ) -> Result<T, Refused> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Nobody may be waiting any more.
            let _ = answer.send(job(connection));
        });
        self.queues.push(turn, job)?;
        answered.await.map_err(|_| Refused::Panicked)
    }

    /// Takes nothing more on and waits until everything taken on is done. A second call does nothing.
    pub fn close(&self) {
        self.queues.close();
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

/// Two bounded queues of which the first is emptied first.
struct Queues {
    waiting_max: usize,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    next: VecDeque<Job>,
    behind: VecDeque<Job>,
    /// Jobs taken in a row while others waited behind.
    turns: u32,
    /// Threads that wait for a job, each of which makes room for one more.
    idle: usize,
    closed: bool,
}

impl Waiting {
    fn take(&mut self) -> Option<Job> {
        let goes_on = self.behind.is_empty() || self.turns < TURNS_MAX;
        if goes_on && let Some(job) = self.next.pop_front() {
            self.turns = if self.behind.is_empty() { 0 } else { self.turns + 1 };
            return Some(job);
        }
        self.turns = 0;
        self.behind.pop_front()
    }
}

impl Queues {
    fn new(waiting_max: usize) -> Self {
        Self { waiting_max, waiting: Mutex::default(), changed: Condvar::new() }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("nothing panics under it")
    }

    fn push(&self, turn: Turn, job: Job) -> Result<(), Refused> {
        let mut waiting = self.waiting();
        if waiting.closed {
            return Err(Refused::Closed);
        }
        let room = self.waiting_max.saturating_add(waiting.idle);
        let queue = match turn {
            Turn::Next => &mut waiting.next,
            Turn::Behind => &mut waiting.behind,
        };
        if queue.len() >= room {
            return Err(Refused::Overloaded);
        }
        queue.push_back(job);
        self.changed.notify_one();
        Ok(())
    }

    /// The next job; `None` when the pool is closed and nothing waits any more.
    fn take(&self) -> Option<Job> {
        let mut waiting = self.waiting();
        loop {
            let job = waiting.take();
            if job.is_some() || waiting.closed {
                return job;
            }
            waiting.idle += 1;
            waiting = self.changed.wait(waiting).expect("nothing panics under it");
            waiting.idle -= 1;
        }
    }

    fn close(&self) {
        self.waiting().closed = true;
        self.changed.notify_all();
    }
}

fn serve(mut connection: Connection, queues: &Queues) {
    while let Some(job) = queues.take() {
        if catch_unwind(AssertUnwindSafe(|| job(&mut connection))).is_err() {
            tracing::error!("a job of the read models panicked");
        }
        debug_assert!(connection.is_autocommit(), "a job ends its transaction");
    }
}
