//! Brings an empty or older database to the schema this program needs; each migration in one transaction, once.

use sha2::{Digest, Sha256};

use super::dialect;
use super::error::DatabaseError;
use super::param::params;
use super::unit_of_work::UnitOfWork;
use super::{Database, Setup};

/// A step of the schema. Its text is never changed once it was released: a later one is added instead.
struct Migration {
    version: i64,
    name: &'static str,
    script: &'static str,
}

const MIGRATIONS: &[Migration] =
    &[Migration { version: 1, name: "store", script: include_str!("../../../../migrations/0001_store.sql") }];

const HISTORY: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    version BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL
);";

/// How the schema of a database stands to the one that this program needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaState {
    /// There is none yet.
    Empty,
    /// It lacks the last migrations.
    Behind {
        /// The last it has.
        version: i64,
        /// How many it lacks.
        missing: usize,
    },
    /// It is the one.
    Current {
        /// The last migration.
        version: i64,
    },
    /// A newer program has been here.
    Ahead {
        /// The last migration it has.
        version: i64,
    },
    /// A migration was changed after it had been applied.
    Changed {
        /// Which.
        version: i64,
    },
}

/// Looks at the schema of a database, and leaves it as it is.
pub(crate) async fn state(database: &Database) -> Result<SchemaState, DatabaseError> {
    let applied = applied(database).await?;
    let Some((version, checksum)) = applied.last() else { return Ok(SchemaState::Empty) };
    let version = *version;
    let missing = MIGRATIONS.len().saturating_sub(applied.len());
    let known = MIGRATIONS.iter().find(|migration| migration.version == version);
    Ok(match known {
        None => SchemaState::Ahead { version },
        Some(migration) if checksum_of(migration) != *checksum => SchemaState::Changed { version },
        Some(_) if missing > 0 => SchemaState::Behind { version, missing },
        Some(_) => SchemaState::Current { version },
    })
}

/// Sets up an empty database; one that is behind is brought up to date or refused. Whether it was empty before.
pub(crate) async fn set_up(database: &Database, setup: Setup) -> Result<bool, DatabaseError> {
    let refused = |why: String| Err(DatabaseError::Schema(why));
    match (state(database).await?, setup) {
        (SchemaState::Current { .. }, _) => Ok(false),
        (SchemaState::Ahead { version }, _) => refused(format!(
            "the database is at version {version}, which this program does not know: it is older than the database"
        )),
        (SchemaState::Changed { version }, _) => {
            refused(format!("migration {version} was changed after it had been applied"))
        }
        (SchemaState::Empty, Setup::Never) => {
            refused("the database is empty: `serve` and `import` set one up".into())
        }
        (SchemaState::Behind { missing, .. }, Setup::IfEmpty | Setup::Never) => {
            refused(format!("the database is {missing} migrations behind: run `undercroft migrate`"))
        }
        (SchemaState::Empty, _) | (SchemaState::Behind { .. }, Setup::Migrate) => {
            database.write((), async |work, ()| apply(work).await).await
        }
    }
}

/// The versions and checksums that the database has.
async fn applied(database: &Database) -> Result<Vec<(i64, String)>, DatabaseError> {
    let mut connection = database.read().await?;
    let there = dialect::table_exists(connection.engine());
    if !connection.one::<bool>(there, &params!["schema_migrations"]).await? {
        return Ok(Vec::new());
    }
    let sql = "SELECT version, checksum FROM schema_migrations ORDER BY version";
    connection.all(sql, &[]).await
}

/// Applies what is missing; whether that was everything.
async fn apply(work: &mut UnitOfWork) -> Result<bool, DatabaseError> {
    let engine = work.engine();
    let mut applied = 0;
    work.script(dialect::lock_schema(engine)).await?;
    work.script(&dialect::translate(engine, HISTORY)).await?;
    for migration in MIGRATIONS {
        let sql = "SELECT EXISTS (SELECT 1 FROM schema_migrations WHERE version = $1)";
        if work.one::<bool>(sql, &params![migration.version]).await? {
            continue;
        }
        work.script(&dialect::translate(engine, migration.script)).await?;
        let values = params![migration.version, migration.name, checksum_of(migration), work.now()];
        work.execute(
            "INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES ($1, $2, $3, $4)",
            &values,
        )
        .await?;
        applied += 1;
    }
    Ok(applied == MIGRATIONS.len())
}

fn checksum_of(migration: &Migration) -> String {
    let digest = Sha256::digest(migration.script.as_bytes());
    let first = digest.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    format!("{first:016x}")
}
