//! Read models in memory, for tests of projections without a back end.
//!
//! It keeps the contract of [`ReadModelStore`], but for what lives beyond the process.

use kronika_core::{
    Act, ActError, ActRecord, By, Checkpoint, Commit, CommitError, Epoch, Generation, KeyText,
    Letter, LiveHistory, OpenReadModelError, Opened, ParkedChange, ParkedKey, ParkedRequest,
    ProjectionName, ReadModel, ReadModelId, ReadModelSpec, ReadModelStore, Report, Stage,
    StoreFault, SwitchError, Tables, Takeover, Timestamp, Token, Value, Wanted,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

/// Read models in memory. Cheap to clone: all clones are one store.
#[derive(Clone, Default, Debug)]
pub struct MemoryReadModels(Arc<Mutex<Stored>>);

#[derive(Default, Debug)]
struct Stored {
    read_models: BTreeMap<(ProjectionName, Generation, u32), Kept>,
    acts: Vec<ActRecord>,
}

#[derive(Debug)]
struct Kept {
    stage: Stage,
    wanted: Wanted,
    checkpoint: Option<Checkpoint>,
    /// How many of a row's values are its key's; known from the first opening on.
    key_columns: usize,
    /// By the key's values as text.
    rows: BTreeMap<String, Vec<Value>>,
    parked: BTreeMap<KeyText, (ParkedKey, Vec<Letter>)>,
    report: Option<Report>,
}

impl Kept {
    fn new(stage: Stage, wanted: Wanted) -> Self {
        let (rows, parked) = (BTreeMap::new(), BTreeMap::new());
        Self { stage, wanted, checkpoint: None, key_columns: 0, rows, parked, report: None }
    }

    fn parked(&self) -> impl Iterator<Item = ParkedKey> {
        self.parked.values().map(|(parked, letters)| ParkedKey {
            letters: letters.len() as u64,
            first: letters.first().unwrap_or(&parked.first).clone(),
            ..parked.clone()
        })
    }

    fn change(&mut self, change: ParkedChange) -> Result<(), StoreFault> {
        let wrong = |what: &str, key: &KeyText| StoreFault::Changed {
            table: "parked".to_owned(),
            what: format!("key {key} {what}"),
        };
        let key = change.key().clone();
        let known = self.parked.get_mut(&key).ok_or_else(|| wrong("is not parked", &key));
        match change {
            ParkedChange::Park { key, cause, letter, at } => {
                if known.is_ok() {
                    return Err(wrong("is parked already", &key));
                }
                let parked = ParkedKey {
                    key: key.clone(),
                    cause,
                    first: letter.clone(),
                    letters: 1,
                    parked: at,
                    attempts: 1,
                    asked: None,
                };
                self.parked.insert(key, (parked, vec![letter]));
            }
            ParkedChange::Hold { letter, .. } => known?.1.push(letter),
            ParkedChange::Take { partition, position, .. } => {
                let (parked, letters) = known?;
                parked.attempts = 0;
                if parked.asked == Some(ParkedRequest::Skip) {
                    parked.asked = Some(ParkedRequest::Retry);
                }
                let is =
                    |letter: &Letter| (letter.partition, letter.position) == (partition, position);
                let place = letters.iter().position(is);
                letters.remove(place.ok_or_else(|| wrong("has no such letter", &key))?);
            }
            ParkedChange::Fail { cause, asked, .. } => {
                let (parked, _) = known?;
                parked.cause = cause;
                parked.asked = parked.asked.filter(|now| Some(*now) != asked);
                parked.attempts += 1;
            }
            ParkedChange::Lift { key } => {
                known?;
                self.parked.remove(&key);
            }
        }
        Ok(())
    }
}

impl Stored {
    fn get(&mut self, id: &ReadModelId) -> Result<&mut Kept, StoreFault> {
        let found = self.read_models.get_mut(&(id.name.clone(), id.generation, id.run));
        found.ok_or_else(|| gone(id))
    }

    fn in_stage(&self, name: &ProjectionName, stage: Stage) -> Option<ReadModelId> {
        let found = self.read_models.iter().find(|(key, it)| key.0 == *name && it.stage == stage);
        found.map(|((name, generation, run), _)| ReadModelId {
            name: name.clone(),
            generation: *generation,
            run: *run,
        })
    }

    fn list(&self, name: Option<&ProjectionName>) -> Vec<ReadModel> {
        let of = self.read_models.iter().filter(|(key, _)| name.is_none_or(|name| key.0 == *name));
        of.map(|((name, generation, run), kept)| ReadModel {
            id: ReadModelId { name: name.clone(), generation: *generation, run: *run },
            stage: kept.stage,
            wanted: kept.wanted.clone(),
            checkpoint: kept.checkpoint.clone(),
            parked: kept.parked.len() as u64,
            letters: kept.parked().map(|parked| parked.letters).sum(),
            begun: Timestamp::new(0),
            report: kept.report.clone(),
        })
        .collect()
    }

    fn act(&mut self, act: &Act) -> Result<(), ActError> {
        let refused = |why: String| Err(ActError::Refused(why));
        match act {
            Act::Rebuild { name, generation, hold, events_per_second } => {
                let live = self.in_stage(name, Stage::Live);
                let live = live
                    .ok_or_else(|| ActError::NotFound(format!("there is no projection {name}")))?;
                if let Some(building) = self.in_stage(name, Stage::Building) {
                    return refused(format!("{building} is building already: drop it first"));
                }
                let generation = generation.unwrap_or(live.generation);
                let runs = self.read_models.keys();
                let runs = runs.filter(|key| key.0 == *name && key.1 == generation);
                let run = runs.map(|key| key.2).max();
                let run = run.ok_or_else(|| {
                    ActError::NotFound(format!("{name} has no generation {generation}"))
                })?;
                let wanted = Wanted {
                    switch: !hold,
                    events_per_second: *events_per_second,
                    ..Wanted::default()
                };
                let kept = Kept::new(Stage::Building, wanted);
                self.read_models.insert((name.clone(), generation, run + 1), kept);
            }
            Act::Switch(to) => {
                self.get(to)?;
                for (key, kept) in &mut self.read_models {
                    if key.0 == to.name {
                        kept.wanted.switch = (key.1, key.2) == (to.generation, to.run);
                    }
                }
            }
            Act::Pause(id) => self.get(id)?.wanted.paused = true,
            Act::Resume(id) => self.get(id)?.wanted.paused = false,
            Act::Throttle(id, rate) => self.get(id)?.wanted.events_per_second = *rate,
            Act::Workers(id, workers) => self.get(id)?.wanted.workers = *workers,
            Act::Parked(id, key, request) => {
                let parked = self.get(id)?.parked.get_mut(key);
                let parked =
                    parked.ok_or_else(|| ActError::NotFound(format!("key {key} is not parked")))?;
                let untried = *request == ParkedRequest::Skip && parked.0.attempts == 0;
                parked.0.asked = Some(if untried { ParkedRequest::Retry } else { *request });
            }
            Act::AllParked(id, request) => {
                self.get(id)?.parked.values_mut().for_each(|it| it.0.asked = Some(*request));
            }
            Act::Drop(id) => {
                if self.get(id)?.stage == Stage::Live {
                    return refused(format!("{id} is live: switch to another one first"));
                }
                self.read_models.remove(&(id.name.clone(), id.generation, id.run));
            }
            other => return refused(format!("{other} is not known here")),
        }
        Ok(())
    }
}

fn gone(id: &ReadModelId) -> StoreFault {
    StoreFault::Refused(format!("{id} is not there any more"))
}

fn text(key: &[Value]) -> String {
    KeyText::of(key).to_string()
}

impl MemoryReadModels {
    /// Nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    fn stored(&self) -> MutexGuard<'_, Stored> {
        self.0.lock().expect("nothing panics under it")
    }

    /// The values of the live read model's row of a key, if there is one.
    pub fn live_row(&self, projection: &str, key: &[Value]) -> Option<Vec<Value>> {
        let mut stored = self.stored();
        let live = stored.in_stage(&ProjectionName::new(projection).ok()?, Stage::Live)?;
        stored.get(&live).ok()?.rows.get(&text(key)).cloned()
    }
}

impl ReadModelStore for MemoryReadModels {
    fn identity(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    async fn begin(&self, spec: ReadModelSpec) -> Result<Vec<ReadModel>, OpenReadModelError> {
        spec.check()?;
        let mut stored = self.stored();
        let known = |key: &(ProjectionName, Generation, u32)| {
            (&key.0, key.1) == (&spec.name, spec.generation)
        };
        if !stored.read_models.keys().any(known) {
            if let Some(overtaken) = stored.in_stage(&spec.name, Stage::Building) {
                stored.get(&overtaken)?.stage = Stage::Old;
            }
            let has_live = stored.in_stage(&spec.name, Stage::Live).is_some();
            let stage = if has_live { Stage::Building } else { Stage::Live };
            let kept = Kept::new(stage, Wanted { switch: has_live, ..Wanted::default() });
            stored.read_models.insert((spec.name.clone(), spec.generation, 1), kept);
        }
        Ok(stored.list(Some(&spec.name)))
    }

    async fn open(
        &self,
        spec: ReadModelSpec,
        run: u32,
        takeover: Takeover,
    ) -> Result<Opened, OpenReadModelError> {
        let id = ReadModelId { name: spec.name, generation: spec.generation, run };
        let mut stored = self.stored();
        let kept = stored.get(&id).map_err(|_| OpenReadModelError::Gone(id.clone()))?;
        let fresh = || Checkpoint {
            seen: Token::new(takeover.incarnation),
            epoch: Epoch::new(0),
            range: takeover.range,
            events: 0,
            time: None,
        };
        let checkpoint = kept.checkpoint.get_or_insert_with(fresh);
        checkpoint.epoch = checkpoint.epoch.next();
        if let Tables::Keyed { key, .. } = &spec.tables {
            kept.key_columns = key.len();
        }
        Ok(Opened { checkpoint: checkpoint.clone(), parked: kept.parked().collect() })
    }

    async fn load(
        &self,
        read_model: &ReadModelId,
        keys: Vec<Vec<Value>>,
    ) -> Result<Vec<Option<Vec<Value>>>, StoreFault> {
        let mut stored = self.stored();
        let kept = stored.get(read_model)?;
        Ok(keys.iter().map(|key| kept.rows.get(&text(key)).cloned()).collect())
    }

    async fn commit(&self, commit: Arc<Commit>) -> Result<(), CommitError> {
        let mut stored = self.stored();
        let kept = stored.get(&commit.read_model)?;
        let found = kept.checkpoint.clone().ok_or_else(|| gone(&commit.read_model))?;
        if found != commit.expected {
            let (read_model, found) = (commit.read_model.clone(), Box::new(found));
            return Err(CommitError::Stale { read_model, found });
        }
        for change in &commit.parked {
            kept.change(change.clone())?;
        }
        for row in &commit.upserts {
            let (key, row) = row.split_at(kept.key_columns);
            kept.rows.insert(text(key), row.to_vec());
        }
        for key in &commit.deletes {
            kept.rows.remove(&text(key));
        }
        kept.checkpoint = Some(commit.next.clone());
        Ok(())
    }

    async fn switch(&self, to: &ReadModelId, history: LiveHistory) -> Result<(), SwitchError> {
        let mut stored = self.stored();
        let live = stored.in_stage(&to.name, Stage::Live);
        let Some(live) = live.filter(|live| live != to) else { return Ok(()) };
        let next = stored.get(to)?;
        let seen = next.checkpoint.as_ref().map(|checkpoint| checkpoint.seen.clone());
        let parked: Vec<_> = next.parked().collect();
        let before = stored.get(&live)?;
        let behind = || SwitchError::Behind { id: to.clone() };
        let seen = seen.ok_or_else(behind)?;
        let sound = history != LiveHistory::Diverged;
        if let Some(checkpoint) = before.checkpoint.as_ref().filter(|_| sound)
            && checkpoint.seen.incarnation() == seen.incarnation()
            && checkpoint
                .seen
                .marks()
                .any(|mark| mark.position > seen.mark(mark.partition).position)
        {
            return Err(behind());
        }
        let earlier = |parked: &ParkedKey| {
            before.parked.get(&parked.key).is_some_and(|(_, letters)| {
                letters.first().is_none_or(|first| first.position <= parked.first.position)
            })
        };
        if let Some(parked) = parked.iter().find(|parked| sound && !earlier(parked)) {
            return Err(SwitchError::Parked { id: to.clone(), key: parked.key.clone() });
        }
        before.stage = Stage::Old;
        let next = stored.get(to)?;
        (next.stage, next.wanted.switch) = (Stage::Live, false);
        Ok(())
    }

    async fn read_models(&self) -> Result<Vec<ReadModel>, StoreFault> {
        Ok(self.stored().list(None))
    }

    async fn parked(
        &self,
        read_model: &ReadModelId,
        after: Option<KeyText>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>, StoreFault> {
        let mut stored = self.stored();
        let behind = |parked: &ParkedKey| after.as_ref().is_none_or(|after| parked.key > *after);
        Ok(stored.get(read_model)?.parked().filter(behind).take(limit).collect())
    }

    async fn letters(
        &self,
        read_model: &ReadModelId,
        key: KeyText,
        skip: u64,
        limit: usize,
    ) -> Result<Vec<Letter>, StoreFault> {
        let mut stored = self.stored();
        let letters = stored.get(read_model)?.parked.get(&key).map(|(_, letters)| letters.iter());
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        Ok(letters.into_iter().flatten().skip(skip).take(limit).cloned().collect())
    }

    async fn act(&self, act: Act, by: By) -> Result<(), ActError> {
        let mut stored = self.stored();
        stored.act(&act)?;
        let number = stored.acts.len() as u64 + 1;
        let at = Timestamp::new(0);
        stored.acts.push(ActRecord { number, at, by, act: act.to_string() });
        Ok(())
    }

    async fn acts(&self, limit: usize) -> Result<Vec<ActRecord>, StoreFault> {
        Ok(self.stored().acts.iter().rev().take(limit).cloned().collect())
    }

    async fn report(&self, read_model: &ReadModelId, report: Report) -> Result<(), StoreFault> {
        self.stored().get(read_model)?.report = Some(report);
        Ok(())
    }
}
