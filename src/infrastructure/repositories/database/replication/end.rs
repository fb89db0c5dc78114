//! The end of a replication without a hand-over.

use super::super::connection::Connection;
use super::super::copy::CopyError;
use super::super::error::DatabaseError;
use super::super::migrations::{self, SchemaState};
use super::super::role::{Role, role};
use super::super::{Database, DatabaseUrl};
use super::{ReplicationError, recording, standby};
use crate::domain::context::Context;

/// Ends the replication of the source at `url`: its changes are not recorded any more. The target remains a standby.
pub async fn stop(url: &DatabaseUrl, context: Context) -> Result<(), ReplicationError> {
    let (_database, mut connection) = open(url, context).await.map_err(CopyError::Source)?;
    if role(&mut connection).await.map_err(CopyError::Source)? == Role::Live {
        return Err(ReplicationError::NotReplicated);
    }
    let ended = recording::end(&mut connection, "source").await.map_err(CopyError::Source)?;
    if ended { Ok(()) } else { Err(ReplicationError::NotSource) }
}

/// Makes a database that is a standby, or was handed over, that of a store, whatever the other one is.
pub async fn make_live(url: &DatabaseUrl, context: Context) -> Result<(), ReplicationError> {
    let (database, mut connection) = open(url, context).await.map_err(CopyError::Source)?;
    if migrations::state(&database).await.map_err(CopyError::Source)? == SchemaState::CopyIncomplete {
        return Err(ReplicationError::CopyIncomplete);
    }
    if role(&mut connection).await.map_err(CopyError::Source)?.not_live().is_none() {
        return Err(ReplicationError::NotReplicated);
    }
    Ok(detach(&mut connection).await.map_err(CopyError::Source)?)
}

async fn open(url: &DatabaseUrl, context: Context) -> Result<(Database, Connection), DatabaseError> {
    let database = Database::connect_to_existing(url, context)?;
    let connection = database.unchecked_writer().await?;
    Ok((database, connection))
}

/// Makes a database that of a store which is not replicated.
pub(in super::super) async fn detach(connection: &mut Connection) -> Result<(), DatabaseError> {
    match role(connection).await? {
        Role::Live => Ok(()),
        Role::Source | Role::Stopping => recording::end(connection, "source").await.map(drop),
        Role::Moved => recording::end(connection, "moved").await.map(drop),
        Role::Standby => {
            let tables = recording::tables(connection).await?;
            connection.begin()?;
            standby::lock(connection, &tables).await?;
            // it may have become live meanwhile
            if role(connection).await? == Role::Standby {
                standby::become_live(connection, &tables).await?;
            }
            connection.commit().await?;
            standby::check_foreign_keys(connection).await
        }
    }
}
