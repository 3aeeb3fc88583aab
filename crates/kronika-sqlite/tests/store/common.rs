//! A projection of counts, and what is committed of it.

use kronika_core::{
    Act, ActError, AppendHeader, AppendId, By, Checkpoint, Codec, Column, Commit, Epoch,
    Generation, Incarnation, KeyText, Kind, Letter, Mark, Opened, Order, ParkedChange, PartitionId,
    Position, ProjectionName, ReadModel, ReadModelId, ReadModelSpec, ReadModelStore, RecordedEvent,
    Stage, StreamId, Tables, Takeover, Timestamp, Value, Version,
};
use kronika_sqlite::{SqliteReadModels, SqliteSettings};
use std::{path::Path, sync::Arc, time::Duration};

pub const HERE: Incarnation = Incarnation::new(7);
pub const ELSEWHERE: Incarnation = Incarnation::new(8);

pub fn settings() -> SqliteSettings {
    SqliteSettings { busy_timeout: Duration::from_millis(1), ..SqliteSettings::default() }
}

pub fn open(path: &Path) -> SqliteReadModels {
    SqliteReadModels::open(path, settings()).unwrap()
}

pub fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, nullable: false }
}

pub fn spec(generation: u32) -> ReadModelSpec {
    ReadModelSpec {
        name: ProjectionName::new("counts").unwrap(),
        generation: Generation::new(generation),
        types: vec!["purse".into(), "account".into()],
        order: Order::Key,
        tables: Tables::Keyed {
            key: vec![column("key", Kind::Integer)],
            row: vec![column("count", Kind::Integer)],
        },
    }
}

pub fn id(generation: u32, run: u32) -> ReadModelId {
    let name = ProjectionName::new("counts").unwrap();
    ReadModelId { name, generation: Generation::new(generation), run }
}

/// Begins a generation and takes one of its runs over, of a journal with two partitions.
pub async fn take_over(read_models: &SqliteReadModels, generation: u32, run: u32) -> Opened {
    take_over_of(read_models, generation, run, HERE).await
}

pub async fn take_over_of(
    read_models: &SqliteReadModels,
    generation: u32,
    run: u32,
    incarnation: Incarnation,
) -> Opened {
    read_models.begin(spec(generation)).await.unwrap();
    let takeover = Takeover::whole(incarnation, 2);
    ReadModelStore::open(read_models, spec(generation), run, takeover).await.unwrap()
}

pub fn mark(partition: u16, position: u64) -> Mark {
    let partition = PartitionId::new(partition);
    Mark { partition, position: Position::new(position), check: position as u32 }
}

/// Rows of key and count up to a mark.
pub fn commit(id: &ReadModelId, expected: &Checkpoint, to: Mark, rows: &[(i64, i64)]) -> Commit {
    let row = |&(key, count)| vec![Value::Integer(key), Value::Integer(count)];
    Commit {
        read_model: id.clone(),
        partition: to.partition,
        expected: expected.clone(),
        next: expected.advanced(to, rows.len() as u64, None),
        upserts: rows.iter().map(row).collect(),
        deletes: vec![],
        parked: vec![],
    }
}

/// Commits up to a mark and gives the checkpoint there.
pub async fn advance(
    read_models: &SqliteReadModels,
    id: &ReadModelId,
    expected: &Checkpoint,
    to: Mark,
    parked: Vec<ParkedChange>,
) -> Checkpoint {
    let commit = Commit { parked, ..commit(id, expected, to, &[(1, i64::from(to.check))]) };
    let next = commit.next.clone();
    read_models.commit(Arc::new(commit)).await.unwrap();
    next
}

/// Takes over and commits up to a position of partition 0.
pub async fn at(read_models: &SqliteReadModels, id: &ReadModelId, position: u64) -> Checkpoint {
    let opened = take_over(read_models, id.generation.get(), id.run).await;
    advance(read_models, id, &opened.checkpoint, mark(0, position), vec![]).await
}

pub async fn count(read_models: &SqliteReadModels, id: &ReadModelId, key: i64) -> Option<i64> {
    let rows = read_models.load(id, vec![vec![Value::Integer(key)]]).await;
    match rows.unwrap().remove(0)?[..] {
        [Value::Integer(count)] => Some(count),
        ref other => panic!("{other:?}"),
    }
}

/// What a query by the plain name finds.
pub async fn shown(read_models: &SqliteReadModels) -> i64 {
    let shown = read_models.query(|connection| {
        connection.query_row("SELECT count FROM counts WHERE key = 1", [], |row| row.get(0))
    });
    shown.await.unwrap()
}

pub async fn act(read_models: &SqliteReadModels, act: Act) -> Result<(), ActError> {
    read_models.act(act, By::new("ada", "to see")).await
}

pub async fn rebuild(read_models: &SqliteReadModels, hold: bool) -> Result<(), ActError> {
    let name = ProjectionName::new("counts").unwrap();
    let rebuild = Act::Rebuild { name, generation: None, hold, events_per_second: None };
    act(read_models, rebuild).await
}

pub async fn read_model(read_models: &SqliteReadModels, id: &ReadModelId) -> ReadModel {
    let all = read_models.read_models().await.unwrap();
    all.into_iter().find(|read_model| read_model.id == *id).unwrap()
}

/// Stage by generation and run.
pub async fn stages(read_models: &SqliteReadModels) -> Vec<(u32, u32, Stage)> {
    stages_of(&read_models.read_models().await.unwrap())
}

pub fn stages_of(read_models: &[ReadModel]) -> Vec<(u32, u32, Stage)> {
    let stage = |one: &ReadModel| (one.id.generation.get(), one.id.run, one.stage);
    read_models.iter().map(stage).collect()
}

pub fn key(text: &str) -> KeyText {
    KeyText::new(text).unwrap()
}

pub fn event(position: u64) -> RecordedEvent {
    let append = AppendId::from_parts(Timestamp::new(0), position);
    RecordedEvent {
        position: Position::new(position),
        version: Version::new(position),
        id: append.event(0),
        name: "added".into(),
        schema: 1,
        codec: Codec::Json,
        body: "{}".into(),
        tags: vec![],
        occurred: None,
        metadata: None,
        append: Arc::new(header(append, position)),
    }
}

fn header(id: AppendId, position: u64) -> AppendHeader {
    AppendHeader {
        id,
        stream: StreamId::new("purse", "a").unwrap(),
        partition: PartitionId::new(0),
        expected: Version::new(position - 1),
        time: Timestamp::new(position as i64),
        epoch: Epoch::new(1),
        command: "add".into(),
        more: None,
    }
}

pub fn letter(position: u64) -> Letter {
    Letter::of(&event(position))
}

pub fn park(text: &str, position: u64) -> ParkedChange {
    let at = Timestamp::new(99);
    ParkedChange::Park { key: key(text), cause: "no".into(), letter: letter(position), at }
}

pub fn hold(text: &str, position: u64) -> ParkedChange {
    ParkedChange::Hold { key: key(text), letter: letter(position) }
}

pub fn take(text: &str, position: u64) -> ParkedChange {
    let (partition, position) = (PartitionId::new(0), Position::new(position));
    ParkedChange::Take { key: key(text), partition, position }
}

pub fn fail(text: &str, cause: &str) -> ParkedChange {
    ParkedChange::Fail {
        key: key(text),
        cause: cause.into(),
        asked: Some(kronika_core::ParkedRequest::Retry),
    }
}

pub fn lift(text: &str) -> ParkedChange {
    ParkedChange::Lift { key: key(text) }
}

/// Changes of what is parked alone, where the checkpoint stays.
pub fn drain(id: &ReadModelId, stands: &Checkpoint, parked: Vec<ParkedChange>) -> Arc<Commit> {
    let commit = commit(id, stands, stands.seen.mark(PartitionId::new(0)), &[]);
    Arc::new(Commit { parked, ..commit })
}
