//! Invoices and credit notes: numbered without gaps, never changed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::{InvoiceId, OrderId, PaymentOperationId, UserId};
use super::money::{Currency, Money};
use super::state::states;

states! {
    /// Which of the two a document is.
    InvoiceKind, "invoice kind", {
        /// Money asked for or paid.
        Invoice = "invoice" -> [],
        /// Money given back.
        CreditNote = "credit_note" -> [],
    }
}

impl InvoiceKind {
    /// The series its numbers count in.
    pub fn series(self) -> &'static str {
        match self {
            Self::Invoice => "R",
            Self::CreditNote => "G",
        }
    }
}

/// An invoice or a credit note.
#[derive(Debug, Clone, PartialEq)]
pub struct Invoice {
    /// Its id.
    pub id: InvoiceId,
    /// Which of the two.
    pub kind: InvoiceKind,
    /// The series its number counts in.
    pub series: String,
    /// Its number in the series: 1, 2, 3 … without gaps.
    pub number: i64,
    /// The order; a credit note for goods sold before the store's time has none.
    pub order_id: Option<OrderId>,
    /// Whose it is.
    pub user_id: Option<UserId>,
    /// The invoice that a credit note takes back from.
    pub corrects: Option<InvoiceId>,
    /// The refund that a credit note documents.
    pub payment_operation_id: Option<PaymentOperationId>,
    /// The currency of every amount.
    pub currency: Currency,
    /// The gross amount, positive in both kinds.
    pub total: Money,
    /// What it says.
    pub document: InvoiceDocument,
    /// When it was issued.
    pub issued_at: Timestamp,
}

/// What an invoice says, frozen at its issue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceDocument {
    /// From whom: the store's name at the time.
    #[serde(default)]
    pub seller: String,
    /// The order's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_number: Option<i64>,
    /// To whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing_address: Option<super::address::Address>,
    /// For what.
    pub lines: Vec<InvoiceLine>,
    /// What shipping comes to, tax included.
    pub shipping: Money,
    /// Tax by rate.
    #[serde(default)]
    pub taxes: Vec<InvoiceTax>,
    /// Why, on a credit note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A line of an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceLine {
    /// What.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// How many.
    pub quantity: i64,
    /// The price of one.
    pub unit_price: Money,
    /// Its share of the discount.
    pub discount: Money,
    /// What it comes to.
    pub total: Money,
}

/// The tax at one rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceTax {
    /// The rate.
    pub basis_points: i64,
    /// Whether the prices contain it.
    pub inclusive: bool,
    /// What it is taken on.
    pub net: Money,
    /// The tax.
    pub tax: Money,
}
