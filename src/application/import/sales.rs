//! Places a past order through the use case that every order goes through, paid and fulfilled as it was.
//!
//! Its payment has the provider [`IMPORTED`]: no events are published, so its customer is not notified of it, and its
//! documents are numbered in series of their own.
//! The prices are those that were paid. Each order adds the pieces that it sells to the stock, so that the stock of
//! today is not sold a second time, and another file of the same source finds it unchanged.

use crate::application::Terms;
use crate::application::payments::apply_payment::apply_to_locked;
use crate::application::records::{ImportedInvoice, ImportedLine};
use crate::application::selling::holds::Holders;
use crate::application::selling::place_order::{OrderDraft, place_order};
use crate::application::selling::quote::{LinePrice, QuoteLine, ShippingChoice};
use crate::domain::address::Address;
use crate::domain::ids::{OrderId, VariantId};
use crate::domain::money::{Currency, Money};
use crate::domain::order::{Order, OrderLine};
use crate::domain::payment::IMPORTED;
use crate::domain::ports::{Charge, ChargeStatus};
use crate::infrastructure::exceptions::{Failure, Location, ValidationException};
use crate::infrastructure::repositories::{InventoryRepository, UnitOfWork};

use super::outcome::{RecordError, RecordOutcome};
use super::report::Counts;

/// Returns the outcome of an order that an earlier import placed. Lines that were added to the file since are refused.
pub(super) fn unchanged(invoice: &ImportedInvoice, order: &Order) -> RecordOutcome {
    let refused_lines = missing_lines(invoice, order);
    outcome(false, refused_lines)
}

/// Returns the outcome of an order, of which some lines were refused.
fn outcome(is_added: bool, refused_lines: Vec<(usize, String)>) -> RecordOutcome {
    let counts = Counts { orders: 1, ..Counts::default() };
    RecordOutcome { refused_lines, ..RecordOutcome::new(is_added, counts) }
}

/// Places an order, without the lines that the store refuses.
pub(super) async fn place(
    work: &mut UnitOfWork,
    terms: &Terms,
    invoice: &ImportedInvoice,
) -> Result<RecordOutcome, RecordError> {
    let mut lines: Vec<_> = invoice.lines.iter().enumerate().collect();
    let mut refused_lines = Vec::new();
    loop {
        let accepted: Vec<_> = lines.iter().map(|&(_, line)| line).collect();
        let Err(failure) = place_lines(work, terms, invoice, &accepted).await else {
            return Ok(outcome(true, refused_lines));
        };
        let faults = line_faults(&failure);
        if faults.is_empty() || faults.len() >= lines.len() {
            return Err(failure.into());
        }

        // roll back, and place the order again without the faulty lines
        work.rollback_to_savepoint().await?;
        work.savepoint()?;
        let mut position = 0;
        lines.retain(|&(index, _)| {
            let fault = faults.iter().find(|(faulty, _)| *faulty == position);
            refused_lines.extend(fault.map(|(_, reason)| (index, reason.clone())));
            position += 1;
            fault.is_none()
        });
    }
}

/// Places and pays an order of some lines of an invoice.
async fn place_lines(
    work: &mut UnitOfWork,
    terms: &Terms,
    invoice: &ImportedInvoice,
    lines: &[&ImportedLine],
) -> Result<(), Failure> {
    let pieces: Vec<(VariantId, i64)> = lines.iter().map(|line| (line.variant, line.quantity)).collect();
    InventoryRepository::restock(work, &pieces).await?;
    let address = address(invoice);
    let draft = OrderDraft {
        id: OrderId(invoice.id),
        payment_id: work.id(),
        user_id: invoice.customer,
        age: None,
        email: invoice.email.clone(),
        cart_id: None,
        cart_owner: None,
        subscription_id: None,
        currency: invoice.currency,
        lines: lines.iter().map(|line| quote_line(line, invoice.currency)).collect(),
        expected_total: None,
        discount_code: None,
        shipping: ShippingChoice::NotCharged,
        shipping_address: address.clone(),
        billing_address: address,
        holders: Holders::none(),
        provider: IMPORTED.to_owned(),
        token: String::new(),
    };
    let placed = place_order(work, terms, &draft).await?;
    let charge = Charge {
        reference: invoice.key.clone(),
        status: ChargeStatus::Captured,
        authorized: placed.payment.amount,
        captured: placed.payment.amount,
    };
    work.lock_inserted(&placed.payment);
    work.lock_inserted(&placed.order);
    apply_to_locked(work, placed, &charge).await?;
    Ok(())
}

/// Returns a line at the price that was paid.
pub(super) fn quote_line(line: &ImportedLine, currency: Currency) -> QuoteLine {
    QuoteLine {
        variant_id: line.variant,
        quantity: line.quantity,
        price: LinePrice::Paid(Money::new(line.unit_price, currency)),
    }
}

/// Returns the buyer's address, of which the source knows only the country.
pub(super) fn address(invoice: &ImportedInvoice) -> Address {
    Address {
        name: invoice.name.clone(),
        line1: "-".to_owned(),
        line2: None,
        city: "-".to_owned(),
        region: None,
        postal_code: String::new(),
        country: invoice.country,
    }
}

/// Returns the positions of the lines that a failure is about, each with the fault; none if it is about anything else.
fn line_faults(failure: &Failure) -> Vec<(usize, String)> {
    let Some(validation) = failure.downcast_ref::<ValidationException>() else { return Vec::new() };
    let mut faults = Vec::new();
    for (location, fault) in validation.faults() {
        let Location::Item(position, member) = location else { return Vec::new() };
        faults.push((*position, format!("{member}: {}", fault.code())));
    }
    faults
}

/// Returns the lines of an invoice that its order does not have.
fn missing_lines(invoice: &ImportedInvoice, order: &Order) -> Vec<(usize, String)> {
    let mut stored: Vec<&OrderLine> = order.lines.iter().collect();
    let mut missing = Vec::new();
    for (index, line) in invoice.lines.iter().enumerate() {
        let is_equal = |other: &&OrderLine| {
            (other.variant_id, other.quantity, other.unit_price.amount)
                == (line.variant, line.quantity, line.unit_price)
        };
        match stored.iter().position(is_equal) {
            Some(position) => {
                stored.swap_remove(position);
            }
            None => missing.push((index, "the order exists without this line".to_owned())),
        }
    }
    missing
}
