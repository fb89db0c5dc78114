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
    /// Its id.
    id: InvoiceId,
    /// Which of the two.
    kind: InvoiceKind,
    /// Its number with its series, without gaps.
    number: String,
    /// The order.
    order_id: Option<OrderId>,
    /// The order's number.
    order_number: Option<i64>,
    /// The invoice that a credit note takes back from.
    corrects: Option<InvoiceId>,
    /// From whom.
    seller: String,
    /// To whom.
    billing_address: Option<Address>,
    /// For what.
    items: Vec<InvoiceItem>,
    /// What shipping comes to, tax included.
    shipping: Money,
    /// The tax of each rate.
    taxes: Vec<InvoiceTaxBody>,
    /// What is or was to be paid, tax included; on a credit note what went back.
    total: Money,
    /// Why, on a credit note.
    reason: Option<String>,
    /// When it was issued.
    issued_at: Timestamp,
    /// The credit notes that take back from it.
    #[schema(no_recursion)]
    credit_notes: Vec<InvoiceBody>,
}

/// A line of an invoice.
#[derive(Debug, Serialize, ToSchema)]
struct InvoiceItem {
    /// What.
    sku: String,
    /// Its name.
    name: String,
    /// How many.
    quantity: i64,
    /// The price of one.
    unit_price: Money,
    /// Its share of the discount.
    discount: Money,
    /// What it comes to.
    total: Money,
}

/// The tax at one rate.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InvoiceTax)]
struct InvoiceTaxBody {
    /// The rate in hundredths of a percent.
    basis_points: i64,
    /// Whether the prices contain it.
    inclusive: bool,
    /// What it is taken on.
    net: Money,
    /// The tax.
    tax: Money,
}

impl InvoiceBody {
    /// As it looks outside.
    pub fn of(invoice: Invoice, credit_notes: Vec<Self>) -> Self {
        let money = |amount| Money::new(amount, invoice.currency);
        let item = |line: InvoiceLine| InvoiceItem {
            sku: line.sku,
            name: line.name,
            quantity: line.quantity,
            unit_price: money(line.unit_price),
            discount: money(line.discount),
            total: money(line.total),
        };
        let tax = |tax: InvoiceTax| InvoiceTaxBody {
            basis_points: tax.basis_points,
            inclusive: tax.inclusive,
            net: money(tax.net),
            tax: money(tax.tax),
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
            shipping: money(invoice.document.shipping),
            taxes: invoice.document.taxes.into_iter().map(tax).collect(),
            total: money(invoice.total),
            reason: invoice.document.reason,
            issued_at: invoice.issued_at,
            credit_notes,
        }
    }
}
