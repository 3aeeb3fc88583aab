//! Making another read model the live one.

use crate::{
    error::fault,
    stages::{gone, in_stage, of, set_stage, stage},
    views,
};
use kronika_core::{
    Incarnation, KeyText, LiveHistory, ReadModelId, Stage, StoreFault, SwitchError,
};
use rusqlite::{OptionalExtension, Transaction, params};

/// See [`kronika_core::ReadModelStore::switch`]. `present` is the history of the journal that it follows, where
/// that is known: a live one of another is replaced by one of the present history, not the other way round.
pub(crate) fn switch(
    transaction: &Transaction<'_>,
    to: &ReadModelId,
    present: Option<Incarnation>,
    history: LiveHistory,
) -> Result<(), SwitchError> {
    match stage(transaction, to)? {
        None => return Err(gone(to).into()),
        Some(Stage::Live) => return Ok(()),
        Some(_) => {}
    }
    let sql = |error| SwitchError::from(fault(&error));
    if let Some(live) = in_stage(transaction, &to.name, Stage::Live).map_err(sql)? {
        match standing(transaction, to, &live, present).map_err(sql)? {
            _ if history == LiveHistory::Diverged => {}
            Standing::Behind => return Err(SwitchError::Behind { id: to.clone() }),
            Standing::OtherHistory => {}
            Standing::There => check_parked(transaction, to, &live)?,
        }
        set_stage(transaction, &live, Stage::Old).map_err(sql)?;
    }
    set_stage(transaction, to, Stage::Live).map_err(sql)?;
    Ok(views::show(transaction, to)?)
}

/// How one read model stands to the live one.
enum Standing {
    /// It was never opened, or has not seen all.
    Behind,
    /// What the live one has seen is not in the journal that this one is of: nothing can be compared, and
    /// nothing of it is worth waiting for.
    OtherHistory,
    There,
}

fn standing(
    transaction: &Transaction<'_>,
    to: &ReadModelId,
    live: &ReadModelId,
    present: Option<Incarnation>,
) -> rusqlite::Result<Standing> {
    let ((name, generation, run), (_, live_generation, live_run)) = (of(to), of(live));
    let present = present.map(|present| present.to_string());
    let given = params![name, generation, run, live_generation, live_run, present];
    // Ranges stand at equal positions, or the one that is furthest behind counts; of the live one, the other.
    let (is_behind, is_present, is_other) = transaction.query_row(
        "WITH new AS (
             SELECT partition, min(position) AS position, incarnation FROM kronika_checkpoints
             WHERE name = ?1 AND generation = ?2 AND run = ?3 GROUP BY partition),
         live AS (
             SELECT partition, max(position) AS position, incarnation FROM kronika_checkpoints
             WHERE name = ?1 AND generation = ?4 AND run = ?5 GROUP BY partition)
         SELECT NOT EXISTS (SELECT 1 FROM new)
             OR EXISTS (SELECT 1 FROM live LEFT JOIN new USING (partition)
                        WHERE live.position > ifnull(new.position, 0)),
             EXISTS (SELECT 1 FROM new WHERE incarnation = ?6),
             EXISTS (SELECT 1 FROM live WHERE position > 0
                     AND incarnation NOT IN (SELECT incarnation FROM new))",
        given,
        |row| Ok((row.get::<_, bool>(0)?, row.get::<_, bool>(1)?, row.get::<_, bool>(2)?)),
    )?;
    Ok(match (is_other, is_present, is_behind) {
        (true, true, _) => Standing::OtherHistory,
        (true, false, _) | (false, _, true) => Standing::Behind,
        (false, _, false) => Standing::There,
    })
}

/// Nobody is to read backwards: what waits in the new one waits in the live one at the same place or earlier.
fn check_parked(
    transaction: &Transaction<'_>,
    to: &ReadModelId,
    live: &ReadModelId,
) -> Result<(), SwitchError> {
    let ((name, generation, run), (_, live_generation, live_run)) = (of(to), of(live));
    let key: Option<String> = transaction
        .query_row(
            "SELECT key FROM kronika_parked new
             WHERE name = ?1 AND generation = ?2 AND run = ?3 AND NOT EXISTS (
                 SELECT 1 FROM kronika_parked live
                 WHERE live.name = ?1 AND live.generation = ?4 AND live.run = ?5
                 AND live.key = new.key AND live.partition = new.partition
                 AND live.position <= new.position)
             ORDER BY key LIMIT 1",
            params![name, generation, run, live_generation, live_run],
            |row| row.get(0),
        )
        .optional()
        .map_err(|error| fault(&error))?;
    let Some(key) = key else { return Ok(()) };
    let key = KeyText::new(&key).map_err(|error| StoreFault::Changed {
        table: "kronika_parked".to_owned(),
        what: error.to_string(),
    })?;
    Err(SwitchError::Parked { id: to.clone(), key })
}
