//! The upload of a file: its content is checked while it is stored.

use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::cleaning::remove_now;
use crate::application::Store;
use crate::application::idempotency::{Responder, once};
use crate::domain::file::{BEGINNING, StoredFile, begins_like};
use crate::domain::ids::{FileId, ProductId, UserId};
use crate::domain::ports::{FileContent, Interrupted, PortFuture};
use crate::domain::product::Product;
use crate::infrastructure::events::FileUploadCompletedEvent;
use crate::infrastructure::exceptions::{
    Failure, Fault, Location, NotFound, RejectedRequest, Technical, TechnicalKind, ValidationException,
};
use crate::infrastructure::repositories::{FileRepository, StoredResponse, UnitOfWork, spawn_in_trace};

/// A file that is uploaded.
pub struct Upload {
    /// The administrator.
    pub owner_id: UserId,
    /// The product whose content it is; `None` is a public file.
    pub product_id: Option<ProductId>,
    /// The name for people.
    pub name: String,
    /// The media type, without parameters.
    pub content_type: String,
    /// The SHA-256 digest that the content must have; `None` is any.
    pub sha256: Option<Vec<u8>>,
    /// The content.
    pub content: Box<dyn FileContent>,
}

/// Stores a file and its content; `received` gets the SHA-256 digest of the content when all of it was received, and
/// may refuse the file. Runs in a task of its own, which removes what it stored if the client disconnects.
///
/// # Errors
///
/// [`RejectedRequest::BodyTooLarge`] and [`RejectedRequest::BodyIncomplete`]; [`ValidationException`] for an empty
/// content, another digest than the expected one, and a content that does not begin as its media type requires;
/// [`NotFound::Product`]; those of `received`.
pub async fn upload<F>(
    store: &Store,
    upload: Upload,
    received: impl FnOnce(Vec<u8>) -> F + Send + 'static,
) -> Result<StoredResponse, Failure>
where
    F: Future<Output = Result<Responder<StoredFile>, Failure>> + Send,
{
    let store = store.clone();
    let task = spawn_in_trace(async move {
        let id = FileId(store.database().context().ids.uuid());
        let begin =
            store.database().write(id, async |work, id| Ok(FileRepository::add_unused(work, *id).await?));
        let since = begin.await.map_err(|failure: Failure| failure)?;
        let stored = async {
            let file = receive(&store, id, upload).await?;
            let responder = received(file.sha256.clone()).await?;
            once(&store, responder, (file, since), complete).await
        };
        let response = stored.await;
        // after a failure, or if an earlier request with the same key stored another file
        remove_now(&store, id).await;
        response
    });
    task.await.unwrap_or_else(|error| Err(Technical::internal(error).into()))
}

/// Stores the content of a file.
async fn receive(store: &Store, id: FileId, upload: Upload) -> Result<StoredFile, Failure> {
    let Upload { owner_id, product_id, name, content_type, sha256, content } = upload;
    let files = &store.infrastructure.files;
    let mut received = Received {
        content,
        content_type,
        expected: sha256,
        limit: files.limit(),
        size: 0,
        beginning: Vec::with_capacity(BEGINNING),
        hash: Sha256::new(),
        failure: None,
    };
    if let Err(error) = files.storage().put(id, &mut received).await {
        return Err(received.failure.unwrap_or_else(|| error.into()));
    }
    let Received { content_type, size, hash, .. } = received;
    let size = i64::try_from(size).map_err(Technical::internal)?;
    let sha256 = hash.finalize().to_vec();
    Ok(StoredFile { id, owner_id, product_id, name, content_type, size, sha256, created_at: store.now() })
}

/// Adds a file whose content is stored, and was received since a time.
async fn complete(
    work: &mut UnitOfWork,
    (file, since): &(StoredFile, Timestamp),
) -> Result<StoredFile, Failure> {
    if !FileRepository::use_received(work, file.id, *since).await? {
        let reason = "the upload took so long that its content was removed";
        return Err(Technical::new(TechnicalKind::Unavailable, reason).into());
    }
    let file = StoredFile { created_at: work.now(), ..file.clone() };
    if let Some(product_id) = file.product_id
        && !work.exists::<Product>(product_id).await?
    {
        return Err(NotFound::Product.into());
    }
    work.insert(&file).await?;
    work.publish(&FileUploadCompletedEvent::of(&file)).await?;
    Ok(file)
}

/// A content that is checked as it is read.
struct Received {
    content: Box<dyn FileContent>,
    content_type: String,
    expected: Option<Vec<u8>>,
    limit: usize,
    size: usize,
    beginning: Vec<u8>,
    hash: Sha256,
    /// Why the content is refused.
    failure: Option<Failure>,
}

impl Received {
    async fn read(&mut self) -> Result<Option<Bytes>, Failure> {
        let Some(bytes) = self.content.next().await.map_err(|Interrupted| RejectedRequest::BodyIncomplete)?
        else {
            return self.check().map(|()| None);
        };
        self.size = self.size.saturating_add(bytes.len());
        if self.size > self.limit {
            return Err(RejectedRequest::BodyTooLarge { limit: self.limit }.into());
        }
        self.beginning.extend(bytes.iter().take(BEGINNING - self.beginning.len()));
        self.hash.update(&bytes);
        Ok(Some(bytes))
    }

    /// Checks the content at its end.
    fn check(&self) -> Result<(), Failure> {
        if self.size == 0 {
            return Err(ValidationException::one("", Fault::TooShort { min_length: 1 }).into());
        }
        if !begins_like(&self.content_type, &self.beginning) {
            return Err(ValidationException::one(Location::Header("content-type"), Fault::Invalid).into());
        }
        let digest = self.hash.clone().finalize();
        if self.expected.as_ref().is_some_and(|expected| **expected != digest[..]) {
            return Err(ValidationException::one(Location::Header("content-digest"), Fault::Invalid).into());
        }
        Ok(())
    }
}

impl FileContent for Received {
    fn next(&mut self) -> PortFuture<'_, Option<Bytes>, Interrupted> {
        Box::pin(async move {
            self.read().await.map_err(|failure| {
                self.failure = Some(failure);
                Interrupted
            })
        })
    }
}
