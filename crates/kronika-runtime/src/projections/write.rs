//! Bringing a batch into the store: the store's own errors are tried again in place, an event's failure is
//! narrowed down to the event, with everything before it committed.

use super::{
    pace::Pace,
    runner::{End, Runner},
    status::ProjectionError,
};
use kronika_core::{Batch, BatchError, CommitError, Decoded, EventFailure, RecordedEvent};

impl Runner {
    /// Writes all of a batch, of which `decoded` was made. On a failure everything before the failing event is written.
    pub(super) async fn write(
        &mut self,
        batch: Batch,
        mut decoded: Option<Decoded>,
    ) -> Result<(), End> {
        let mut waiting = vec![batch];
        let (mut failure, mut stands_before) = (None, None);
        while let Some(batch) = waiting.pop() {
            let count = batch.events().len();
            match self.write_until_taken(&batch, decoded.take()).await? {
                Ok(()) => {
                    let next = waiting.last().and_then(|batch| batch.events().first());
                    self.written(&batch, next.map(RecordedEvent::time).or(stands_before));
                }
                Err(BatchError::Event(failed)) => {
                    let place = |failed: &EventFailure| {
                        batch.events().iter().position(|event| event.position == failed.position)
                    };
                    match place(&failed) {
                        None | Some(0) => return Err(End::Failed(failed.into())),
                        Some(before) => {
                            waiting = vec![batch.split(before).0];
                            stands_before = Some(batch.events()[before].time());
                            failure = Some(failed);
                        }
                    }
                }
                Err(BatchError::Handler(_)) if count > 1 => {
                    let (head, tail) = batch.split(count / 2);
                    waiting.extend([tail, head]);
                }
                Err(BatchError::Handler(cause)) => {
                    let event = batch.events().first().expect("a handler is given events");
                    let failed = Box::new(EventFailure::of(event, cause));
                    return Err(End::Failed(failed.into()));
                }
                Err(BatchError::Commit(error)) => return Err(End::Failed(error.into())),
                Err(other) => {
                    return Err(End::Failed(ProjectionError::Panicked(other.to_string())));
                }
            }
        }
        failure.map_or(Ok(()), |failed| Err(End::Failed(failed.into())))
    }

    /// Writes a batch, again and again while the store is away. The inner error is the batch's.
    async fn write_until_taken(
        &mut self,
        batch: &Batch,
        mut decoded: Option<Decoded>,
    ) -> Result<Result<(), BatchError>, End> {
        let mut pace = Pace::new(&self.settings);
        let mut again = false;
        loop {
            match self.projection.write(batch.clone(), decoded.take()).await {
                // An earlier try has taken place, though the store could not tell.
                Err(BatchError::Commit(CommitError::Stale { found, .. }))
                    if again && *found == batch.next =>
                {
                    return Ok(Ok(()));
                }
                Err(BatchError::Commit(CommitError::Store(fault))) if fault.may_pass() => {
                    again = true;
                    self.pause(CommitError::Store(fault).into(), &mut pace).await?;
                }
                result => return Ok(result),
            }
        }
    }
}
