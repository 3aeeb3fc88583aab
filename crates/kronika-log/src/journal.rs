//! The log as a [`Journal`]: what callers send and wait for. Nothing here decides anything.

use crate::{
    format::bytes_estimate,
    log::Log,
    queue::{ClaimRequest, Group, Refusal},
    shared::Durable,
};
use kronika_core::{
    Append, AppendBy, AppendError, Appended, Capabilities, ClaimError, Epoch, Incarnation, Journal,
    Mark, Ownership, PartitionId, PartitionPage, Position, ReadError, ReadPartition, ReadStream,
    RecordedAppend, Slice, SliceRange, StreamId, StreamPage,
};
use std::sync::PoisonError;
use tokio::sync::oneshot;

fn only_partition(partition: PartitionId) -> Result<(), ReadError> {
    if partition == PartitionId::default() {
        return Ok(());
    }
    Err(ReadError::NoPartition(partition))
}

impl Journal for Log {
    fn capabilities(&self) -> Capabilities {
        Capabilities { partitions: 1, finds_keys: true, durable: true, leases: false }
    }

    fn incarnation(&self) -> Incarnation {
        self.shared.incarnation
    }

    fn append(&self, group: Vec<Append>) -> impl Future<Output = Vec<Appended>> + Send + use<> {
        let appends = group.len();
        let (reply, receiver) = oneshot::channel();
        let bytes = group.iter().map(bytes_estimate).sum::<usize>().max(1);
        let queued = self.shared.queue.push_group(Group { appends: group, bytes, reply });
        let refused = queued.err().map(|refusal| match refusal {
            Refusal::Full => AppendError::Unavailable("too many appends are waiting".to_owned()),
            Refusal::Closed => AppendError::Failed(self.closed()),
        });
        async move {
            if let Some(error) = refused {
                return vec![Err(error); appends];
            }
            // Without an answer the commit thread ended in the middle.
            receiver.await.unwrap_or_else(|_| vec![Err(AppendError::UnknownOutcome); appends])
        }
    }

    async fn claim(
        &self,
        slices: SliceRange,
        held: Option<Epoch>,
    ) -> Result<Ownership, ClaimError> {
        let (reply, receiver) = oneshot::channel();
        match self.shared.queue.push_claim(ClaimRequest { slices, held, reply }) {
            Ok(()) => {}
            Err(Refusal::Full) => {
                return Err(ClaimError::Unavailable("too many claims are waiting".to_owned()));
            }
            Err(Refusal::Closed) => return Err(ClaimError::Failed(self.closed())),
        }
        receiver.await.unwrap_or_else(|_| Err(ClaimError::Failed(self.closed())))
    }

    async fn epoch(&self, slice: Slice) -> Result<Epoch, ReadError> {
        let epochs = self.shared.epochs.read().unwrap_or_else(PoisonError::into_inner);
        Ok(epochs[usize::from(slice.get())])
    }

    async fn read_stream(&self, read: ReadStream) -> Result<StreamPage, ReadError> {
        self.read(move |reader, _| reader.stream(&read)).await
    }

    async fn read_partition(&self, read: ReadPartition) -> Result<PartitionPage, ReadError> {
        only_partition(read.partition)?;
        self.read(move |reader, head| reader.partition(&read, head)).await
    }

    async fn read_append(
        &self,
        stream: &StreamId,
        by: AppendBy,
    ) -> Result<Option<RecordedAppend>, ReadError> {
        let stream = stream.clone();
        self.read(move |reader, _| reader.one(&stream, &by)).await
    }

    async fn head(&self, partition: PartitionId) -> Result<Mark, ReadError> {
        only_partition(partition)?;
        Ok(self.shared.durable.borrow().mark)
    }

    async fn wait_beyond(
        &self,
        partition: PartitionId,
        position: Position,
    ) -> Result<Mark, ReadError> {
        only_partition(partition)?;
        let mut durable = self.shared.durable.subscribe();
        let beyond = |durable: &Durable| durable.mark.position > position;
        let ended = durable.wait_for(|now| beyond(now) || now.failed.is_some()).await;
        match ended {
            Ok(now) if beyond(&now) => Ok(now.mark),
            _ => Err(ReadError::Closed(self.closed())),
        }
    }
}

impl Log {
    /// Why nothing more is recorded.
    fn closed(&self) -> String {
        let failed = self.shared.durable.borrow().failed.clone();
        failed.map_or_else(|| "the log is closed".to_owned(), |reason| reason.to_string())
    }
}
