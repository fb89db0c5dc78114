//! The target of a replication while it is a standby. It has no foreign keys and none of the triggers of the schema,
//! because rows are written in any order and as they are in the source; triggers refuse all other writes. Both come
//! back when it becomes live.

use uuid::Uuid;

use super::super::connection::Connection;
use super::super::copy::catalog::CopyTable;
use super::super::copy::target::FOREIGN_KEYS;
use super::super::dialect::{self, Engine};
use super::super::error::DatabaseError;
use super::super::param::params;
use super::super::role::{ORIGIN, Role, role};
use super::tables::create_state;

/// The table with the triggers of the schema that were removed (SQLite).
const TRIGGERS: &str = "CREATE TABLE replication_triggers (
    name KEYTEXT PRIMARY KEY,
    statement TEXT NOT NULL
);";
const REFUSE: &str = "CREATE FUNCTION refuse_on_standby() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    IF (SELECT role FROM replication) <> 'applying' THEN \
    RAISE EXCEPTION 'the database is a standby' \
    USING ERRCODE = 'check_violation', CONSTRAINT = 'store_is_standby'; END IF; RETURN NULL; END $$;";

/// The state of the replication in a target.
#[derive(Debug, Clone, Copy)]
pub(super) struct TargetState {
    pub(super) id: Uuid,
    pub(super) generation: i64,
    pub(super) applied: i64,
    pub(super) verified: bool,
}

/// Returns the state of the replication in a target.
pub(super) async fn state(connection: &mut Connection) -> Result<TargetState, DatabaseError> {
    let sql = "SELECT id, generation, applied, verified_at IS NOT NULL FROM replication";
    let (id, generation, applied, verified) = connection.one(sql, &[]).await?;
    Ok(TargetState { id, generation, applied, verified })
}

/// Makes this process the one that writes to a target: waits for a transaction of another one, or of a lost connection,
/// and makes their next one fail. Returns the state from then on.
pub(super) async fn take_over(connection: &mut Connection) -> Result<TargetState, DatabaseError> {
    let taken = connection.execute("UPDATE replication SET generation = generation + 1", &[]).await;
    match taken {
        Err(_) if role(connection).await? == Role::Live => {
            Err(DatabaseError::Retryable("the target has become live meanwhile".into()))
        }
        Err(error) => Err(error),
        Ok(_) => state(connection).await,
    }
}

/// Returns the id of the replication by which the store has moved to this database; `None` if it has not.
pub(super) async fn origin(connection: &mut Connection) -> Result<Option<Uuid>, DatabaseError> {
    if !connection.one::<bool>(dialect::table_exists(connection.engine()), &params![ORIGIN]).await? {
        return Ok(None);
    }
    connection.first(&format!("SELECT id FROM {ORIGIN}"), &[]).await
}

/// Records that the store moves to this database by its replication, within the transaction that makes it live.
pub(super) async fn record_origin(connection: &mut Connection) -> Result<(), DatabaseError> {
    let script =
        format!("DROP TABLE IF EXISTS {ORIGIN}; CREATE TABLE {ORIGIN} AS SELECT id FROM replication");
    connection.script(&script).await
}

/// Makes an incomplete copy that of a replication: removes the triggers of the schema.
pub(super) async fn claim(
    connection: &mut Connection,
    tables: &[CopyTable],
    id: Uuid,
) -> Result<(), DatabaseError> {
    let engine = connection.engine();
    connection.begin()?;
    create_state(connection, id, "copying").await?;
    connection.script(&dialect::translate(engine, TRIGGERS)).await?;
    match engine {
        Engine::Sqlite => {
            let sql = "INSERT INTO replication_triggers (name, statement) \
                       SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'";
            connection.execute(sql, &[]).await?;
            let names: Vec<String> = connection.all(dialect::trigger_names(engine), &[]).await?;
            for name in names {
                connection.script(&format!("DROP TRIGGER \"{name}\"")).await?;
            }
        }
        Engine::Postgres => connection.script(&switch_triggers(tables, "DISABLE")).await?,
    }
    connection.commit().await
}

/// Makes a complete copy refuse the writes of others, within a transaction.
pub(super) async fn begin(connection: &mut Connection, tables: &[CopyTable]) -> Result<(), DatabaseError> {
    let triggers = match connection.engine() {
        Engine::Sqlite => tables.iter().map(refusing_triggers).collect::<String>(),
        Engine::Postgres => {
            let triggers = tables.iter().map(|table| {
                format!(
                    "CREATE TRIGGER standby BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON \"{}\" \
                     FOR EACH STATEMENT EXECUTE FUNCTION refuse_on_standby();",
                    table.name
                )
            });
            REFUSE.to_owned() + &triggers.collect::<String>()
        }
    };
    connection.script(&triggers).await?;
    connection.script("DROP TABLE copy_tables").await
}

fn refusing_triggers(table: &CopyTable) -> String {
    let triggers = refusing_names(table).into_iter().zip(["INSERT", "UPDATE", "DELETE"]);
    let triggers = triggers.map(|(name, event)| {
        format!(
            "CREATE TRIGGER \"{name}\" BEFORE {event} ON \"{}\" \
             WHEN (SELECT role FROM replication) <> 'applying' BEGIN SELECT RAISE(ABORT, 'store_is_standby'); END;",
            table.name
        )
    });
    triggers.collect()
}

fn refusing_names(table: &CopyTable) -> [String; 3] {
    ["insert", "update", "delete"].map(|event| format!("standby_{}_{event}", table.name))
}

/// Locks the tables until the transaction ends, so that [`become_live`] waits for no reader (PostgreSQL). If nothing
/// comes from this process for ten seconds, as when the network fails, the server ends it.
pub(super) async fn lock(connection: &mut Connection, tables: &[CopyTable]) -> Result<(), DatabaseError> {
    match connection.engine() {
        Engine::Sqlite => Ok(()),
        Engine::Postgres => {
            let names: Vec<_> = tables.iter().map(|table| format!("\"{}\"", table.name)).collect();
            let names = names.join(", ");
            let sql = format!(
                "SET LOCAL lock_timeout = '2s'; SET LOCAL idle_in_transaction_session_timeout = '10s'; \
                 LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE"
            );
            connection.script(&sql).await
        }
    }
}

/// Makes a standby the database of a store, within a transaction: it gets the triggers and foreign keys of its schema.
/// Foreign keys are checked from then on; [`check_foreign_keys`] checks the rows that are there.
pub(super) async fn become_live(
    connection: &mut Connection,
    tables: &[CopyTable],
) -> Result<(), DatabaseError> {
    let mut script = String::new();
    match connection.engine() {
        Engine::Sqlite => {
            script.extend(
                tables.iter().flat_map(refusing_names).map(|name| format!("DROP TRIGGER \"{name}\";")),
            );
            let sql = "SELECT statement || ';' FROM replication_triggers ORDER BY name";
            script.extend(connection.all::<String>(sql, &[]).await?);
        }
        Engine::Postgres => {
            script.push_str("DROP FUNCTION refuse_on_standby() CASCADE;");
            script.push_str(&switch_triggers(tables, "ENABLE"));
            let statements = connection.all::<String>(FOREIGN_KEYS, &[]).await?;
            script.extend(statements.into_iter().map(|statement| statement + " NOT VALID;"));
        }
    }
    script.push_str("DROP TABLE copy_foreign_keys; DROP TABLE replication_triggers; DROP TABLE replication");
    connection.script(&script).await
}

/// Checks the foreign keys of the rows that were written before [`become_live`] (PostgreSQL). Others may write
/// meanwhile.
pub(super) async fn check_foreign_keys(connection: &mut Connection) -> Result<(), DatabaseError> {
    if connection.engine() == Engine::Sqlite {
        return Ok(());
    }
    let sql = "SELECT format('ALTER TABLE %s VALIDATE CONSTRAINT %I', conrelid::regclass, conname) FROM pg_constraint \
               WHERE contype = 'f' AND NOT convalidated AND connamespace = quote_ident(current_schema())::regnamespace";
    for statement in connection.all::<String>(sql, &[]).await? {
        connection.script(&statement).await?;
    }
    Ok(())
}

fn switch_triggers(tables: &[CopyTable], to: &str) -> String {
    let statements = tables.iter().map(|table| format!("ALTER TABLE \"{}\" {to} TRIGGER USER;", table.name));
    statements.collect::<Vec<_>>().concat()
}
