//! Where read models are kept.
//!
//! A back end implements [`ReadModelStore`]; the runner speaks to [`DynReadModelStore`]. A store knows
//! nothing of folding, of journals and of when to try again: that is the runner's.

use crate::{
    dyn_journal::BoxFuture,
    operating::{Act, ActError, ActRecord, By, LiveHistory, ReadModel, Report, SwitchError},
    parking::{KeyText, Letter, ParkedKey},
    projection::Value,
    read_model::{
        Checkpoint, Commit, CommitError, OpenReadModelError, ReadModelId, ReadModelSpec,
        StoreFault, Takeover,
    },
};
use std::{future::Future, sync::Arc};

/// A read model that was taken over.
#[derive(Clone, PartialEq, Debug)]
pub struct Opened {
    /// How far it has come, under its new epoch.
    pub checkpoint: Checkpoint,
    /// What is parked, in order of key.
    pub parked: Vec<ParkedKey>,
}

/// A store of read models.
///
/// # Contract
///
/// * **Together.** Rows, parked keys and checkpoint of a commit are stored in one transaction: whoever reads
///   sees all or nothing of them, also after a crash. A crash may take the newest commits back, whole and in
///   order.
/// * **One owner.** A commit is refused as stale unless the checkpoint stands where it expects it, under its
///   own epoch and history.
/// * **Nothing is guessed.** A table that is not as it was made is refused; it is never mended or made anew
///   over rows.
/// * **At most one live** read model of a name, and at most one that is building. Plain names show the live
///   one.
pub trait ReadModelStore: Send + Sync + 'static {
    /// The same for all handles of one store, and for no other store: the address of what they share.
    fn identity(&self) -> usize;

    /// Notes that a projection of this name and generation is there, and gives all read models of its name.
    /// The first one of a name is noted as live; a generation that has none, beside a live one, as building,
    /// to be switched to by itself. It takes the place of one that is building under another generation,
    /// which becomes old.
    fn begin(
        &self,
        spec: ReadModelSpec,
    ) -> impl Future<Output = Result<Vec<ReadModel>, OpenReadModelError>> + Send;

    /// Takes a read model over that was begun: makes its tables where they were never made, raises the epoch of
    /// the range, and gives its checkpoint. One that has seen nothing is of the present history. The live one
    /// is shown under the plain name.
    fn open(
        &self,
        spec: ReadModelSpec,
        run: u32,
        takeover: Takeover,
    ) -> impl Future<Output = Result<Opened, OpenReadModelError>> + Send;

    /// The rows of some keys, in their order; each without its key's columns.
    fn load(
        &self,
        read_model: &ReadModelId,
        keys: Vec<Vec<Value>>,
    ) -> impl Future<Output = Result<Vec<Option<Vec<Value>>>, StoreFault>> + Send;

    /// Commits a batch.
    fn commit(&self, commit: Arc<Commit>) -> impl Future<Output = Result<(), CommitError>> + Send;

    /// Makes a read model the live one, and the live one old, in one transaction: if it has seen all that the
    /// live one has, and each key that is parked in it is parked in the live one at the same place or earlier.
    /// One whose history diverged stands in nobody's way. Nothing is done where it is live.
    fn switch(
        &self,
        to: &ReadModelId,
        live: LiveHistory,
    ) -> impl Future<Output = Result<(), SwitchError>> + Send;

    /// All read models, in order of name, generation and run.
    fn read_models(&self) -> impl Future<Output = Result<Vec<ReadModel>, StoreFault>> + Send;

    /// Parked keys after a key, in order, at most `limit`.
    fn parked(
        &self,
        read_model: &ReadModelId,
        after: Option<KeyText>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<ParkedKey>, StoreFault>> + Send;

    /// The letters of a parked key in the order in which they came, `skip` of them left out, at most `limit`.
    fn letters(
        &self,
        read_model: &ReadModelId,
        key: KeyText,
        skip: u64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Letter>, StoreFault>> + Send;

    /// Records an act, and what it wishes for. What the runner has to do, it does when it next looks.
    fn act(&self, act: Act, by: By) -> impl Future<Output = Result<(), ActError>> + Send;

    /// The newest acts, newest first, at most `limit`.
    fn acts(&self, limit: usize)
    -> impl Future<Output = Result<Vec<ActRecord>, StoreFault>> + Send;

    /// Keeps how a projection stands.
    fn report(
        &self,
        read_model: &ReadModelId,
        report: Report,
    ) -> impl Future<Output = Result<(), StoreFault>> + Send;
}

/// A store of read models shared by all projections.
pub type SharedReadModelStore = Arc<dyn DynReadModelStore>;

macro_rules! dyn_store {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $result:ty;)*) => {
        /// [`ReadModelStore`] with its type erased. Implemented for every store.
        pub trait DynReadModelStore: Send + Sync + 'static {
            /// See [`ReadModelStore::identity`].
            fn identity(&self) -> usize;
        $(
            #[doc = concat!("See [`ReadModelStore::", stringify!($name), "`].")]
            fn $name<'a>(&'a self, $($argument: $kind),*) -> BoxFuture<'a, $result>;
        )* }

        impl<S: ReadModelStore> DynReadModelStore for S {
            fn identity(&self) -> usize {
                ReadModelStore::identity(self)
            }
        $(
            fn $name<'a>(&'a self, $($argument: $kind),*) -> BoxFuture<'a, $result> {
                Box::pin(ReadModelStore::$name(self, $($argument),*))
            }
        )* }
    };
}

dyn_store! {
    begin(spec: ReadModelSpec) -> Result<Vec<ReadModel>, OpenReadModelError>;
    open(spec: ReadModelSpec, run: u32, takeover: Takeover) -> Result<Opened, OpenReadModelError>;
    load(read_model: &'a ReadModelId, keys: Vec<Vec<Value>>) -> Result<Vec<Option<Vec<Value>>>, StoreFault>;
    commit(commit: Arc<Commit>) -> Result<(), CommitError>;
    switch(to: &'a ReadModelId, live: LiveHistory) -> Result<(), SwitchError>;
    read_models() -> Result<Vec<ReadModel>, StoreFault>;
    parked(read_model: &'a ReadModelId, after: Option<KeyText>, limit: usize) -> Result<Vec<ParkedKey>, StoreFault>;
    letters(read_model: &'a ReadModelId, key: KeyText, skip: u64, limit: usize) -> Result<Vec<Letter>, StoreFault>;
    act(act: Act, by: By) -> Result<(), ActError>;
    acts(limit: usize) -> Result<Vec<ActRecord>, StoreFault>;
    report(read_model: &'a ReadModelId, report: Report) -> Result<(), StoreFault>;
}
