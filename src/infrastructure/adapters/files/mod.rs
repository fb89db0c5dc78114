//! File storages behind [`FileStorage`], and the URL that selects one.

mod folder_adapter;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use self::folder_adapter::FolderAdapter;
use crate::domain::ports::FileStorage;

/// The file storage of a store. Clones share it.
#[derive(Clone)]
pub struct Files {
    storage: Arc<dyn FileStorage>,
    /// What operators see of the URL.
    shown: Arc<str>,
    /// The most bytes of a file.
    limit: usize,
}

/// The URL of a file storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilesUrl {
    /// `file:FOLDER`: a folder of this machine.
    Folder(PathBuf),
}

/// A text is no URL of a file storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not `file:FOLDER`")]
pub struct InvalidFilesUrl;

impl FromStr for FilesUrl {
    type Err = InvalidFilesUrl;

    fn from_str(text: &str) -> Result<Self, InvalidFilesUrl> {
        let folder = text.strip_prefix("file:").filter(|folder| !folder.is_empty() && !folder.contains('\0'));
        folder.map(|folder| Self::Folder(folder.into())).ok_or(InvalidFilesUrl)
    }
}

impl Files {
    /// Returns the storage of a URL, whose files have at most `limit` bytes. A folder that is not absolute is one of
    /// `beside`.
    pub fn new(url: &FilesUrl, beside: &Path, limit: usize) -> Self {
        let FilesUrl::Folder(folder) = url;
        let folder = beside.join(folder);
        let shown = format!("file:{}", folder.display()).into();
        Self { storage: Arc::new(FolderAdapter::new(folder)), shown, limit }
    }

    /// Returns the port.
    pub fn storage(&self) -> &dyn FileStorage {
        &*self.storage
    }

    /// Returns the most bytes of a file.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Returns the URL, for operators.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Files").field(&self.shown).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_a_folder_is_parsed() {
        assert_eq!("file:./files".parse(), Ok(FilesUrl::Folder("./files".into())));
        assert_eq!("file:/var/lib/files".parse(), Ok(FilesUrl::Folder("/var/lib/files".into())));
        for text in ["", "file:", "./files", "s3://bucket", "file:a\0b"] {
            assert_eq!(text.parse::<FilesUrl>(), Err(InvalidFilesUrl), "{text}");
        }
    }
}
