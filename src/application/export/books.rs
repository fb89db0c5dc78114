//! Exports orders with their payments, invoices and credit notes, by their numbers.

use std::collections::HashMap;
use std::io::Write;

use super::lines::{InvoiceLine, OrderLine, PaymentLine};
use super::{ExportError, Output};
use crate::domain::invoice::InvoiceKind;
use crate::domain::order::Order;
use crate::domain::payment::{Payment, PaymentOperation};
use crate::domain::state::State;
use crate::infrastructure::repositories::{Connection, InvoiceRepository};

pub(super) async fn orders<W: Write>(
    connection: &mut Connection,
    out: &mut Output<W>,
) -> Result<(), ExportError> {
    let mut position = None;
    while let Some(batch) = connection.scan::<Order>("number", &mut position, |row| row.number.into()).await?
    {
        let ids: Vec<_> = batch.iter().map(|order| order.id).collect();
        let payments = connection.all_by_keys::<Payment, _>("order_id", &ids).await?;
        let ids: Vec<_> = payments.iter().map(|payment| payment.id).collect();
        let mut operations: HashMap<_, Vec<PaymentOperation>> = HashMap::with_capacity(payments.len());
        for operation in connection.all_by_keys::<PaymentOperation, _>("payment_id", &ids).await? {
            operations.entry(operation.payment_id).or_default().push(operation);
        }
        let payments: HashMap<_, _> = payments.iter().map(|payment| (payment.order_id, payment)).collect();
        for order in &batch {
            let payment = payments.get(&order.id).map(|payment| {
                let mut operations = operations.remove(&payment.id).unwrap_or_default();
                operations.sort_by_key(|operation| (operation.created_at, operation.id));
                PaymentLine::new(payment, operations)
            });
            out.write(&OrderLine::new(order, payment))?;
        }
    }
    Ok(())
}

pub(super) async fn invoices<W: Write>(
    connection: &mut Connection,
    out: &mut Output<W>,
) -> Result<(), ExportError> {
    let series = InvoiceKind::ALL.iter().flat_map(|kind| [kind.series(false), kind.series(true)]);
    for series in series {
        let mut after = 0;
        loop {
            let batch = InvoiceRepository(connection).of_series(series, after).await?;
            let Some(last) = batch.last() else { break };
            after = last.number;
            for invoice in &batch {
                out.write(&InvoiceLine::from(invoice))?;
            }
        }
    }
    Ok(())
}
