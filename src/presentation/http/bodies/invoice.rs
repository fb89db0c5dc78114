//! An invoice or a credit note.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::address::Address;
use crate::domain::ids::{InvoiceId, OrderId};
use crate::domain::invoice::{Invoice, InvoiceKind, InvoiceLine, InvoiceTax};
use crate::domain::money::Money;

/// An invoice or a credit note, as it was issued.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Invoice)]
pub struct InvoiceBody {
    /// The id of the document.
    id: InvoiceId,
    /// Whether the document is an invoice or a credit note.
    kind: InvoiceKind,
    /// The number with its series. The numbers of a series have no gaps. The documents of imported orders have series
    /// of their own, `IMPORT-R` and `IMPORT-G`.
    number: String,
    /// The order.
    order_id: Option<OrderId>,
    /// The number of the order.
    order_number: Option<i64>,
    /// The invoice that the credit note corrects; `null` for an invoice.
    corrects: Option<InvoiceId>,
    /// The seller's name and address.
    seller: String,
    /// The buyer's address.
    billing_address: Option<Address>,
    /// The items.
    items: Vec<InvoiceItem>,
    /// The shipping costs, tax included.
    shipping: Money,
    /// The taxes by rate.
    taxes: Vec<InvoiceTaxBody>,
    /// The total, tax included: the amount to pay, or on a credit note the amount refunded.
    total: Money,
    /// The reason of a credit note.
    reason: Option<String>,
    /// The time at which the document was issued.
    issued_at: Timestamp,
    /// The credit notes that correct the invoice.
    #[schema(no_recursion)]
    credit_notes: Vec<InvoiceBody>,
}

/// An item of an invoice.
#[derive(Debug, Serialize, ToSchema)]
struct InvoiceItem {
    /// The merchant's code of the variant.
    sku: String,
    /// The name of the product, as it was sold.
    name: String,
    /// The number of pieces.
    quantity: i64,
    /// The price of one piece.
    unit_price: Money,
    /// The item's share of the discount of the order.
    discount: Money,
    /// The amount to pay for all pieces, tax included.
    total: Money,
}

/// The tax at one rate.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InvoiceTax)]
struct InvoiceTaxBody {
    /// The tax rate in basis points: hundredths of a percent.
    basis_points: i64,
    /// Whether the prices include the tax.
    inclusive: bool,
    /// The amount on which the tax is charged.
    net: Money,
    /// The tax on the net amount.
    tax: Money,
}

impl InvoiceBody {
    /// The body of an invoice with its credit notes.
    pub fn with_credit_notes(invoice: Invoice, credit_notes: Vec<Invoice>) -> Self {
        let credit_notes = credit_notes.into_iter().map(Self::alone).collect();
        Self::of(invoice, credit_notes)
    }

    /// The body of an invoice or a credit note.
    pub fn alone(document: Invoice) -> Self {
        Self::of(document, Vec::new())
    }

    fn of(invoice: Invoice, credit_notes: Vec<Self>) -> Self {
        let item = |line: InvoiceLine| InvoiceItem {
            sku: line.sku,
            name: line.name,
            quantity: line.quantity,
            unit_price: line.unit_price,
            discount: line.discount,
            total: line.total,
        };
        let tax = |tax: InvoiceTax| InvoiceTaxBody {
            basis_points: tax.basis_points,
            inclusive: tax.inclusive,
            net: tax.net,
            tax: tax.tax,
        };
        Self {
            id: invoice.id,
            kind: invoice.kind,
            number: format!("{}{}", invoice.series, invoice.number),
            order_id: invoice.order_id,
            order_number: invoice.document.order_number,
            corrects: invoice.corrects,
            seller: invoice.document.seller,
            billing_address: invoice.document.billing_address,
            items: invoice.document.lines.into_iter().map(item).collect(),
            shipping: invoice.document.shipping,
            taxes: invoice.document.taxes.into_iter().map(tax).collect(),
            total: invoice.total,
            reason: invoice.document.reason,
            issued_at: invoice.issued_at,
            credit_notes,
        }
    }
}
