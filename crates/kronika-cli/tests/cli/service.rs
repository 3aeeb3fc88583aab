//! A service on a data directory, with a projection that may refuse an event, and the operator's socket.

use crate::support::until;
use kronika_core::{
    About, Aggregate, Folded, On, Projection, ReadModel, SharedJournal, SharedReadModelStore,
};
use kronika_http::{AdminSocket, ServeLimits};
use kronika_log::{DirectoryLock, JournalFiles, Log, Settings};
use kronika_macros::{Event, Row};
use kronika_runtime::{Kronika, MakeScratch, ProjectionSettings, Store};
use kronika_sqlite::{SqliteReadModels, SqliteSettings};
use serde::{Deserialize, Serialize};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{runtime::Runtime, sync::oneshot, task::JoinHandle};

/// What the lines of [`crate::support::lines`] are events of.
#[derive(Default, Serialize, Deserialize)]
pub struct Order {}

#[derive(Event, Serialize, Deserialize)]
pub enum OrderEvent {
    Placed { number: u64 },
    Paid { number: u64 },
}

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Id = String;
    type Event = OrderEvent;
    fn apply(&mut self, _: &OrderEvent) {}
}

#[derive(Row)]
pub struct Total {
    pub events: i64,
}

/// Counts the events of each order, and refuses event 7, the second one of order 3, while it is strict.
struct Totals {
    strict: Arc<AtomicBool>,
}

impl Projection for Totals {
    const NAME: &'static str = "totals";
    type Key = String;
    type Row = Total;
    type Follows = (Order,);
}

impl On<Order> for Totals {
    fn keys(&self, _: &OrderEvent, about: &About<'_>) -> impl IntoIterator<Item = String> {
        [about.id().to_owned()]
    }

    fn on(&self, row: &mut Option<Total>, _: &String, event: &OrderEvent, _: &About<'_>) -> Folded {
        let (OrderEvent::Placed { number } | OrderEvent::Paid { number }) = event;
        if *number == 7 && self.strict.load(Ordering::Relaxed) {
            Err("nobody pays with\nsevens")?;
        }
        row.get_or_insert(Total { events: 0 }).events += 1;
        Ok(())
    }
}

struct Kept {
    log: Log,
    read_models: SqliteReadModels,
}

impl Store for Kept {
    fn journal(&self) -> SharedJournal {
        Arc::new(self.log.clone())
    }
    fn read_models(&self) -> Option<SharedReadModelStore> {
        Some(Arc::new(self.read_models.clone()))
    }
    fn scratch(&self) -> Option<MakeScratch> {
        Some(Arc::new(|path| {
            Box::pin(async move {
                if path.exists() {
                    return Err(format!("{} is there already", path.display()));
                }
                let opened = SqliteReadModels::open(path, SqliteSettings::default());
                let opened = opened.map_err(|error| error.to_string())?;
                Ok(Arc::new(opened) as SharedReadModelStore)
            })
        }))
    }
}

/// A running service. It ends when it is dropped, and leaves the directory to others.
pub struct Service {
    runtime: Runtime,
    kronika: Kronika,
    strict: Arc<AtomicBool>,
    socket: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Service {
    /// Starts it, strict as to event 7.
    pub fn start(data: &str) -> Self {
        Self::start_with(data, true)
    }

    pub fn start_with(data: &str, strict: bool) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.unwrap();
        let strict = Arc::new(AtomicBool::new(strict));
        let kept = open(Path::new(data));
        // What is parked is tried again only when somebody asks, and each state is told at once.
        let settings = ProjectionSettings {
            parked_retries_max: 0,
            report_every: Duration::from_millis(10),
            ..ProjectionSettings::default()
        };
        let totals = Totals { strict: strict.clone() };
        let socket = Path::new(data).join("admin.sock");
        let (kronika, socket) = runtime.block_on(async {
            let builder = Kronika::builder().store(kept).projection(totals);
            let kronika = builder.projection_settings(settings).start().await.unwrap();
            let socket = AdminSocket::bind(socket).await.unwrap();
            (kronika, socket)
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let served = kronika.clone();
        let serving = runtime.spawn(async move {
            let shutdown = async {
                let _ = stopped.await;
            };
            socket.serve(&served, ServeLimits::default(), shutdown).await;
        });
        Self { runtime, kronika, strict, socket: Some((stop, serving)) }
    }

    /// Takes event 7 from now on.
    pub fn relent(&self) {
        self.strict.store(false, Ordering::Relaxed);
    }

    /// Waits until its read models are as wished.
    #[track_caller]
    pub fn until(&self, what: &str, is_so: impl Fn(&[ReadModel]) -> bool) {
        let read = || self.runtime.block_on(self.kronika.projections().read_models()).unwrap();
        until(what, || is_so(&read()));
    }

    /// Waits until it has handled so many events of the first run.
    #[track_caller]
    pub fn handles(&self, position: u64) {
        self.until("the projection has come so far", |all| {
            let seen = all.first().and_then(|one| one.checkpoint.as_ref());
            let marks = seen.into_iter().flat_map(|checkpoint| checkpoint.seen.marks());
            marks.last().is_some_and(|mark| mark.position.get() >= position)
                && all.iter().all(|one| one.report.as_ref().is_some_and(|it| it.lag_events == 0))
        });
    }
}

fn open(data: &Path) -> Kept {
    let lock = Arc::new(DirectoryLock::acquire(data).unwrap());
    let log = Log::open_locked(&data.join("journal"), lock, Settings::default()).unwrap();
    let path = data.join("read-models.sqlite");
    Kept { log, read_models: SqliteReadModels::open(path, SqliteSettings::default()).unwrap() }
}

impl Drop for Service {
    fn drop(&mut self) {
        let (stop, serving) = self.socket.take().unwrap();
        let _ = stop.send(());
        let ended = self.runtime.block_on(async {
            let served = serving.await;
            self.kronika.stop().await;
            served
        });
        // Its threads hold the directory until they have ended.
        let empty = tokio::runtime::Builder::new_current_thread().build().unwrap();
        std::mem::replace(&mut self.runtime, empty).shutdown_timeout(Duration::from_secs(60));
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

/// Waits until nobody holds a directory.
#[track_caller]
pub fn is_left(data: &str) {
    let files = JournalFiles::new(&Path::new(data).join("journal"));
    until("the directory is left", || !files.is_held().unwrap());
}
