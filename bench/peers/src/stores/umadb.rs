//! UmaDB, embedded: its storage engine with its own writer thread, as its server runs it, without the network.

use crate::harness::{Bodies, Caller, Store};
use std::{
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
};
use tokio::sync::{mpsc, oneshot, watch};
use umadb_core::{
    db::UmaDb,
    mvcc::{Mvcc, StorageOptions},
    writer_thread_blocking::writer_thread_blocking,
    writer_thread_request::WriterThreadRequest,
};
use umadb_dcb::{DcbEvent, DcbEventStoreSync, DcbQuery, DcbQueryItem};

const CACHE_MEGABYTES: usize = 2048;
/// Events in one commit at most, and appends that may wait, as its server has them.
const BATCH_EVENTS: usize = 2048;
const QUEUE: usize = 10_000;

/// How it is set.
pub const SETTINGS: &str = "crate umadb-core 0.7, embedded: its Mvcc with its own writer_thread_blocking (the server's \
     default; batches of at most 2,048 events), without gRPC; pages of 4 KiB, a page cache of 2,048 MB, pages \
     zero-filled; event type `appended`, one tag for each stream, no append condition";

/// An open UmaDB.
pub struct Uma {
    mvcc: Arc<Mvcc>,
    requests: mpsc::Sender<WriterThreadRequest>,
    writer: JoinHandle<()>,
}

fn told(error: impl std::fmt::Display) -> String {
    format!("umadb: {error}")
}

fn event(kind: &str, stream: u32, body: &[u8]) -> DcbEvent {
    DcbEvent {
        event_type: "appended".to_owned(),
        tags: vec![format!("{kind}/{stream}")],
        data: body.to_vec(),
        uuid: None,
        metadata: Vec::new(),
    }
}

type Answer = oneshot::Receiver<umadb_dcb::DcbResult<u64>>;

fn request(events: Vec<DcbEvent>) -> (WriterThreadRequest, Answer) {
    let (response_tx, answer) = oneshot::channel();
    let (condition, tracking_info, cancel) = (None, None, None);
    let append =
        WriterThreadRequest::Append { events, condition, tracking_info, response_tx, cancel };
    (append, answer)
}

/// One caller.
pub struct UmaCaller {
    requests: mpsc::Sender<WriterThreadRequest>,
    number: u32,
}

impl Caller for UmaCaller {
    async fn append(&mut self, body: &[u8]) -> Result<(), String> {
        let (request, answer) = request(vec![event("caller", self.number, body)]);
        self.requests.send(request).await.map_err(told)?;
        answer.await.map_err(told)?.map(drop).map_err(told)
    }
}

impl Store for Uma {
    type Caller = UmaCaller;

    fn open(directory: &Path) -> Result<Self, String> {
        let options =
            StorageOptions::default().db_path(directory).page_cache_max_mb(CACHE_MEGABYTES);
        let mvcc = Arc::new(Mvcc::new(false, options).map_err(told)?);
        let (requests, waiting) = mpsc::channel(QUEUE);
        let (head, _) = watch::channel(None);
        let for_writer = Arc::clone(&mvcc);
        let run = move || writer_thread_blocking(for_writer, waiting, head, BATCH_EVENTS);
        let writer = thread::Builder::new().name("umadb-writer".into()).spawn(run).map_err(told)?;
        Ok(Self { mvcc, requests, writer })
    }

    fn caller(&self, number: u32) -> UmaCaller {
        UmaCaller { requests: self.requests.clone(), number }
    }

    fn append_round(&self, streams: &[u32], _: u64, bodies: &mut Bodies) -> Result<(), String> {
        let events = streams.iter().map(|stream| event("filled", *stream, bodies.next()));
        let (request, answer) = request(events.collect());
        self.requests.blocking_send(request).map_err(told)?;
        answer.blocking_recv().map_err(told)?.map(drop).map_err(told)
    }

    fn read_stream(&self, stream: u32) -> Result<(u64, u64), String> {
        let item = DcbQueryItem { types: Vec::new(), tags: vec![format!("filled/{stream}")] };
        self.count(Some(DcbQuery { items: vec![item] }))
    }

    fn read_all(&self) -> Result<(u64, u64), String> {
        self.count(None)
    }

    fn close(self) -> Result<(), String> {
        let _ = self.requests.blocking_send(WriterThreadRequest::Shutdown);
        self.writer.join().map_err(|_| "umadb: its writer thread panicked".to_owned())
    }
}

impl Uma {
    fn count(&self, query: Option<DcbQuery>) -> Result<(u64, u64), String> {
        let database = UmaDb::from_arc(Arc::clone(&self.mvcc));
        let (mut events, mut bytes) = (0, 0);
        for read in database.read(query, None, false, None).map_err(told)? {
            events += 1;
            bytes += read.map_err(told)?.event.data.len() as u64;
        }
        Ok((events, bytes))
    }
}
