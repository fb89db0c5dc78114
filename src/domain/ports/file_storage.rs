//! The port of file storages: a folder, or a service for objects.

use std::ops::Range;

use bytes::Bytes;

use super::PortFuture;
use crate::domain::ids::FileId;

/// Stores contents under the ids of files.
pub trait FileStorage: Send + Sync {
    /// Stores a content under an id that has none. It is durable when the future returns `Ok`; before that, and if it
    /// is dropped, none of it can be read.
    fn put<'a>(&'a self, id: FileId, content: &'a mut dyn FileContent) -> PortFuture<'a, (), FileError>;

    /// Returns these bytes of a content.
    fn get(&self, id: FileId, bytes: Range<u64>) -> PortFuture<'_, Box<dyn FileContent>, FileError>;

    /// Returns the number of bytes of a content; `None` if there is none.
    fn size(&self, id: FileId) -> PortFuture<'_, Option<u64>, FileError>;

    /// Removes a content, or what an interrupted [`FileStorage::put`] left, if there is any.
    fn remove(&self, id: FileId) -> PortFuture<'_, (), FileError>;

    /// Fails if no content can be stored. Nothing is left of what is written for it.
    fn check(&self) -> PortFuture<'_, (), FileError>;
}

/// A content that is read part by part.
pub trait FileContent: Send {
    /// Returns the next part; `None` at the end.
    fn next(&mut self) -> PortFuture<'_, Option<Bytes>, Interrupted>;
}

/// A content could not be read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the content was not read to its end")]
pub struct Interrupted;

/// Why a storage failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// There is no content under the id.
    #[error("the file storage has no content of the file")]
    Missing,
    /// The content to store could not be read.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// The storage cannot be used, such as a full disk or missing permissions.
    #[error("the file storage cannot be used: {0}")]
    Unavailable(String),
}
