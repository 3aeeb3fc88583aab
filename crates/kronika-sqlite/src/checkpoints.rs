//! Checkpoints: made, taken over, and advanced only from where they are expected.

use crate::{
    error::fault,
    stages::{OF, exists, gone, of},
};
use kronika_core::{
    Checkpoint, CommitError, Epoch, Incarnation, Mark, PartitionId, Position, ReadModelId,
    SliceRange, StoreFault, Takeover, Timestamp, Token,
};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

/// Of one range of a read model.
const OF_RANGE: &str = "name = ?1 AND generation = ?2 AND run = ?3 AND range_first = ?4";

fn stored(number: u64) -> i64 {
    i64::try_from(number).expect("positions and epochs stay below 2^63")
}

/// Raises the range's epoch and gives its checkpoint. Those of a fresh read model are made; those of another
/// are never, since its rows would then be counted twice.
pub(crate) fn take_over(
    transaction: &Transaction<'_>,
    id: &ReadModelId,
    fresh: bool,
    takeover: &Takeover,
) -> Result<Checkpoint, StoreFault> {
    let range = takeover.range;
    if fresh {
        make(transaction, id, takeover).map_err(|error| fault(&error))?;
    }
    let raise = format!("UPDATE kronika_checkpoints SET epoch = epoch + 1 WHERE {OF_RANGE}");
    // Nothing was seen yet of whatever history it was: the present one is as good.
    let forget = format!(
        "UPDATE kronika_checkpoints SET incarnation = ?5 WHERE {OF_RANGE}
         AND NOT EXISTS (SELECT 1 FROM kronika_checkpoints WHERE {OF_RANGE} AND position > 0)"
    );
    let (name, generation, run) = (id.name.as_str(), id.generation.get(), id.run);
    let changed = || -> rusqlite::Result<usize> {
        let incarnation = takeover.incarnation.to_string();
        transaction.execute(&forget, params![name, generation, run, range.first(), incarnation])?;
        transaction.execute(&raise, params![name, generation, run, range.first()])
    };
    let rows = changed().map_err(|error| fault(&error))?;
    if rows != usize::from(takeover.partitions) {
        let what = format!("{id} has {rows} checkpoints for {} partitions", takeover.partitions);
        return Err(StoreFault::Changed { table: "kronika_checkpoints".to_owned(), what });
    }
    load(transaction, id, range)
}

fn make(
    transaction: &Transaction<'_>,
    id: &ReadModelId,
    takeover: &Takeover,
) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare(
        "INSERT INTO kronika_checkpoints (name, generation, run, range_first, range_last, partition,
             incarnation, position, event_check, epoch, events)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, 0,
             ifnull((SELECT epoch FROM kronika_dropped
                 WHERE name = ?1 AND generation = ?2 AND run = ?3), 0), 0)",
    )?;
    let (name, generation, run) = (id.name.as_str(), id.generation.get(), id.run);
    let (first, last) = (takeover.range.first(), takeover.range.last());
    let incarnation = takeover.incarnation.to_string();
    for partition in 0..takeover.partitions {
        insert.execute(params![name, generation, run, first, last, partition, incarnation])?;
    }
    Ok(())
}

/// How far a read model has come; `None` before its first opening.
pub(crate) fn of_read_model(
    connection: &Connection,
    id: &ReadModelId,
) -> Result<Option<Checkpoint>, StoreFault> {
    let range = || -> rusqlite::Result<Option<SliceRange>> {
        let sql = format!(
            "SELECT range_first, range_last FROM kronika_checkpoints WHERE {OF}
             ORDER BY range_first LIMIT 1"
        );
        let mut select = connection.prepare_cached(&sql)?;
        let range = |row: &rusqlite::Row<'_>| Ok(SliceRange::new(row.get(0)?, row.get(1)?));
        Ok(select.query_row(of(id), range).optional()?.flatten())
    };
    let range = range().map_err(|error| fault(&error))?;
    range.map(|range| load(connection, id, range)).transpose()
}

/// One partition's part of a checkpoint.
struct Part {
    mark: Mark,
    incarnation: String,
    epoch: u64,
    events: u64,
    time: Option<i64>,
}

/// The checkpoint of a range, over all partitions.
fn load(
    connection: &Connection,
    id: &ReadModelId,
    range: SliceRange,
) -> Result<Checkpoint, StoreFault> {
    let changed = |what: String| StoreFault::Changed { table: "kronika_checkpoints".into(), what };
    let parts = parts(connection, id, range).map_err(|error| fault(&error))?;
    let first = parts.first().ok_or_else(|| changed(format!("{id} has no checkpoint")))?;
    let one = |part: &Part| part.incarnation == first.incarnation && part.epoch == first.epoch;
    let incarnation: Incarnation = match first.incarnation.parse() {
        Ok(incarnation) if parts.iter().all(one) => incarnation,
        _ => return Err(changed(format!("the checkpoints of {id} are of several owners"))),
    };
    let mut seen = Token::new(incarnation);
    parts.iter().for_each(|part| seen.see(part.mark));
    Ok(Checkpoint {
        seen,
        epoch: Epoch::new(first.epoch),
        range,
        events: parts.iter().map(|part| part.events).sum(),
        time: parts.iter().filter_map(|part| part.time).max().map(Timestamp::new),
    })
}

fn parts(
    connection: &Connection,
    id: &ReadModelId,
    range: SliceRange,
) -> rusqlite::Result<Vec<Part>> {
    let mut select = connection.prepare_cached(&format!(
        "SELECT partition, position, event_check, incarnation, epoch, events, time
         FROM kronika_checkpoints WHERE {OF_RANGE}"
    ))?;
    let (name, generation, run) = (id.name.as_str(), id.generation.get(), id.run);
    let parts = select.query_map(params![name, generation, run, range.first()], |row| {
        let mark = Mark {
            partition: PartitionId::new(row.get(0)?),
            position: Position::new(row.get(1)?),
            check: row.get(2)?,
        };
        let (incarnation, epoch) = (row.get(3)?, row.get(4)?);
        Ok(Part { mark, incarnation, epoch, events: row.get(5)?, time: row.get(6)? })
    })?;
    parts.collect()
}

/// Advances one partition's part from where it is expected, or says where it is. It may stay where it is.
pub(crate) fn advance(
    connection: &Connection,
    id: &ReadModelId,
    partition: PartitionId,
    expected: &Checkpoint,
    next: &Checkpoint,
) -> Result<(), CommitError> {
    let (from, to) = (expected.seen.mark(partition), next.seen.mark(partition));
    assert!(from.position <= to.position, "a checkpoint never goes back");
    let range = expected.range;
    let update = || -> rusqlite::Result<usize> {
        let mut update = connection.prepare_cached(&format!(
            "UPDATE kronika_checkpoints
             SET position = ?5, event_check = ?6, events = events + ?7, time = ifnull(?8, time)
             WHERE {OF_RANGE} AND partition = ?9 AND position = ?10 AND event_check = ?11
             AND epoch = ?12 AND incarnation = ?13"
        ))?;
        update.execute(params![
            id.name.as_str(),
            id.generation.get(),
            id.run,
            range.first(),
            stored(to.position.get()),
            to.check,
            stored(next.events - expected.events),
            next.time.map(Timestamp::get),
            partition.get(),
            stored(from.position.get()),
            from.check,
            stored(expected.epoch.get()),
            expected.seen.incarnation().to_string(),
        ])
    };
    if update().map_err(|error| fault(&error))? == 1 {
        return Ok(());
    }
    if !exists(connection, id)? {
        return Err(gone(id).into());
    }
    let found = Box::new(load(connection, id, range)?);
    Err(CommitError::Stale { read_model: id.clone(), found })
}
