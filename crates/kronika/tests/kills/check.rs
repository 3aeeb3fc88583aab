//! Looks into the files that a killed process left, and compares every read model with the model.

use crate::{
    life::NAMES,
    model::{Fact, Letters, Rows, Seen},
};
use kronika::rusqlite::{Connection, OpenFlags};
use kronika_core::{ActRecord, PartitionId, ReadModel, ReadModelId, Stage};
use kronika_sqlite::{SqliteLook, SqliteReadModels};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// By name, how far the live read model is known to have been.
pub type Known = BTreeMap<String, u64>;

/// What is there.
#[derive(Default, Debug)]
pub struct Found {
    pub read_models: usize,
    pub parked: usize,
    pub letters: usize,
    /// Keys and streams of which events may have been left out.
    pub left_out: usize,
    /// Read models that are not at the head.
    pub behind: usize,
    pub live: Vec<ReadModelId>,
}

/// Everything about the read models of a directory; an error names the first thing that is not as it must be.
pub fn check(directory: &Path, facts: &[Fact], known: &mut Known) -> Result<Found, String> {
    let path = directory.join("read-models.sqlite");
    let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY);
    let schema = |connection: &Connection| {
        connection.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0))
    };
    let Some(connection) = connection.ok().filter(|it| schema(it).is_ok_and(|it| it > 0)) else {
        // It was killed before there was anything.
        return if known.is_empty() { Ok(Found::default()) } else { Err("no file".to_owned()) };
    };
    let look = SqliteReadModels::look(&path).map_err(|error| error.to_string())?;
    let (read_models, acts) = (look.read_models().unwrap(), look.acts(usize::MAX).unwrap());
    check_strays(&connection, &read_models)?;
    let files = Files { facts, connection, look, acts };
    let mut found = Found::default();
    for name in NAMES {
        let of_name: Vec<_> = read_models.iter().filter(|it| it.id.name.as_str() == name).collect();
        let live: Vec<_> = of_name.iter().filter(|it| it.stage == Stage::Live).collect();
        let building = of_name.iter().filter(|it| it.stage == Stage::Building).count();
        if live.len() != usize::from(!of_name.is_empty()) || building > 1 {
            return Err(format!("{name} has {} live, {building} building", live.len()));
        }
        for read_model in &of_name {
            let failed = |what| format!("{} {}: {what}", read_model.stage, read_model.id);
            files.check(read_model, &mut found).map_err(failed)?;
        }
        let position = live.first().map_or(0, |live| position(live));
        let before = known.entry(name.to_owned()).or_default();
        // What it does not follow it passes over, which is stored now and then only.
        let mut passed = facts.iter().rev().skip_while(|fact| fact.position > *before);
        let handled = passed.find(|fact| fact.is_followed(name)).map_or(0, |fact| fact.position);
        if position < handled {
            return Err(format!("the live {name} is at {position}, and was seen at {before}"));
        }
        found.live.extend(live.iter().map(|live| live.id.clone()));
        *before = position.max(*before);
    }
    Ok(found)
}

fn position(read_model: &ReadModel) -> u64 {
    let checkpoint = read_model.checkpoint.as_ref();
    checkpoint.map_or(0, |it| it.seen.mark(PartitionId::new(0)).position.get())
}

/// A name in the file, as its back end gives it.
fn table(id: &ReadModelId, plain: &str) -> String {
    let base = format!("{}__g{}_r{}", id.name, id.generation, id.run);
    if id.name.as_str() == plain { base } else { format!("{base}__{plain}") }
}

fn plain_tables(projection: &str) -> Vec<&str> {
    match projection {
        "lines" => vec!["line", "line_sum"],
        "audits" => vec!["audit"],
        name => vec![name],
    }
}

/// Nothing is there of a read model that is not.
fn check_strays(connection: &Connection, read_models: &[ReadModel]) -> Result<(), String> {
    let made = read_models.iter().filter(|it| it.checkpoint.is_some());
    let tables: BTreeSet<String> = made
        .flat_map(|it| {
            plain_tables(it.id.name.as_str()).into_iter().map(|plain| table(&it.id, plain))
        })
        .collect();
    let found: BTreeSet<String> = texts(
        connection,
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'kronika%'
         AND name NOT LIKE 'sqlite%'",
    )
    .into_iter()
    .collect();
    if tables != found {
        return Err(format!("the tables are {found:?}, expected {tables:?}"));
    }
    for of in ["checkpoints", "parked", "letters", "tables"] {
        let strays = texts(
            connection,
            &format!(
                "SELECT name || ' ' || generation || ' ' || run FROM kronika_{of} stray
                 WHERE NOT EXISTS (SELECT 1 FROM kronika_read_models there WHERE there.name = stray.name
                 AND there.generation = stray.generation AND there.run = stray.run)"
            ),
        );
        if !strays.is_empty() {
            return Err(format!("kronika_{of} has something of {strays:?}, which are not there"));
        }
    }
    Ok(())
}

/// The first column of a query, as text.
fn texts(connection: &Connection, sql: &str) -> Vec<String> {
    let mut select = connection.prepare(sql).unwrap();
    select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

struct Files<'a> {
    facts: &'a [Fact],
    connection: Connection,
    look: SqliteLook,
    acts: Vec<ActRecord>,
}

impl Files<'_> {
    /// One read model, whatever it is for.
    fn check(&self, read_model: &ReadModel, found: &mut Found) -> Result<(), String> {
        let (id, name) = (&read_model.id, read_model.id.name.as_str());
        let letters = self.letters(read_model)?;
        let Some(checkpoint) = &read_model.checkpoint else {
            return if letters.is_empty() { Ok(()) } else { Err("it was never opened".into()) };
        };
        let mark = checkpoint.seen.mark(PartitionId::new(0));
        let at = mark.position.get();
        if at > 0 && self.facts.get(at as usize - 1).map(|fact| fact.check) != Some(mark.check) {
            return Err(format!("its checkpoint stands at {mark:?}, which the journal has not"));
        }
        let seen = Seen::new(name, self.facts, at, &letters);
        if checkpoint.events != seen.facts.len() as u64 {
            let (events, count) = (checkpoint.events, seen.facts.len());
            return Err(format!("at {at} it counts {events} events, expected {count}"));
        }
        seen.check_letters()?;
        let (mut rows, mut expected) = (self.rows(id), seen.rows());
        let left_out = self.left_out(id, &seen);
        for (unit, is_dropped) in &left_out {
            compare_left_out(&seen, unit, *is_dropped, &mut rows, &mut expected)?;
        }
        let keys: BTreeSet<_> = rows.keys().chain(expected.keys()).collect();
        for key in keys {
            let (is, must) = (rows.get(key), expected.get(key));
            if is != must {
                return Err(format!("at {at}, row {key} is\n{is:?}, expected\n{must:?}"));
            }
        }
        if read_model.stage == Stage::Live {
            self.check_views(id)?;
        }
        found.read_models += 1;
        found.parked += letters.len();
        found.letters += letters.values().map(Vec::len).sum::<usize>();
        found.left_out += left_out.len();
        found.behind += usize::from(at < self.facts.len() as u64);
        Ok(())
    }

    /// What is parked, with the counts that stand beside it.
    fn letters(&self, read_model: &ReadModel) -> Result<Letters, String> {
        let (id, mut all) = (&read_model.id, Letters::new());
        for parked in self.look.parked(id, None, usize::MAX).unwrap() {
            let letters = self.look.letters(id, &parked.key, 0, usize::MAX).unwrap();
            if parked.letters != letters.len() as u64 || letters.first() != Some(&parked.first) {
                return Err(format!("{parked:?} does not fit its letters {letters:?}"));
            }
            let positions = letters.iter().map(|letter| letter.position.get()).collect();
            all.insert(parked.key.to_string(), positions);
        }
        let letters = all.values().map(Vec::len).sum::<usize>() as u64;
        match (read_model.parked, read_model.letters) == (all.len() as u64, letters) {
            true => Ok(all),
            false => Err(format!("it tells of other letters than {all:?}: {read_model:?}")),
        }
    }

    fn rows(&self, id: &ReadModelId) -> Rows {
        let name = id.name.as_str();
        let [table, sum] = ["line", "line_sum"].map(|plain| match name {
            "lines" => table(id, plain),
            _ => table(id, plain_tables(name)[0]),
        });
        let row = match name {
            "counts" => "key, events || ' ' || cents || ' ' || last",
            "texts" => "key, text",
            "streams" => "key, events || ' ' || cents || ' ' || text",
            // In the order in which they were handled.
            "audits" => "stream, number || ','",
            _ => "substr('0000000' || (rowid - 1), -8), position || ' ' || stream || ' ' || number",
        };
        let sql = match name {
            "audits" | "lines" => format!("SELECT {row} FROM {table} ORDER BY rowid"),
            _ => format!("SELECT CAST(key AS TEXT), {} FROM {table}", &row["key, ".len()..]),
        };
        let mut rows = Rows::new();
        let mut select = self.connection.prepare(&sql).unwrap();
        let found = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        for row in found {
            let (key, text): (String, String) = row.unwrap();
            *rows.entry(key).or_default() += &text;
        }
        if name == "lines" {
            let sum =
                texts(&self.connection, &format!("SELECT events || ' ' || numbers FROM {sum}"));
            rows.insert("sum".to_owned(), sum.join(", "));
        }
        rows
    }

    /// The plain names show this one.
    fn check_views(&self, id: &ReadModelId) -> Result<(), String> {
        for plain in plain_tables(id.name.as_str()) {
            let sql =
                format!("SELECT sql FROM sqlite_schema WHERE type = 'view' AND name = '{plain}'");
            let (views, table) = (texts(&self.connection, &sql), table(id, plain));
            let shows = views.first().is_some_and(|sql| sql.ends_with(&format!("\"{table}\"")));
            if !shows {
                return Err(format!("{plain} shows {views:?}, expected {table}"));
            }
            let count =
                |name: &str| texts(&self.connection, &format!("SELECT count(*) || '' FROM {name}"));
            if count(plain) != count(&table) {
                return Err(format!("{plain} has other rows than {table}"));
            }
        }
        Ok(())
    }

    /// Keys and streams of which events were, or may yet be, left out; and whether any may be, since all that waited
    /// was dropped, perhaps in the midst of being handled.
    fn left_out(&self, id: &ReadModelId, seen: &Seen<'_>) -> BTreeMap<String, bool> {
        let mut left_out = BTreeMap::new();
        for ActRecord { act, .. } in self.acts.iter().rev() {
            if *act == format!("drop {id}") {
                left_out.clear(); // the next one of its number begins anew
            }
            let Some(what) = act.strip_suffix(&format!(" of {id}")) else { continue };
            for request in ["skip", "drop"] {
                let mut add = |unit: String| {
                    *left_out.entry(unit).or_default() |= request == "drop";
                };
                if what == format!("{request} all parked keys") {
                    seen.by_unit().into_keys().for_each(&mut add);
                }
                if let Some(unit) = what.strip_prefix(&format!("{request} key ")) {
                    add(unit.to_owned());
                }
            }
        }
        left_out
    }
}

/// Of a key or stream of which events were left out: they were poisoned, or behind such a one, or all that waited was
/// dropped; and the others were handled once, in order. What does not show its events is not looked at.
fn compare_left_out(
    seen: &Seen<'_>,
    unit: &str,
    is_dropped: bool,
    rows: &mut Rows,
    expected: &mut Rows,
) -> Result<(), String> {
    let mut both = |key: &str| (rows.remove(key), expected.remove(key));
    let row = match seen.projection {
        "counts" => {
            both(unit);
            return Ok(());
        }
        "streams" => {
            (0..).map(|bucket| format!("b/{bucket}")).take(crate::life::BUCKETS as usize).for_each(
                |key| {
                    both(&key);
                },
            );
            let id = unit.split_once('/').map_or(unit, |(_, id)| id);
            let (row, _) = both(&format!("s/{id}"));
            row.and_then(|row| row.rsplit(' ').next().map(str::to_owned))
        }
        _ => both(unit).0,
    };
    let row = row.unwrap_or_default();
    let mut found =
        row.split_terminator(',').map(|number| number.parse::<u64>().unwrap()).peekable();
    let mut is_left_out = false;
    for fact in seen.handled(unit) {
        if found.next_if_eq(&fact.number).is_some() {
            is_left_out = false;
        } else if is_left_out || is_dropped || fact.is_poison(seen.projection, unit) {
            is_left_out = true;
        } else {
            return Err(format!("{unit} lacks {}, which nothing left out: {row}", fact.number));
        }
    }
    match found.next() {
        Some(number) => Err(format!("{unit} has {number} out of order: {row}")),
        None => Ok(()),
    }
}
