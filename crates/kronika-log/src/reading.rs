//! Reading a log that is open, by whoever has it open: from memory on the caller's thread, or else from files on a
//! reader thread.

use crate::{
    pool::Pool,
    read::{Fault, Reader},
    shared::{Durable, Shared},
};
use kronika_core::{
    AppendBy, Epoch, Mark, PartitionId, PartitionPage, Position, ReadError, ReadPartition,
    ReadStream, RecordedAppend, Slice, StreamId, StreamPage,
};
use std::sync::{Arc, PoisonError};
use tokio::sync::oneshot;

/// What reads need.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) pool: &'a Arc<Pool>,
}

fn only_partition(partition: PartitionId) -> Result<(), ReadError> {
    if partition == PartitionId::default() {
        return Ok(());
    }
    Err(ReadError::NoPartition(partition))
}

impl Reading<'_> {
    pub(crate) fn epoch(self, slice: Slice) -> Result<Epoch, ReadError> {
        let epochs = self.shared.epochs.read().unwrap_or_else(PoisonError::into_inner);
        Ok(epochs[usize::from(slice.get())])
    }

    pub(crate) async fn stream(self, read: ReadStream) -> Result<StreamPage, ReadError> {
        self.read(move |reader, _| reader.stream(&read)).await
    }

    pub(crate) async fn partition(self, read: ReadPartition) -> Result<PartitionPage, ReadError> {
        only_partition(read.partition)?;
        self.read(move |reader, head| reader.partition(&read, head)).await
    }

    pub(crate) async fn one(
        self,
        stream: &StreamId,
        by: AppendBy,
    ) -> Result<Option<RecordedAppend>, ReadError> {
        let stream = stream.clone();
        self.read(move |reader, _| reader.one(&stream, &by)).await
    }

    pub(crate) fn head(self, partition: PartitionId) -> Result<Mark, ReadError> {
        only_partition(partition)?;
        Ok(self.shared.durable.borrow().mark)
    }

    pub(crate) async fn wait_beyond(
        self,
        partition: PartitionId,
        position: Position,
    ) -> Result<Mark, ReadError> {
        only_partition(partition)?;
        let mut durable = self.shared.durable.subscribe();
        let beyond = |durable: &Durable| durable.mark.position > position;
        let ended = durable.wait_for(|now| beyond(now) || now.failed.is_some()).await;
        match ended {
            Ok(now) if beyond(&now) => Ok(now.mark),
            _ => Err(ReadError::Closed(self.shared.closed())),
        }
    }

    async fn read<T: Send + 'static>(
        self,
        read: impl Fn(&mut Reader<'_>, Mark) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, ReadError> {
        let durable = self.shared.durable();
        let mut reader = Reader { shared: self.shared, window: None, durable: durable.end };
        match read(&mut reader, durable.mark) {
            Ok(done) => return Ok(done),
            Err(Fault::Read(error)) => return Err(error),
            Err(Fault::NotInMemory) => {}
        }
        let (sender, receiver) = oneshot::channel();
        let shared = Arc::clone(self.shared);
        let submitted = self.pool.submit(Box::new(move |window| {
            if sender.is_closed() {
                return;
            }
            let durable = shared.durable();
            let mut reader = Reader { shared: &shared, window: Some(window), durable: durable.end };
            let _ = sender.send(read(&mut reader, durable.mark));
        }));
        if !submitted {
            return Err(ReadError::Unavailable("too many reads are waiting".to_owned()));
        }
        match receiver.await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(Fault::Read(error))) => Err(error),
            Ok(Err(Fault::NotInMemory)) => unreachable!("this read has files"),
            Err(_) => Err(ReadError::Closed("the log is closed".to_owned())),
        }
    }
}
