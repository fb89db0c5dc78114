//! Files: uploaded, read and deleted, with their contents in the file storage.
//!
//! The database and the storage have no common transaction. Therefore the id of a file is recorded as unused before its
//! content is stored and when the file is deleted. The transaction that adds the file removes the record, and so does
//! the removal of the content. What is interrupted between them is completed by a job.

mod check;
mod cleaning;
mod contents;
mod upload;

use std::ops::Range;

pub use self::check::{FileCheck, check};
pub(crate) use self::cleaning::clean;
pub use self::contents::{contents_of, purchases, subscription};
pub use self::upload::{Upload, upload};

use crate::application::Store;
use crate::domain::file::StoredFile;
use crate::domain::ids::FileId;
use crate::domain::ports::FileContent;
use crate::infrastructure::exceptions::{Conflict, Failure, NotFound};
use crate::infrastructure::repositories::{DatabaseError, FileRepository, Page};

/// Returns a page of files, newest first.
pub async fn files(store: &Store, limit: usize, cursor: Option<&str>) -> Result<Page<StoredFile>, Failure> {
    let request = store.database().page_request(limit, cursor);
    let mut connection = store.database().read().await?;
    Ok(FileRepository(&mut connection).list(&request).await?)
}

/// Returns a file.
///
/// # Errors
///
/// [`NotFound::File`].
pub async fn file(store: &Store, id: FileId) -> Result<StoredFile, Failure> {
    Ok(store.database().read().await?.find(id).await?.ok_or(NotFound::File)?)
}

/// Returns a public file.
///
/// # Errors
///
/// [`NotFound::File`], also for the content of a product.
pub async fn public_file(store: &Store, id: FileId) -> Result<StoredFile, Failure> {
    let file = file(store, id).await?;
    if file.product_id.is_some() { Err(NotFound::File.into()) } else { Ok(file) }
}

/// Returns these bytes of the content of a file.
pub async fn content(store: &Store, id: FileId, bytes: Range<u64>) -> Result<Box<dyn FileContent>, Failure> {
    Ok(store.infrastructure.files.storage().get(id, bytes).await?)
}

/// Deletes a file and its content.
///
/// # Errors
///
/// [`NotFound::File`], and [`Conflict::FileInUse`] if it is an image of a product.
pub async fn delete(store: &Store, id: FileId) -> Result<(), Failure> {
    let write = store.database().write(id, async |work, id| match work.remove::<StoredFile>(*id).await {
        Ok(true) => Ok(FileRepository::add_unused(work, *id).await.map(drop)?),
        Ok(false) => Err(Failure::from(NotFound::File)),
        Err(DatabaseError::ForeignKey(_)) => Err(Conflict::FileInUse.into()),
        Err(error) => Err(error.into()),
    });
    write.await?;
    cleaning::remove_now(store, id).await;
    Ok(())
}
