//! Steps that bring the tables to their newest shape, and which of them comes next.

use super::error::MigrationError;
use std::{borrow::Cow, path::Path};
use xxhash_rust::xxh3::xxh3_128;

/// One step that brings the tables to their newest shape: SQL statements, applied once and in one transaction.
///
/// Steps are numbered 1, 2, 3 and so on. One that was applied anywhere is never changed again: a mistake in it
/// is mended by a new step. Foreign keys are not enforced while a step runs, so that tables can be rebuilt, but
/// they are checked before it is committed.
///
/// ```
/// use kronika_sqlite::Migration;
///
/// const MIGRATIONS: &[Migration] = &[
///     Migration::new(1, "guests", "CREATE TABLE guests (name TEXT PRIMARY KEY) STRICT"),
///     Migration::new(2, "visits", "ALTER TABLE guests ADD COLUMN visits INTEGER NOT NULL DEFAULT 0"),
/// ];
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    number: u32,
    name: Cow<'static, str>,
    sql: Cow<'static, str>,
}

impl Migration {
    /// A step that is written in the program; `include_str!` takes it from a file.
    pub const fn new(number: u32, name: &'static str, sql: &'static str) -> Self {
        Self { number, name: Cow::Borrowed(name), sql: Cow::Borrowed(sql) }
    }

    /// A step that is made or read while the program runs.
    pub fn owned(number: u32, name: impl Into<String>, sql: impl Into<String>) -> Self {
        Self { number, name: Cow::Owned(name.into()), sql: Cow::Owned(sql.into()) }
    }

    /// Its place, from 1.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its statements.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// The same for every way in which lines end: files may be checked out with either.
    pub(super) fn checksum(&self) -> String {
        format!("{:032x}", xxh3_128(self.sql.replace("\r\n", "\n").as_bytes()))
    }
}

/// A step that the file has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Applied {
    pub number: u32,
    pub name: String,
    pub checksum: String,
}

/// The next step to apply, if what the file has is the beginning of what is given. What the file has comes in
/// the order of its numbers.
pub(super) fn next<'a>(
    given: &'a [Migration],
    applied: &[Applied],
    path: &Path,
) -> Result<Option<&'a Migration>, MigrationError> {
    for (expected, applied) in (1..).zip(applied) {
        if applied.number != expected {
            return Err(MigrationError::Hole { path: path.to_owned(), number: expected });
        }
    }
    for (expected, migration) in (1..).zip(given) {
        let Migration { number, name, .. } = migration;
        if *number == expected {
            continue;
        }
        let missing = applied.get(expected as usize - 1);
        return Err(match missing {
            Some(missing) if *number > expected => {
                MigrationError::Missing { number: expected, name: missing.name.clone() }
            }
            _ => MigrationError::Gap { number: *number, name: name.to_string(), expected },
        });
    }
    for (migration, applied) in given.iter().zip(applied) {
        let (number, name) = (migration.number, migration.name.to_string());
        if migration.name != applied.name {
            return Err(MigrationError::Renamed { number, name, applied: applied.name.clone() });
        }
        if migration.checksum() != applied.checksum {
            return Err(MigrationError::Changed { number, name });
        }
    }
    if let Some(newer) = applied.get(given.len()) {
        let known = given.len().try_into().unwrap_or(u32::MAX);
        let newest = applied.last().map_or(newer.number, |last| last.number);
        let (path, name) = (path.to_owned(), newer.name.clone());
        return Err(MigrationError::Newer { path, newest, number: newer.number, name, known });
    }
    Ok(given.get(applied.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(number: u32, name: &'static str) -> Migration {
        Migration::new(number, name, "SELECT 1;\nSELECT 2;\n")
    }

    fn applied(number: u32, name: &str) -> Applied {
        let checksum = step(0, "").checksum();
        Applied { number, name: name.to_owned(), checksum }
    }

    #[test]
    fn the_next_step_is_the_first_that_the_file_has_not() {
        let given = [step(1, "a"), step(2, "b")];
        let check = |applied: &[Applied], expected: Option<u32>| {
            let next = next(&given, applied, Path::new("f")).unwrap();
            assert_eq!(next.map(Migration::number), expected);
        };
        check(&[], Some(1));
        check(&[applied(1, "a")], Some(2));
        check(&[applied(1, "a"), applied(2, "b")], None);
        assert!(next(&[], &[], Path::new("f")).unwrap().is_none());
    }

    #[test]
    fn steps_that_do_not_fit_are_refused_by_name() {
        let check = |given: &[Migration], applied: &[Applied], expected: &str| {
            let error = next(given, applied, Path::new("f")).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
            assert!(error.contains(": "), "it says what to do: {error}");
        };
        let (a, b, c) = (|| step(1, "a"), || step(2, "b"), || step(3, "c"));
        check(&[a(), c()], &[], "migration 3 \"c\" stands where 2 is expected");
        check(&[b()], &[], "migration 2 \"b\" stands where 1 is expected");
        check(&[a(), a()], &[], "migration 1 \"a\" stands where 2 is expected");
        check(&[step(0, "z")], &[], "migration 0 \"z\" stands where 1 is expected");
        check(&[b()], &[applied(1, "a")], "migration 1 \"a\" was applied, and is missing");
        let changed = Migration::new(1, "a", "SELECT 3");
        check(&[changed], &[applied(1, "a")], "migration 1 \"a\" was changed after");
        check(&[a()], &[applied(1, "x")], "migration 1 is \"a\" here, but \"x\"");
        let newer = [applied(1, "a"), applied(2, "b"), applied(3, "c")];
        check(&[a()], &newer, "f has migrations up to 3, this build knows up to 1");
        check(&[a()], &[applied(2, "b")], "f has no record of migration 1");
    }

    #[test]
    fn the_ends_of_lines_do_not_change_a_step() {
        let other = Migration::new(1, "a", "SELECT 1;\r\nSELECT 2;\r\n");
        assert_eq!(other.checksum(), step(1, "a").checksum());
        assert_ne!(Migration::new(1, "a", "SELECT 1; SELECT 2;").checksum(), other.checksum());
    }
}
