//! A file was uploaded: published in the transaction that adds it to the store.

use serde::{Deserialize, Serialize};

use crate::domain::events::DurableEvent;
use crate::domain::file::StoredFile;
use crate::domain::ids::{FileId, UserId};

/// A file was uploaded, and its content is in the file storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileUploadCompletedEvent {
    /// The file, which is the key of its content in the file storage.
    pub file_id: FileId,
    /// The administrator who uploaded it.
    pub owner_id: UserId,
    /// The media type.
    pub content_type: String,
    /// The number of bytes.
    pub size: i64,
    /// The SHA-256 digest of the content, in hexadecimal.
    pub sha256: String,
}

impl FileUploadCompletedEvent {
    /// Returns the event of a file.
    pub fn of(file: &StoredFile) -> Self {
        let StoredFile { id, owner_id, ref content_type, size, .. } = *file;
        let content_type = content_type.clone();
        Self { file_id: id, owner_id, content_type, size, sha256: file.checksum() }
    }
}

impl DurableEvent for FileUploadCompletedEvent {
    const TYPE: &'static str = "file_upload_completed";

    fn subject(&self) -> String {
        self.file_id.to_string()
    }
}
