//! Invoices and credit notes: numbered without gaps per series, never changed (a trigger enforces it).

use super::database::{Connection, DatabaseError, UnitOfWork, next_number, params, select, table};
use crate::domain::ids::{InvoiceId, OrderId};
use crate::domain::invoice::Invoice;

table! {
    Invoice in "invoices", key InvoiceId;
    id,
    kind,
    series,
    number,
    order_id,
    user_id,
    corrects,
    payment_operation_id,
    currency,
    total: money(currency),
    document: json,
    issued_at,
}

/// The most documents that one call of [`InvoiceRepository::of_series`] reads: a bounded part of the memory.
const BATCH: i64 = 500;

/// Queries on invoices.
pub struct InvoiceRepository<'a>(pub &'a mut Connection);

impl InvoiceRepository<'_> {
    /// Returns the invoice and the credit notes of an order, in the order of issue.
    pub async fn by_order(&mut self, order_id: OrderId) -> Result<Vec<Invoice>, DatabaseError> {
        let sql = select::<Invoice>("WHERE order_id = $1 ORDER BY issued_at, series DESC, number");
        self.0.all(&sql, &params![order_id]).await
    }

    /// Returns whether an order has an invoice of more than nothing, as each has that was paid, also if the money was
    /// returned later.
    pub async fn has_paid(&mut self, order_id: OrderId) -> Result<bool, DatabaseError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM invoices WHERE order_id = $1 AND total > 0)";
        self.0.one(sql, &params![order_id]).await
    }

    /// Returns the next documents of a series, up to 500, whose numbers are greater than `after`; none at the end.
    pub async fn of_series(&mut self, series: &str, after: i64) -> Result<Vec<Invoice>, DatabaseError> {
        let sql = select::<Invoice>("WHERE series = $1 AND number > $2 ORDER BY number LIMIT $3");
        self.0.all(&sql, &params![series, after, BATCH]).await
    }

    /// Issues a document with the next number of its series.
    pub async fn issue(work: &mut UnitOfWork, mut invoice: Invoice) -> Result<Invoice, DatabaseError> {
        invoice.number = next_number(work, &format!("invoice:{}", invoice.series)).await?;
        work.insert(&invoice).await?;
        Ok(invoice)
    }
}
