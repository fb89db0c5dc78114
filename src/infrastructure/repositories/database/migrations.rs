//! Migrations: set up an empty database, or bring an older one to the schema that this program needs.
//!
//! All missing migrations are applied in one transaction.

use sha2::{Digest, Sha256};

use super::dialect;
use super::error::DatabaseError;
use super::param::params;
use super::role::{self, Role};
use super::scripts::{MIGRATIONS, Migration};
use super::unit_of_work::UnitOfWork;
use super::{Database, Setup};

/// The table that a database has while a copy into it is not complete.
pub(crate) const COPY_MARKER: &str = "copy_tables";

/// Why a database that was handed over is refused.
const MOVED: &str = "the store has moved to another database (`undercroft replicate --hand-over`): set `database` to that \
                     one. In an emergency `undercroft replicate --make-live` makes this database that of the store again, \
                     without what was written to the other one since";
/// Why the schema of a database that is replicated is not changed.
const REPLICATED: &str = "the database is replicated, and the other one would get another schema: complete the hand-over, \
                          or run `undercroft replicate --stop`, before `undercroft migrate`";

const HISTORY: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    version BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL
);";

/// The state of a database's schema, compared with the one that this program needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaState {
    /// The database is empty.
    Empty,
    /// The database has tables of another program, and none of a store.
    Foreign,
    /// The last migrations are missing.
    Behind {
        /// The last migration that was applied.
        version: i64,
        /// The number of missing migrations.
        missing: usize,
    },
    /// All migrations were applied.
    Current {
        /// The last migration.
        version: i64,
    },
    /// A newer program has applied migrations that this one does not know.
    Ahead {
        /// The last migration that was applied.
        version: i64,
    },
    /// A migration was changed after it had been applied.
    Changed {
        /// The migration that was changed.
        version: i64,
    },
    /// A copy of another database into this one is not complete.
    CopyIncomplete,
}

/// Returns the state of the schema. Changes nothing.
pub(crate) async fn state(database: &Database) -> Result<SchemaState, DatabaseError> {
    // before the others: a schema is set up in one transaction, perhaps by another process at this moment
    if !has_any_table(database).await? {
        return Ok(SchemaState::Empty);
    }
    if has_table(database, COPY_MARKER).await? {
        return Ok(SchemaState::CopyIncomplete);
    }
    Ok(match compare(&applied(database).await?, MIGRATIONS) {
        SchemaState::Empty => SchemaState::Foreign,
        state => state,
    })
}

/// Compares the migrations that were applied, as versions and checksums, with those of this program.
fn compare(applied: &[(i64, String)], migrations: &[Migration]) -> SchemaState {
    let Some(&(last, _)) = applied.last() else { return SchemaState::Empty };
    for (version, checksum) in applied {
        match migrations.iter().find(|migration| migration.version == *version) {
            None => return SchemaState::Ahead { version: last },
            Some(migration) if checksum_of(migration) != *checksum => {
                return SchemaState::Changed { version: *version };
            }
            Some(_) => {}
        }
    }

    match migrations.len() - applied.len() {
        0 => SchemaState::Current { version: last },
        missing => SchemaState::Behind { version: last, missing },
    }
}

/// Applies missing migrations, if `setup` allows it; returns whether the database was empty before.
pub(crate) async fn set_up(database: &Database, setup: Setup) -> Result<bool, DatabaseError> {
    let refused = |reason: String| Err(DatabaseError::Schema(reason));
    let state = state(database).await?;
    if setup != Setup::ReadOnly
        && !matches!(state, SchemaState::CopyIncomplete | SchemaState::Foreign)
        && database.role().await? == Role::Moved
    {
        return refused(MOVED.into());
    }
    match (state, setup) {
        (SchemaState::Current { .. }, _) => Ok(false),
        (SchemaState::Ahead { version }, _) => refused(format!(
            "the database is at version {version}, which this program does not know: it is older than the database"
        )),
        (SchemaState::Changed { version }, _) => {
            refused(format!("migration {version} was changed after it had been applied"))
        }
        (SchemaState::CopyIncomplete, _) => refused(
            "the database has an incomplete copy of another one: run the same `undercroft copy` or `undercroft \
             replicate` again to complete it"
                .into(),
        ),
        (SchemaState::Foreign, _) => Err(DatabaseError::foreign()),
        (SchemaState::Empty, Setup::ReadOnly | Setup::Existing) => {
            refused("the database is empty: `serve` or `import` sets up a new store".into())
        }
        (SchemaState::Behind { missing, .. }, Setup::IfEmpty | Setup::Existing | Setup::ReadOnly) => {
            let noun = if missing == 1 { "migration" } else { "migrations" };
            refused(format!("the database is {missing} {noun} behind: run `undercroft migrate`"))
        }
        (SchemaState::Empty, _) | (SchemaState::Behind { .. }, Setup::Migrate) => {
            database.write((), async |work, ()| apply(work).await).await
        }
    }
}

/// Returns the versions and checksums of the applied migrations.
async fn applied(database: &Database) -> Result<Vec<(i64, String)>, DatabaseError> {
    let mut connection = database.read().await?;
    if !connection.one::<bool>(dialect::history_exists(database.engine()), &[]).await? {
        return Ok(Vec::new());
    }
    let sql = "SELECT version, checksum FROM schema_migrations ORDER BY version";
    connection.all(sql, &[]).await
}

async fn has_any_table(database: &Database) -> Result<bool, DatabaseError> {
    database.read().await?.one(dialect::any_table_exists(database.engine()), &[]).await
}

async fn has_table(database: &Database, name: &str) -> Result<bool, DatabaseError> {
    database.read().await?.one(dialect::table_exists(database.engine()), &params![name]).await
}

/// Applies the missing migrations; returns whether these were all.
pub(crate) async fn apply(work: &mut UnitOfWork) -> Result<bool, DatabaseError> {
    let engine = work.engine();
    let mut applied = 0;
    work.script(dialect::lock_schema(engine)).await?;
    if role::role(work).await? != Role::Live {
        return Err(DatabaseError::Schema(REPLICATED.into()));
    }
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

#[cfg(test)]
mod tests {
    use super::super::new_database;
    use super::*;

    #[tokio::test]
    async fn the_schema_of_a_database_that_is_replicated_is_not_changed() {
        let (_folder, database) = new_database().await;
        let applied = database.write((), async |work, ()| {
            work.script("DELETE FROM schema_migrations; CREATE TABLE replication (role TEXT)").await?;
            work.script("INSERT INTO replication VALUES ('source')").await?;
            apply(work).await
        });
        let error = applied.await.unwrap_err();
        assert!(matches!(&error, DatabaseError::Schema(text) if text == REPLICATED), "{error}");
    }

    const KNOWN: [Migration; 3] = [
        Migration { version: 1, name: "one", script: "CREATE TABLE a (b BIGINT)" },
        Migration { version: 2, name: "two", script: "CREATE TABLE c (d BIGINT)" },
        Migration { version: 3, name: "three", script: "CREATE TABLE e (f BIGINT)" },
    ];

    fn applied(count: usize) -> Vec<(i64, String)> {
        let applied = KNOWN.iter().take(count);
        applied.map(|migration| (migration.version, checksum_of(migration))).collect()
    }

    #[test]
    fn the_state_says_how_many_of_the_last_migrations_are_missing() {
        assert_eq!(compare(&applied(0), &KNOWN), SchemaState::Empty);
        assert_eq!(compare(&applied(1), &KNOWN), SchemaState::Behind { version: 1, missing: 2 });
        assert_eq!(compare(&applied(3), &KNOWN), SchemaState::Current { version: 3 });
        assert_eq!(compare(&applied(3), &KNOWN[..2]), SchemaState::Ahead { version: 3 });
    }

    #[test]
    fn a_change_of_any_applied_migration_is_found() {
        for changed in 0..3 {
            let mut applied = applied(3);
            applied[changed].1 = "0".repeat(16);
            let version = KNOWN[changed].version;
            assert_eq!(compare(&applied, &KNOWN), SchemaState::Changed { version });
        }
    }
}
