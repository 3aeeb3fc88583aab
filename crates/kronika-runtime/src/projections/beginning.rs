//! Beginning at the journal's head, for what has only to do with what comes after its first start.

use super::{
    pace::Pace,
    runner::{End, Following, Runner},
    status::ProjectionState,
};
use kronika_core::Batch;

impl Runner {
    /// Passes over all that is there, before it is said to run. A time in the checkpoint says that this was done, also
    /// where nothing was there: what comes from then on is handled, whatever ends between.
    pub(super) async fn begin_at_head(&mut self, following: &mut Following) -> Result<(), End> {
        for index in 0..following.scanned.len() {
            let mut pace = Pace::new(&self.settings);
            let partition = following.scanned[index].partition;
            following.scanned[index] = loop {
                match self.journal.head(partition).await {
                    Ok(head) => break head,
                    Err(error) => self.pause_reading(error, &mut pace).await?,
                }
            };
        }
        for (index, scanned) in following.scanned.clone().into_iter().enumerate() {
            let batch = Batch::new(Vec::new(), following.stored.clone(), scanned);
            let mut batch = self.prepared(batch);
            if index + 1 == following.scanned.len() {
                batch.next.time = Some(batch.at);
            }
            self.write(following, batch, None).await?;
        }
        self.board.modify(|status| status.state = ProjectionState::Running);
        Ok(())
    }
}
