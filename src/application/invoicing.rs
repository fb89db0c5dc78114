//! Invoices when an order is paid, credit notes when money goes back.

use std::num::NonZeroU64;

use crate::domain::address::Address;
use crate::domain::ids::{InvoiceId, PaymentStepId, UserId};
use crate::domain::invoice::{Invoice, InvoiceDocument, InvoiceKind, InvoiceLine, InvoiceTax};
use crate::domain::money::Money;
use crate::domain::order::Order;
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::{InvoiceRepository, UnitOfWork};

use super::quote::Quote;

/// Writes an order's invoice.
pub(super) async fn invoice(unit_of_work: &mut UnitOfWork, order: &Order) -> Result<(), Failure> {
    let lines = order.lines.iter().map(|line| InvoiceLine {
        sku: line.sku.clone(),
        name: line.name.clone(),
        quantity: line.quantity,
        unit_price: line.unit_price,
        discount: line.discount,
        total: line.total,
    });
    let document = InvoiceDocument {
        order_number: Some(order.number),
        billing_address: Some(order.billing_address.clone()),
        lines: lines.collect(),
        shipping: order.shipping,
        taxes: taxes(order),
        reason: None,
    };
    issue(unit_of_work, InvoiceKind::Invoice, order, order.total, document, None, None).await
}

/// Writes a credit note for money that went back.
pub(super) async fn credit_note(
    unit_of_work: &mut UnitOfWork,
    order: &Order,
    step: PaymentStepId,
    amount: Money,
    reason: Option<&str>,
) -> Result<(), Failure> {
    let invoices = InvoiceRepository(unit_of_work).by_order(order.id).await?;
    let corrects =
        invoices.iter().find(|invoice| invoice.kind == InvoiceKind::Invoice).map(|invoice| invoice.id);
    let document = InvoiceDocument {
        order_number: Some(order.number),
        billing_address: Some(order.billing_address.clone()),
        lines: Vec::new(),
        shipping: 0,
        taxes: share(taxes(order), amount, order.total)?,
        reason: reason.map(str::to_owned),
    };
    issue(unit_of_work, InvoiceKind::CreditNote, order, amount.amount, document, corrects, Some(step)).await
}

/// Writes a credit note for goods that no order of the store sold.
pub(super) async fn credit_without_order(
    unit_of_work: &mut UnitOfWork,
    id: InvoiceId,
    user_id: Option<UserId>,
    address: Address,
    quote: &Quote,
    reason: String,
) -> Result<(), Failure> {
    let priced = &quote.priced;
    let lines = priced.lines.iter().zip(&quote.offers).map(|(line, offer)| InvoiceLine {
        sku: offer.sku.clone(),
        name: offer.name.clone(),
        quantity: line.quantity,
        unit_price: line.unit_price.amount,
        discount: line.discount.amount,
        total: line.total.amount,
    });
    let taxes = priced.tax_by_rate.iter().map(|rate| InvoiceTax {
        basis_points: rate.basis_points.into(),
        inclusive: rate.inclusive,
        net: rate.net.amount,
        tax: rate.tax.amount,
    });
    let note = Invoice {
        id,
        kind: InvoiceKind::CreditNote,
        series: String::new(),
        number: 0,
        order_id: None,
        user_id,
        corrects: None,
        payment_step_id: None,
        currency: priced.total.currency,
        total: priced.total.amount,
        document: InvoiceDocument {
            order_number: None,
            billing_address: Some(address),
            lines: lines.collect(),
            shipping: priced.shipping.amount,
            taxes: taxes.collect(),
            reason: Some(reason),
        },
        issued_at: unit_of_work.now(),
    };
    InvoiceRepository::issue(unit_of_work, note).await?;
    Ok(())
}

async fn issue(
    unit_of_work: &mut UnitOfWork,
    kind: InvoiceKind,
    order: &Order,
    total: i64,
    document: InvoiceDocument,
    corrects: Option<InvoiceId>,
    payment_step_id: Option<PaymentStepId>,
) -> Result<(), Failure> {
    let invoice = Invoice {
        id: unit_of_work.id(),
        kind,
        series: String::new(),
        number: 0,
        order_id: Some(order.id),
        user_id: order.user_id,
        corrects,
        payment_step_id,
        currency: order.currency,
        total,
        document,
        issued_at: unit_of_work.now(),
    };
    InvoiceRepository::issue(unit_of_work, invoice).await?;
    Ok(())
}

/// An order's tax by rate. What the lines do not account for is the shipping's.
fn taxes(order: &Order) -> Vec<InvoiceTax> {
    let mut taxes: Vec<InvoiceTax> = Vec::new();
    for line in &order.lines {
        let (basis_points, inclusive) = (line.tax_basis_points, line.tax_inclusive);
        let net = line.total - line.tax;
        match taxes.iter_mut().find(|tax| tax.basis_points == basis_points && tax.inclusive == inclusive) {
            Some(tax) => {
                tax.net += net;
                tax.tax += line.tax;
            }
            None => taxes.push(InvoiceTax { basis_points, inclusive, net, tax: line.tax }),
        }
    }
    taxes
}

/// The share of an order's taxes that goes back with an amount.
fn share(taxes: Vec<InvoiceTax>, amount: Money, total: i64) -> Result<Vec<InvoiceTax>, Failure> {
    let Some(whole) = u64::try_from(total).ok().and_then(NonZeroU64::new) else { return Ok(Vec::new()) };
    let part = amount.amount.unsigned_abs();
    let scaled =
        |minor| Ok::<_, Failure>(Money::new(minor, amount.currency).times_ratio(part, whole)?.amount);
    taxes
        .into_iter()
        .map(|tax| Ok(InvoiceTax { net: scaled(tax.net)?, tax: scaled(tax.tax)?, ..tax }))
        .collect()
}
