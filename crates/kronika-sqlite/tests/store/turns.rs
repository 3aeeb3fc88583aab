//! Turns: what is not live waits behind what is, each in a queue of its own bound.

use crate::common::*;
use kronika_core::{
    Act, Batch, BatchProjection, BoxFuture, Checkpoint, LiveHistory, ReadModelId, ReadModelStore,
    RecordedEvent, StoreFault, Takeover, Value,
};
use kronika_sqlite::{
    BatchHandler, Handled, HandlerTables, SqliteReadModels, rusqlite::Transaction,
};
use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
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
        Ok(())
    }
    fn handle(&mut self, _: &[RecordedEvent], _: &HandlerTables, _: &Transaction<'_>) -> Handled {
        self.running.send(())?;
        Ok(self.go_on.recv()?)
    }
}

/// Lets jobs queue up while the writing thread is busy.
async fn while_busy(read_models: &SqliteReadModels, queue_up: impl FnOnce()) {
    let ((running, runs), (go, go_on)) = (sync_channel(1), sync_channel(1));
    let mut busy = read_models.handler(Busy { running, go_on }).unwrap();
    read_models.begin(busy.spec().clone()).await.unwrap();
    let stands = busy.open(1, Takeover::whole(HERE, 1)).await.unwrap().checkpoint;
    let batch = batch(&stands, stands.events + 1);
    let writing = tokio::spawn(async move { busy.write(batch, None).await });
    let runs = tokio::task::spawn_blocking(move || runs.recv().unwrap());
    runs.await.unwrap();
    queue_up();
    go.send(()).unwrap();
    writing.await.unwrap().unwrap();
}

fn batch(stands: &Checkpoint, position: u64) -> Batch {
    Batch::new(vec![event(position)], stands.clone(), event(position).mark())
}

/// Notes whose batches it handles, on the writing thread.
struct Notes(Arc<Mutex<Vec<String>>>);

impl BatchHandler for Notes {
    const NAME: &'static str = "notes";
    const FOLLOWS: &'static [&'static str] = &[];
    const TABLES: &'static [&'static str] = &["note"];
    fn create(&mut self, tables: &HandlerTables, transaction: &Transaction<'_>) -> Handled {
        let create = format!("CREATE TABLE {} (note INTEGER)", tables.name("note"));
        Ok(transaction.execute_batch(&create)?)
    }
    fn handle(
        &mut self,
        _: &[RecordedEvent],
        tables: &HandlerTables,
        _: &Transaction<'_>,
    ) -> Handled {
        self.0.lock().unwrap().push(tables.name("note").to_owned());
        Ok(())
    }
}

/// The live one's batches come first, though they are asked for last; then those of another that became live.
#[tokio::test]
async fn the_live_ones_batches_come_before_those_of_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    let noted = Arc::new(Mutex::new(Vec::new()));
    let mut first = read_models.handler(Notes(noted.clone())).unwrap();
    let mut second = first.another();
    let (name, takeover) = (first.spec().name.clone(), Takeover::whole(HERE, 1));
    let generation = first.spec().generation;
    read_models.begin(first.spec().clone()).await.unwrap();
    let of_first = first.open(1, takeover).await.unwrap().checkpoint;
    let rebuild =
        Act::Rebuild { name: name.clone(), generation: None, hold: true, events_per_second: None };
    act(&read_models, rebuild).await.unwrap();
    let of_second = second.open(2, takeover).await.unwrap().checkpoint;
    let (of_first, of_second) = (batch(&of_first, 1), batch(&of_second, 1));
    let (next_of_first, next_of_second) = (of_first.next.clone(), of_second.next.clone());
    {
        let (mut behind, mut next) = (second.write(of_second, None), first.write(of_first, None));
        while_busy(&read_models, || ask_for([&mut behind, &mut next])).await;
        behind.await.unwrap();
        next.await.unwrap();
    }
    let (table_of_first, table_of_second) = ("notes__g1_r1__note", "notes__g1_r2__note");
    assert_eq!(*noted.lock().unwrap(), [table_of_first, table_of_second]);
    read_models
        .switch(&ReadModelId { name, generation, run: 2 }, LiveHistory::Unquestioned)
        .await
        .unwrap();
    noted.lock().unwrap().clear();
    let (mut behind, mut next) = (
        first.write(batch(&next_of_first, 2), None),
        second.write(batch(&next_of_second, 2), None),
    );
    while_busy(&read_models, || ask_for([&mut behind, &mut next])).await;
    behind.await.unwrap();
    next.await.unwrap();
    assert_eq!(*noted.lock().unwrap(), [table_of_second, table_of_first]);
}

/// Lets them queue up in this order.
fn ask_for<T>(batches: [&mut BoxFuture<'_, T>; 2]) {
    let mut context = Context::from_waker(Waker::noop());
    for batch in batches {
        assert!(batch.as_mut().poll(&mut context).is_pending());
    }
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
