//! The read models of the file: which there are, what each is for, and what is wished for it.

use crate::{checkpoints, error::fault};
use kronika_core::{
    Generation, ProjectionName, ReadModel, ReadModelId, ReadModelSpec, Report, Stage, StoreFault,
    Timestamp, Wanted,
};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use std::time::{Duration, SystemTime};

/// Of one read model.
pub(crate) const OF: &str = "name = ?1 AND generation = ?2 AND run = ?3";

/// What [`OF`] is bound to.
pub(crate) fn of(id: &ReadModelId) -> (&str, u32, u32) {
    (id.name.as_str(), id.generation.get(), id.run)
}

/// When something is noted.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_system(SystemTime::now())
}

/// Nobody has made it, or it was dropped.
pub(crate) fn gone(id: &ReadModelId) -> StoreFault {
    StoreFault::Refused(format!("{id} is not there any more"))
}

/// Whether there is such a read model.
pub(crate) fn exists(connection: &Connection, id: &ReadModelId) -> Result<bool, StoreFault> {
    Ok(stage(connection, id)?.is_some())
}

/// What a read model is for, if it is there.
pub(crate) fn stage(
    connection: &Connection,
    id: &ReadModelId,
) -> Result<Option<Stage>, StoreFault> {
    let stage = || -> rusqlite::Result<Option<String>> {
        let sql = format!("SELECT stage FROM kronika_read_models WHERE {OF}");
        connection.prepare_cached(&sql)?.query_row(of(id), |row| row.get(0)).optional()
    };
    let stage = stage().map_err(|error| fault(&error))?;
    stage.map(|word| stage_of(&word)).transpose()
}

/// The read model of a name that is in a stage of which there is at most one.
pub(crate) fn in_stage(
    connection: &Connection,
    name: &ProjectionName,
    stage: Stage,
) -> rusqlite::Result<Option<ReadModelId>> {
    let sql = "SELECT generation, run FROM kronika_read_models WHERE name = ?1 AND stage = ?2";
    let id = |row: &Row<'_>| {
        let (generation, run) = (Generation::new(row.get(0)?), row.get(1)?);
        Ok(ReadModelId { name: name.clone(), generation, run })
    };
    connection.query_row(sql, params![name.as_str(), stage.name()], id).optional()
}

/// Gives a read model a stage. Who asks makes room first where there is one at most.
pub(crate) fn set_stage(
    transaction: &Transaction<'_>,
    id: &ReadModelId,
    stage: Stage,
) -> rusqlite::Result<()> {
    let (name, generation, run) = of(id);
    let sql = format!("UPDATE kronika_read_models SET stage = ?4, switch = 0 WHERE {OF}");
    transaction.execute(&sql, params![name, generation, run, stage.name()]).map(|_| ())
}

/// Notes that a generation's projection is there: see [`kronika_core::ReadModelStore::begin`].
pub(crate) fn begin(
    transaction: &Transaction<'_>,
    spec: &ReadModelSpec,
) -> Result<Vec<ReadModel>, StoreFault> {
    note(transaction, spec).map_err(|error| fault(&error))?;
    list(transaction, Some(&spec.name))
}

fn note(transaction: &Transaction<'_>, spec: &ReadModelSpec) -> rusqlite::Result<()> {
    let (name, generation) = (spec.name.as_str(), spec.generation.get());
    let known: bool = transaction.query_row(
        "SELECT EXISTS (SELECT 1 FROM kronika_read_models WHERE name = ?1 AND generation = ?2)",
        params![name, generation],
        |row| row.get(0),
    )?;
    if known {
        return Ok(());
    }
    let has_live = in_stage(transaction, &spec.name, Stage::Live)?.is_some();
    let stage = if has_live { Stage::Building } else { Stage::Live };
    if let Some(overtaken) = in_stage(transaction, &spec.name, Stage::Building)? {
        set_stage(transaction, &overtaken, Stage::Old)?;
    }
    transaction.execute(
        "INSERT INTO kronika_read_models (name, generation, run, stage, switch, begun)
         VALUES (?1, ?2, 1, ?3, ?4, ?5)",
        params![name, generation, stage.name(), has_live, now().get()],
    )?;
    Ok(())
}

/// All read models, or those of a name, in order of name, generation and run.
pub(crate) fn list(
    connection: &Connection,
    name: Option<&ProjectionName>,
) -> Result<Vec<ReadModel>, StoreFault> {
    let rows = || -> rusqlite::Result<Vec<Stored>> {
        let mut select = connection.prepare_cached(
            "SELECT name, generation, run, stage, paused, events_per_second, workers, switch, begun,
                 (SELECT count(*) FROM kronika_parked parked WHERE parked.name = of.name
                  AND parked.generation = of.generation AND parked.run = of.run),
                 (SELECT ifnull(sum(letters), 0) FROM kronika_parked parked WHERE parked.name = of.name
                  AND parked.generation = of.generation AND parked.run = of.run),
                 report_at, report_state, report_lag_events, report_lag_micros,
                 report_events_per_second, report_error
             FROM kronika_read_models of WHERE ?1 IS NULL OR name = ?1
             ORDER BY name, generation, run",
        )?;
        let rows = select.query_map([name.map(ProjectionName::as_str)], stored)?;
        rows.collect()
    };
    let rows = rows().map_err(|error| fault(&error))?;
    rows.into_iter().map(|row| read(connection, row)).collect()
}

/// A row of the table, whose texts nobody has looked at yet.
struct Stored {
    name: String,
    generation: u32,
    run: u32,
    stage: String,
    wanted: Wanted,
    begun: Timestamp,
    parked: u64,
    letters: u64,
    report: Option<Report>,
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let wanted = Wanted {
        paused: row.get(4)?,
        events_per_second: row.get(5)?,
        workers: row.get(6)?,
        switch: row.get(7)?,
    };
    let report = match row.get::<_, Option<i64>>(11)? {
        None => None,
        Some(at) => Some(Report {
            at: Timestamp::new(at),
            state: row.get(12)?,
            lag_events: row.get(13)?,
            lag: Duration::from_micros(row.get(14)?),
            // SQLite has no rate that is no number.
            events_per_second: row.get::<_, Option<f64>>(15)?.unwrap_or_default(),
            error: row.get(16)?,
        }),
    };
    Ok(Stored {
        name: row.get(0)?,
        generation: row.get(1)?,
        run: row.get(2)?,
        stage: row.get(3)?,
        wanted,
        begun: Timestamp::new(row.get(8)?),
        parked: row.get(9)?,
        letters: row.get(10)?,
        report,
    })
}

fn read(connection: &Connection, row: Stored) -> Result<ReadModel, StoreFault> {
    let name = ProjectionName::new(&row.name).map_err(|error| changed(error.to_string()))?;
    let id = ReadModelId { name, generation: Generation::new(row.generation), run: row.run };
    Ok(ReadModel {
        stage: stage_of(&row.stage)?,
        checkpoint: checkpoints::of_read_model(connection, &id)?,
        id,
        wanted: row.wanted,
        parked: row.parked,
        letters: row.letters,
        begun: row.begun,
        report: row.report,
    })
}

fn stage_of(word: &str) -> Result<Stage, StoreFault> {
    Stage::from_name(word).ok_or_else(|| changed(format!("{word:?} is no stage")))
}

fn changed(what: String) -> StoreFault {
    StoreFault::Changed { table: "kronika_read_models".to_owned(), what }
}

/// Keeps how a projection stands.
pub(crate) fn report(
    transaction: &Transaction<'_>,
    id: &ReadModelId,
    report: &Report,
) -> Result<(), StoreFault> {
    let (name, generation, run) = of(id);
    let update = || -> rusqlite::Result<usize> {
        let mut update = transaction.prepare_cached(&format!(
            "UPDATE kronika_read_models SET report_at = ?4, report_state = ?5, report_lag_events = ?6,
                 report_lag_micros = ?7, report_events_per_second = ?8, report_error = ?9
             WHERE {OF}"
        ))?;
        update.execute(params![
            name,
            generation,
            run,
            report.at.get(),
            report.state,
            i64::try_from(report.lag_events).unwrap_or(i64::MAX),
            i64::try_from(report.lag.as_micros()).unwrap_or(i64::MAX),
            report.events_per_second,
            report.error,
        ])
    };
    match update().map_err(|error| fault(&error))? {
        0 => Err(gone(id)),
        _ => Ok(()),
    }
}
