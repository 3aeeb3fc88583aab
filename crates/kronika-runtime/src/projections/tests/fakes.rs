//! A store in memory that fails as it is told, a journal of two partitions, and a projection that counts.

use super::*;
use kronika_core::{
    About, Act, ActError, ActRecord, Aggregate, Append, AppendBy, AppendHeader, Appended, By,
    Capabilities, ClaimError, Epoch, Event, Folded, Incarnation, Journal, KeyText, Letter,
    LiveHistory, On, OpenReadModelError, Opened, Ownership, ParkedChange, ParkedKey, ParkedRequest,
    PartitionId, PartitionPage, Position, Projection, ReadModel, ReadModelId, ReadModelSpec,
    ReadModelStore, ReadPartition, ReadStream, RecordedAppend, RecordedEvent, Report, Slice,
    SliceRange, Stage, StreamPage, SwitchError, Takeover, Timestamp, Value, Wanted,
};
use kronika_macros::{Event, Row};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard},
};

#[derive(Default, Serialize, Deserialize)]
pub struct Counter {}

#[derive(Event, Serialize, Deserialize)]
pub enum Counted {
    Counted {},
}

impl Aggregate for Counter {
    const TYPE: &'static str = "counter";
    type Id = String;
    type Event = Counted;
    fn apply(&mut self, _: &Counted) {}
}

/// Counts events by stream, so that a repeat or a gap shows.
pub struct Tallies;

#[derive(Row)]
pub struct Tally {
    pub count: i64,
}

impl Projection for Tallies {
    const NAME: &'static str = "tallies";
    type Key = String;
    type Row = Tally;
    type Follows = (Counter,);
}

impl On<Counter> for Tallies {
    fn keys(&self, _: &Counted, about: &About<'_>) -> impl IntoIterator<Item = String> {
        [about.id().to_owned()]
    }
    fn on(&self, row: &mut Option<Tally>, _: &String, _: &Counted, _: &About<'_>) -> Folded {
        row.get_or_insert(Tally { count: 0 }).count += 1;
        Ok(())
    }
}

pub fn stream(id: &str) -> StreamId {
    StreamId::new("counter", id).unwrap()
}

/// Records so many events of a stream.
pub fn record(journal: &MemoryJournal, id: &str, count: usize) {
    let mut body = Vec::new();
    Counted::Counted {}.encode(&mut body).unwrap();
    let event =
        NewEvent { name: "counted".into(), schema: 1, body: body.into(), ..NewEvent::default() };
    journal.write_as_stranger(&stream(id), vec![event; count]);
}

pub async fn head(journal: &MemoryJournal) -> Token {
    loop {
        if let Ok(mark) = Journal::head(journal, PartitionId::new(0)).await {
            return Token::of(Journal::incarnation(journal), mark);
        }
    }
}

/// A store in memory.
#[derive(Clone, Default)]
pub struct FakeStore(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    rows: BTreeMap<String, Vec<Value>>,
    checkpoint: Option<Checkpoint>,
    parked: BTreeMap<KeyText, (ParkedKey, Vec<Letter>)>,
    wanted: Wanted,
    report: Option<Report>,
    commits: usize,
    takes: Duration,
    opens: VecDeque<StoreFault>,
    loads: VecDeque<StoreFault>,
    failing: VecDeque<StoreFault>,
    in_silence: usize,
}

impl FakeStore {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
    pub fn fail_opens(&self, faults: impl IntoIterator<Item = StoreFault>) {
        self.state().opens.extend(faults);
    }
    pub fn fail_loads(&self, faults: impl IntoIterator<Item = StoreFault>) {
        self.state().loads.extend(faults);
    }
    pub fn fail_commits(&self, faults: impl IntoIterator<Item = StoreFault>) {
        self.state().failing.extend(faults);
    }
    /// So many commits take place and are answered as if the store were away.
    pub fn commit_in_silence(&self, commits: usize) {
        self.state().in_silence += commits;
    }
    /// How long a commit takes.
    pub fn take(&self, takes: Duration) {
        self.state().takes = takes;
    }
    pub fn raise_epoch(&self) {
        let mut state = self.state();
        let checkpoint = state.checkpoint.as_mut().unwrap();
        checkpoint.epoch = checkpoint.epoch.next();
    }
    /// What is parked now.
    pub fn parked_keys(&self) -> Vec<ParkedKey> {
        self.state().parked()
    }
    /// What was reported last.
    pub fn reported(&self) -> Option<Report> {
        self.state().report.clone()
    }
    pub fn commits(&self) -> usize {
        self.state().commits
    }
    pub fn position(&self) -> u64 {
        let state = self.state();
        state.checkpoint.as_ref().unwrap().seen.mark(PartitionId::new(0)).position.get()
    }
    pub fn tally(&self, key: &str) -> Option<i64> {
        let key = format!("{:?}", [Value::Text(key.to_owned())]);
        match self.state().rows.get(&key)?[..] {
            [Value::Integer(count)] => Some(count),
            ref other => panic!("{other:?}"),
        }
    }
}

impl State {
    fn change(&mut self, change: &ParkedChange) {
        match change.clone() {
            ParkedChange::Park { key, cause, letter, at } => {
                let parked = ParkedKey {
                    key: key.clone(),
                    cause,
                    first: letter.clone(),
                    letters: 0,
                    parked: at,
                    attempts: 1,
                    asked: None,
                };
                assert!(self.parked.insert(key, (parked, vec![letter])).is_none());
            }
            ParkedChange::Hold { key, letter } => {
                self.parked.get_mut(&key).unwrap().1.push(letter);
            }
            ParkedChange::Take { key, position, .. } => {
                let (parked, letters) = self.parked.get_mut(&key).unwrap();
                assert_eq!(letters.remove(0).position, position, "in order");
                if parked.asked == Some(ParkedRequest::Skip) {
                    parked.asked = Some(ParkedRequest::Retry);
                }
            }
            ParkedChange::Fail { key, cause, asked } => {
                let parked = &mut self.parked.get_mut(&key).unwrap().0;
                parked.cause = cause;
                parked.asked = parked.asked.filter(|now| Some(*now) != asked);
                parked.attempts += 1;
            }
            ParkedChange::Lift { key } => {
                self.parked.remove(&key).unwrap();
            }
        }
    }

    fn parked(&self) -> Vec<ParkedKey> {
        let whole = |(parked, letters): &(ParkedKey, Vec<Letter>)| ParkedKey {
            letters: letters.len() as u64,
            ..parked.clone()
        };
        self.parked.values().map(whole).collect()
    }
}

/// One read model, which is live.
impl ReadModelStore for FakeStore {
    fn identity(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    async fn begin(&self, spec: ReadModelSpec) -> Result<Vec<ReadModel>, OpenReadModelError> {
        let id = ReadModelId { name: spec.name, generation: spec.generation, run: 1 };
        let state = self.state();
        Ok(vec![ReadModel {
            id,
            stage: Stage::Live,
            wanted: state.wanted.clone(),
            checkpoint: state.checkpoint.clone(),
            parked: 0,
            letters: 0,
            begun: Timestamp::new(0),
            report: None,
        }])
    }

    async fn open(
        &self,
        _: ReadModelSpec,
        _: u32,
        takeover: Takeover,
    ) -> Result<Opened, OpenReadModelError> {
        let mut state = self.state();
        if let Some(fault) = state.opens.pop_front() {
            return Err(fault.into());
        }
        let fresh = Checkpoint {
            seen: Token::new(takeover.incarnation),
            epoch: Epoch::new(0),
            range: takeover.range,
            events: 0,
            time: None,
        };
        let checkpoint = state.checkpoint.get_or_insert(fresh);
        checkpoint.epoch = checkpoint.epoch.next();
        Ok(Opened { checkpoint: checkpoint.clone(), parked: state.parked() })
    }

    async fn load(
        &self,
        _: &ReadModelId,
        keys: Vec<Vec<Value>>,
    ) -> Result<Vec<Option<Vec<Value>>>, StoreFault> {
        let mut state = self.state();
        match state.loads.pop_front() {
            Some(fault) => Err(fault),
            None => {
                Ok(keys.iter().map(|key| state.rows.get(&format!("{key:?}")).cloned()).collect())
            }
        }
    }

    async fn commit(&self, commit: Arc<Commit>) -> Result<(), CommitError> {
        let takes = self.state().takes;
        sleep(takes).await;
        let mut state = self.state();
        if let Some(fault) = state.failing.pop_front() {
            return Err(fault.into());
        }
        let found = state.checkpoint.clone().unwrap();
        if found != commit.expected {
            let read_model = commit.read_model.clone();
            return Err(CommitError::Stale { read_model, found: Box::new(found) });
        }
        state.checkpoint = Some(commit.next.clone());
        state.commits += 1;
        commit.parked.iter().for_each(|change| state.change(change));
        for row in &commit.upserts {
            state.rows.insert(format!("{:?}", &row[..1]), row[1..].to_vec());
        }
        for key in &commit.deletes {
            state.rows.remove(&format!("{key:?}"));
        }
        if state.in_silence > 0 {
            state.in_silence -= 1;
            return Err(away().into());
        }
        Ok(())
    }

    async fn switch(&self, _: &ReadModelId, _: LiveHistory) -> Result<(), SwitchError> {
        Ok(())
    }

    async fn read_models(&self) -> Result<Vec<ReadModel>, StoreFault> {
        Ok(Vec::new())
    }

    async fn parked(
        &self,
        _: &ReadModelId,
        after: Option<KeyText>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>, StoreFault> {
        let behind = |parked: &ParkedKey| after.as_ref().is_none_or(|after| parked.key > *after);
        Ok(self.state().parked().into_iter().filter(behind).take(limit).collect())
    }

    async fn letters(
        &self,
        _: &ReadModelId,
        key: KeyText,
        skip: u64,
        limit: usize,
    ) -> Result<Vec<Letter>, StoreFault> {
        let state = self.state();
        let letters = state.parked.get(&key).map(|(_, letters)| letters.clone());
        Ok(letters.unwrap_or_default().into_iter().skip(skip as usize).take(limit).collect())
    }

    async fn act(&self, act: Act, _: By) -> Result<(), ActError> {
        let mut state = self.state();
        match act {
            Act::Parked(_, key, request) => match state.parked.get_mut(&key) {
                Some((parked, _)) => parked.asked = Some(request),
                None => return Err(ActError::NotFound(format!("key {key} is not parked"))),
            },
            Act::Pause(_) => state.wanted.paused = true,
            Act::Resume(_) => state.wanted.paused = false,
            Act::Throttle(_, rate) => state.wanted.events_per_second = rate,
            Act::Workers(_, workers) => state.wanted.workers = workers,
            other => return Err(ActError::Refused(other.to_string())),
        }
        Ok(())
    }

    async fn acts(&self, _: usize) -> Result<Vec<ActRecord>, StoreFault> {
        Ok(Vec::new())
    }

    async fn report(&self, _: &ReadModelId, report: Report) -> Result<(), StoreFault> {
        self.state().report = Some(report);
        Ok(())
    }
}

/// Two journals of one incarnation as the partitions of one.
#[derive(Clone)]
pub struct TwoPartitions(pub [MemoryJournal; 2]);

impl TwoPartitions {
    fn of(&self, partition: PartitionId) -> &MemoryJournal {
        &self.0[usize::from(partition.get())]
    }
    /// A mark of the second journal as one of this.
    pub fn second(&self, mark: Mark) -> Mark {
        Mark { partition: PartitionId::new(1), ..mark }
    }
}

fn first() -> PartitionId {
    PartitionId::new(0)
}

impl Journal for TwoPartitions {
    fn capabilities(&self) -> Capabilities {
        Capabilities { partitions: 2, ..Journal::capabilities(&self.0[0]) }
    }
    fn incarnation(&self) -> Incarnation {
        Journal::incarnation(&self.0[0])
    }
    fn append(&self, _: Vec<Append>) -> impl Future<Output = Vec<Appended>> + Send + use<> {
        std::future::pending()
    }
    async fn claim(&self, _: SliceRange, _: Option<Epoch>) -> Result<Ownership, ClaimError> {
        Err(ClaimError::Leased)
    }
    async fn epoch(&self, slice: Slice) -> Result<Epoch, ReadError> {
        Journal::epoch(&self.0[0], slice).await
    }
    async fn read_stream(&self, read: ReadStream) -> Result<StreamPage, ReadError> {
        Journal::read_stream(&self.0[0], read).await
    }
    async fn read_partition(&self, read: ReadPartition) -> Result<PartitionPage, ReadError> {
        let partition = read.partition;
        let read = ReadPartition { partition: first(), ..read };
        let mut page = Journal::read_partition(self.of(partition), read).await?;
        page.scanned.partition = partition;
        let moved = |event: RecordedEvent| {
            let append = Arc::new(AppendHeader { partition, ..(*event.append).clone() });
            RecordedEvent { append, ..event }
        };
        page.events = page.events.into_iter().map(moved).collect();
        Ok(page)
    }
    async fn read_append(
        &self,
        stream: &StreamId,
        by: AppendBy,
    ) -> Result<Option<RecordedAppend>, ReadError> {
        Journal::read_append(&self.0[0], stream, by).await
    }
    async fn head(&self, partition: PartitionId) -> Result<Mark, ReadError> {
        let mark = Journal::head(self.of(partition), first()).await?;
        Ok(Mark { partition, ..mark })
    }
    async fn wait_beyond(
        &self,
        partition: PartitionId,
        position: Position,
    ) -> Result<Mark, ReadError> {
        let mark = Journal::wait_beyond(self.of(partition), first(), position).await?;
        Ok(Mark { partition, ..mark })
    }
}
