//! Operating projections: acting on read models, and looking at what they keep.

use super::Projections;
use kronika_core::{
    Act, ActError, ActRecord, By, KeyText, Letter, ParkedKey, ProjectionName, ReadModel,
    ReadModelId, SharedReadModelStore, Stage, StoreFault,
};
use std::time::Duration;
use tokio::time::timeout;

/// How long one that is to be dropped may take to end.
const END_TIME_MAX: Duration = Duration::from_secs(10);

impl Projections {
    /// Records an act and has it carried out. It returns once it is recorded: what follows is seen in the
    /// status. A projection that has failed is tried again after any act on its name.
    ///
    /// # Errors
    /// If there is nothing of that name, or it cannot be done as things stand.
    pub async fn act(&self, act: Act, by: By) -> Result<(), ActError> {
        let name = act.name().clone();
        let named = self.named.get(name.as_str()).ok_or_else(|| not_found(&name))?;
        let store = self.store_of(&name)?;
        let mut dropping = None;
        if matches!(act, Act::Rebuild { .. } | Act::Switch(_))
            && !self.keeps_read_model(name.as_str())
        {
            return Err(ActError::Refused(format!(
                "{name} reaches out and keeps no read model: building it anew would do again what it has done"
            )));
        }
        if let Act::Drop(id) = &act {
            dropping = Some(named.drop_one(id));
            self.end_before_drop(id).await?;
        }
        let acted = store.act(act, by).await;
        match dropping {
            Some(dropping) => drop(dropping),
            None => named.acted(),
        }
        acted
    }

    /// One that is not live ends before its tables go.
    async fn end_before_drop(&self, id: &ReadModelId) -> Result<(), ActError> {
        let named = self.named.get(id.name.as_str()).ok_or_else(|| not_found(&id.name))?;
        let Some(mut watch) = named.watch(id) else { return Ok(()) };
        if watch.borrow().stage == Stage::Live || !named.end(id) {
            return Ok(());
        }
        let over = |state: super::ProjectionState| {
            state.is_over() || state == super::ProjectionState::Frozen
        };
        let ended = timeout(END_TIME_MAX, watch.wait_for(|status| over(status.state))).await;
        match ended {
            // An error means that it is gone already.
            Ok(_) => Ok(()),
            Err(_) => Err(ActError::Refused(format!("{id} did not end in time: try again"))),
        }
    }

    /// All read models of all stores, as stored.
    pub async fn read_models(&self) -> Result<Vec<ReadModel>, StoreFault> {
        let mut all = Vec::new();
        for store in self.distinct_stores() {
            all.extend(store.read_models().await?);
        }
        Ok(all)
    }

    /// Parked keys of a read model after a key, in order, at most `limit`.
    pub async fn parked(
        &self,
        id: &ReadModelId,
        after: Option<KeyText>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>, ActError> {
        Ok(self.store_of(&id.name)?.parked(id, after, limit).await?)
    }

    /// Letters of a parked key, in the order in which they came.
    pub async fn letters(
        &self,
        id: &ReadModelId,
        key: KeyText,
        skip: u64,
        limit: usize,
    ) -> Result<Vec<Letter>, ActError> {
        Ok(self.store_of(&id.name)?.letters(id, key, skip, limit).await?)
    }

    /// The newest acts of all stores, newest first.
    pub async fn acts(&self, limit: usize) -> Result<Vec<ActRecord>, StoreFault> {
        let mut all = Vec::new();
        for store in self.distinct_stores() {
            all.extend(store.acts(limit).await?);
        }
        all.sort_by_key(|act| std::cmp::Reverse((act.at, act.number)));
        all.truncate(limit);
        Ok(all)
    }

    fn store_of(&self, name: &ProjectionName) -> Result<SharedReadModelStore, ActError> {
        let store = self.stores.get(name.as_str()).cloned();
        store.ok_or_else(|| not_found(name))
    }

    /// Handlers of one file bring a handle each: one of each file is enough.
    fn distinct_stores(&self) -> Vec<SharedReadModelStore> {
        let mut distinct: Vec<SharedReadModelStore> = Vec::new();
        for store in self.stores.values() {
            if !distinct.iter().any(|it| it.identity() == store.identity()) {
                distinct.push(store.clone());
            }
        }
        distinct
    }
}

fn not_found(name: &ProjectionName) -> ActError {
    ActError::NotFound(format!("no projection {name} is registered with this service"))
}
