//! Invoices and credit notes. Their numbers have no gaps, and they never change.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::{InvoiceId, OrderId, PaymentOperationId, UserId};
use super::money::{Currency, Money};
use super::state::states;

states! {
    /// The kind of a document.
    InvoiceKind, "invoice kind", {
        /// The invoice of a paid order.
        Invoice = "invoice" -> [],
        /// The credit note of a refund or a void.
        CreditNote = "credit_note" -> [],
    }
}

impl InvoiceKind {
    /// Returns the series in which documents of this kind are numbered. Those of imported orders have one of their own,
    /// so that they take no numbers from those that the store issues.
    pub fn series(self, is_imported: bool) -> &'static str {
        match (self, is_imported) {
            (Self::Invoice, false) => "R",
            (Self::CreditNote, false) => "G",
            (Self::Invoice, true) => "IMPORT-R",
            (Self::CreditNote, true) => "IMPORT-G",
        }
    }
}

/// An invoice or a credit note.
#[derive(Debug, Clone, PartialEq)]
pub struct Invoice {
    /// The id.
    pub id: InvoiceId,
    /// Invoice or credit note.
    pub kind: InvoiceKind,
    /// The series in which the document is numbered.
    pub series: String,
    /// The number in the series: 1, 2, 3 … without gaps.
    pub number: i64,
    /// The order; `None` on a credit note for products that no order of the store sold.
    pub order_id: Option<OrderId>,
    /// The customer; `None` for a guest.
    pub user_id: Option<UserId>,
    /// The invoice that a credit note corrects.
    pub corrects: Option<InvoiceId>,
    /// The refund or void that a credit note documents.
    pub payment_operation_id: Option<PaymentOperationId>,
    /// The currency of every amount.
    pub currency: Currency,
    /// The gross amount, positive in both kinds.
    pub total: Money,
    /// The content, as it was when the document was issued.
    pub document: InvoiceDocument,
    /// The time of the issue, UTC.
    pub issued_at: Timestamp,
}

/// The content of an invoice or a credit note. It does not change after the issue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceDocument {
    /// The seller: the name of the store at the time of the issue.
    #[serde(default)]
    pub seller: String,
    /// The number of the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_number: Option<i64>,
    /// The address of the recipient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing_address: Option<super::address::Address>,
    /// The lines; empty on a credit note of an order, which corrects an amount.
    pub lines: Vec<InvoiceLine>,
    /// The price of shipping, tax included.
    pub shipping: Money,
    /// The tax of each rate.
    #[serde(default)]
    pub taxes: Vec<InvoiceTax>,
    /// The reason of a credit note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A line of an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceLine {
    /// The SKU of the variant.
    pub sku: String,
    /// The name of the product, as it was sold.
    pub name: String,
    /// The number of pieces.
    pub quantity: i64,
    /// The price of one piece.
    pub unit_price: Money,
    /// The line's share of the discount.
    pub discount: Money,
    /// The amount to pay for the line, tax included.
    pub total: Money,
}

/// The tax at one rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceTax {
    /// The rate in basis points: 1900 is 19 %.
    pub basis_points: i64,
    /// Whether the prices include the tax.
    pub inclusive: bool,
    /// The amount without tax, after the discount.
    pub net: Money,
    /// The tax on the net amount.
    pub tax: Money,
}
