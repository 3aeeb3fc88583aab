//! Becoming the live read model: at the gate of the live one, which then cannot write, with everything seen that
//! it has seen.

use super::{
    changes::RowsChanged,
    pace::Pace,
    runner::{End, Following, Runner},
    status::{ProjectionError, ProjectionStatus},
};
use kronika_core::{LiveHistory, SwitchError};

/// Rounds of catching up at the gate, before it is left to the live one again.
const ROUNDS_MAX: usize = 64;

impl Runner {
    /// Tries to become the live one. What stands against it is shown, and tried again later.
    pub(super) async fn switch(&mut self, following: &mut Following) -> Result<(), End> {
        let named = self.board.named.clone();
        let _gate = named.gate.lock().await;
        let diverged = |status: &ProjectionStatus| {
            status.error.as_ref().is_some_and(ProjectionError::is_diverged)
        };
        let history = match diverged(&named.shown.borrow()) {
            true => LiveHistory::Diverged,
            false => LiveHistory::Unquestioned,
        };
        let mut pace = Pace::new(&self.settings);
        for _ in 0..ROUNDS_MAX {
            // What was passed over counts too.
            self.save(following).await?;
            match self.store.clone().switch(self.board.id(), history).await {
                Ok(()) => {
                    tracing::info!(read_model = %self.board.id(), "a read model is live now");
                    self.board.become_live();
                    let seen = following.stored.seen.clone();
                    named.changes.tell(RowsChanged { keys: None, seen });
                    named.wake.notify_one();
                    return Ok(());
                }
                Err(SwitchError::Behind { .. }) => {
                    self.step_all(following).await?;
                }
                // It may have taken place all the same: nothing else is done until that is known.
                Err(SwitchError::Store(fault)) if fault.may_pass() => {
                    self.pause(SwitchError::Store(fault).into(), &mut pace).await?;
                }
                Err(SwitchError::Store(fault)) => return Err(SwitchError::Store(fault).into()),
                Err(error) => {
                    self.board.modify(|status| status.error = Some(error.into()));
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
