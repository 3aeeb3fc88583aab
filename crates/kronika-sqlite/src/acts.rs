//! Acts: what operators wish for, recorded with who and why in the transaction that notes it.

use crate::{
    error::fault,
    parked,
    stages::{OF, exists, in_stage, now, of, stage},
    tables,
};
use kronika_core::{
    Act, ActError, ActRecord, By, Generation, KeyText, ParkedRequest, ProjectionName, ReadModelId,
    Stage, StoreFault, Timestamp, WORKERS_MAX,
};
use rusqlite::{Connection, OptionalExtension, ToSql, Transaction, params};

/// Acts that are kept: the newest.
const ACTS_MAX: u64 = 10_000;

/// Records an act and what it wishes for.
pub(crate) fn act(transaction: &Transaction<'_>, act: &Act, by: &By) -> Result<(), ActError> {
    match act {
        Act::Rebuild { name, generation, hold, events_per_second } => {
            check_rate(*events_per_second)?;
            rebuild(transaction, name, *generation, *hold, *events_per_second)?;
        }
        Act::Switch(id) => wish_for_switch(transaction, id)?,
        Act::Pause(id) => wish(transaction, id, "paused", &true)?,
        Act::Resume(id) => wish(transaction, id, "paused", &false)?,
        Act::Throttle(id, rate) => {
            check_rate(*rate)?;
            wish(transaction, id, "events_per_second", rate)?;
        }
        Act::Workers(id, workers) if (1..=WORKERS_MAX).contains(workers) => {
            wish(transaction, id, "workers", workers)?;
        }
        Act::Workers(_, workers) => {
            let what = format!("{workers} workers cannot be had: ask for 1 to {WORKERS_MAX}");
            return Err(ActError::Refused(what));
        }
        Act::Parked(id, key, request) => ask(transaction, id, Some(key), *request)?,
        Act::AllParked(id, request) => ask(transaction, id, None, *request)?,
        Act::Drop(id) => drop_old(transaction, id)?,
        other => return Err(ActError::Refused(format!("this store cannot {other}"))),
    }
    record(transaction, act, by).map_err(|error| fault(&error).into())
}

fn record(transaction: &Transaction<'_>, act: &Act, by: &By) -> rusqlite::Result<()> {
    let by = By::new(&by.who, &by.why);
    transaction.execute(
        "INSERT INTO kronika_acts (at, who, why, act) VALUES (?1, ?2, ?3, ?4)",
        params![now().get(), by.who, by.why, act.to_string()],
    )?;
    let oldest = transaction.last_insert_rowid() - ACTS_MAX as i64;
    transaction.execute("DELETE FROM kronika_acts WHERE number <= ?1", [oldest]).map(|_| ())
}

/// The newest acts, newest first.
pub(crate) fn list(connection: &Connection, limit: usize) -> Result<Vec<ActRecord>, StoreFault> {
    let select = || -> rusqlite::Result<Vec<ActRecord>> {
        let mut select = connection.prepare_cached(
            "SELECT number, at, who, why, act FROM kronika_acts ORDER BY number DESC LIMIT ?1",
        )?;
        let act = |row: &rusqlite::Row<'_>| {
            let by = By { who: row.get(2)?, why: row.get(3)? };
            let at = Timestamp::new(row.get(1)?);
            Ok(ActRecord { number: row.get(0)?, at, by, act: row.get(4)? })
        };
        select.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], act)?.collect()
    };
    select().map_err(|error| fault(&error))
}

fn check_rate(rate: Option<u64>) -> Result<(), ActError> {
    let what = match rate {
        Some(0) => "0 events/s would never end: pause it instead",
        Some(rate) if i64::try_from(rate).is_err() => "so many events/s are no bound: leave it out",
        _ => return Ok(()),
    };
    Err(ActError::Refused(what.to_owned()))
}

/// Another run of a generation, beside the live one.
fn rebuild(
    transaction: &Transaction<'_>,
    name: &ProjectionName,
    generation: Option<Generation>,
    hold: bool,
    events_per_second: Option<u64>,
) -> Result<(), ActError> {
    let sql = |error| ActError::from(fault(&error));
    let in_stage = |stage| in_stage(transaction, name, stage).map_err(sql);
    let live = in_stage(Stage::Live)?;
    let generation = match generation.or(live.map(|live| live.generation)) {
        Some(generation) => generation,
        None => return Err(ActError::NotFound(format!("there is no read model {name}"))),
    };
    if let Some(building) = in_stage(Stage::Building)? {
        let what = format!("{building} is being built already: wait until it is live, or drop it");
        return Err(ActError::Refused(what));
    }
    // The handler is that of the generation, and so is what a change of it is noticed by.
    let rows = transaction
        .execute(
            "INSERT INTO kronika_read_models (name, generation, run, stage, tables, types, kept_order,
                 events_per_second, switch, begun)
             SELECT name, generation, run + 1, 'building', tables, types, kept_order, ?3, ?4, ?5
             FROM kronika_read_models WHERE name = ?1 AND generation = ?2 ORDER BY run DESC LIMIT 1",
            params![name.as_str(), generation.get(), events_per_second, !hold, now().get()],
        )
        .map_err(sql)?;
    match rows {
        0 => Err(ActError::NotFound(format!("there is no generation {generation} of {name}"))),
        _ => Ok(()),
    }
}

/// At most one of a name is to be switched to. The live one is there already: it is kept.
fn wish_for_switch(transaction: &Transaction<'_>, id: &ReadModelId) -> Result<(), ActError> {
    if !exists(transaction, id)? {
        return Err(unknown(id));
    }
    let sql = "UPDATE kronika_read_models
               SET switch = (generation = ?2 AND run = ?3 AND stage <> 'live') WHERE name = ?1";
    transaction.execute(sql, of(id)).map_err(|error| fault(&error))?;
    Ok(())
}

fn wish(
    transaction: &Transaction<'_>,
    id: &ReadModelId,
    column: &str,
    value: &dyn ToSql,
) -> Result<(), ActError> {
    let (name, generation, run) = of(id);
    let sql = format!("UPDATE kronika_read_models SET {column} = ?4 WHERE {OF}");
    let rows = transaction.execute(&sql, params![name, generation, run, value]);
    match rows.map_err(|error| fault(&error))? {
        0 => Err(unknown(id)),
        _ => Ok(()),
    }
}

/// Asks something of one parked key, or of all.
fn ask(
    transaction: &Transaction<'_>,
    id: &ReadModelId,
    key: Option<&KeyText>,
    request: ParkedRequest,
) -> Result<(), ActError> {
    if !exists(transaction, id)? {
        return Err(unknown(id));
    }
    let (name, generation, run) = of(id);
    // A first letter that nobody has tried yet is not left out: it is not the one that was seen to fail.
    let sql = format!(
        "UPDATE kronika_parked
         SET asked = CASE WHEN ?4 = 'skip' AND attempts = 0 THEN 'retry' ELSE ?4 END
         WHERE {OF} AND (?5 IS NULL OR key = ?5)"
    );
    let key_text = key.map(KeyText::as_str);
    let rows = transaction
        .execute(&sql, params![name, generation, run, request.name(), key_text])
        .map_err(|error| fault(&error))?;
    match (rows, key) {
        (0, Some(key)) => Err(ActError::NotFound(format!("key {key} is not parked in {id}"))),
        _ => Ok(()),
    }
}

/// Removes a read model that nobody reads, with all that is its own.
fn drop_old(transaction: &Transaction<'_>, id: &ReadModelId) -> Result<(), ActError> {
    match stage(transaction, id)? {
        None => return Err(unknown(id)),
        Some(Stage::Live) => {
            let what = format!("{id} is live: make another one live first, then drop it");
            return Err(ActError::Refused(what));
        }
        Some(_) => {}
    }
    let remove = || -> rusqlite::Result<()> {
        let (name, generation, run) = of(id);
        let epoch: Option<i64> = transaction
            .query_row(
                &format!("SELECT max(epoch) FROM kronika_checkpoints WHERE {OF}"),
                of(id),
                |row| row.get(0),
            )
            .optional()?
            .flatten();
        if let Some(epoch) = epoch {
            transaction.execute(
                "INSERT OR REPLACE INTO kronika_dropped VALUES (?1, ?2, ?3, ?4)",
                params![name, generation, run, epoch],
            )?;
        }
        tables::remove(transaction, id)?;
        parked::remove(transaction, id)?;
        for table in ["kronika_checkpoints", "kronika_read_models"] {
            transaction.execute(&format!("DELETE FROM {table} WHERE {OF}"), of(id))?;
        }
        Ok(())
    };
    Ok(remove().map_err(|error| fault(&error))?)
}

fn unknown(id: &ReadModelId) -> ActError {
    ActError::NotFound(format!("there is no read model {id}"))
}
