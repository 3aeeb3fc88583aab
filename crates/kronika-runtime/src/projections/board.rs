//! Where the projections of one name show how they stand: each its own status, and the live one's for all who
//! know the name only.

use super::{changes::Changes, orders::Orders, status::ProjectionStatus};
use kronika_core::{ReadModelId, Stage};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::{Notify, watch};

/// Generation and run.
type RunKey = (u32, u32);

/// What the projections of one name have in common.
pub(super) struct Named {
    /// The status that waiters see: that of the live read model.
    pub shown: watch::Sender<ProjectionStatus>,
    /// Taken by the live one for each write, and by one that is to be live in its place.
    pub gate: tokio::sync::Mutex<()>,
    pub changes: Changes,
    /// The manager is to look at the store again.
    pub wake: Notify,
    /// Raised with each act.
    pub acts: AtomicU64,
    all: Mutex<BTreeMap<RunKey, Arc<watch::Sender<ProjectionStatus>>>>,
    orders: Mutex<BTreeMap<RunKey, watch::Sender<Orders>>>,
    live: Mutex<Option<ReadModelId>>,
    /// Those that are being dropped: they are not begun again meanwhile.
    dropping: Mutex<BTreeSet<RunKey>>,
}

fn key(id: &ReadModelId) -> RunKey {
    (id.generation.get(), id.run)
}

impl Named {
    pub fn new(starting: ProjectionStatus) -> Self {
        Self {
            shown: watch::channel(starting).0,
            gate: tokio::sync::Mutex::new(()),
            changes: Changes::new(),
            wake: Notify::new(),
            acts: AtomicU64::new(0),
            all: Mutex::default(),
            orders: Mutex::default(),
            live: Mutex::new(None),
            dropping: Mutex::default(),
        }
    }

    /// All statuses, in order of generation and run; the shown one before any is known.
    pub fn statuses(&self) -> Vec<ProjectionStatus> {
        let all = self.all.lock().expect("nothing panics under it");
        let statuses: Vec<_> = all.values().map(|status| status.borrow().clone()).collect();
        if statuses.is_empty() { vec![self.shown.borrow().clone()] } else { statuses }
    }

    /// The status of one, as something to watch.
    pub fn watch(&self, id: &ReadModelId) -> Option<watch::Receiver<ProjectionStatus>> {
        let all = self.all.lock().expect("nothing panics under it");
        all.get(&key(id)).map(|status| status.subscribe())
    }

    /// A board for a read model that begins, in place of an earlier one of the same.
    pub fn add(self: &Arc<Self>, status: ProjectionStatus) -> Board {
        let id = status.id();
        let own = Arc::new(watch::channel(status).0);
        self.all.lock().expect("nothing panics under it").insert(key(&id), own);
        let board = self.board(&id);
        board.modify(|_| ());
        board
    }

    /// The board of one that was added.
    pub fn board(self: &Arc<Self>, id: &ReadModelId) -> Board {
        let all = self.all.lock().expect("nothing panics under it");
        let own = all.get(&key(id)).expect("it was added").clone();
        Board { own, id: id.clone(), named: self.clone() }
    }

    pub fn remove(&self, id: &ReadModelId) {
        self.all.lock().expect("nothing panics under it").remove(&key(id));
        self.orders.lock().expect("nothing panics under it").remove(&key(id));
    }

    /// Where one takes its orders from.
    pub fn order(&self, key: RunKey, orders: watch::Sender<Orders>) {
        self.orders.lock().expect("nothing panics under it").insert(key, orders);
    }

    /// Tells one to end; gives whether it is there.
    pub fn end(&self, id: &ReadModelId) -> bool {
        let orders = self.orders.lock().expect("nothing panics under it");
        let Some(orders) = orders.get(&key(id)) else { return false };
        orders.send_modify(|orders| orders.stop = true);
        true
    }

    /// One is being dropped, until what is given goes out of scope.
    pub fn drop_one(&self, id: &ReadModelId) -> Dropping<'_> {
        self.dropping.lock().expect("nothing panics under it").insert(key(id));
        Dropping { named: self, key: key(id) }
    }

    pub fn is_dropping(&self, key: RunKey) -> bool {
        self.dropping.lock().expect("nothing panics under it").contains(&key)
    }

    /// Somebody has acted: the manager looks at the store.
    pub fn acted(&self) {
        self.acts.fetch_add(1, Ordering::Relaxed);
        self.wake.notify_one();
    }

    /// This one is live, if none was known to be.
    pub fn set_first_live(&self, id: &ReadModelId) {
        self.live.lock().expect("nothing panics under it").get_or_insert_with(|| id.clone());
    }

    /// The live one as it stands, in place of what was shown when it could not be looked at.
    pub fn show_live(&self) {
        let live = self.live.lock().expect("nothing panics under it");
        let Some(id) = live.as_ref() else { return };
        let all = self.all.lock().expect("nothing panics under it");
        if let Some(own) = all.get(&key(id)) {
            let own = own.borrow().clone();
            self.shown.send_if_modified(|shown| {
                let changed = *shown != own;
                *shown = own;
                changed
            });
        }
    }

    /// What goes wrong before any read model is known.
    pub fn show(&self, change: impl FnOnce(&mut ProjectionStatus)) {
        self.shown.send_modify(change);
    }
}

/// A read model is being dropped. If it is still there afterwards, it begins anew.
pub(super) struct Dropping<'a> {
    named: &'a Named,
    key: RunKey,
}

impl Drop for Dropping<'_> {
    fn drop(&mut self) {
        self.named.dropping.lock().expect("nothing panics under it").remove(&self.key);
        self.named.acted();
    }
}

/// Where one projection shows how it stands.
pub(super) struct Board {
    own: Arc<watch::Sender<ProjectionStatus>>,
    id: ReadModelId,
    pub named: Arc<Named>,
}

impl Board {
    pub fn id(&self) -> &ReadModelId {
        &self.id
    }

    pub fn is_live(&self) -> bool {
        self.named.live.lock().expect("nothing panics under it").as_ref() == Some(&self.id)
    }

    pub fn modify(&self, change: impl FnOnce(&mut ProjectionStatus)) {
        // Held over both, or one that was live until now would be shown again.
        let live = self.named.live.lock().expect("nothing panics under it");
        self.own.send_modify(change);
        if live.as_ref() == Some(&self.id) {
            self.named.shown.send_replace(self.own.borrow().clone());
        }
    }

    /// It is live from now on, and shown so; the one that was is old.
    pub fn become_live(&self) {
        let mut live = self.named.live.lock().expect("nothing panics under it");
        let before = live.replace(self.id.clone());
        drop(live);
        self.modify(|status| status.stage = Stage::Live);
        if let Some(before) = before.filter(|before| *before != self.id) {
            let all = self.named.all.lock().expect("nothing panics under it");
            if let Some(status) = all.get(&key(&before)) {
                status.send_modify(|status| status.stage = Stage::Old);
            }
        }
    }

    pub fn status(&self) -> ProjectionStatus {
        self.own.borrow().clone()
    }
}
