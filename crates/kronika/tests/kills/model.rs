//! What read models must hold: plain code over what the journal says, which shares nothing with the runtime's
//! folds.

use kronika::{Log, LogSettings, RecordedEvent};
use kronika_core::{Journal, PartitionId, Position, ReadPartition};

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// An event, as its bytes in the journal say.
pub struct Fact {
    pub position: u64,
    /// What a checkpoint that stands here says of it.
    pub check: u32,
    pub stream: String,
    pub id: String,
    pub is_tally: bool,
    pub is_closing: bool,
    pub version: u64,
    pub number: u64,
    /// Which event of its aggregate it is, as the aggregate's state said.
    pub count: u64,
    pub cents: i64,
    pub bucket: Option<i64>,
    pub other: Option<String>,
    pub poisons: String,
}

impl Fact {
    fn of(event: &RecordedEvent) -> Self {
        let body: serde_json::Value = serde_json::from_slice(&event.body).unwrap();
        let text = |field: &str| body[field].as_str().map(str::to_owned);
        Self {
            position: event.position.get(),
            check: event.mark().check,
            stream: event.stream().to_string(),
            id: event.stream().id().to_owned(),
            is_tally: event.stream().aggregate_type() == "tally",
            is_closing: *event.name == *"closed",
            version: event.version.get(),
            number: body["number"].as_u64().unwrap(),
            count: body["count"].as_u64().unwrap(),
            cents: body["cents"].as_i64().unwrap_or_default(),
            bucket: body["bucket"].as_i64(),
            other: text("other"),
            poisons: text("poisons").unwrap_or_default(),
        }
    }

    /// Whether a projection has to do with it.
    pub fn is_followed(&self, projection: &str) -> bool {
        projection == "lines" || self.is_tally
    }

    /// What waits if a projection cannot handle it: keys, or its stream.
    pub fn units(&self, projection: &str) -> Vec<String> {
        match projection {
            "counts" => {
                let other = self.other.iter().filter(|other| **other != self.id);
                [&self.id].into_iter().chain(other).cloned().collect()
            }
            "texts" => self.bucket.iter().map(ToString::to_string).collect(),
            "lines" => Vec::new(),
            _ => vec![self.stream.clone()],
        }
    }

    /// Whether a projection cannot handle it before it is mended.
    pub fn is_poison(&self, projection: &str, unit: &str) -> bool {
        match projection {
            "counts" if self.id == unit => self.poisons == "own",
            "counts" => self.poisons == "other",
            "streams" => ["streams", "shared"].contains(&&*self.poisons),
            name => self.poisons == name,
        }
    }
}

/// Everything that the journal of a directory holds, in order. Opens it as its service would.
pub fn facts(directory: &Path) -> Vec<Fact> {
    let log = Log::open(&directory.join("journal"), LogSettings::small()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (mut facts, mut after) = (Vec::new(), Position::new(0));
        loop {
            let read = ReadPartition::after(PartitionId::new(0), after).limit_events(4096);
            let page = Journal::read_partition(&log, read).await.unwrap();
            facts.extend(page.events.iter().map(Fact::of));
            after = page.scanned.position;
            if page.at_head {
                return facts;
            }
        }
    })
}

/// Events that wait, by what waits for them.
pub type Letters = BTreeMap<String, Vec<u64>>;
/// Rows as text, by key.
pub type Rows = BTreeMap<String, String>;

/// What one read model has seen.
pub struct Seen<'a> {
    pub projection: &'a str,
    /// The events that it follows, up to its checkpoint.
    pub facts: Vec<&'a Fact>,
    pub letters: &'a Letters,
}

impl<'a> Seen<'a> {
    pub fn new(
        projection: &'a str,
        facts: &'a [Fact],
        position: u64,
        letters: &'a Letters,
    ) -> Self {
        let seen = facts.iter().take_while(|fact| fact.position <= position);
        Self {
            projection,
            facts: seen.filter(|fact| fact.is_followed(projection)).collect(),
            letters,
        }
    }

    /// Events of each key or stream, in order.
    pub fn by_unit(&self) -> BTreeMap<String, Vec<&'a Fact>> {
        let mut all = BTreeMap::<_, Vec<_>>::new();
        for fact in &self.facts {
            for unit in fact.units(self.projection) {
                all.entry(unit).or_default().push(*fact);
            }
        }
        all
    }

    fn waits(&self, fact: &Fact, unit: &str) -> bool {
        self.letters.get(unit).is_some_and(|letters| letters.binary_search(&fact.position).is_ok())
    }

    /// What waits is what came since the first of it, and all of that.
    pub fn check_letters(&self) -> Result<(), String> {
        let by_unit = self.by_unit();
        for (unit, letters) in self.letters {
            let all = by_unit.get(unit).map(Vec::as_slice).unwrap_or_default();
            let since = all.iter().filter(|fact| letters.first() <= Some(&fact.position));
            let expected: Vec<_> = since.map(|fact| fact.position).collect();
            if letters.is_empty() || *letters != expected {
                return Err(format!("{unit} has letters {letters:?}, expected {expected:?}"));
            }
        }
        Ok(())
    }

    /// The events of a key or stream that were handled, if none was left out.
    pub fn handled(&self, unit: &str) -> Vec<&'a Fact> {
        let all = self.by_unit().remove(unit).unwrap_or_default();
        all.into_iter().filter(|fact| !self.waits(fact, unit)).collect()
    }

    /// The rows; for lines, all as one.
    pub fn rows(&self) -> Rows {
        match self.projection {
            "counts" => self.counts(),
            "texts" => self.texts(),
            "streams" => self.streams(),
            "audits" => self.audits(),
            _ => self.lines(),
        }
    }

    fn counts(&self) -> Rows {
        let mut rows = BTreeMap::<String, (u64, i64, u64)>::new();
        for fact in &self.facts {
            for unit in fact.units(self.projection) {
                if self.waits(fact, &unit) {
                    continue;
                }
                if fact.is_closing {
                    rows.remove(&unit);
                    continue;
                }
                let sign = if unit == fact.id { 1 } else { -1 };
                let (events, cents, last) = rows.entry(unit).or_default();
                (*events, *cents, *last) = (*events + 1, *cents + sign * fact.cents, fact.position);
            }
        }
        let text = |(key, (events, cents, last))| (key, format!("{events} {cents} {last}"));
        rows.into_iter().map(text).collect()
    }

    fn texts(&self) -> Rows {
        let mut rows = Rows::new();
        for fact in &self.facts {
            let Some(bucket) = fact.bucket.map(|bucket| bucket.to_string()) else { continue };
            if !self.waits(fact, &bucket) {
                *rows.entry(bucket).or_default() += &format!("{},", fact.number);
            }
        }
        rows
    }

    fn streams(&self) -> Rows {
        let mut rows = BTreeMap::<String, (u64, i64, String)>::new();
        for fact in self.facts.iter().filter(|fact| !self.waits(fact, &fact.stream)) {
            let own = format!("s/{}", fact.id);
            let bucket = fact.bucket.map(|bucket| format!("b/{bucket}"));
            for key in [own].into_iter().chain(bucket) {
                let is_own = key.starts_with("s/");
                let (events, cents, text) = rows.entry(key).or_default();
                *events += 1;
                *cents += fact.cents;
                if is_own {
                    *text += &format!("{},", fact.number);
                }
            }
        }
        let text = |(key, (events, cents, text))| (key, format!("{events} {cents} {text}"));
        rows.into_iter().map(text).collect()
    }

    fn audits(&self) -> Rows {
        let mut rows = Rows::new();
        for fact in self.facts.iter().filter(|fact| !self.waits(fact, &fact.stream)) {
            *rows.entry(fact.stream.clone()).or_default() += &format!("{},", fact.number);
        }
        rows
    }

    fn lines(&self) -> Rows {
        let mut rows = Rows::new();
        let numbers: u64 = self.facts.iter().map(|fact| fact.number).sum();
        rows.insert("sum".to_owned(), format!("{} {numbers}", self.facts.len()));
        for (place, fact) in self.facts.iter().enumerate() {
            let line = format!("{} {} {}", fact.position, fact.stream, fact.number);
            rows.insert(format!("{place:08}"), line);
        }
        rows
    }
}

/// The journal itself: nothing twice, no version left out, and what was acknowledged is there.
pub fn check_journal(facts: &[Fact], acknowledged: &BTreeSet<u64>) -> Result<(), String> {
    let (mut numbers, mut versions) = (BTreeSet::new(), BTreeMap::<&str, u64>::new());
    for (fact, position) in facts.iter().zip(1..) {
        if fact.position != position {
            return Err(format!("position {} stands where {position} should", fact.position));
        }
        if !numbers.insert(fact.number) {
            return Err(format!("command {} was recorded twice", fact.number));
        }
        let version = versions.entry(&fact.stream).or_default();
        *version += 1;
        let (stream, count) = (&fact.stream, fact.count);
        if (fact.version, count) != (*version, *version) {
            return Err(format!(
                "version {version} of {stream} is {} of count {count}",
                fact.version
            ));
        }
    }
    match acknowledged.difference(&numbers).next() {
        Some(lost) => Err(format!("command {lost} was acknowledged and is not in the journal")),
        None => Ok(()),
    }
}
