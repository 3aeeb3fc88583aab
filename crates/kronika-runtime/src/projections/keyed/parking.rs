//! What becomes of a key whose event fails: it is parked with that event and all later ones as letters, in the
//! batch's own transaction, and its row keeps what came before.

use super::{Keyed, Outcomes, Touched, stuck_at, watched};
use kronika_core::{Batch, BatchError, Key, KeyText, Letter, ParkedChange, Projection};
use std::sync::Arc;

impl<P: Projection> Keyed<P> {
    /// Takes the touches of parked keys out of what is folded: their events wait. Of a batch of one key's letters,
    /// leaves only that key.
    pub(super) fn hold(&self, batch: &Batch, touched: &mut Touched<P>) -> Vec<ParkedChange> {
        let mut held = Vec::new();
        if !self.parks_keys() {
            return held;
        }
        let text = |key: &P::Key| KeyText::of(&key.values());
        if let Some(only) = &batch.only {
            touched.touches.retain(|(key, _)| text(key) == *only);
        } else if !self.parked.is_empty() {
            touched.touches.retain(|(key, place)| {
                let key = text(key);
                let waits = self.parked.contains(&key);
                if waits {
                    let letter = Letter::of(&batch.events()[*place]);
                    held.push(ParkedChange::Hold { key, letter });
                }
                !waits
            });
        }
        held
    }

    /// Folds the keys that failed once more, carefully, up to their failing event, and parks them there.
    pub(super) async fn park(
        &mut self,
        batch: &Batch,
        touched: &Arc<Touched<P>>,
        outcomes: &mut Outcomes<P::Row>,
    ) -> Result<Vec<ParkedChange>, BatchError> {
        let failed: Vec<_> = outcomes.failed.drain(..).map(|failed| failed.group).collect();
        let groups: Vec<_> = touched.groups().collect();
        let keys = failed.iter().map(|&group| groups[group][0].0.values()).collect();
        let stored = self.load(keys).await?;
        drop(groups);
        let (folding, again) = (self.folding.clone(), touched.clone());
        let ((events, range), which) = (batch.shared(), failed.clone());
        let events = events.clone();
        let folded = watched(batch.effort.event_time_max, move |progress| {
            let groups: Vec<_> = again.groups().collect();
            let fold = |(&group, stored)| {
                let events = &events[range.clone()];
                folding.fold_carefully(events, &again, groups[group], stored, progress.part(0))
            };
            which.iter().zip(stored).map(fold).collect::<Result<Vec<_>, _>>()
        });
        let folded =
            folded.await.map_err(|stuck| stuck_at(batch.events(), batch.effort, stuck))??;
        let groups: Vec<_> = touched.groups().collect();
        let mut changes = Vec::new();
        for (group, (outcome, failed)) in failed.into_iter().zip(folded) {
            outcomes.set(group, outcome);
            let Some((failing, cause)) = failed else { continue };
            let key = KeyText::of(&groups[group][0].0.values());
            for (_, place) in groups[group].iter().filter(|(_, place)| *place >= failing) {
                let (key, letter) = (key.clone(), Letter::of(&batch.events()[*place]));
                changes.push(if *place == failing {
                    ParkedChange::Park { key, cause: cause.clone(), letter, at: batch.at }
                } else {
                    ParkedChange::Hold { key, letter }
                });
            }
        }
        Ok(changes)
    }

    /// What was committed counts from the next batch on.
    pub(super) fn note(&mut self, changes: &[ParkedChange]) {
        for change in changes.iter().filter(|_| self.folding.spec.order == kronika_core::Order::Key)
        {
            match change {
                ParkedChange::Park { key, .. } => {
                    self.parked.insert(key.clone());
                }
                ParkedChange::Lift { key } => {
                    self.parked.remove(key);
                }
                _ => {}
            }
        }
    }
}
