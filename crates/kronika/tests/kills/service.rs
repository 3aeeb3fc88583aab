//! What is served while it is killed: two aggregates, and projections of every kind and order.
//!
//! Each event has a number of its own, so that a row can show which events it was made of and in which order.

use kronika::{
    About, Aggregate, BatchHandler, Command, Context, Event, Folded, Handle, Handled, Never, On,
    Outcome, Projection, Row, rusqlite::Transaction,
};
use kronika_core::{Order, RecordedEvent};
use kronika_sqlite::HandlerTables;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a fold panics or fails with on purpose.
pub const POISON: &str = "poison";

/// Counts its events, so that a state that was loaded wrongly shows in what is recorded.
#[derive(Default, Serialize, Deserialize)]
pub struct Tally {
    events: u64,
}

#[derive(Event, Serialize, Deserialize)]
pub enum TallyEvent {
    Added {
        number: u64,
        /// Which event of its aggregate it is.
        count: u64,
        cents: i64,
        bucket: i64,
        /// Another aggregate, whose row is touched too.
        other: Option<String>,
        /// Who cannot handle it.
        poisons: Option<String>,
    },
    Closed {
        number: u64,
        count: u64,
    },
}

impl Aggregate for Tally {
    const TYPE: &'static str = "tally";
    const SNAPSHOT_EVERY: u32 = 16;
    type Id = String;
    type Event = TallyEvent;

    fn apply(&mut self, _: &TallyEvent) {
        self.events += 1;
    }
}

#[derive(Command, Serialize, Deserialize, JsonSchema)]
pub struct Add {
    pub number: u64,
    pub cents: i64,
    pub bucket: i64,
    pub other: Option<String>,
    pub poisons: Option<String>,
}

impl Handle<Add> for Tally {
    type Reply = ();
    type Rejection = Never;

    fn handle(&self, add: &Add, context: &Context<Self>) -> Outcome<Self, Add> {
        let Add { number, cents, bucket, .. } = *add;
        let (other, poisons) = (add.other.clone(), add.poisons.clone());
        let count = self.events + 1;
        Ok(context.record(TallyEvent::Added { number, count, cents, bucket, other, poisons }))
    }
}

#[derive(Command, Serialize, Deserialize, JsonSchema)]
pub struct Close {
    pub number: u64,
}

impl Handle<Close> for Tally {
    type Reply = ();
    type Rejection = Never;

    fn handle(&self, close: &Close, context: &Context<Self>) -> Outcome<Self, Close> {
        let count = self.events + 1;
        Ok(context.record(TallyEvent::Closed { number: close.number, count }))
    }
}

/// An aggregate that most projections do not follow.
#[derive(Default, Serialize, Deserialize)]
pub struct Noise {
    events: u64,
}

#[derive(Event, Serialize, Deserialize)]
pub enum NoiseEvent {
    Heard { number: u64, count: u64 },
}

impl Aggregate for Noise {
    const TYPE: &'static str = "noise";
    type Id = String;
    type Event = NoiseEvent;

    fn apply(&mut self, _: &NoiseEvent) {
        self.events += 1;
    }
}

#[derive(Command, Serialize, Deserialize, JsonSchema)]
pub struct Hear {
    pub number: u64,
}

impl Handle<Hear> for Noise {
    type Reply = ();
    type Rejection = Never;

    fn handle(&self, hear: &Hear, context: &Context<Self>) -> Outcome<Self, Hear> {
        let count = self.events + 1;
        Ok(context.record(NoiseEvent::Heard { number: hear.number, count }))
    }
}

/// Whether the folds of this process can handle what is poisoned.
#[derive(Clone, Copy, Debug)]
pub struct Mended(pub bool);

impl Mended {
    /// Fails, or panics, where the event poisons this one.
    fn check(self, is_poisoned: bool, number: u64) -> Folded {
        match (is_poisoned && !self.0, number % 2) {
            (false, _) => Ok(()),
            (true, 0) => Err(POISON.into()),
            (true, _) => panic!("{POISON}"),
        }
    }
}

/// A counter by key, where an event may touch two keys and one of them may fail.
pub struct Counts(pub Mended);

#[derive(Row)]
pub struct Count {
    events: u64,
    cents: i64,
    last: u64,
}

impl Projection for Counts {
    const NAME: &'static str = "counts";
    type Key = String;
    type Row = Count;
    type Follows = (Tally,);
}

impl On<Tally> for Counts {
    fn keys(&self, event: &TallyEvent, about: &About<'_>) -> impl IntoIterator<Item = String> {
        let other = match event {
            TallyEvent::Added { other, .. } => other.clone(),
            TallyEvent::Closed { .. } => None,
        };
        [about.id().to_owned()].into_iter().chain(other)
    }

    fn on(
        &self,
        row: &mut Option<Count>,
        key: &String,
        event: &TallyEvent,
        about: &About<'_>,
    ) -> Folded {
        let TallyEvent::Added { number, cents, poisons, .. } = event else {
            *row = None;
            return Ok(());
        };
        let is_own = key == about.id();
        let poisoned = if is_own { "own" } else { "other" };
        self.0.check(poisons.as_deref() == Some(poisoned), *number)?;
        let row = row.get_or_insert(Count { events: 0, cents: 0, last: 0 });
        row.events += 1;
        row.cents += if is_own { *cents } else { -cents };
        row.last = about.position.get();
        Ok(())
    }
}

/// A text by key that grows with each event: a repeat, a gap or another order shows. In two generations.
pub struct Texts<const G: u32>(pub Mended);

#[derive(Row)]
pub struct Text {
    text: String,
}

impl<const G: u32> Projection for Texts<G> {
    const NAME: &'static str = "texts";
    const GENERATION: u32 = G;
    type Key = i64;
    type Row = Text;
    type Follows = (Tally,);
}

impl<const G: u32> On<Tally> for Texts<G> {
    fn keys(&self, event: &TallyEvent, _: &About<'_>) -> impl IntoIterator<Item = i64> {
        match event {
            TallyEvent::Added { bucket, .. } => Some(*bucket),
            TallyEvent::Closed { .. } => None,
        }
    }

    fn on(&self, row: &mut Option<Text>, _: &i64, event: &TallyEvent, _: &About<'_>) -> Folded {
        let TallyEvent::Added { number, poisons, .. } = event else { return Ok(()) };
        self.0.check(poisons.as_deref() == Some("texts"), *number)?;
        let row = row.get_or_insert(Text { text: String::new() });
        row.text.push_str(&format!("{number},"));
        Ok(())
    }
}

/// By stream: the stream's own row, in order, and one that streams share.
pub struct Streams(pub Mended);

#[derive(Row)]
pub struct Streamed {
    events: u64,
    cents: i64,
    text: String,
}

impl Projection for Streams {
    const NAME: &'static str = "streams";
    const ORDER: Order = Order::Stream;
    type Key = String;
    type Row = Streamed;
    type Follows = (Tally,);
}

impl On<Tally> for Streams {
    fn keys(&self, event: &TallyEvent, about: &About<'_>) -> impl IntoIterator<Item = String> {
        let bucket = match event {
            TallyEvent::Added { bucket, .. } => Some(format!("b/{bucket}")),
            TallyEvent::Closed { .. } => None,
        };
        [format!("s/{}", about.id())].into_iter().chain(bucket)
    }

    fn on(
        &self,
        row: &mut Option<Streamed>,
        key: &String,
        event: &TallyEvent,
        _: &About<'_>,
    ) -> Folded {
        let (number, cents, poisons) = match event {
            TallyEvent::Added { number, cents, poisons, .. } => {
                (number, *cents, poisons.as_deref())
            }
            TallyEvent::Closed { number, .. } => (number, 0, None),
        };
        let row = row.get_or_insert(Streamed { events: 0, cents: 0, text: String::new() });
        row.events += 1;
        row.cents += cents;
        if key.starts_with("s/") {
            // With one row of two changed already, if it is the second one that is poisoned.
            row.text.push_str(&format!("{number},"));
        }
        let side = if key.starts_with("s/") { "streams" } else { "shared" };
        self.0.check(poisons == Some(side), *number)
    }
}

/// What a handler knows of an event: its number, and who cannot handle it.
fn fields(event: &RecordedEvent) -> serde_json::Result<(u64, Option<String>)> {
    #[derive(Deserialize)]
    struct Fields {
        number: u64,
        poisons: Option<String>,
    }
    let Fields { number, poisons } = serde_json::from_slice(&event.body)?;
    Ok((number, poisons))
}

/// Each event as a line, and their sum, in total order.
pub struct Lines;

impl BatchHandler for Lines {
    const NAME: &'static str = "lines";
    const FOLLOWS: &'static [&'static str] = &[];
    const TABLES: &'static [&'static str] = &["line", "line_sum"];

    fn create(&mut self, tables: &HandlerTables, transaction: &Transaction<'_>) -> Handled {
        let (line, sum) = (tables.name("line"), tables.name("line_sum"));
        Ok(transaction.execute_batch(&format!(
            "CREATE TABLE {line} (position INTEGER, stream TEXT, number INTEGER);
             CREATE TABLE {sum} (events INTEGER, numbers INTEGER);
             INSERT INTO {sum} VALUES (0, 0);"
        ))?)
    }

    fn handle(
        &mut self,
        events: &[RecordedEvent],
        tables: &HandlerTables,
        transaction: &Transaction<'_>,
    ) -> Handled {
        let insert = format!("INSERT INTO {} VALUES (?1, ?2, ?3)", tables.name("line"));
        let add = format!(
            "UPDATE {} SET events = events + 1, numbers = numbers + ?1",
            tables.name("line_sum")
        );
        let (mut insert, mut add) =
            (transaction.prepare_cached(&insert)?, transaction.prepare_cached(&add)?);
        for event in events {
            let (number, _) = fields(event)?;
            insert.execute((event.position.get(), event.stream().to_string(), number))?;
            add.execute([number])?;
        }
        Ok(())
    }
}

/// Each event as a line, where a stream whose event fails waits.
pub struct Audits(pub Mended);

impl BatchHandler for Audits {
    const NAME: &'static str = "audits";
    const ORDER: Order = Order::Stream;
    const FOLLOWS: &'static [&'static str] = &["tally"];
    const TABLES: &'static [&'static str] = &["audit"];

    fn create(&mut self, tables: &HandlerTables, transaction: &Transaction<'_>) -> Handled {
        let table = tables.name("audit");
        let columns = "(position INTEGER, stream TEXT, number INTEGER)";
        Ok(transaction.execute_batch(&format!("CREATE TABLE {table} {columns}"))?)
    }

    fn handle(
        &mut self,
        events: &[RecordedEvent],
        tables: &HandlerTables,
        transaction: &Transaction<'_>,
    ) -> Handled {
        let insert = format!("INSERT INTO {} VALUES (?1, ?2, ?3)", tables.name("audit"));
        let mut insert = transaction.prepare_cached(&insert)?;
        for event in events {
            let (number, poisons) = fields(event)?;
            insert.execute((event.position.get(), event.stream().to_string(), number))?;
            self.0.check(poisons.as_deref() == Some("audits"), number)?;
        }
        Ok(())
    }
}
