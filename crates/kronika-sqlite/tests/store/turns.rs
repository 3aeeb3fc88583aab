//! Turns: what is not live waits behind what is, each in a queue of its own bound.

use crate::common::*;
use kronika_core::{BatchProjection, ReadModelStore, RecordedEvent, StoreFault, Takeover, Value};
use kronika_sqlite::{
    BatchHandler, Handled, HandlerTables, SqliteReadModels, rusqlite::Transaction,
};
use std::{
    future::Future,
    pin::pin,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    task::{Context, Waker},
};

/// Keeps the writing thread busy until it is told.
struct Busy {
    running: SyncSender<()>,
    go_on: Receiver<()>,
}

impl BatchHandler for Busy {
    const NAME: &'static str = "busy";
    const FOLLOWS: &'static [&'static str] = &[];
    const TABLES: &'static [&'static str] = &[];
    fn create(&mut self, _: &HandlerTables, _: &Transaction<'_>) -> Handled {
        self.running.send(())?;
        Ok(self.go_on.recv()?)
    }
    fn handle(&mut self, _: &[RecordedEvent], _: &HandlerTables, _: &Transaction<'_>) -> Handled {
        Ok(())
    }
}

/// Lets jobs queue up while the writing thread is busy.
async fn while_busy(read_models: &SqliteReadModels, queue_up: impl FnOnce()) {
    let ((running, runs), (go, go_on)) = (sync_channel(1), sync_channel(1));
    let mut busy = read_models.handler(Busy { running, go_on }).unwrap();
    read_models.begin(busy.spec().clone()).await.unwrap();
    let opening = tokio::spawn(async move { busy.open(1, Takeover::whole(HERE, 1)).await });
    let runs = tokio::task::spawn_blocking(move || runs.recv().unwrap());
    runs.await.unwrap();
    queue_up();
    go.send(()).unwrap();
    opening.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_live_ones_jobs_come_before_those_of_what_is_built() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    let (live, building) = (id(1, 1), id(2, 1));
    take_over(&read_models, 1, 1).await;
    take_over(&read_models, 2, 1).await;
    let key = || vec![vec![Value::Integer(1)]];
    let order = std::sync::Mutex::new(Vec::new());
    let job = async |id, name| {
        read_models.load(id, key()).await.unwrap();
        order.lock().unwrap().push(name);
    };
    // In this order they are asked for.
    let (mut behind, mut next) = (pin!(job(&building, "building")), pin!(job(&live, "live")));
    let mut context = Context::from_waker(Waker::noop());
    while_busy(&read_models, || {
        assert!(behind.as_mut().poll(&mut context).is_pending());
        assert!(next.as_mut().poll(&mut context).is_pending());
    })
    .await;
    // Done is only what was taken first, when its answer is there.
    behind.await;
    assert!(next.as_mut().poll(&mut context).is_ready(), "it was done before");
}

#[tokio::test]
async fn what_is_built_never_fills_the_live_ones_queue() {
    let directory = tempfile::tempdir().unwrap();
    let settings = kronika_sqlite::SqliteSettings { batches_waiting_max: 2, ..settings() };
    let read_models = SqliteReadModels::open(directory.path().join("rm"), settings).unwrap();
    let (live, building) = (id(1, 1), id(2, 1));
    take_over(&read_models, 1, 1).await;
    take_over(&read_models, 2, 1).await;
    let key = || vec![vec![Value::Integer(1)]];
    let mut waiting: Vec<_> =
        (0..3).map(|_| Box::pin(read_models.load(&building, key()))).collect();
    let mut of_live = Box::pin(read_models.load(&live, key()));
    let mut refused = None;
    while_busy(&read_models, || {
        let mut context = Context::from_waker(Waker::noop());
        for load in &mut waiting[..2] {
            assert!(load.as_mut().poll(&mut context).is_pending());
        }
        refused = Some(waiting[2].as_mut().poll(&mut context));
        assert!(of_live.as_mut().poll(&mut context).is_pending(), "it has room");
    })
    .await;
    let refused = refused.unwrap();
    assert!(
        matches!(refused, std::task::Poll::Ready(Err(StoreFault::Unavailable(_)))),
        "{refused:?}"
    );
    of_live.await.unwrap();
    waiting.truncate(2);
    for load in waiting {
        load.await.unwrap();
    }
}

/// What is switched to has its turn with the live ones, what was live waits.
#[tokio::test]
async fn a_switch_changes_whose_turn_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    let (old, new) = (id(1, 1), id(2, 1));
    at(&read_models, &old, 5).await;
    at(&read_models, &new, 5).await;
    read_models.switch(&new).await.unwrap();
    let key = || vec![vec![Value::Integer(1)]];
    let (mut behind, mut next) =
        (Box::pin(read_models.load(&old, key())), Box::pin(read_models.load(&new, key())));
    let mut context = Context::from_waker(Waker::noop());
    while_busy(&read_models, || {
        assert!(behind.as_mut().poll(&mut context).is_pending());
        assert!(next.as_mut().poll(&mut context).is_pending());
    })
    .await;
    behind.await.unwrap();
    assert!(next.as_mut().poll(&mut context).is_ready(), "it was done before");
}
