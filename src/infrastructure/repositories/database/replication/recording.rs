//! The record of changes: triggers on each table of a source add the key of every row that a transaction changes to
//! `row_changes`, in the same transaction. They are generated from the catalog of the database.
//!
//! The triggers also stop the writes of a source. On PostgreSQL a transaction holds a shared lock from its first
//! change until it ends, and the hand-over takes the lock alone; on SQLite the hand-over is the one writer.

use std::time::Duration;

use uuid::Uuid;

use super::super::connection::Connection;
use super::super::copy::catalog::{self, CopyTable};
use super::super::dialect::{self, Engine};
use super::super::error::DatabaseError;
use super::super::param::params;
use super::super::role;
use super::tables::create_state;

/// The most attempts to lock a table of PostgreSQL, and the delay after each.
const ATTEMPTS: u32 = 20;
const BACKOFF: Duration = Duration::from_millis(500);

/// The record, and the function that a transaction calls before its first change is recorded.
const RECORD: &str = "CREATE TABLE row_changes (
    seq SERIALKEY,
    table_name TEXT NOT NULL,
    row_key TEXT NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL
);
-- postgres:
ALTER TABLE row_changes ADD COLUMN transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE FUNCTION begin_recorded_changes() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    transaction TEXT := 'replication'::regclass::oid || ' ' || pg_current_xact_id();
BEGIN
    IF current_setting('undercroft.records', true) IS DISTINCT FROM transaction THEN
        PERFORM pg_advisory_xact_lock_shared(('replication'::regclass::oid::bigint & 2147483647)::int, 0);
        IF (SELECT role FROM replication) = 'moved' THEN
            RAISE EXCEPTION 'the store has moved to another database'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'store_has_moved';
        END IF;
        PERFORM set_config('undercroft.records', transaction, true);
    END IF;
END $$;
CREATE FUNCTION refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'TRUNCATE is not recorded for the replication of this database: use DELETE';
END $$;
-- end
";

/// Takes the lock of [`RECORD`] alone (PostgreSQL): no transaction has unfinished changes then, and others wait.
pub(super) const HOLD_WRITES: &str =
    "SELECT pg_advisory_xact_lock(('replication'::regclass::oid::bigint & 2147483647)::int, 0)";

/// Begins to record the changes of a database. After it, every change is recorded that a snapshot does not see which
/// begins now.
pub(super) async fn begin(connection: &mut Connection, id: Uuid) -> Result<(), DatabaseError> {
    connection.begin()?;
    create_state(connection, id, "source").await?;
    connection.script(&dialect::translate(connection.engine(), RECORD)).await?;
    if connection.engine() == Engine::Sqlite {
        for table in self::tables(connection).await? {
            connection.script(&triggers(Engine::Sqlite, &table)).await?;
        }
    }
    connection.commit().await?;
    complete(connection).await
}

/// Creates the triggers that are missing after an interruption, on PostgreSQL each in a transaction of its own: it
/// waits for the transactions that write to the table, and others wait for it.
pub(super) async fn complete(connection: &mut Connection) -> Result<(), DatabaseError> {
    let engine = connection.engine();
    for table in missing(connection).await? {
        locking(connection, &triggers(engine, &table)).await?;
    }
    Ok(())
}

/// Returns the tables whose changes are not recorded.
pub(super) async fn missing(connection: &mut Connection) -> Result<Vec<CopyTable>, DatabaseError> {
    let engine = connection.engine();
    let present: Vec<String> = connection.all(dialect::trigger_names(engine), &[]).await?;
    let mut tables = self::tables(connection).await?;
    tables.retain(|table| names(engine, table).iter().any(|name| !present.contains(name)));
    Ok(tables)
}

/// Ends the record of a database with the role `from`, and removes its tables. Returns `false` if it has another role,
/// or if it was changed meanwhile.
///
/// The role changes first, in a transaction of its own: the database cannot be handed over any more, and each snapshot
/// with a change that was not recorded has this role. An end that was interrupted is completed by the next one.
pub(super) async fn end(connection: &mut Connection, from: &str) -> Result<bool, DatabaseError> {
    let sql = "UPDATE replication SET role = 'stopping' WHERE role IN ('stopping', $1)";
    if connection.execute(sql, &params![from]).await? == 0 {
        return Ok(false);
    }

    let engine = connection.engine();
    let tables = self::tables(connection).await?;
    if engine == Engine::Postgres {
        for table in &tables {
            // with the triggers
            let sql = format!("DROP FUNCTION IF EXISTS \"{}\" CASCADE", name(table));
            locking(connection, &sql).await?;
        }
        locking(connection, "DROP FUNCTION IF EXISTS refuse_truncate CASCADE").await?;
    }
    connection.begin()?;
    if engine == Engine::Sqlite {
        for name in tables.iter().flat_map(|table| names(engine, table)) {
            connection.script(&format!("DROP TRIGGER IF EXISTS \"{name}\"")).await?;
        }
    } else {
        connection.script("DROP FUNCTION begin_recorded_changes").await?;
    }
    connection.script(&format!("DROP TABLE row_changes; DROP TABLE {}", role::TABLE)).await?;
    connection.commit().await?;
    Ok(true)
}

/// Runs a script that locks a table of PostgreSQL, in short attempts: those that write to the table wait meanwhile.
async fn locking(connection: &mut Connection, script: &str) -> Result<(), DatabaseError> {
    let mut attempt = 1;
    loop {
        connection.begin()?;
        let done = connection.script(&format!("SET LOCAL lock_timeout = '1s'; {script}")).await;
        match done {
            Ok(()) => return connection.commit().await,
            Err(DatabaseError::Unavailable(_) | DatabaseError::Retryable(_)) if attempt < ATTEMPTS => {
                connection.roll_back().await?;
                tokio::time::sleep(BACKOFF).await;
            }
            Err(error) => return Err(error),
        }
        attempt += 1;
    }
}

/// Returns the tables of a store.
pub(super) async fn tables(connection: &mut Connection) -> Result<Vec<CopyTable>, DatabaseError> {
    Ok(catalog::tables(connection).await?.of_store)
}

fn name(table: &CopyTable) -> String {
    format!("record_{}", table.name)
}

/// Returns the names of the triggers of a table.
fn names(engine: Engine, table: &CopyTable) -> Vec<String> {
    let name = name(table);
    match engine {
        Engine::Sqlite => ["insert", "update", "delete"].map(|event| format!("{name}_{event}")).into(),
        Engine::Postgres => vec![name.clone(), format!("{name}_truncate")],
    }
}

/// Returns the statements that create the triggers of a table.
fn triggers(engine: Engine, table: &CopyTable) -> String {
    match engine {
        Engine::Sqlite => triggers_of_sqlite(table),
        Engine::Postgres => triggers_of_postgres(table),
    }
}

fn triggers_of_sqlite(table: &CopyTable) -> String {
    let changed = changed_key(table);
    let add = |row: &str, condition: &str| {
        format!(
            "INSERT INTO row_changes (table_name, row_key, changed_at) SELECT '{}', {}, \
             CAST(unixepoch('subsec') * 1000000 AS INTEGER) WHERE {condition};",
            table.name,
            table.key_text_of(Engine::Sqlite, row)
        )
    };
    let trigger = |event: &str, add: String| {
        format!(
            "CREATE TRIGGER \"{}_{}\" AFTER {event} ON \"{}\" BEGIN \
             SELECT RAISE(ABORT, 'store_has_moved') WHERE (SELECT role FROM replication) = 'moved'; {add} END;",
            name(table),
            event.to_lowercase(),
            table.name
        )
    };
    [
        trigger("INSERT", add("NEW", "TRUE")),
        trigger("UPDATE", add("OLD", "TRUE") + &add("NEW", &changed)),
        trigger("DELETE", add("OLD", "TRUE")),
    ]
    .concat()
}

fn triggers_of_postgres(table: &CopyTable) -> String {
    let (function, of, changed) = (name(table), &table.name, changed_key(table));
    let add = |row: &str| {
        format!(
            "INSERT INTO row_changes (table_name, row_key, changed_at) VALUES ('{of}', {}, clock_timestamp());",
            table.key_text_of(Engine::Postgres, row)
        )
    };
    let (old, new) = (add("OLD"), add("NEW"));
    format!(
        "CREATE OR REPLACE FUNCTION \"{function}\"() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         PERFORM begin_recorded_changes(); \
         IF TG_OP <> 'INSERT' THEN {old} END IF; \
         IF TG_OP = 'INSERT' OR TG_OP = 'UPDATE' AND ({changed}) THEN {new} END IF; \
         RETURN NULL; END $$; \
         CREATE OR REPLACE TRIGGER \"{function}\" AFTER INSERT OR UPDATE OR DELETE ON \"{of}\" \
         FOR EACH ROW EXECUTE FUNCTION \"{function}\"(); \
         CREATE OR REPLACE TRIGGER \"{function}_truncate\" BEFORE TRUNCATE ON \"{of}\" \
         FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate()"
    )
}

/// Returns the condition that an update has changed the key.
fn changed_key(table: &CopyTable) -> String {
    let pairs = table.key_of("NEW").into_iter().zip(table.key_of("OLD"));
    pairs.map(|(new, old)| format!("{new} <> {old}")).collect::<Vec<_>>().join(" OR ")
}

/// The state of the replication in a source.
#[derive(Debug, Clone, Copy)]
pub(super) struct SourceState {
    pub(super) id: Uuid,
    pub(super) claimed: bool,
    pub(super) generation: i64,
}

/// Returns the state of the replication in a source.
pub(super) async fn state(connection: &mut Connection) -> Result<SourceState, DatabaseError> {
    let sql = "SELECT id, claimed, generation FROM replication";
    let (id, claimed, generation) = connection.one(sql, &[]).await?;
    Ok(SourceState { id, claimed, generation })
}

/// Deletes the recorded changes that the snapshot with the position `seen` saw, which the target has since its
/// transaction of this number. Does nothing if others write to SQLite for long.
pub(super) async fn forget(
    connection: &mut Connection,
    seen: &str,
    generation: i64,
) -> Result<(), DatabaseError> {
    match connection.begin() {
        Err(DatabaseError::Unavailable(reason)) => {
            tracing::debug!(reason, "other writers have the lock; the changes will be applied once more");
            return Ok(());
        }
        begun => begun?,
    }
    let sql = "UPDATE replication SET generation = $1";
    connection.execute(sql, &params![generation]).await?;
    connection.execute(dialect::delete_seen_changes(connection.engine()), &params![seen]).await?;
    connection.commit().await
}

/// Records that a target belongs to a source.
pub(super) async fn claim(connection: &mut Connection, id: Uuid) -> Result<(), DatabaseError> {
    let sql = "UPDATE replication SET claimed = $2 WHERE id = $1";
    connection.execute(sql, &params![id, true]).await.map(drop)
}
