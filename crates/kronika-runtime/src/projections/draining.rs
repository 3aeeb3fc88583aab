//! Handling what was parked: the letters of a key in order, in bounded batches of which the last one lifts the
//! parking.

use super::{
    pace::Pace,
    runner::{End, Following, Parked, Runner},
    status::ProjectionError,
};
use kronika_core::{
    Batch, BatchError, CommitError, KeyText, Letter, Mark, ParkedChange, ParkedKey, ParkedRequest,
    ReadPartition, RecordedEvent, StoreFault,
};
use tokio::time::Instant;

/// Letters in one batch.
const LETTERS_MAX: usize = 256;
/// Parked keys that are asked for at once.
const KEYS_MAX: usize = 256;
/// Keys of which one batch is handled before events go on.
const KEYS_AT_ONCE: usize = 8;

/// What came of one batch of a parked key's letters.
enum Drained {
    /// Nothing waits any more.
    All,
    /// Others wait still.
    Some,
    /// The first one cannot be handled.
    Failed,
}

impl Runner {
    /// Takes up what was asked to be done with parked keys.
    pub(super) async fn look_asked(&mut self) -> Result<(), End> {
        let mut after: Option<KeyText> = None;
        loop {
            let parked = self.parked_after(after).await?;
            let Some(last) = parked.last() else { return Ok(()) };
            after = Some(last.key.clone());
            for ParkedKey { key, asked, .. } in parked.into_iter().filter(|it| it.asked.is_some()) {
                let known = self.parked.entry(key).or_default();
                (known.asked, known.due) = (asked, Some(Instant::now()));
            }
        }
    }

    /// Goes on with those keys whose time has come: a batch of a few of them, and then events go on. A key whose
    /// letters are not all handled yet is due at once again.
    pub(super) async fn drain_due(&mut self, following: &mut Following) -> Result<(), End> {
        if self.parked.is_empty() {
            return Ok(());
        }
        let now = Instant::now();
        let is_due = |parked: &Parked| parked.due.is_some_and(|due| due <= now);
        let due = self.parked.iter().filter(|(_, parked)| is_due(parked)).take(KEYS_AT_ONCE);
        let due: Vec<_> = due.map(|(key, parked)| (key.clone(), *parked)).collect();
        for (key, before) in due {
            let drained = self.drain(following, &key, before).await?;
            let retries = before.retries + u32::from(before.asked.is_none());
            let next = match drained {
                Drained::All => continue,
                Drained::Some => Parked {
                    due: Some(now),
                    goes: true,
                    asked: Some(ParkedRequest::Retry),
                    ..before
                },
                Drained::Failed => {
                    Parked { retries, due: self.next_try(retries), ..Parked::default() }
                }
            };
            self.parked.insert(key, next);
            if self.orders.borrow().stop {
                return Ok(());
            }
        }
        Ok(())
    }

    /// One batch of a parked key's letters.
    async fn drain(
        &mut self,
        following: &mut Following,
        key: &KeyText,
        parked: Parked,
    ) -> Result<Drained, End> {
        match parked.asked {
            Some(ParkedRequest::Drop) => {
                let lift = ParkedChange::Lift { key: key.clone() };
                return self.change(following, key, vec![lift]).await.map(|()| Drained::All);
            }
            Some(ParkedRequest::Skip) => {
                let letters = self.letters(key, 2).await?;
                if let Some(letter) = letters.first() {
                    let take = ParkedChange::Take {
                        key: key.clone(),
                        partition: letter.partition,
                        position: letter.position,
                    };
                    if letters.len() == 1 {
                        let lift = ParkedChange::Lift { key: key.clone() };
                        let changes = vec![take, lift];
                        return self.change(following, key, changes).await.map(|()| Drained::All);
                    }
                    self.change(following, key, vec![take]).await?;
                }
            }
            Some(ParkedRequest::Retry) | None => {}
        }
        // The first one alone, until it is known that it can be handled.
        let limit = if parked.goes { LETTERS_MAX } else { 1 };
        let letters = self.letters(key, limit + 1).await?;
        let Some(first) = letters.first() else {
            let lift = ParkedChange::Lift { key: key.clone() };
            return self.change(following, key, vec![lift]).await.map(|()| Drained::All);
        };
        // A batch is of one partition.
        let same = letters.iter().take(limit).take_while(|it| it.partition == first.partition);
        let same = same.count();
        let is_last = same == letters.len();
        let mut events = Vec::with_capacity(same);
        for letter in &letters[..same] {
            events.push(self.event_of(letter).await?);
        }
        let mut batch = Batch::drain(events, key.clone(), following.stored.clone());
        if is_last {
            batch.parked.push(ParkedChange::Lift { key: key.clone() });
        }
        // After a skip, what is asked is a retry.
        let asked = parked.asked.map(|_| ParkedRequest::Retry);
        Ok(match self.handle_letters(following, key, batch, asked).await? {
            false => Drained::Failed,
            true if is_last => Drained::All,
            true => Drained::Some,
        })
    }

    /// Handles letters of a key; gives whether all of them could be.
    async fn handle_letters(
        &mut self,
        following: &mut Following,
        key: &KeyText,
        batch: Batch,
        asked: Option<ParkedRequest>,
    ) -> Result<bool, End> {
        let batch = self.prepared(batch);
        let (failed, cause) = match self.write_until_taken(&batch, None).await? {
            Ok(written) => {
                self.written(following, &batch, written, None)?;
                return Ok(true);
            }
            Err(BatchError::Event(failed)) => {
                let place = |event: &RecordedEvent| event.position == failed.position;
                (batch.events().iter().position(place).unwrap_or(0), failed.cause.clone())
            }
            Err(BatchError::Handler(cause)) if batch.events().len() == 1 => (0, cause),
            Err(BatchError::Handler(_)) => {
                // One by one, until the one that fails is known.
                let (head, tail) = batch.split(batch.events().len() / 2);
                let all = Box::pin(self.handle_letters(following, key, head, asked)).await?;
                return Ok(all && Box::pin(self.handle_letters(following, key, tail, asked)).await?);
            }
            Err(BatchError::Stuck { failure, time_max }) => {
                return Err(ProjectionError::Stuck { failure, time_max }.into());
            }
            Err(BatchError::Commit(error)) => return Err(error.into()),
            Err(other) => return Err(ProjectionError::Panicked(other.to_string()).into()),
        };
        if failed > 0 {
            let (head, _) = batch.split(failed);
            if !Box::pin(self.handle_letters(following, key, head, asked)).await? {
                return Ok(false);
            }
        }
        let fail = ParkedChange::Fail { key: key.clone(), cause, asked };
        self.change(following, key, vec![fail]).await?;
        Ok(false)
    }

    /// Changes what is parked, and nothing else.
    async fn change(
        &mut self,
        following: &mut Following,
        key: &KeyText,
        changes: Vec<ParkedChange>,
    ) -> Result<(), End> {
        let mut batch = Batch::drain(Vec::new(), key.clone(), following.stored.clone());
        batch.parked = changes;
        let batch = self.prepared(batch);
        match self.write_until_taken(&batch, None).await? {
            Ok(written) => self.written(following, &batch, written, None),
            Err(BatchError::Commit(error)) => Err(error.into()),
            Err(other) => Err(ProjectionError::Panicked(other.to_string()).into()),
        }
    }

    async fn parked_after(&mut self, after: Option<KeyText>) -> Result<Vec<ParkedKey>, End> {
        let (store, id) = (self.store.clone(), self.board.id().clone());
        let mut pace = Pace::new(&self.settings);
        loop {
            match store.parked(&id, after.clone(), KEYS_MAX).await {
                Ok(parked) => return Ok(parked),
                Err(fault) => self.pause_store(fault, &mut pace).await?,
            }
        }
    }

    async fn letters(&mut self, key: &KeyText, limit: usize) -> Result<Vec<Letter>, End> {
        let (store, id) = (self.store.clone(), self.board.id().clone());
        let mut pace = Pace::new(&self.settings);
        loop {
            match store.letters(&id, key.clone(), 0, limit).await {
                Ok(letters) => return Ok(letters),
                Err(fault) => self.pause_store(fault, &mut pace).await?,
            }
        }
    }

    pub(super) async fn pause_store(
        &mut self,
        fault: StoreFault,
        pace: &mut Pace,
    ) -> Result<(), End> {
        let passes = fault.may_pass();
        let error = ProjectionError::Commit(CommitError::Store(fault));
        if passes { self.pause(error, pace).await } else { Err(error.into()) }
    }

    /// The event that a letter refers to.
    async fn event_of(&mut self, letter: &Letter) -> Result<RecordedEvent, End> {
        let Letter { partition, position, .. } = *letter;
        let before = kronika_core::Position::new(position.get() - 1);
        let read = ReadPartition { limit_events: 1, ..ReadPartition::after(partition, before) };
        let mut pace = Pace::new(&self.settings);
        loop {
            match self.journal.clone().read_partition(read.clone()).await {
                Ok(page) => match page.events.into_iter().next() {
                    Some(event) if event.position == position => return Ok(event),
                    // A letter lies behind the checkpoint, whose history was checked.
                    _ => {
                        let mark = Mark { partition, position, check: 0 };
                        return Err(ProjectionError::Diverged(mark).into());
                    }
                },
                Err(error) => self.pause_reading(error, &mut pace).await?,
            }
        }
    }
}
