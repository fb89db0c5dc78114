//! Issues the invoice when an order is paid, and credit notes when its payment is refunded or voided.

use crate::domain::address::Address;
use crate::domain::ids::{InvoiceId, PaymentOperationId, UserId};
use crate::domain::invoice::{Invoice, InvoiceDocument, InvoiceKind, InvoiceLine, InvoiceTax};
use crate::domain::money::{Money, MoneyError};
use crate::domain::order::Order;
use crate::domain::placed_order::PlacedOrder;
use crate::domain::pricing::{Priced, RateTotal};
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::{InvoiceRepository, Offer, UnitOfWork};

use crate::application::Terms;

/// Issues the invoice of an order.
pub(crate) async fn invoice(work: &mut UnitOfWork, placed: &PlacedOrder) -> Result<(), Failure> {
    let order = &placed.order;
    let lines = order.lines.iter().map(|line| InvoiceLine {
        sku: line.sku.clone(),
        name: line.name.clone(),
        quantity: line.quantity,
        unit_price: line.unit_price,
        discount: line.discount,
        total: line.total,
    });
    let goods = Money::checked_sum(order.currency, order.lines.iter().map(|line| line.total))?;
    let document = InvoiceDocument {
        lines: lines.collect(),
        shipping: order.total.checked_sub(goods)?,
        taxes: order.taxes.clone(),
        ..empty_document(order)
    };
    let invoice = of_order(work, placed, InvoiceKind::Invoice, order.total, document);
    InvoiceRepository::issue(work, invoice).await?;
    Ok(())
}

/// Issues a credit note for a refunded or voided amount, unless the order has no invoice.
pub(crate) async fn credit_note(
    work: &mut UnitOfWork,
    placed: &PlacedOrder,
    operation: PaymentOperationId,
    amount: Money,
    reason: Option<&str>,
) -> Result<(), Failure> {
    let order = &placed.order;
    let documents = InvoiceRepository(work).by_order(order.id).await?;
    let Some(invoice) = documents.iter().find(|document| document.kind == InvoiceKind::Invoice) else {
        return Ok(());
    };
    let document = InvoiceDocument {
        taxes: share(left(&documents)?, amount)?,
        reason: reason.map(str::to_owned),
        ..empty_document(order)
    };
    let note = Invoice {
        corrects: Some(invoice.id),
        payment_operation_id: Some(operation),
        ..of_order(work, placed, InvoiceKind::CreditNote, amount, document)
    };
    InvoiceRepository::issue(work, note).await?;
    Ok(())
}

/// Returned goods of a past sale that is not in the store.
pub(crate) struct ReturnedGoods<'a> {
    /// The id of the credit note.
    pub(crate) id: InvoiceId,
    /// The customer; `None` is a guest.
    pub(crate) user_id: Option<UserId>,
    /// The address of the buyer.
    pub(crate) address: Address,
    /// The prices at which the goods were sold.
    pub(crate) priced: &'a Priced,
    /// The offer of each line.
    pub(crate) offers: &'a [Offer],
    /// The reason on the credit note.
    pub(crate) reason: String,
}

/// Issues a credit note for returned goods of a past sale that is not in the store.
pub(crate) async fn credit_without_order(
    work: &mut UnitOfWork,
    terms: &Terms,
    returned: ReturnedGoods<'_>,
) -> Result<(), Failure> {
    let ReturnedGoods { id, user_id, address, priced, offers, reason } = returned;
    let lines = priced.lines.iter().zip(offers).map(|(line, offer)| InvoiceLine {
        sku: offer.sku.clone(),
        name: offer.name.clone(),
        quantity: line.quantity,
        unit_price: line.unit_price,
        discount: line.discount,
        total: line.total,
    });
    let note = Invoice {
        id,
        kind: InvoiceKind::CreditNote,
        series: InvoiceKind::CreditNote.series(true).to_owned(),
        number: 0,
        order_id: None,
        user_id,
        corrects: None,
        payment_operation_id: None,
        currency: priced.totals.total.currency,
        total: priced.totals.total,
        document: InvoiceDocument {
            seller: terms.name.clone(),
            order_number: None,
            billing_address: Some(address),
            lines: lines.collect(),
            shipping: priced.shipping_total,
            taxes: taxes(priced),
            reason: Some(reason),
        },
        issued_at: work.now(),
    };
    InvoiceRepository::issue(work, note).await?;
    Ok(())
}

/// Returns the document of an order without lines, shipping and taxes.
fn empty_document(order: &Order) -> InvoiceDocument {
    InvoiceDocument {
        seller: order.seller.clone(),
        order_number: Some(order.number),
        billing_address: Some(order.billing_address.clone()),
        lines: Vec::new(),
        shipping: Money::zero(order.currency),
        taxes: Vec::new(),
        reason: None,
    }
}

/// Returns an invoice or credit note of an order. It has no number before it is issued.
fn of_order(
    work: &UnitOfWork,
    PlacedOrder { order, payment }: &PlacedOrder,
    kind: InvoiceKind,
    total: Money,
    document: InvoiceDocument,
) -> Invoice {
    Invoice {
        id: work.id(),
        kind,
        series: kind.series(payment.is_imported()).to_owned(),
        number: 0,
        order_id: Some(order.id),
        user_id: order.user_id,
        corrects: None,
        payment_operation_id: None,
        currency: order.currency,
        total,
        document,
        issued_at: work.now(),
    }
}

/// Returns the tax by rate, as an invoice lists it.
pub(crate) fn taxes(priced: &Priced) -> Vec<InvoiceTax> {
    let tax = |rate: &RateTotal| InvoiceTax {
        basis_points: rate.basis_points.into(),
        inclusive: rate.inclusive,
        net: rate.net,
        tax: rate.tax,
    };
    priced.tax_by_rate.iter().map(tax).collect()
}

/// Returns an invoice's taxes less those of its credit notes.
fn left(documents: &[Invoice]) -> Result<Vec<InvoiceTax>, MoneyError> {
    let (invoices, notes): (Vec<_>, Vec<_>) =
        documents.iter().partition(|document| document.kind == InvoiceKind::Invoice);
    let mut left: Vec<_> = invoices.into_iter().flat_map(|invoice| invoice.document.taxes.clone()).collect();
    for credited in notes.into_iter().flat_map(|note| &note.document.taxes) {
        let rate = |tax: &&mut InvoiceTax| {
            (tax.basis_points, tax.inclusive) == (credited.basis_points, credited.inclusive)
        };
        if let Some(tax) = left.iter_mut().find(rate) {
            tax.net = tax.net.checked_sub(credited.net)?;
            tax.tax = tax.tax.checked_sub(credited.tax)?;
        }
    }
    Ok(left)
}

/// Returns the taxes of a credit note over an amount: a share of the invoice's remaining taxes. A share adds up to the
/// amount, and all shares to the invoice.
fn share(left: Vec<InvoiceTax>, amount: Money) -> Result<Vec<InvoiceTax>, Failure> {
    let weights: Vec<i64> =
        left.iter().flat_map(|tax| [tax.net.amount.max(0), tax.tax.amount.max(0)]).collect();
    if weights.iter().all(|&weight| weight == 0) {
        return Ok(Vec::new());
    }
    let parts = amount.allocate(&weights)?;
    let taxes = left.into_iter().zip(parts.chunks_exact(2));
    Ok(taxes.map(|(tax, part)| InvoiceTax { net: part[0], tax: part[1], ..tax }).collect())
}
