//! The temporary copy of a store that a dry run imports into.
//!
//! A transaction that is rolled back at its end would lock rows of the store, such as the counters of order numbers, as
//! long as the import takes. A copy locks nothing, and the import into it is the same as into the store.

use std::ops::ControlFlow;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::super::CliError;
use crate::{
    domain::context::Context,
    infrastructure::repositories::{
        Database, DatabaseUrl, SchemaState,
        copy::{CopyError, CopyObserver, CopyStep, copy},
        sqlite_backup,
    },
    settings::Settings,
};

/// The temporary copy of a store. Dropping it removes the files.
pub(super) struct TrialStore {
    /// The settings of the store, with the copy as the database.
    pub settings: Settings,
    _folder: TempDir,
}

impl TrialStore {
    /// Copies the store of the settings to a SQLite file in a folder that only the user of this process may read. An
    /// empty database has an empty copy.
    pub(super) async fn copy_of(settings: &Settings, stop: CancellationToken) -> Result<Self, CliError> {
        let folder = TempDir::with_prefix("undercroft-")
            .map_err(|source| CliError::File { file: std::env::temp_dir(), source })?;
        let file = folder.path().join("dry-run.db");
        let from = &settings.database;
        let to = DatabaseUrl::Sqlite(file.clone());
        match from.file() {
            Some(store) if store.exists() => {
                if !sqlite_backup::back_up(store, &file, || stop.is_cancelled())? {
                    return Err(CliError::Copy(CopyError::Stopped));
                }
            }
            Some(_) => {}
            None if Database::look(from, Context::system()).await? == SchemaState::Empty => {}
            None => {
                // the future of a copy is large
                Box::pin(copy(from, &to, Context::system(), &mut Unobserved { stop }))
                    .await
                    .map_err(CliError::Copy)?;
            }
        }
        Ok(Self { settings: Settings { database: to, ..settings.clone() }, _folder: folder })
    }
}

/// Shows no progress, and ends the copy when `stop` is cancelled.
struct Unobserved {
    stop: CancellationToken,
}

impl CopyObserver for Unobserved {
    fn progressed(&mut self, _: CopyStep, _: i64, _: Option<i64>) -> ControlFlow<()> {
        if self.stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
