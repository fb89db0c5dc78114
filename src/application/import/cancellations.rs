//! Takes back goods: money goes back on the orders they were sold on, and what no order is known for is credited.

use crate::application::Policy;
use crate::application::payments::settlement::{set_aside, settle_step};
use crate::application::selling::invoicing;
use crate::application::selling::quote::{QuoteLine, QuoteRequest, ShippingChoice, quote};
use crate::domain::ids::{InvoiceId, OrderId, PaymentStepId};
use crate::domain::invoice::Invoice;
use crate::domain::payment::{PaymentStep, StepKind};
use crate::infrastructure::repositories::{PaymentRepository, UnitOfWork};

use super::apply::{Applied, Denied};
use super::identity::Identity;
use super::plan::Return;
use super::record::ImportedLine;
use super::report::Counts;
use super::sales::{address, quote_line};

/// Refunds are named by the cancellation and the order.
const REFUNDS: Identity = Identity::new("refund");

/// Takes goods back, unless that was done. They are not put on the shelf again.
pub(super) async fn take_back(
    work: &mut UnitOfWork,
    policy: &Policy,
    back: &Return,
) -> Result<Applied, Denied> {
    if let Some(applied) = compare(work, back).await? {
        return Ok(applied);
    }
    let mut counts = Counts::default();
    let mut unknown = back.traced.unknown.clone();
    for (&order, lines) in &back.traced.returned {
        if refund(work, back, order, lines).await? {
            counts.refunds += 1;
        } else {
            unknown.extend_from_slice(lines);
        }
    }
    if !unknown.is_empty() {
        credit(work, policy, back, &unknown).await?;
        counts.credit_notes += 1;
    }
    Ok(Applied::new(true, counts))
}

/// What was done before; `None` if nothing was.
async fn compare(work: &mut UnitOfWork, back: &Return) -> Result<Option<Applied>, Denied> {
    let (mut counts, mut amount) = (Counts::default(), 0);
    for &order in back.traced.returned.keys() {
        if let Some(step) = work.find::<PaymentStep>(step_id(back, order)).await? {
            counts.refunds += 1;
            amount += step.amount;
        }
    }
    if let Some(note) = work.find::<Invoice>(InvoiceId(back.invoice.id)).await? {
        counts.credit_notes += 1;
        amount += note.total;
    }
    if counts == Counts::default() {
        return Ok(None);
    }
    if amount != worth(&back.invoice.lines) {
        return Err(Denied::Refused("the cancellation is there, with another amount".to_owned()));
    }
    Ok(Some(Applied::new(false, counts)))
}

/// Gives money back on an order; whether the order's payment has that much left.
async fn refund(
    work: &mut UnitOfWork,
    back: &Return,
    order: OrderId,
    lines: &[ImportedLine],
) -> Result<bool, Denied> {
    let Some(payment) = PaymentRepository(work).by_order(order).await? else { return Ok(false) };
    let Some(mut payment) = PaymentRepository::lock(work, payment.id).await? else {
        return Ok(false);
    };
    let amount = worth(lines);
    if !(0..=payment.left(StepKind::Refund)).contains(&amount) {
        return Ok(false);
    }
    let now = work.now();
    let step = PaymentStep {
        reason: Some(reason(back)),
        ..PaymentStep::asked(step_id(back, order), payment.id, StepKind::Refund, amount, now)
    };
    set_aside(work, &mut payment, &step, now).await?;
    PaymentRepository::save_progress(work, &payment).await?;
    settle_step(work, step.id, Ok(back.invoice.key.clone())).await?;
    Ok(true)
}

/// Writes a credit note for goods that no order of the store sold.
async fn credit(
    work: &mut UnitOfWork,
    policy: &Policy,
    back: &Return,
    lines: &[ImportedLine],
) -> Result<(), Denied> {
    let invoice = &back.invoice;
    let lines: Vec<QuoteLine> = lines.iter().map(|line| quote_line(line, invoice.currency)).collect();
    let request = QuoteRequest {
        now: work.now(),
        currency: invoice.currency,
        lines: &lines,
        discount_code: None,
        country: invoice.country,
        shipping: &ShippingChoice::Settled,
    };
    let quote = quote(work, &request).await?;
    let address = address(&back.buyer, invoice.country);
    let id = InvoiceId(invoice.id);
    invoicing::credit_without_order(work, policy, id, invoice.customer, address, &quote, reason(back))
        .await?;
    Ok(())
}

fn step_id(back: &Return, order: OrderId) -> PaymentStepId {
    REFUNDS.derive(&back.invoice.id.to_string(), &order.to_string()).into()
}

fn reason(back: &Return) -> String {
    format!("Cancellation {}", back.invoice.key)
}

/// What lines come to; a line's amount was checked when it was read, and so many of them fit.
fn worth(lines: &[ImportedLine]) -> i64 {
    lines.iter().map(|line| line.quantity.saturating_mul(line.unit_price)).fold(0, i64::saturating_add)
}
