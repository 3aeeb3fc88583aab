//! Running a handler's code: its panics are caught, its time is bounded, and its errors are told from the
//! store's.

use super::Handled;
use crate::{
    error::fault,
    query::{STEPS, panic_message},
};
use kronika_core::StoreFault;
use rusqlite::{Connection, ErrorCode, Transaction};
use std::{
    error::Error,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Time that SQLite is given to interrupt what is late, before it is taken to do something else.
const GRACE: Duration = Duration::from_secs(1);

/// Until when the code may run that runs now.
#[derive(Clone)]
pub(super) struct Deadline {
    time: Duration,
    until: Arc<Mutex<Option<Instant>>>,
    /// Code of users runs: nothing may be committed.
    closed: Arc<AtomicBool>,
}

impl Deadline {
    /// The time begins when the code does, not while it waits for the writing thread.
    pub fn within(time: Duration) -> Self {
        Self { time, until: Arc::default(), closed: Arc::default() }
    }

    /// Lets SQLite look at it every few steps while a job runs.
    pub fn watch<T, E: From<StoreFault>>(
        &self,
        connection: &mut Connection,
        job: impl FnOnce(&mut Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let until = self.until.clone();
        let over = move || {
            let until = *until.lock().expect("nothing panics under it");
            until.is_some_and(|until| Instant::now() >= until)
        };
        connection.progress_handler(STEPS, Some(over)).map_err(|error| fault(&error))?;
        // A commit in the middle would keep a checkpoint without what belongs to it.
        let closed = self.closed.clone();
        let hook = connection.commit_hook(Some(move || closed.load(Ordering::Relaxed)));
        hook.map_err(|error| fault(&error))?;
        let result = job(connection);
        let unwatched = connection.progress_handler(0, None::<fn() -> bool>);
        unwatched.map_err(|error| fault(&error))?;
        let unhooked = connection.commit_hook(None::<fn() -> bool>);
        unhooked.map_err(|error| fault(&error))?;
        result
    }

    /// Whether code runs that should have been interrupted long ago: it does something else than SQL.
    pub fn is_overdue(&self) -> bool {
        let until = *self.until.lock().expect("nothing panics under it");
        until.is_some_and(|until| Instant::now() >= until + GRACE)
    }

    /// How long it may run.
    pub fn time(&self) -> Duration {
        self.time
    }

    /// Runs code within it; gives whether it took longer.
    fn bound<T>(&self, code: impl FnOnce() -> T) -> (T, bool) {
        let until = Instant::now().checked_add(self.time);
        let set = |until| *self.until.lock().expect("nothing panics under it") = until;
        set(until);
        self.closed.store(true, Ordering::Relaxed);
        let done = code();
        self.closed.store(false, Ordering::Relaxed);
        set(None);
        (done, until.is_some_and(|until| Instant::now() >= until))
    }
}

/// Why a handler's code did not succeed.
pub(super) enum Failed {
    /// The store's own error, met by the handler's statements: trying again may help.
    Store(StoreFault),
    Handler(String),
}

/// Runs the handler's code, and tells its errors from the store's.
pub(super) fn run<H>(
    handler: &Mutex<H>,
    transaction: &Transaction<'_>,
    deadline: &Deadline,
    code: impl FnOnce(&mut H) -> Handled,
) -> Result<(), Failed> {
    let mut handler = handler.lock().expect("panics are caught under it");
    let (result, is_late) =
        deadline.bound(|| catch_unwind(AssertUnwindSafe(|| code(&mut handler))));
    let result = match result {
        Ok(result) => result,
        Err(panic) => Err(format!("it panicked: {}", panic_message(&*panic)).into()),
    };
    // SQLite rolls back by itself where the disk is full or a statement was interrupted.
    let by_itself = result.as_ref().is_err_and(|error| {
        let error = error.downcast_ref::<rusqlite::Error>();
        error.is_some_and(|error| fault(error).may_pass())
    });
    if transaction.is_autocommit() && !by_itself {
        return Err(Failed::Handler("the handler ended the transaction itself".to_owned()));
    }
    let late = || format!("it took longer than handler_time_max, {:?}", deadline.time);
    match result {
        Ok(()) if is_late => Err(Failed::Handler(late())),
        Ok(()) => Ok(()),
        Err(error) => Err(sorted(&*error, is_late.then(late))),
    }
}

/// The handler's errors, and the store's, that its statements met.
fn sorted(error: &(dyn Error + Send + Sync + 'static), late: Option<String>) -> Failed {
    let sql = error.downcast_ref::<rusqlite::Error>();
    let was_interrupted =
        sql.and_then(rusqlite::Error::sqlite_error_code) == Some(ErrorCode::OperationInterrupted);
    match (sql.map(fault), late) {
        (Some(fault), late)
            if matches!(fault, StoreFault::Corrupt(_))
                || fault.may_pass() && !(was_interrupted && late.is_some()) =>
        {
            Failed::Store(fault)
        }
        (_, Some(late)) if was_interrupted => Failed::Handler(late),
        (_, Some(late)) => Failed::Handler(format!("{late}: {}", causes(error))),
        (_, None) => Failed::Handler(causes(error)),
    }
}

/// An error with its causes, in one line.
fn causes(error: &dyn Error) -> String {
    let (mut line, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}
