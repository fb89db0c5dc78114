//! Files, and the ids whose contents in the file storage no file uses.

use jiff::Timestamp;

use super::database::{
    Conditions, Connection, DatabaseError, ListError, Page, PageRequest, Param, UnitOfWork, key_lists,
    params, select, table,
};
use crate::domain::file::StoredFile;
use crate::domain::ids::{FileId, ProductId};

table! {
    StoredFile in "files", key FileId, listed by created_at;
    id,
    owner_id,
    product_id,
    name,
    content_type,
    size,
    sha256,
    created_at,
}

/// Queries on files.
pub struct FileRepository<'a>(pub &'a mut Connection);

impl FileRepository<'_> {
    /// Returns a page of files, newest first.
    pub async fn list(&mut self, request: &PageRequest<'_>) -> Result<Page<StoredFile>, ListError> {
        self.0.newest(&(), Conditions::default(), request).await
    }

    /// Returns the contents of a product, oldest first: up to `limit`.
    pub async fn of_product(
        &mut self,
        product_id: ProductId,
        limit: usize,
    ) -> Result<Vec<StoredFile>, DatabaseError> {
        let sql = select::<StoredFile>("WHERE product_id = $1 ORDER BY created_at, id LIMIT $2");
        self.0.all(&sql, &params![product_id, limit]).await
    }

    /// Returns the next files in the order of their ids; see [`Connection::scan`].
    pub async fn scan(
        &mut self,
        last: &mut Option<Param<'static>>,
    ) -> Result<Option<Vec<StoredFile>>, DatabaseError> {
        self.0.scan::<StoredFile>("id", last, |file| file.id.into()).await
    }

    /// Returns the files with these ids, in no order.
    pub async fn by_ids(&mut self, ids: &[FileId]) -> Result<Vec<StoredFile>, DatabaseError> {
        let mut files = Vec::with_capacity(ids.len());
        for (keys, list) in key_lists(ids) {
            files.extend(self.0.all(&select::<StoredFile>(&format!("WHERE id IN ({list})")), &keys).await?);
        }
        Ok(files)
    }

    /// Records which files a product uses: these cannot be deleted.
    pub async fn set_used(
        work: &mut UnitOfWork,
        product_id: ProductId,
        ids: impl Iterator<Item = FileId>,
    ) -> Result<(), DatabaseError> {
        work.execute("DELETE FROM product_files WHERE product_id = $1", &params![product_id]).await?;
        for id in ids {
            let sql = "INSERT INTO product_files (product_id, file_id) VALUES ($1, $2)";
            work.execute(sql, &params![product_id, id]).await?;
        }
        Ok(())
    }

    /// Returns whether an id may have a content that no file uses.
    pub async fn is_unused(&mut self, id: FileId) -> Result<bool, DatabaseError> {
        self.0.one("SELECT EXISTS (SELECT 1 FROM unused_files WHERE id = $1)", &params![id]).await
    }

    /// Returns up to `limit` ids that have been unused since before a time.
    pub async fn unused(&mut self, before: Timestamp, limit: usize) -> Result<Vec<FileId>, DatabaseError> {
        let sql = "SELECT id FROM unused_files WHERE since < $1 ORDER BY since LIMIT $2";
        self.0.all(sql, &params![before, limit]).await
    }

    /// Records that an id may have a content that no file uses, from now on; returns the time.
    pub async fn add_unused(work: &mut UnitOfWork, id: FileId) -> Result<Timestamp, DatabaseError> {
        let since = work.now();
        work.execute("INSERT INTO unused_files (id, since) VALUES ($1, $2)", &params![id, since]).await?;
        Ok(since)
    }

    /// Claims a content that has been unused since before a time, to remove it: an upload of it cannot be completed any
    /// more. Returns whether it is still unused since then.
    pub async fn claim_unused(
        work: &mut UnitOfWork,
        id: FileId,
        before: Timestamp,
    ) -> Result<bool, DatabaseError> {
        let sql = "UPDATE unused_files SET since = $3 WHERE id = $1 AND since < $2";
        let values = params![id, before, work.now()];
        Ok(work.execute(sql, &values).await? == 1)
    }

    /// Records that the content of an id is used, which was received since a time. Returns whether it is there: it was
    /// not claimed to be removed.
    pub async fn use_received(
        work: &mut UnitOfWork,
        id: FileId,
        since: Timestamp,
    ) -> Result<bool, DatabaseError> {
        let sql = "DELETE FROM unused_files WHERE id = $1 AND since = $2";
        Ok(work.execute(sql, &params![id, since]).await? == 1)
    }

    /// Records that an id has no unused content any more.
    pub async fn remove_unused(work: &mut UnitOfWork, id: FileId) -> Result<(), DatabaseError> {
        work.execute("DELETE FROM unused_files WHERE id = $1", &params![id]).await.map(drop)
    }
}
