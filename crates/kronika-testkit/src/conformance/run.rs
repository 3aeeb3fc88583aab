//! Runs the cases, each on journals of its own, and reports all that failed by name.

use super::{MakeJournal, cases};
use std::{
    any::{Any, type_name},
    fmt,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

/// How long one case may take: one that waits for what never comes fails, instead of hanging.
const CASE_TIME_MAX: Duration = Duration::from_secs(120);

type Running<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// One case of the suite.
pub struct Case<M> {
    /// The path of its function: what it requires.
    pub name: &'static str,
    run: Box<dyn for<'a> Fn(&'a M) -> Running<'a>>,
}

impl<M: MakeJournal> Case<M> {
    /// A case is a function that panics where the journal is not as it should be.
    pub(super) fn new<F: AsyncFn(&M) + Copy + 'static>(run: F) -> Self {
        let whole = type_name::<F>();
        let without_parameters = whole.split('<').next().unwrap_or(whole);
        let name = without_parameters.split("conformance::").last().unwrap_or(without_parameters);
        Self { name, run: Box::new(move |make| Box::pin(async move { run(make).await })) }
    }

    /// Runs it; the error is what it found wrong.
    pub async fn run(&self, make: &M) -> Result<(), Failure> {
        let failure = |why| Failure { case: self.name, why };
        match tokio::time::timeout(CASE_TIME_MAX, unless_it_panics((self.run)(make))).await {
            Ok(done) => done.map_err(failure),
            Err(_) => Err(failure(format!("it did not end within {CASE_TIME_MAX:?}"))),
        }
    }
}

async fn unless_it_panics(running: Running<'_>) -> Result<(), String> {
    let mut running = pin!(running);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(())) => Poll::Ready(Ok(())),
        Err(panic) => Poll::Ready(Err(message(&*panic))),
    })
    .await
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "it panicked without a message".into())
}

/// What one case found wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{case}: {why}")]
pub struct Failure {
    /// The case's name.
    pub case: &'static str,
    /// What it found.
    pub why: String,
}

/// What the suite found wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failures(pub Vec<Failure>);

impl Failures {
    /// Whether a case is among them.
    pub fn has(&self, case: &str) -> bool {
        self.0.iter().any(|failure| failure.case == case)
    }
}

impl std::error::Error for Failures {}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} cases of the conformance suite failed:", self.0.len())?;
        self.0.iter().try_for_each(|failure| writeln!(f, "  {failure}"))
    }
}

/// Runs every case, also after one has failed.
pub async fn run_all<M: MakeJournal>(make: &M) -> Result<(), Failures> {
    let mut failures = Vec::new();
    for case in cases::<M>() {
        failures.extend(case.run(make).await.err());
    }
    if failures.is_empty() { Ok(()) } else { Err(Failures(failures)) }
}

/// Runs the one case of a name, for a back end's author who works at it.
pub async fn run_one<M: MakeJournal>(make: &M, name: &str) -> Result<(), Failure> {
    let cases = cases::<M>();
    let case = cases.iter().find(|case| case.name == name);
    case.unwrap_or_else(|| panic!("the suite has no case {name}")).run(make).await
}
