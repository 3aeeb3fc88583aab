//! What an operator does by chance while the service is under load.

use crate::life::{NAMES, tell};
use kronika::Projections;
use kronika_core::{
    Act, ActError, By, Generation, ParkedRequest, ProjectionName, ReadModel, ReadModelId, Stage,
};
use std::sync::Arc;
use tokio::sync::watch;

/// Read models of a name from which on an old one is rather dropped than another one begun.
const READ_MODELS_OF_ONE: usize = 4;

pub struct Acting {
    pub projections: Arc<Projections>,
    pub random: fastrand::Rng,
    /// Whether parked events are left out now and then.
    pub leaves_out: bool,
}

/// Acts, with who and why.
pub async fn act(projections: &Projections, act: Act) -> Result<(), ActError> {
    projections.act(act, By::new("the test", "by chance")).await
}

impl Acting {
    /// One act after every few acknowledgements.
    pub async fn act_for_ever(mut self, mut told: watch::Receiver<u64>) {
        let mut next = 0;
        loop {
            told.wait_for(|told| *told >= next).await.unwrap();
            next = *told.borrow() + self.random.u64(1..16);
            let Some(wish) = self.choose().await else { continue };
            let line = wish.to_string();
            match act(&self.projections, wish).await {
                Ok(()) => tell(&format!("done: {line}")),
                Err(ActError::Refused(why)) if why.contains("in time") => {
                    panic!("{line}: {why}")
                }
                Err(ActError::Refused(why) | ActError::NotFound(why)) => {
                    tell(&format!("not done: {line}: {why}"));
                }
                Err(error) => panic!("{line}: {error}"),
            }
        }
    }

    async fn choose(&mut self) -> Option<Act> {
        let name = NAMES[self.random.usize(..NAMES.len())];
        let mut of_name = self.projections.read_models().await.unwrap();
        of_name.retain(|read_model| read_model.id.name.as_str() == name);
        let read_model = of_name.get(self.random.usize(..of_name.len().max(1)))?.clone();
        let id = read_model.id.clone();
        if of_name.len() >= READ_MODELS_OF_ONE && read_model.stage != Stage::Live {
            return Some(Act::Drop(id));
        }
        if self.leaves_out && self.random.u32(..3) == 0 {
            return Some(self.parked(id).await);
        }
        let random = &mut self.random;
        Some(match random.u32(..20) {
            0..4 => Act::Workers(id, random.u16(1..=4)),
            4 => Act::Pause(id),
            5..8 => Act::Resume(id),
            8 => Act::Throttle(id, Some(random.u64(100..5000))),
            9..11 => Act::Throttle(id, None),
            11..14 => self.rebuild(&of_name),
            14..17 => Act::Switch(id),
            17 if read_model.stage == Stage::Old => Act::Drop(id),
            _ => self.parked(id).await,
        })
    }

    fn rebuild(&mut self, of_name: &[ReadModel]) -> Act {
        let random = &mut self.random;
        let generation = of_name[random.usize(..of_name.len())].id.generation;
        Act::Rebuild {
            name: ProjectionName::clone(&of_name[0].id.name),
            generation: (random.u32(..3) == 0).then_some(Generation::new(generation.get())),
            hold: random.bool(),
            events_per_second: (random.u32(..4) == 0).then(|| random.u64(500..20_000)),
        }
    }

    /// Something with one parked key, or with all.
    async fn parked(&mut self, id: ReadModelId) -> Act {
        let parked = self.projections.parked(&id, None, 100).await.unwrap();
        let request = match self.random.u32(..4) {
            0 if self.leaves_out => ParkedRequest::Skip,
            1 if self.leaves_out => ParkedRequest::Drop,
            _ => ParkedRequest::Retry,
        };
        match self.random.usize(..=parked.len()) {
            place if place < parked.len() => Act::Parked(id, parked[place].key.clone(), request),
            _ => Act::AllParked(id, request),
        }
    }
}
