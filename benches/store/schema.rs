//! A temporary schema in PostgreSQL.

use tokio_postgres::NoTls;
use undercroft::domain::context::Context;

use crate::Outcome;

/// A schema that exists until it is removed.
pub(crate) struct Schema {
    base: String,
    name: String,
    /// The URL of the database with this schema as its search path.
    pub url: String,
}

impl Schema {
    /// Creates a schema in the database at `base`.
    pub(crate) async fn make(base: &str) -> Outcome<Self> {
        let name = format!("undercroft_bench_{}", Context::system().ids.uuid().simple());
        execute(base, &format!("CREATE SCHEMA {name}")).await?;
        let joint = if base.contains('?') { '&' } else { '?' };
        Ok(Self { url: format!("{base}{joint}options=-csearch_path%3D{name}"), base: base.to_owned(), name })
    }

    /// Removes the schema with everything in it.
    pub(crate) async fn remove(self) -> Outcome<()> {
        execute(&self.base, &format!("DROP SCHEMA {} CASCADE", self.name)).await
    }
}

async fn execute(url: &str, sql: &str) -> Outcome<()> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let connection = tokio::spawn(connection);
    client.batch_execute(sql).await?;
    drop(client);
    Ok(connection.await??)
}
