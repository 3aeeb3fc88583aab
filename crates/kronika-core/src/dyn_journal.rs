//! [`Journal`] with its type erased: what the runtime and the tools hold.

use crate::{
    append::{Append, Appended, Mark},
    ids::{Epoch, Incarnation, PartitionId, Position, Slice, SliceRange, Timestamp, Version},
    journal::{
        AppendBy, Capabilities, ClaimError, Journal, Ownership, PartitionPage, ReadError,
        ReadPartition, ReadStream, StreamPage,
    },
    recorded::RecordedAppend,
    stream::StreamId,
};
use std::{future::Future, pin::Pin, sync::Arc};

/// A future on the heap.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// [`Journal`] with its type erased: what the runtime and the tools hold. Implemented for every journal.
pub trait DynJournal: Send + Sync + 'static {
    /// See [`Journal::capabilities`].
    fn capabilities(&self) -> Capabilities;
    /// See [`Journal::incarnation`].
    fn incarnation(&self) -> Incarnation;
    /// See [`Journal::append`].
    fn append(&self, group: Vec<Append>) -> BoxFuture<'static, Vec<Appended>>;
    /// See [`Journal::claim`].
    fn claim(
        &self,
        slices: SliceRange,
        held: Option<Epoch>,
    ) -> BoxFuture<'_, Result<Ownership, ClaimError>>;
    /// See [`Journal::epoch`].
    fn epoch(&self, slice: Slice) -> BoxFuture<'_, Result<Epoch, ReadError>>;
    /// See [`Journal::read_stream`].
    fn read_stream(&self, read: ReadStream) -> BoxFuture<'_, Result<StreamPage, ReadError>>;
    /// See [`Journal::read_partition`].
    fn read_partition(
        &self,
        read: ReadPartition,
    ) -> BoxFuture<'_, Result<PartitionPage, ReadError>>;
    /// See [`Journal::read_append`].
    fn read_append<'a>(
        &'a self,
        stream: &'a StreamId,
        by: AppendBy,
    ) -> BoxFuture<'a, Result<Option<RecordedAppend>, ReadError>>;
    /// See [`Journal::head`].
    fn head(&self, partition: PartitionId) -> BoxFuture<'_, Result<Mark, ReadError>>;
    /// See [`Journal::wait_beyond`].
    fn wait_beyond(
        &self,
        partition: PartitionId,
        position: Position,
    ) -> BoxFuture<'_, Result<Mark, ReadError>>;
    /// See [`Journal::mark_at`].
    fn mark_at(
        &self,
        partition: PartitionId,
        position: Position,
    ) -> BoxFuture<'_, Result<Option<Mark>, ReadError>>;
    /// See [`Journal::at_time`].
    fn at_time(
        &self,
        partition: PartitionId,
        time: Timestamp,
    ) -> BoxFuture<'_, Result<Mark, ReadError>>;
    /// See [`Journal::version_at`].
    fn version_at<'a>(
        &'a self,
        stream: &'a StreamId,
        time: Timestamp,
    ) -> BoxFuture<'a, Result<Version, ReadError>>;
}

/// A journal shared by everything that reads or writes it.
pub type SharedJournal = Arc<dyn DynJournal>;

impl<J: Journal> DynJournal for J {
    fn capabilities(&self) -> Capabilities {
        Journal::capabilities(self)
    }
    fn incarnation(&self) -> Incarnation {
        Journal::incarnation(self)
    }
    fn append(&self, group: Vec<Append>) -> BoxFuture<'static, Vec<Appended>> {
        Box::pin(Journal::append(self, group))
    }
    fn claim(
        &self,
        slices: SliceRange,
        held: Option<Epoch>,
    ) -> BoxFuture<'_, Result<Ownership, ClaimError>> {
        Box::pin(Journal::claim(self, slices, held))
    }
    fn epoch(&self, slice: Slice) -> BoxFuture<'_, Result<Epoch, ReadError>> {
        Box::pin(Journal::epoch(self, slice))
    }
    fn read_stream(&self, read: ReadStream) -> BoxFuture<'_, Result<StreamPage, ReadError>> {
        Box::pin(Journal::read_stream(self, read))
    }
    fn read_partition(
        &self,
        read: ReadPartition,
    ) -> BoxFuture<'_, Result<PartitionPage, ReadError>> {
        Box::pin(Journal::read_partition(self, read))
    }
    fn read_append<'a>(
        &'a self,
        stream: &'a StreamId,
        by: AppendBy,
    ) -> BoxFuture<'a, Result<Option<RecordedAppend>, ReadError>> {
        Box::pin(Journal::read_append(self, stream, by))
    }
    fn head(&self, partition: PartitionId) -> BoxFuture<'_, Result<Mark, ReadError>> {
        Box::pin(Journal::head(self, partition))
    }
    fn wait_beyond(
        &self,
        partition: PartitionId,
        position: Position,
    ) -> BoxFuture<'_, Result<Mark, ReadError>> {
        Box::pin(Journal::wait_beyond(self, partition, position))
    }
    fn mark_at(
        &self,
        partition: PartitionId,
        position: Position,
    ) -> BoxFuture<'_, Result<Option<Mark>, ReadError>> {
        Box::pin(Journal::mark_at(self, partition, position))
    }
    fn at_time(
        &self,
        partition: PartitionId,
        time: Timestamp,
    ) -> BoxFuture<'_, Result<Mark, ReadError>> {
        Box::pin(Journal::at_time(self, partition, time))
    }
    fn version_at<'a>(
        &'a self,
        stream: &'a StreamId,
        time: Timestamp,
    ) -> BoxFuture<'a, Result<Version, ReadError>> {
        Box::pin(Journal::version_at(self, stream, time))
    }
}
