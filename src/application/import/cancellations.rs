//! Imports the return of sold pieces: refunds the orders that sold them, and credits what no known order sold.

use crate::application::Terms;
use crate::application::payments::apply_payment::{begin_operation, settle_operation};
use crate::application::payments::invoicing::{ReturnedGoods, credit_without_order};
use crate::application::records::identity::Identity;
use crate::application::records::{ImportedInvoice, ImportedLine};
use crate::application::selling::quote::{QuoteLine, QuoteRequest, ShippingChoice, quote};
use crate::domain::ids::{InvoiceId, OrderId, PaymentOperationId};
use crate::domain::invoice::Invoice;
use crate::domain::money::Money;
use crate::domain::payment::{OperationKind, Payment, PaymentOperation};
use crate::infrastructure::exceptions::{Failure, Technical};
use crate::infrastructure::repositories::{PaymentRepository, UnitOfWork};

use super::originals::Traced;
use super::outcome::{RecordError, RecordOutcome};
use super::report::Counts;
use super::sales::{address, quote_line};

/// The ids of refunds follow from the cancellation and the order.
const REFUNDS: Identity = Identity::new("refund");

/// Cancels lines of earlier orders, unless that was done. The pieces are not restocked.
pub(super) async fn cancel(
    work: &mut UnitOfWork,
    terms: &Terms,
    invoice: &ImportedInvoice,
    traced: &Traced,
) -> Result<RecordOutcome, RecordError> {
    if let Some(outcome) = existing(work, invoice, traced).await? {
        return Ok(outcome);
    }
    let mut counts = Counts::default();
    let mut unknown = traced.unknown.clone();
    for (&order, lines) in &traced.returned {
        if refund(work, invoice, order, lines).await? {
            counts.refunds += 1;
        } else {
            unknown.extend_from_slice(lines);
        }
    }
    if !unknown.is_empty() {
        credit(work, terms, invoice, &unknown).await?;
        counts.credit_notes += 1;
    }
    Ok(RecordOutcome::new(true, counts))
}

/// Returns what an earlier import wrote for the cancellation; `None` if nothing.
async fn existing(
    work: &mut UnitOfWork,
    invoice: &ImportedInvoice,
    traced: &Traced,
) -> Result<Option<RecordOutcome>, RecordError> {
    let (mut counts, mut written) = (Counts::default(), 0);
    let refunds: Vec<_> = traced.returned.keys().map(|&order| refund_id(invoice, order)).collect();
    for refund in work.all_by_keys::<PaymentOperation, _>("id", &refunds).await? {
        counts.refunds += 1;
        written += refund.amount.amount;
    }
    if let Some(note) = work.find::<Invoice>(InvoiceId(invoice.id)).await? {
        counts.credit_notes += 1;
        written += note.total.amount;
    }
    if counts == Counts::default() {
        return Ok(None);
    }
    if written != amount(&invoice.lines) {
        return Err(RecordError::Refused("the cancellation exists with another amount".to_owned()));
    }
    Ok(Some(RecordOutcome::new(false, counts)))
}

/// Refunds lines of an order. Returns whether the order's payment had that much left to refund.
async fn refund(
    work: &mut UnitOfWork,
    invoice: &ImportedInvoice,
    order: OrderId,
    lines: &[ImportedLine],
) -> Result<bool, RecordError> {
    let Some(payment) = PaymentRepository(work).by_order(order).await? else { return Ok(false) };
    let Some(mut payment) = work.lock::<Payment>(payment.id).await? else {
        return Ok(false);
    };
    let amount = amount(lines);
    let left = payment.left(OperationKind::Refund).map_err(Technical::internal).map_err(Failure::from)?;
    if !(0..=left.amount).contains(&amount) {
        return Ok(false);
    }
    let now = work.now();
    let operation = PaymentOperation {
        reason: Some(reason(invoice)),
        ..PaymentOperation::pending(
            refund_id(invoice, order),
            payment.id,
            OperationKind::Refund,
            Money::new(amount, payment.currency),
            now,
        )
    };
    begin_operation(work, &mut payment, &operation, now).await?;
    settle_operation(work, operation.id, &Ok(invoice.key.clone())).await?;
    Ok(true)
}

/// Writes a credit note for lines that no order of the store sold.
async fn credit(
    work: &mut UnitOfWork,
    terms: &Terms,
    invoice: &ImportedInvoice,
    lines: &[ImportedLine],
) -> Result<(), RecordError> {
    let lines: Vec<QuoteLine> = lines.iter().map(|line| quote_line(line, invoice.currency)).collect();
    let request = QuoteRequest {
        now: work.now(),
        currency: invoice.currency,
        discount_code: None,
        kept_discount: None,
        country: invoice.country,
        shipping: &ShippingChoice::NotCharged,
    };
    let quote = quote(work, request, &lines).await?;
    let returned = ReturnedGoods {
        id: InvoiceId(invoice.id),
        user_id: invoice.customer,
        address: address(invoice),
        priced: &quote.priced,
        offers: &quote.offers,
        reason: reason(invoice),
    };
    Ok(credit_without_order(work, terms, returned).await?)
}

fn refund_id(invoice: &ImportedInvoice, order: OrderId) -> PaymentOperationId {
    REFUNDS.derive(&invoice.id.to_string(), &order.to_string()).into()
}

fn reason(invoice: &ImportedInvoice) -> String {
    format!("Cancellation {}", invoice.key)
}

/// Returns the amount of lines in minor units. Each line's amount was checked when it was read.
fn amount(lines: &[ImportedLine]) -> i64 {
    lines.iter().map(|line| line.quantity.saturating_mul(line.unit_price)).fold(0, i64::saturating_add)
}
