//! Writes everything a merchant owns as JSON Lines, as it was at one instant.
//!
//! The order is fixed and nothing in it depends on the database: two stores with the same content export the same
//! bytes. Not in it is what lets somebody in or charges somebody: passwords, sessions, tokens of means of payment.

mod books;
mod catalogue;
mod lines;
mod people;

use std::io::{self, Write};

use serde::Serialize;

use super::Store;
use crate::infrastructure::repositories::{Connection, DatabaseError};

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// What was read could not be written.
    #[error("the export cannot be written")]
    Write(#[source] io::Error),
    /// The store could not be read.
    #[error("the store cannot be read")]
    Store(#[from] DatabaseError),
}

/// Lines on their way out.
struct Output<W> {
    out: W,
    lines: u64,
}

impl<W: Write> Output<W> {
    fn write<T: Serialize>(&mut self, line: &T) -> Result<(), ExportError> {
        serde_json::to_writer(&mut self.out, line)
            .map_err(io::Error::from)
            .and_then(|()| self.out.write_all(b"\n"))
            .map_err(ExportError::Write)?;
        self.lines += 1;
        Ok(())
    }
}

/// Exports the store to `out`; how many lines it wrote, and `out` again.
pub async fn export<W: Write + Send + 'static>(store: &Store, out: W) -> Result<(u64, W), ExportError> {
    store
        .database()
        .snapshot(out, async |connection, out| {
            let mut output = Output { out, lines: 0 };
            write_all(connection, &mut output).await?;
            output.out.flush().map_err(ExportError::Write)?;
            Ok((output.lines, output.out))
        })
        .await
}

/// What others refer to comes first.
async fn write_all<W: Write>(connection: &mut Connection, out: &mut Output<W>) -> Result<(), ExportError> {
    catalogue::categories(connection, out).await?;
    catalogue::tax_rules(connection, out).await?;
    catalogue::shipping_methods(connection, out).await?;
    catalogue::products(connection, out).await?;
    catalogue::discounts(connection, out).await?;
    people::customers(connection, out).await?;
    books::orders(connection, out).await?;
    books::invoices(connection, out).await?;
    people::reviews(connection, out).await?;
    people::subscriptions(connection, out).await
}
