//! The check that each file has its content.

use crate::application::Store;
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::FileRepository;

/// What a check of the files found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileCheck {
    /// The number of files.
    pub files: u64,
    /// The number of those whose content is missing.
    pub missing: u64,
    /// The number of those whose content has another size.
    pub damaged: u64,
}

/// Checks that the file storage has the content of each file, with its size.
pub async fn check(store: &Store) -> Result<FileCheck, Failure> {
    let (mut found, mut last) = (FileCheck::default(), None);
    loop {
        let files = {
            let mut connection = store.database().read().await?;
            FileRepository(&mut connection).scan(&mut last).await?
        };
        let Some(files) = files else { return Ok(found) };
        for file in files {
            found.files += 1;
            match store.infrastructure.files.storage().size(file.id).await? {
                None => found.missing += 1,
                Some(size) if i64::try_from(size) != Ok(file.size) => found.damaged += 1,
                Some(_) => {}
            }
        }
    }
}
