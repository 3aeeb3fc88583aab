//! The lock file of shapes: an incompatible change of an event fails a test before it is released.
//!
//! The shapes of events, states and rows are compared with those of a committed file. The file is never renewed
//! unless asked, and never forgets the shape of an event: journals hold events of it. What an upcaster makes of
//! a body is not seen here: that is what `given` and a test of the function are for.

mod advice;
mod compare;
mod error;
mod judge;
mod lock;
mod print;
mod schema;
mod show;
#[cfg(test)]
mod sweep;

pub use error::ShapesError;

use judge::{Judged, PresentAggregate, judge};
use kronika_core::{Aggregate, Event, Projection, lifts_to};
use lock::{Lock, Rows, columns};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
};

/// What must be set to have the file written: `KRONIKA_SHAPES=write`.
const VARIABLE: &str = "KRONIKA_SHAPES";

/// Begins a check of a service's shapes against its lock file, whose path is relative to the crate under test.
///
/// One test of a service names all its aggregates and projections. Events and states need `JsonSchema` beside
/// `Serialize` and `Deserialize`.
///
/// ```no_run
/// # use kronika_core::Aggregate;
/// # use kronika_macros::Event;
/// # use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize};
/// #[derive(Default, Serialize, Deserialize, JsonSchema)]
/// struct Counter { count: u32 }
///
/// #[derive(Event, Serialize, Deserialize, JsonSchema)]
/// enum CounterEvent { Incremented { by: u32 } }
/// #
/// # impl Aggregate for Counter {
/// #     const TYPE: &'static str = "counter";
/// #     type Id = String;
/// #     type Event = CounterEvent;
/// #     fn apply(&mut self, CounterEvent::Incremented { by }: &CounterEvent) { self.count += by }
/// # }
///
/// kronika_testkit::shapes("shapes.lock").aggregate::<Counter>().check();
/// ```
pub fn shapes(file: impl Into<PathBuf>) -> Shapes {
    let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    let file = package.join(file.into());
    Shapes { file, aggregates: BTreeMap::new(), projections: BTreeMap::new(), wrong: Vec::new() }
}

/// The shapes that this build has.
#[must_use = "nothing is compared without `check`"]
pub struct Shapes {
    file: PathBuf,
    aggregates: BTreeMap<String, PresentAggregate>,
    projections: BTreeMap<String, Rows>,
    wrong: Vec<String>,
}

/// Whether the lock file may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// It is written where it is missing or lacks something, never over an incompatible change.
    Allowed,
    /// It is only read.
    Refused,
}

impl Shapes {
    /// The events and the state of an aggregate.
    pub fn aggregate<A>(mut self) -> Self
    where
        A: Aggregate<Event: JsonSchema + DeserializeOwned> + JsonSchema,
    {
        let events = schema::of_events::<A::Event>().unwrap_or_else(|why| {
            self.wrong.push(format!("{}: {why}", A::TYPE));
            Vec::new()
        });
        let present = PresentAggregate {
            events,
            steps: A::Event::UPCASTS,
            lifts_to: lifts_to::<A::Event>,
            state_schema: A::STATE_SCHEMA,
            state: schema::of_type::<A>(),
        };
        if self.aggregates.insert(A::TYPE.to_owned(), present).is_some() {
            self.wrong.push(format!("the aggregate {} is named twice", A::TYPE));
        }
        self
    }

    /// The columns of a projection.
    pub fn projection<P: Projection>(mut self) -> Self {
        let rows = Rows {
            generation: P::GENERATION,
            key: columns(<P::Key as kronika_core::Key>::COLUMNS),
            row: columns(<P::Row as kronika_core::Row>::COLUMNS),
        };
        if self.projections.insert(P::NAME.to_owned(), rows).is_some() {
            self.wrong.push(format!("the projection {} is named twice", P::NAME));
        }
        self
    }

    /// Compares; the file is written only with `KRONIKA_SHAPES=write`, and never where `CI` is `true`.
    ///
    /// # Panics
    /// As [`Shapes::check_as`] fails.
    #[track_caller]
    pub fn check(self) {
        let asked = match env::var(VARIABLE).as_deref() {
            Err(_) | Ok("") => false,
            Ok("write") => true,
            Ok(other) => panic!("{VARIABLE} is {other:?}: the only value that it has is `write`"),
        };
        let in_ci = env::var("CI").is_ok_and(|ci| ci == "true");
        let renewal = if asked && !in_ci { Renewal::Allowed } else { Renewal::Refused };
        if let Err(error) = self.check_as(renewal) {
            let ci = "\nnothing is written where CI is `true`: renew the file where you work, and commit it";
            panic!("{error}{}", if asked && in_ci { ci } else { "" });
        }
    }

    /// Compares, without a look at the environment.
    ///
    /// # Errors
    /// The file is missing or lacks something and may not be written; a change is incompatible, whether it may
    /// be written or not; the file cannot be read or written, or what was named here has no shape.
    pub fn check_as(self, renewal: Renewal) -> Result<(), ShapesError> {
        let unusable = |why| Err(ShapesError::Unusable { file: self.file.clone(), why });
        if !self.wrong.is_empty() {
            return unusable(self.wrong.join("\n"));
        }
        let locked = match read(&self.file) {
            Ok(locked) => locked,
            Err(why) => return unusable(why),
        };
        let Judged { faults, news, renewed } =
            judge(locked.clone().unwrap_or_default(), &self.aggregates, &self.projections);
        if !faults.is_empty() {
            return Err(ShapesError::Incompatible { file: self.file, faults });
        }
        if locked.as_ref() == Some(&renewed) {
            return Ok(());
        }
        match (renewal, locked) {
            (Renewal::Allowed, _) => match fs::write(&self.file, renewed.text()) {
                Ok(()) => Ok(()),
                Err(error) => unusable(format!("it cannot be written: {error}")),
            },
            (Renewal::Refused, None) => Err(ShapesError::Missing { file: self.file }),
            (Renewal::Refused, Some(_)) => Err(ShapesError::Outdated { file: self.file, news }),
        }
    }
}

/// `None` where there is no file.
fn read(file: &Path) -> Result<Option<Lock>, String> {
    match fs::read_to_string(file) {
        Ok(text) => Lock::parse(&text).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("it cannot be read: {error}")),
    }
}
