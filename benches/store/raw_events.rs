//! The outbox drained by hand: the events of a cursor read in batches and parsed, and the cursor moved, each batch in a
//! transaction.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::params;
use serde_json::Value;
use tokio_postgres::NoTls;

use crate::Outcome;
use crate::raw;

const ADD: &str = "INSERT INTO event_cursors (subscriber, seq) VALUES ('by hand', 0) \
     ON CONFLICT (subscriber) DO UPDATE SET seq = 0";
const LOCK: &str = "UPDATE event_cursors SET seq = seq WHERE subscriber = 'by hand' RETURNING seq";
const READ: &str = "SELECT seq, id, type, version, subject, occurred_at, data FROM outbox \
     WHERE seq > $1 AND type = 'stock.changed' ORDER BY seq LIMIT $2";
const MOVE: &str = "UPDATE event_cursors SET seq = $1 WHERE subscriber = 'by hand'";

/// Drains up to `events` events of a SQLite file, `batch` in a transaction; returns the time.
pub(crate) fn on_sqlite(file: &Path, events: usize, batch: i64) -> Outcome<Duration> {
    let connection = raw::open(file)?;
    connection.execute(ADD, [])?;
    let (began, mut drained) = (Instant::now(), 0);
    while drained < events {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let after: i64 = connection.prepare_cached(LOCK)?.query_row([], |row| row.get(0))?;
        let mut read = connection.prepare_cached(READ)?;
        let mut rows = read.query(params![after, batch])?;
        let mut last = after;
        while let Some(row) = rows.next()? {
            let data: String = row.get(6)?;
            std::hint::black_box(serde_json::from_str::<Value>(&data)?);
            last = row.get(0)?;
            drained += 1;
        }
        drop(rows);
        connection.prepare_cached(MOVE)?.execute([last])?;
        connection.execute_batch("COMMIT")?;
    }
    Ok(began.elapsed())
}

/// Drains up to `events` events of a PostgreSQL database, `batch` in a transaction; returns the time.
pub(crate) async fn on_postgres(url: &str, events: usize, batch: i64) -> Outcome<Duration> {
    let (mut client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let connection = tokio::spawn(connection);
    client.execute(ADD, &[]).await?;
    let (lock, read, moved) =
        (client.prepare(LOCK).await?, client.prepare(READ).await?, client.prepare(MOVE).await?);
    let (began, mut drained) = (Instant::now(), 0);
    while drained < events {
        let transaction = client.transaction().await?;
        let after: i64 = transaction.query_one(&lock, &[]).await?.get(0);
        let rows = transaction.query(&read, &[&after, &batch]).await?;
        for row in &rows {
            std::hint::black_box(row.get::<_, Value>(6));
        }
        drained += rows.len();
        let last: i64 = rows.last().ok_or("fewer events than expected")?.get(0);
        transaction.execute(&moved, &[&last]).await?;
        transaction.commit().await?;
    }
    let elapsed = began.elapsed();
    drop(client);
    connection.await??;
    Ok(elapsed)
}
