//! The log as a [`Journal`]: what callers send and wait for. Nothing here decides anything.

use crate::{
    format::bytes_estimate,
    log::Log,
    queue::{ClaimRequest, Group, Refusal},
    reading::Reading,
};
use kronika_core::{
    Append, AppendBy, AppendError, Appended, Capabilities, ClaimError, Epoch, Incarnation, Journal,
    Mark, Ownership, PartitionId, PartitionPage, Position, ReadError, ReadPartition, ReadStream,
    RecordedAppend, Slice, SliceRange, StreamId, StreamPage,
};
use tokio::sync::oneshot;

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
        self.reading().epoch(slice)
    }

    async fn read_stream(&self, read: ReadStream) -> Result<StreamPage, ReadError> {
        self.reading().stream(read).await
    }

    async fn read_partition(&self, read: ReadPartition) -> Result<PartitionPage, ReadError> {
        self.reading().partition(read).await
    }

    async fn read_append(
        &self,
        stream: &StreamId,
        by: AppendBy,
    ) -> Result<Option<RecordedAppend>, ReadError> {
        self.reading().one(stream, by).await
    }

    async fn head(&self, partition: PartitionId) -> Result<Mark, ReadError> {
        self.reading().head(partition)
    }

    async fn wait_beyond(
        &self,
        partition: PartitionId,
        position: Position,
    ) -> Result<Mark, ReadError> {
        self.reading().wait_beyond(partition, position).await
    }
}

impl Log {
    fn reading(&self) -> Reading<'_> {
        Reading { shared: &self.shared, pool: &self.threads.pool }
    }

    /// Why nothing more is recorded.
    fn closed(&self) -> String {
        self.shared.closed()
    }
}
