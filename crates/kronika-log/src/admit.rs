//! Which appends are let in: limits, epoch, chain. The expected version is compared by the index.
//!
//! One of these lives as long as the log, so that what waited while a write failed is still recognized.

#[cfg(feature = "planted-faults")]
use crate::PlantedFault;
use kronika_core::{
    Append, AppendError, Chains, Epoch, Loading, SLICES, SliceRange, StreamId, check_limits,
};

/// The rules that stand before the expected version.
#[derive(Debug)]
pub(crate) struct Admission {
    /// By slice, as of the newest claim.
    epochs: Vec<Epoch>,
    chains: Chains,
    /// Refused for every stream.
    floor: Option<Loading>,
    /// A rule that is left out, which a checker must find.
    #[cfg(feature = "planted-faults")]
    pub(crate) planted: Option<PlantedFault>,
}

impl Admission {
    pub(crate) fn new(epochs: Vec<Epoch>) -> Self {
        assert_eq!(epochs.len(), usize::from(SLICES), "every slice has an epoch");
        Self {
            epochs,
            chains: Chains::default(),
            floor: None,
            #[cfg(feature = "planted-faults")]
            planted: None,
        }
    }

    /// Whether an append may be compared with its stream's version.
    pub(crate) fn check(&mut self, append: &Append) -> Result<(), AppendError> {
        check_limits(append)?;
        let now = self.epochs[usize::from(append.stream.slice().get())];
        let fenced = append.epoch < now;
        #[cfg(feature = "planted-faults")]
        let fenced = fenced && self.planted != Some(PlantedFault::EpochLeftOut);
        if fenced {
            return Err(AppendError::Fenced { held: append.epoch, now });
        }
        let admitted = self.chains.admits(&append.stream, append.loading)
            && self.floor.is_none_or(|floor| append.loading > floor);
        #[cfg(feature = "planted-faults")]
        let admitted = admitted || self.planted == Some(PlantedFault::ChainLeftOut);
        if admitted { Ok(()) } else { Err(AppendError::Predecessor) }
    }

    /// An append failed: nothing else of its loading is let in.
    pub(crate) fn broke(&mut self, stream: &StreamId, loading: Loading) {
        self.chains.broke(stream, loading);
    }

    /// Appends of unknown streams failed: nothing up to this loading is let in.
    pub(crate) fn broke_up_to(&mut self, loading: Loading) {
        self.floor = self.floor.max(Some(loading));
    }

    /// The epochs of a range.
    pub(crate) fn epochs(&self, slices: SliceRange) -> &[Epoch] {
        &self.epochs[usize::from(slices.first())..=usize::from(slices.last())]
    }

    /// A claim is durable.
    pub(crate) fn claimed(&mut self, slices: SliceRange, epoch: Epoch) {
        self.epochs[usize::from(slices.first())..=usize::from(slices.last())].fill(epoch);
    }

    /// The epochs of all slices.
    pub(crate) fn all_epochs(&self) -> &[Epoch] {
        &self.epochs
    }
}
