//! Parked keys and their letters: changed with the batch that they belong to, and listed.

use crate::{
    error::fault,
    stages::{OF, of},
};
use kronika_core::{
    KeyText, Letter, ParkedChange, ParkedKey, ParkedRequest, PartitionId, Position, ReadModelId,
    StoreFault, StreamId, Timestamp, Version,
};
use rusqlite::{Connection, Row, Transaction, params};

/// Of one key, behind what [`OF`] is bound to.
const OF_KEY: &str = "name = ?1 AND generation = ?2 AND run = ?3 AND key = ?4";

/// Applies the changes of a batch, in order.
pub(crate) fn apply(
    transaction: &Transaction<'_>,
    id: &ReadModelId,
    changes: &[ParkedChange],
) -> Result<(), StoreFault> {
    changes.iter().try_for_each(|change| {
        let key = Key { transaction, id, key: change.key() };
        match change {
            ParkedChange::Park { cause, letter, at, .. } => key.park(cause, letter, *at),
            ParkedChange::Hold { letter, .. } => key.hold(letter),
            ParkedChange::Take { partition, position, .. } => key.take(*partition, *position),
            ParkedChange::Fail { cause, asked, .. } => key.fail(cause, *asked),
            ParkedChange::Lift { .. } => key.lift().map_err(|error| fault(&error)),
        }
    })
}

/// One key of a read model.
struct Key<'a> {
    transaction: &'a Connection,
    id: &'a ReadModelId,
    key: &'a KeyText,
}

impl Key<'_> {
    fn of(&self) -> (&str, u32, u32, &str) {
        let (name, generation, run) = of(self.id);
        (name, generation, run, self.key.as_str())
    }

    fn park(&self, cause: &str, letter: &Letter, at: Timestamp) -> Result<(), StoreFault> {
        let (name, generation, run, key) = self.of();
        let insert = || -> rusqlite::Result<usize> {
            let mut insert = self.transaction.prepare_cached(
                "INSERT OR IGNORE INTO kronika_parked VALUES
                 (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 1, ?12, 1, NULL)",
            )?;
            insert.execute(params![
                name,
                generation,
                run,
                key,
                cause,
                letter.partition.get(),
                letter.position.get(),
                letter.event,
                letter.stream.to_string(),
                letter.version.get(),
                letter.time.get(),
                at.get(),
            ])
        };
        if insert().map_err(|error| fault(&error))? == 0 {
            return Err(self.changed("is parked already"));
        }
        self.keep(letter)
    }

    fn hold(&self, letter: &Letter) -> Result<(), StoreFault> {
        self.update("letters = letters + 1", "waits for no event, since it is not parked")?;
        self.keep(letter)
    }

    /// Keeps a letter behind those that came before.
    fn keep(&self, letter: &Letter) -> Result<(), StoreFault> {
        let (name, generation, run, key) = self.of();
        let insert = || -> rusqlite::Result<usize> {
            let mut insert = self.transaction.prepare_cached(&format!(
                "INSERT OR IGNORE INTO kronika_letters VALUES (?1, ?2, ?3, ?4,
                     (SELECT ifnull(max(arrival), 0) + 1 FROM kronika_letters WHERE {OF_KEY}),
                     ?5, ?6, ?7, ?8, ?9, ?10)"
            ))?;
            insert.execute(params![
                name,
                generation,
                run,
                key,
                letter.partition.get(),
                letter.position.get(),
                letter.event,
                letter.stream.to_string(),
                letter.version.get(),
                letter.time.get(),
            ])
        };
        match insert().map_err(|error| fault(&error))? {
            0 => Err(self.changed(&format!("has its letter {} already", letter.position))),
            _ => Ok(()),
        }
    }

    fn take(&self, partition: PartitionId, position: Position) -> Result<(), StoreFault> {
        let (name, generation, run, key) = self.of();
        let delete = || -> rusqlite::Result<usize> {
            let mut delete = self.transaction.prepare_cached(&format!(
                "DELETE FROM kronika_letters WHERE {OF_KEY} AND partition = ?5 AND position = ?6"
            ))?;
            delete.execute(params![name, generation, run, key, partition.get(), position.get()])
        };
        if delete().map_err(|error| fault(&error))? == 0 {
            return Err(self.changed(&format!("has no letter {position}")));
        }
        // Once the first is out, what was asked for is done with but for handling the others: it would leave
        // the next one out too, if it were begun again.
        self.update(
            "letters = letters - 1, attempts = 0,
             asked = CASE WHEN asked = 'skip' THEN 'retry' ELSE asked END",
            "has letters, but is not parked",
        )?;
        self.name_first().map_err(|error| fault(&error))
    }

    /// Lets the key name the letter that is its first now; the last one stays named.
    fn name_first(&self) -> rusqlite::Result<()> {
        let mut update = self.transaction.prepare_cached(&format!(
            "UPDATE kronika_parked SET (partition, position, event, stream, version, time) = (
                 first.partition, first.position, first.event, first.stream, first.version, first.time)
             FROM (SELECT partition, position, event, stream, version, time FROM kronika_letters
                   WHERE {OF_KEY} ORDER BY arrival LIMIT 1) first
             WHERE {OF_KEY}"
        ))?;
        update.execute(self.of()).map(|_| ())
    }

    fn fail(&self, cause: &str, asked: Option<ParkedRequest>) -> Result<(), StoreFault> {
        let (name, generation, run, key) = self.of();
        let update = || -> rusqlite::Result<usize> {
            let mut update = self.transaction.prepare_cached(&format!(
                "UPDATE kronika_parked SET attempts = attempts + 1, cause = ?5, asked = nullif(asked, ?6)
                 WHERE {OF_KEY}"
            ))?;
            update.execute(params![
                name,
                generation,
                run,
                key,
                cause,
                asked.map(ParkedRequest::name)
            ])
        };
        match update().map_err(|error| fault(&error))? {
            0 => Err(self.changed("did not fail again, since it is not parked")),
            _ => Ok(()),
        }
    }

    fn lift(&self) -> rusqlite::Result<()> {
        for table in ["kronika_letters", "kronika_parked"] {
            let sql = format!("DELETE FROM {table} WHERE {OF_KEY}");
            self.transaction.prepare_cached(&sql)?.execute(self.of())?;
        }
        Ok(())
    }

    /// Changes the key itself, which must be parked.
    fn update(&self, set: &str, otherwise: &str) -> Result<(), StoreFault> {
        let update = || -> rusqlite::Result<usize> {
            let sql = format!("UPDATE kronika_parked SET {set} WHERE {OF_KEY}");
            self.transaction.prepare_cached(&sql)?.execute(self.of())
        };
        match update().map_err(|error| fault(&error))? {
            0 => Err(self.changed(otherwise)),
            _ => Ok(()),
        }
    }

    fn changed(&self, what: &str) -> StoreFault {
        changed(format!("key {} of {} {what}", self.key, self.id))
    }
}

/// Removes everything that is parked in a read model.
pub(crate) fn remove(transaction: &Transaction<'_>, id: &ReadModelId) -> rusqlite::Result<()> {
    for table in ["kronika_letters", "kronika_parked"] {
        transaction.execute(&format!("DELETE FROM {table} WHERE {OF}"), of(id))?;
    }
    Ok(())
}

/// Parked keys after a key, in order.
pub(crate) fn list(
    connection: &Connection,
    id: &ReadModelId,
    after: Option<&KeyText>,
    limit: usize,
) -> Result<Vec<ParkedKey>, StoreFault> {
    let (name, generation, run) = of(id);
    // No key is empty.
    let after = after.map_or("", KeyText::as_str);
    collect(|| {
        let mut select = connection.prepare_cached(&format!(
            "SELECT partition, position, event, stream, version, time,
                 key, cause, letters, parked, attempts, asked
             FROM kronika_parked WHERE {OF} AND key > ?4 ORDER BY key LIMIT ?5"
        ))?;
        let rows =
            select.query_map(params![name, generation, run, after, limited(limit)], parked)?;
        rows.collect()
    })
}

/// Letters of a key in the order in which they came.
pub(crate) fn letters(
    connection: &Connection,
    id: &ReadModelId,
    key: &KeyText,
    skip: u64,
    limit: usize,
) -> Result<Vec<Letter>, StoreFault> {
    let (name, generation, run) = of(id);
    let skip = i64::try_from(skip).unwrap_or(i64::MAX);
    collect(|| {
        let mut select = connection.prepare_cached(&format!(
            "SELECT partition, position, event, stream, version, time
             FROM kronika_letters WHERE {OF_KEY} ORDER BY arrival LIMIT ?5 OFFSET ?6"
        ))?;
        let key = key.as_str();
        let rows =
            select.query_map(params![name, generation, run, key, limited(limit), skip], letter)?;
        rows.collect()
    })
}

fn limited(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// What was read, where it is also what it says it is.
fn collect<T>(
    rows: impl FnOnce() -> rusqlite::Result<Vec<Result<T, StoreFault>>>,
) -> Result<Vec<T>, StoreFault> {
    rows().map_err(|error| fault(&error))?.into_iter().collect()
}

fn parked(row: &Row<'_>) -> rusqlite::Result<Result<ParkedKey, StoreFault>> {
    let (first, asked) = (letter(row)?, row.get::<_, Option<String>>(11)?);
    let (key, cause, letters) = (row.get::<_, String>(6)?, row.get(7)?, row.get(8)?);
    let (at, attempts) = (Timestamp::new(row.get(9)?), row.get(10)?);
    Ok(first.and_then(|first| {
        let key = KeyText::new(&key).map_err(|error| changed(error.to_string()))?;
        let request = |word: &str| {
            ParkedRequest::from_name(word)
                .ok_or_else(|| changed(format!("{word:?} cannot be asked of a key")))
        };
        let asked = asked.as_deref().map(request).transpose()?;
        Ok(ParkedKey { key, cause, first, letters, parked: at, attempts, asked })
    }))
}

fn letter(row: &Row<'_>) -> rusqlite::Result<Result<Letter, StoreFault>> {
    let (partition, position) = (PartitionId::new(row.get(0)?), Position::new(row.get(1)?));
    let (event, stream): (String, String) = (row.get(2)?, row.get(3)?);
    let (version, time) = (Version::new(row.get(4)?), Timestamp::new(row.get(5)?));
    let stream = StreamId::parse(&stream).map_err(|error| changed(error.to_string()));
    let letter =
        |stream| Letter { partition, position, event: event.into(), stream, version, time };
    Ok(stream.map(letter))
}

fn changed(what: String) -> StoreFault {
    StoreFault::Changed { table: "kronika_parked".to_owned(), what }
}
