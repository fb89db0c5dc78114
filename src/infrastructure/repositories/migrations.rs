//! Brings an empty or older database to the schema this program needs; each migration in one transaction, once.

use sha2::{Digest, Sha256};

use super::database::{Database, Setup};
use super::dialect;
use super::error::StoreError;
use super::unit_of_work::UnitOfWork;
use super::value::{params, scalar};

/// A step of the schema. Its text is never changed once it was released: a later one is added instead.
struct Migration {
    version: i64,
    name: &'static str,
    script: &'static str,
}

const MIGRATIONS: &[Migration] =
    &[Migration { version: 1, name: "store", script: include_str!("../../../migrations/0001_store.sql") }];

const HISTORY: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    version BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL
);";

/// Sets up an empty database; one that is behind is brought up to date or refused.
pub(super) async fn set_up(database: &Database, setup: Setup) -> Result<(), StoreError> {
    let applied = applied(database).await?;
    if let Some((version, checksum)) = applied.last() {
        let known = MIGRATIONS.iter().find(|migration| migration.version == *version);
        match known {
            None => {
                return Err(StoreError::Schema(format!(
                    "the database is at version {version}, which this program does not know: it is older than the database"
                )));
            }
            Some(migration) if checksum_of(migration) != *checksum => {
                return Err(StoreError::Schema(format!(
                    "migration {version} was changed after it had been applied"
                )));
            }
            Some(_) => {}
        }
    }
    let missing = MIGRATIONS.len().saturating_sub(applied.len());
    if missing == 0 {
        return Ok(());
    }
    if !applied.is_empty() && setup == Setup::IfEmpty {
        return Err(StoreError::Schema(format!(
            "the database is {missing} migrations behind: run `undercroft migrate`"
        )));
    }
    database.write(|unit_of_work| Box::pin(apply(unit_of_work))).await
}

/// The versions and checksums that the database has.
async fn applied(database: &Database) -> Result<Vec<(i64, String)>, StoreError> {
    let mut session = database.read().await?;
    let there = dialect::table_exists(session.engine());
    if !session.one(there, &params!["schema_migrations"], scalar::<bool>).await? {
        return Ok(Vec::new());
    }
    let sql = "SELECT version, checksum FROM schema_migrations ORDER BY version";
    session.all(sql, &[], |row| Ok((row.get(0)?, row.get(1)?))).await
}

async fn apply(unit_of_work: &mut UnitOfWork) -> Result<(), StoreError> {
    let engine = unit_of_work.engine();
    unit_of_work.script(dialect::lock_schema(engine)).await?;
    unit_of_work.script(&dialect::translate(engine, HISTORY)).await?;
    for migration in MIGRATIONS {
        let sql = "SELECT EXISTS (SELECT 1 FROM schema_migrations WHERE version = $1)";
        if unit_of_work.one(sql, &params![migration.version], scalar::<bool>).await? {
            continue;
        }
        unit_of_work.script(&dialect::translate(engine, migration.script)).await?;
        let values = params![migration.version, migration.name, checksum_of(migration), unit_of_work.now()];
        unit_of_work
            .execute(
                "INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES ($1, $2, $3, $4)",
                &values,
            )
            .await?;
    }
    Ok(())
}

fn checksum_of(migration: &Migration) -> String {
    let digest = Sha256::digest(migration.script.as_bytes());
    let first = digest.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    format!("{first:016x}")
}
