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

impl Runner {
    /// Does what was asked to be done with parked keys.
    pub(super) async fn drain_asked(&mut self, following: &mut Following) -> Result<(), End> {
        let mut after: Option<KeyText> = None;
        loop {
            let parked = self.parked_after(after).await?;
            let Some(last) = parked.last() else { return Ok(()) };
            after = Some(last.key.clone());
            for ParkedKey { key, asked, .. } in parked {
                if let Some(request) = asked {
                    self.drain(following, &key, request).await?;
                }
            }
        }
    }

    /// Tries those keys again whose time has come.
    pub(super) async fn drain_due(&mut self, following: &mut Following) -> Result<(), End> {
        if following.parked.is_empty() {
            return Ok(());
        }
        let now = Instant::now();
        let due =
            following.parked.iter().filter(|(_, parked)| parked.due.is_some_and(|due| due <= now));
        let due: Vec<_> = due.map(|(key, _)| key.clone()).collect();
        for key in due {
            self.drain(following, &key, ParkedRequest::Retry).await?;
            if let Some(Parked { retries, .. }) = following.parked.get(&key).copied() {
                let (retries, due) = (retries + 1, self.next_try(retries + 1));
                following.parked.insert(key, Parked { retries, due });
            }
        }
        Ok(())
    }

    async fn drain(
        &mut self,
        following: &mut Following,
        key: &KeyText,
        request: ParkedRequest,
    ) -> Result<(), End> {
        match request {
            ParkedRequest::Drop => {
                let lift = ParkedChange::Lift { key: key.clone() };
                return self.change(following, key, vec![lift]).await;
            }
            ParkedRequest::Skip => {
                if let Some(letter) = self.letters(key, 1).await?.first() {
                    let take = ParkedChange::Take {
                        key: key.clone(),
                        partition: letter.partition,
                        position: letter.position,
                    };
                    self.change(following, key, vec![take]).await?;
                }
            }
            ParkedRequest::Retry => {}
        }
        loop {
            let letters = self.letters(key, LETTERS_MAX).await?;
            let Some(first) = letters.first() else {
                let lift = ParkedChange::Lift { key: key.clone() };
                return self.change(following, key, vec![lift]).await;
            };
            // A batch is of one partition.
            let same = letters.iter().take_while(|letter| letter.partition == first.partition);
            let same = same.count();
            let is_last = same == letters.len() && letters.len() < LETTERS_MAX;
            let mut events = Vec::with_capacity(same);
            for letter in &letters[..same] {
                events.push(self.event_of(letter).await?);
            }
            let mut batch = Batch::drain(events, key.clone(), following.stored.clone());
            if is_last {
                batch.parked.push(ParkedChange::Lift { key: key.clone() });
            }
            if !self.handle_letters(following, key, batch).await? || is_last {
                return Ok(());
            }
        }
    }

    /// Handles letters of a key; gives whether all of them could be.
    async fn handle_letters(
        &mut self,
        following: &mut Following,
        key: &KeyText,
        batch: Batch,
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
                let all = Box::pin(self.handle_letters(following, key, head)).await?;
                return Ok(all && Box::pin(self.handle_letters(following, key, tail)).await?);
            }
            Err(BatchError::Stuck(failure)) => {
                let time_max = self.settings.event_time_max;
                return Err(ProjectionError::Stuck { failure, time_max }.into());
            }
            Err(BatchError::Commit(error)) => return Err(error.into()),
            Err(other) => return Err(ProjectionError::Panicked(other.to_string()).into()),
        };
        if failed > 0 {
            let (head, _) = batch.split(failed);
            if !Box::pin(self.handle_letters(following, key, head)).await? {
                return Ok(false);
            }
        }
        let fail = ParkedChange::Fail { key: key.clone(), cause };
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
