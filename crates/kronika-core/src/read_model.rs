//! What a read model is, and what is committed of it: rows and checkpoint, together.
//!
//! What a store is asked to do is plain data, so that no driver's type reaches a user. See
//! [`crate::ReadModelStore`].

use crate::{
    append::Mark,
    ids::{Epoch, Incarnation, PartitionId, SliceRange, Timestamp},
    parking::{Order, ParkedChange},
    projection::{Column, Value},
    token::Token,
};
use std::{collections::HashSet, fmt, sync::Arc};

/// Longest name of a projection or a column in bytes.
pub const PROJECTION_NAME_BYTES_MAX: usize = 48;

/// Name of a projection, and of its read model: `a-z`, then `a-z`, `0-9` and `_`, at most
/// [`PROJECTION_NAME_BYTES_MAX`] bytes, without `__` and not beginning with `kronika_` or `sqlite_`. So it is
/// the name of a table in every store, and none of the store's own. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProjectionName(Arc<str>);

/// A name, or the columns, of a projection do not fit a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// The name is none.
    #[error(
        "projection name {0:?} is not 1 to {PROJECTION_NAME_BYTES_MAX} of a-z, 0-9 and single _, \
         beginning with a letter and with neither kronika_ nor sqlite_"
    )]
    Name(String),
    /// A column's name is none.
    #[error(
        "column name {column:?} of projection {projection} is not 1 to {PROJECTION_NAME_BYTES_MAX} \
         of a-z, 0-9 and _, beginning with a letter"
    )]
    Column {
        /// The projection.
        projection: ProjectionName,
        /// The column.
        column: String,
    },
    /// Two columns have one name.
    #[error("projection {projection} has two columns {column:?}, counting those of its key")]
    TwoColumns {
        /// The projection.
        projection: ProjectionName,
        /// The column.
        column: String,
    },
    /// A key needs a column, and none may be null.
    #[error("the key of projection {0} has no column, or one that may be null")]
    Key(ProjectionName),
}

impl ProjectionName {
    /// Checks a name.
    pub fn new(name: &str) -> Result<Self, SpecError> {
        let reserved = ["kronika_", "sqlite_"].iter().any(|prefix| name.starts_with(prefix));
        if !is_column_name(name) || reserved || name.contains("__") {
            return Err(SpecError::Name(name.to_owned()));
        }
        Ok(Self(name.into()))
    }
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProjectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_column_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
        && name.len() <= PROJECTION_NAME_BYTES_MAX
        && name.bytes().all(plain)
}

/// Number of a projection's handler, raised when it changes: see [`crate::Projection::GENERATION`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Generation(u32);

impl Generation {
    /// Wraps a bare number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }
    /// The bare number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// One building of one generation of a projection's read model: what its tables and checkpoints belong to.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ReadModelId {
    /// The projection.
    pub name: ProjectionName,
    /// Its handler's number.
    pub generation: Generation,
    /// Which building of it, from 1.
    pub run: u32,
}

impl fmt::Display for ReadModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (generation {}, run {})", self.name, self.generation, self.run)
    }
}

/// What a read model is to be: asked of a store when its projection starts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadModelSpec {
    /// The projection.
    pub name: ProjectionName,
    /// Its handler's number.
    pub generation: Generation,
    /// The aggregate types that it follows; all if empty.
    pub types: Vec<String>,
    /// What order it keeps.
    pub order: Order,
    /// How its tables are made.
    pub tables: Tables,
}

/// How a projection's tables are made.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Tables {
    /// One table by the projection's name, of rows found by a key.
    Keyed {
        /// Columns that a row is found by.
        key: Vec<Column>,
        /// The other columns.
        row: Vec<Column>,
    },
    /// Tables of these names, which the handler makes itself. There may be none.
    Own(Vec<&'static str>),
}

impl Tables {
    /// In one line: what a change of is noticed by.
    pub fn shape(&self) -> String {
        match self {
            Self::Keyed { key, row } => {
                let column = |Column { name, kind, nullable }: &Column| {
                    format!("{name} {kind:?}{}", if *nullable { "?" } else { "" })
                };
                let list =
                    |columns: &[Column]| columns.iter().map(column).collect::<Vec<_>>().join(", ");
                format!("({}) -> ({})", list(key), list(row))
            }
            Self::Own(names) => names.join(", "),
        }
    }
}

impl ReadModelSpec {
    /// Refuses what makes no table.
    pub fn check(&self) -> Result<(), SpecError> {
        let projection = || self.name.clone();
        let (key, row) = match &self.tables {
            Tables::Keyed { key, row } => (key, row),
            Tables::Own(names) => {
                let none = names.iter().find(|name| ProjectionName::new(name).is_err());
                return none.map_or(Ok(()), |name| Err(SpecError::Name((*name).to_owned())));
            }
        };
        if key.is_empty() || key.iter().any(|column| column.nullable) {
            return Err(SpecError::Key(projection()));
        }
        let mut names = HashSet::new();
        for Column { name, .. } in key.iter().chain(row) {
            let column = || (*name).to_owned();
            if !is_column_name(name) {
                return Err(SpecError::Column { projection: projection(), column: column() });
            }
            if !names.insert(name) {
                return Err(SpecError::TwoColumns { projection: projection(), column: column() });
            }
        }
        Ok(())
    }
}

/// Which part of a projection's work is taken over, and what its journal is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Takeover {
    /// The journal's history.
    pub incarnation: Incarnation,
    /// How many partitions the journal has.
    pub partitions: u16,
    /// The range of the hash that the projection's work is divided by; all of it for one worker.
    pub range: SliceRange,
}

impl Takeover {
    /// All of a projection's work.
    pub const fn whole(incarnation: Incarnation, partitions: u16) -> Self {
        Self { incarnation, partitions, range: SliceRange::ALL }
    }
}

/// How far a range of a projection has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// Everything of the journal up to here is in the read model; with the history that it was.
    pub seen: Token,
    /// The number of this ownership of the range, rising at each takeover.
    pub epoch: Epoch,
    /// The range of the hash that the projection's work is divided by.
    pub range: SliceRange,
    /// Events handled so far.
    pub events: u64,
    /// When the last of them was recorded; before the first one of a projection that begins at the head, when it
    /// began.
    pub time: Option<Timestamp>,
}

impl Checkpoint {
    /// The checkpoint after this one: `events` handled of the partition up to `mark`.
    pub fn advanced(&self, mark: Mark, events: u64, time: Option<Timestamp>) -> Self {
        let mut next = self.clone();
        next.seen.see(mark);
        next.events += events;
        next.time = time.or(self.time);
        next
    }
}

/// Rows and checkpoint of one batch, to be committed together or not at all.
#[derive(Clone, PartialEq, Debug)]
pub struct Commit {
    /// Whose rows.
    pub read_model: ReadModelId,
    /// The partition that the batch is of: the only one in which `expected` and `next` differ.
    pub partition: PartitionId,
    /// The checkpoint that the batch stands on.
    pub expected: Checkpoint,
    /// The checkpoint after it.
    pub next: Checkpoint,
    /// Whole rows to insert or replace: the key's columns, then the row's. No two with one key.
    pub upserts: Vec<Vec<Value>>,
    /// Keys whose rows are to go.
    pub deletes: Vec<Vec<Value>>,
    /// What changes of what is parked, in order.
    pub parked: Vec<ParkedChange>,
}

/// What is wrong with a store of read models, by what the caller should do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreFault {
    /// Try again: locked by another process, too much waiting, away.
    #[error("the read models cannot be reached now: {0}")]
    Unavailable(String),
    /// Try again, which will help once there is space.
    #[error("the read models have no space: {0}")]
    Full(String),
    /// Somebody else changed a table.
    #[error("table {table} was changed by hand: {what}")]
    Changed {
        /// The table.
        table: String,
        /// What is not as it was made.
        what: String,
    },
    /// What is stored is not what was written.
    #[error("the read models are damaged: {0}")]
    Corrupt(String),
    /// The store refuses what it is asked: trying again gives the same answer.
    #[error("the read models refuse it: {0}")]
    Refused(String),
    /// The store was closed.
    #[error("the read models are closed")]
    Closed,
}

impl StoreFault {
    /// Whether trying again may help.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Full(_))
    }
}

/// Why a read model cannot be taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenReadModelError {
    /// Its name or columns make no table.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The handler is not the one that this generation was made with.
    #[error(
        "the {what} of projection {name} are not those that generation {generation} was made with \
         (then {then}, now {now}): raise GENERATION, so that the read model is built anew"
    )]
    Fingerprint {
        /// The projection.
        name: ProjectionName,
        /// Its generation.
        generation: Generation,
        /// `tables`, `handled types` or `order`.
        what: &'static str,
        /// As recorded.
        then: String,
        /// As registered.
        now: String,
    },
    /// There is no such read model any more.
    #[error("{0} is not there any more")]
    Gone(ReadModelId),
    /// The store's own.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// Why nothing was committed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The checkpoint stands elsewhere, or belongs to another owner: this one is no longer the only one.
    #[error(
        "the checkpoint of {read_model} is not where it was expected: it has seen {} under epoch {}",
        found.seen, found.epoch
    )]
    Stale {
        /// Whose checkpoint.
        read_model: ReadModelId,
        /// Where it stands.
        found: Box<Checkpoint>,
    },
    /// The store's own. Where it may pass, the commit may have taken place all the same: sent again, it is then
    /// refused as stale with its own checkpoint.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projection::Kind;

    #[test]
    fn names_are_those_of_tables_in_every_store() {
        for name in ["a", "auctions", "bids_2", &"a".repeat(48)] {
            assert_eq!(ProjectionName::new(name).unwrap().as_str(), name);
        }
        let long = "a".repeat(49);
        for name in
            ["", "A", "2a", "_a", "a-b", "a b", "a\"", "a__b", "kronika_x", "sqlite_x", &long]
        {
            assert_eq!(ProjectionName::new(name), Err(SpecError::Name(name.to_owned())), "{name}");
        }
    }

    #[test]
    fn columns_that_make_no_table_are_refused() {
        let column = |name, nullable| Column { name, kind: Kind::Text, nullable };
        let check = |key: Vec<Column>, row: Vec<Column>| {
            let name = ProjectionName::new("people").unwrap();
            let tables = Tables::Keyed { key, row };
            let (generation, order) = (Generation::new(1), Order::Key);
            ReadModelSpec { name, generation, types: vec![], order, tables }.check()
        };
        assert_eq!(check(vec![column("key", false)], vec![column("name", true)]), Ok(()));
        let name = ProjectionName::new("people").unwrap();
        assert_eq!(check(vec![], vec![]), Err(SpecError::Key(name.clone())));
        assert_eq!(check(vec![column("key", true)], vec![]), Err(SpecError::Key(name.clone())));
        assert_eq!(
            check(vec![column("key", false)], vec![column("key", false)]),
            Err(SpecError::TwoColumns { projection: name.clone(), column: "key".into() })
        );
        assert_eq!(
            check(vec![column("key", false)], vec![column("a\"b", false)]),
            Err(SpecError::Column { projection: name, column: "a\"b".into() })
        );
    }
}
