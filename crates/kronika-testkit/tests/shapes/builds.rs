//! Two builds of one service, of which the first has written the lock file.

use kronika_core::Aggregate;
use kronika_testkit::{Renewal, ShapesError, shapes};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::{fs, path::Path};

/// An aggregate with these events, in a module of its own.
macro_rules! build {
    ($module:ident, [$($events:tt)*]) => {
        mod $module {
            #[allow(unused_imports, reason = "some events hold types of the file")]
            use super::*;
            use kronika_core::Aggregate;
            use kronika_macros::Event;
            use schemars::JsonSchema;
            use serde::{Deserialize, Serialize};

            #[derive(Event, Serialize, Deserialize, JsonSchema)]
            pub enum Recorded { $($events)* }

            #[derive(Default, Serialize, Deserialize, JsonSchema)]
            pub struct Auction {}

            impl Aggregate for Auction {
                const TYPE: &'static str = "auction";
                type Id = String;
                type Event = Recorded;
                fn apply(&mut self, _: &Recorded) {}
            }
        }
    };
}

/// What comes of changing these events into those.
macro_rules! changed {
    ([$($before:tt)*] => [$($after:tt)*]) => {{
        build!(before, [$($before)*]);
        build!(after, [$($after)*]);
        $crate::builds::compared::<before::Auction, after::Auction>()
    }};
}

/// What the second build is told, and what becomes of the file.
pub struct Compared {
    read: Result<(), ShapesError>,
    written: Result<(), ShapesError>,
    before: String,
    pub after: String,
}

pub fn compared<Before, After>() -> Compared
where
    Before: Aggregate<Event: JsonSchema + DeserializeOwned> + JsonSchema,
    After: Aggregate<Event: JsonSchema + DeserializeOwned> + JsonSchema,
{
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("shapes.lock");
    shapes(&file).aggregate::<Before>().check_as(Renewal::Allowed).unwrap();
    then(&file, |renewal| shapes(&file).aggregate::<After>().check_as(renewal))
}

/// A check where the file is there already.
pub fn then(file: &Path, check: impl Fn(Renewal) -> Result<(), ShapesError>) -> Compared {
    let before = fs::read_to_string(file).unwrap();
    let read = check(Renewal::Refused);
    assert_eq!(fs::read_to_string(file).unwrap(), before, "it was only to be read");
    let written = check(Renewal::Allowed);
    if written.is_ok() {
        check(Renewal::Refused).unwrap();
    }
    Compared { read, written, before, after: fs::read_to_string(file).unwrap() }
}

impl Compared {
    /// The change is refused, whether the file may be written or not, with all of these parts.
    #[track_caller]
    pub fn refused(self, parts: &[&str]) {
        let Self { read, written, before, after } = self;
        let (read, written) = (read.unwrap_err(), written.unwrap_err());
        assert!(matches!(read, ShapesError::Incompatible { .. }), "{read}");
        assert_eq!(read.to_string(), written.to_string());
        assert_eq!(before, after, "the file is as it was");
        says(&read, parts);
    }

    /// The file must be renewed, and then it is.
    #[track_caller]
    pub fn renewed(self, parts: &[&str]) -> String {
        let Self { read, written, before, after } = self;
        let read = read.unwrap_err();
        assert!(matches!(read, ShapesError::Outdated { .. }), "{read}");
        says(&read, parts);
        says(&read, &["KRONIKA_SHAPES=write cargo test -p kronika-testkit"]);
        written.unwrap();
        assert_ne!(before, after);
        after
    }

    /// Nothing is to be told.
    #[track_caller]
    pub fn unchanged(self) {
        let Self { read, written, before, after } = self;
        read.unwrap();
        written.unwrap();
        assert_eq!(before, after);
    }
}

#[track_caller]
pub fn says(error: &ShapesError, parts: &[&str]) {
    let said = error.to_string();
    for part in parts {
        assert!(said.contains(part), "{part:?} is not said:\n{said}");
    }
}
