//! Exports the store as JSON Lines, from one snapshot of the database.
//!
//! The order of the lines is fixed, and nothing depends on the database engine: two stores with the same content export
//! the same bytes. Credentials are not exported: passwords, sessions, payment method tokens.

mod books;
mod catalogue;
mod lines;
mod people;

use std::io::{self, Write};

use serde::Serialize;

use super::Store;
use crate::domain::language::Language;
use crate::infrastructure::repositories::{Connection, DatabaseError, FromRow, Param, Table};

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The output cannot be written.
    #[error("the export cannot be written")]
    Write(#[source] io::Error),
    /// The database cannot be read.
    #[error("the store cannot be read")]
    Database(#[from] DatabaseError),
}

/// The output, which counts its lines.
struct Output<W> {
    out: W,
    lines: u64,
    /// The language of base texts.
    language: Language,
}

impl<W: Write> Output<W> {
    fn write<T: Serialize>(&mut self, line: &T) -> Result<(), ExportError> {
        write_line(&mut self.out, line)?;
        self.lines += 1;
        Ok(())
    }
}

/// Writes a line of an export.
pub(super) fn write_line<T: Serialize>(mut out: impl Write, line: &T) -> Result<(), ExportError> {
    serde_json::to_writer(&mut out, line)
        .map_err(io::Error::from)
        .and_then(|()| out.write_all(b"\n"))
        .map_err(ExportError::Write)
}

/// Writes the line of each row of a table, in the order of the ids.
async fn write_rows<W: Write, T: Table + FromRow>(
    connection: &mut Connection,
    out: &mut Output<W>,
    id: impl Fn(&T) -> Param<'static>,
    write: impl Fn(&mut Output<W>, T) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let mut position = None;
    while let Some(batch) = connection.scan("id", &mut position, &id).await? {
        for row in batch {
            write(out, row)?;
        }
    }
    Ok(())
}

/// Exports the store to `out`. Returns the number of lines, and `out`.
pub async fn export<W: Write + Send + 'static>(store: &Store, out: W) -> Result<(u64, W), ExportError> {
    store
        .database()
        .snapshot((out, store.terms.base_language), async |connection, (out, language)| {
            let mut output = Output { out, lines: 0, language };
            write_all(connection, &mut output).await?;
            output.out.flush().map_err(ExportError::Write)?;
            Ok((output.lines, output.out))
        })
        .await
}

/// Writes all lines; each comes after those that it refers to.
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
