//! Invoices and credit notes: numbered without gaps per series, never changed (a trigger refuses it).

use super::database::{
    Connection, DatabaseError, Json, Param, Row, Table, UnitOfWork, next_number, params, select,
};
use crate::domain::ids::OrderId;
use crate::domain::invoice::Invoice;
use crate::domain::state::State;

impl Table for Invoice {
    const NAME: &'static str = "invoices";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "kind",
        "series",
        "number",
        "order_id",
        "user_id",
        "corrects",
        "payment_step_id",
        "currency",
        "total",
        "document",
        "issued_at",
    ];

    fn from_row(row: &Row<'_>) -> Result<Self, DatabaseError> {
        Ok(Self {
            id: row.get(0)?,
            kind: row.state(1)?,
            series: row.get(2)?,
            number: row.get(3)?,
            order_id: row.get(4)?,
            user_id: row.get(5)?,
            corrects: row.get(6)?,
            payment_step_id: row.get(7)?,
            currency: row.get(8)?,
            total: row.get(9)?,
            document: row.get::<Json<_>>(10)?.0,
            issued_at: row.get(11)?,
        })
    }

    fn bind(&self) -> Vec<Param<'_>> {
        params![
            self.id,
            self.kind.name(),
            &self.series,
            self.number,
            self.order_id,
            self.user_id,
            self.corrects,
            self.payment_step_id,
            self.currency,
            self.total,
            Param::json(&self.document),
            self.issued_at,
        ]
        .into()
    }
}

/// Queries on invoices.
pub struct InvoiceRepository<'a>(pub &'a mut Connection);

impl InvoiceRepository<'_> {
    /// An order's invoice and credit notes, in the order they were issued.
    pub async fn by_order(&mut self, order_id: OrderId) -> Result<Vec<Invoice>, DatabaseError> {
        let sql = select::<Invoice>("WHERE order_id = $1 ORDER BY issued_at, series DESC, number");
        self.0.all(&sql, &params![order_id], Invoice::from_row).await
    }

    /// The next documents of a series, from behind a number; none at the end.
    pub async fn of_series(&mut self, series: &str, after: i64) -> Result<Vec<Invoice>, DatabaseError> {
        let sql = select::<Invoice>("WHERE series = $1 AND number > $2 ORDER BY number LIMIT 500");
        self.0.all(&sql, &params![series, after], Invoice::from_row).await
    }

    /// Gives the document the next number of its series and issues it.
    pub async fn issue(work: &mut UnitOfWork, mut invoice: Invoice) -> Result<Invoice, DatabaseError> {
        invoice.kind.series().clone_into(&mut invoice.series);
        invoice.number = next_number(work, &format!("invoice:{}", invoice.series)).await?;
        work.insert(&invoice).await?;
        Ok(invoice)
    }
}
