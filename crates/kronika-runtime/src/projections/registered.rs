//! Projections of all kinds as one type, so that a builder takes them alike.

use super::{effects::Performing, keyed::Keyed, settings::ProjectionSettings};
use crate::environment::Environment;
use kronika_core::{
    BatchProjection, Effects, Projection, ProjectionName, SharedReadModelStore, SpecError,
};

/// A projection on its way to its store.
#[must_use = "nothing runs until it is given to a builder"]
pub struct RegisteredProjection {
    bind: Box<Bind>,
}

type Bind = dyn FnOnce(&Given<'_>) -> Result<Box<dyn BatchProjection>, RegistrationError> + Send;

/// What a service gives to its projections.
pub(super) struct Given<'a> {
    pub store: Option<&'a SharedReadModelStore>,
    pub settings: &'a ProjectionSettings,
    pub environment: &'a Environment,
}

/// Why projections cannot be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistrationError {
    /// A name or columns make no table.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// Two have one name and one generation.
    #[error(
        "two projections are named {0} and have one generation: raise GENERATION of the newer one"
    )]
    Twice(ProjectionName),
    /// The generations of one name keep their read models in different stores.
    #[error("the generations of projection {0} have different stores")]
    TwoStores(ProjectionName),
    /// A keyed one has nowhere to keep its rows.
    #[error("projection {0} has no store for its read model")]
    NoStore(ProjectionName),
    /// A handler of effects has no keys.
    #[error("the effects {0} cannot keep order by key: let ORDER be Order::Stream or Order::Total")]
    NoKeys(ProjectionName),
    /// A handler of effects has no generations.
    #[error("the effects {0} need a name of their own, which no other projection has")]
    EffectsTwice(ProjectionName),
}

impl RegisteredProjection {
    /// A fold of rows by key, kept in the service's store of read models.
    pub fn keyed<P: Projection>(projection: P) -> Self {
        let bind = |given: &Given<'_>| {
            let keyed = Keyed::new(projection, given.store)?;
            Ok(Box::new(keyed) as Box<dyn BatchProjection>)
        };
        Self { bind: Box::new(bind) }
    }

    /// A handler that reaches out, with its checkpoint in the service's store of read models.
    pub fn effects<E: Effects>(effects: E) -> Self {
        let bind = |given: &Given<'_>| {
            let performing = Performing::new(effects, given)?;
            Ok(Box::new(performing) as Box<dyn BatchProjection>)
        };
        Self { bind: Box::new(bind) }
    }

    /// One that brings its own store, as the batch handlers of back ends do.
    pub fn batches(projection: impl BatchProjection) -> Self {
        Self { bind: Box::new(|_| Ok(Box::new(projection) as Box<dyn BatchProjection>)) }
    }

    pub(super) fn bind(
        self,
        given: &Given<'_>,
    ) -> Result<Box<dyn BatchProjection>, RegistrationError> {
        (self.bind)(given)
    }
}

impl std::fmt::Debug for RegisteredProjection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegisteredProjection").finish_non_exhaustive()
    }
}
