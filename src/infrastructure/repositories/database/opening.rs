//! Opens a database, and sets up its schema if the command may do so.

use std::sync::Arc;

use tokio::sync::Notify;

use super::error::DatabaseError;
use super::migrations::{self, SchemaState};
use super::observed_work::Observer;
use super::postgres_pool::PostgresDatabase;
use super::signing_key::SigningKey;
use super::sqlite::SqliteDatabase;
use super::unit_of_work::Origin;
use super::{Backend, Database, DatabaseUrl, Setup, sqlite_file};
use crate::domain::context::Context;

impl Database {
    /// Opens the database at `url`, and sets up its schema as `setup` allows.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Schema`] if the schema is not the one that this program needs and `setup` does not change it,
    /// or the database has tables of another program; [`DatabaseError::Missing`] if there is no such database;
    /// [`DatabaseError::Unavailable`] if it cannot be reached, or its URL cannot be used; [`DatabaseError::ReadOnly`]
    /// and [`DatabaseError::Full`] if it cannot be set up.
    pub async fn open(url: &DatabaseUrl, context: Context, setup: Setup) -> Result<Self, DatabaseError> {
        let mut database = match setup {
            Setup::ReadOnly => Self::connect_for_reading(url, context)?,
            Setup::Existing => Self::connect_to_existing(url, context)?,
            Setup::IfEmpty | Setup::Migrate => Self::connect_for_writing(url, context)?,
        };
        database.is_new = migrations::set_up(&database, setup).await?;
        database.signing_key = SigningKey::load(&database).await?;
        Ok(database)
    }

    /// Returns the state of the schema of the database at `url`. Creates and changes nothing.
    pub async fn look(url: &DatabaseUrl, context: Context) -> Result<SchemaState, DatabaseError> {
        migrations::state(&Self::connect_for_reading(url, context)?).await
    }

    /// Connects to the database at `url`. A SQLite file is created if it is missing, and gets a new number.
    pub(super) fn connect_for_writing(url: &DatabaseUrl, context: Context) -> Result<Self, DatabaseError> {
        if let DatabaseUrl::Sqlite(file) = url {
            sqlite_file::create(file)?;
        }
        Self::connect(url, context, true)
    }

    /// Connects to the store at `url` for writing. Nothing is created, and a file that is empty is not changed.
    pub(super) fn connect_to_existing(url: &DatabaseUrl, context: Context) -> Result<Self, DatabaseError> {
        if let DatabaseUrl::Sqlite(file) = url
            && !file.exists()
        {
            let file = file.display();
            return Err(DatabaseError::Missing(format!(
                "{file}, which `serve` or `import` creates for a new store"
            )));
        }
        Self::connect(url, context, false)
    }

    /// Connects to the database at `url` for writing.
    fn connect(url: &DatabaseUrl, context: Context, may_be_empty: bool) -> Result<Self, DatabaseError> {
        let mut instance = [0; 4];
        context.ids.secret(&mut instance);
        let backend = match url {
            DatabaseUrl::Sqlite(file) => {
                Backend::Sqlite(SqliteDatabase::open(file, u32::from_ne_bytes(instance), may_be_empty)?)
            }
            DatabaseUrl::Postgres(url) => Backend::Postgres(Box::new(PostgresDatabase::open(url, false)?)),
        };
        Ok(Self::new(backend, context))
    }

    /// Connects to the database at `url`, to which nothing is written.
    pub(super) fn connect_for_reading(url: &DatabaseUrl, context: Context) -> Result<Self, DatabaseError> {
        let backend = match url {
            DatabaseUrl::Sqlite(file) => Backend::Sqlite(SqliteDatabase::open_for_reading(file)?),
            DatabaseUrl::Postgres(url) => Backend::Postgres(Box::new(PostgresDatabase::open(url, true)?)),
        };
        Ok(Self::new(backend, context))
    }

    fn new(backend: Backend, context: Context) -> Self {
        Self {
            backend: Arc::new(backend),
            context,
            committed: Arc::new(Notify::new()),
            signing_key: SigningKey::default(),
            origin: Origin::default(),
            observer: Observer::default(),
            is_new: false,
            continues: false,
        }
    }
}
