//! The UCI data set "Online Retail": the order lines of a real British retailer, a line each.
//!
//! <https://archive.ics.uci.edu/dataset/352/online+retail> (CC BY 4.0). It has no products, customers or orders of
//! its own: they are put together from the lines, which is why everything is held until the end of the file. What
//! a reader does not see from the columns:
//! - Stock codes that differ in case only are different products; one code has many descriptions and prices.
//! - An invoice that begins with `C` is a cancellation, its quantities are negative.
//! - The lines of one invoice may differ by minutes.
//! - The same code twice on one invoice is two lines.

mod countries;
mod products;
mod sale;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

use jiff::Timestamp;

use self::products::Products;
use self::sale::{Sale, SaleColumns};
use super::error::Fault;
use super::format::Format;
use super::layout::{Columns, Layout, Outcomes};
use crate::application::import::identity::Identity;
use crate::application::import::line::{Fields, Reason, SourceLine};
use crate::application::import::record::{ImportedCustomer, ImportedInvoice, ImportedLine, Record};
use crate::domain::country::Country;
use crate::domain::money::Currency;

const IDENTITY: Identity = Identity::new(Format::OnlineRetail.name());

/// The currency of the data set: the retailer is a British one.
pub(super) const CURRENCY: Currency = Currency::GBP;

/// Puts invoices together from lines.
pub(super) struct OnlineRetail {
    columns: SaleColumns,
    invoices: BTreeMap<String, Invoice>,
}

/// An invoice as far as it was read.
struct Invoice {
    is_cancellation: bool,
    at: Timestamp,
    customer: Option<String>,
    country: Country,
    sales: Vec<(Sale, SourceLine)>,
}

impl OnlineRetail {
    pub(super) fn new(header: &Fields) -> Result<Self, Fault> {
        let mut columns = Columns::of(header);
        let found = SaleColumns::find(&mut columns);
        columns.check()?;
        Ok(Self { columns: found, invoices: BTreeMap::new() })
    }
}

impl Layout for OnlineRetail {
    fn take(&mut self, mut line: SourceLine, out: &mut Outcomes) {
        line.amount = self.columns.amount(&line);
        let sale = match self.columns.read(&line) {
            Ok(sale) => sale,
            Err((reason, detail)) => return out.reject(line.reject(reason, detail)),
        };
        match self.invoices.entry(sale.invoice.clone()) {
            Slot::Vacant(slot) => {
                slot.insert(Invoice::begun_with(sale, line));
            }
            Slot::Occupied(slot) => {
                let invoice = slot.into_mut();
                if invoice.customer != sale.customer || invoice.country != sale.country {
                    let first = invoice.sales.first().map_or(0, |(_, line)| line.number);
                    return out.reject(line.reject(Reason::InvoiceMismatch, format!("see line {first}")));
                }
                invoice.at = invoice.at.min(sale.at);
                invoice.sales.push((sale, line));
            }
        }
    }

    fn finish(&mut self, out: &mut Outcomes) {
        let mut invoices: Vec<_> = std::mem::take(&mut self.invoices).into_iter().collect();
        invoices.sort_by(|(a_key, a), (b_key, b)| (a.at, a_key).cmp(&(b.at, b_key)));

        let mut products = Products::default();
        let mut customers = BTreeMap::new();
        for (_, invoice) in &invoices {
            invoice.sales.iter().for_each(|(sale, _)| products.count(sale));
            if let Some(customer) = &invoice.customer {
                customers.entry(customer.clone()).or_insert(invoice.at);
            }
        }
        for product in products.into_records() {
            out.entry(Record::Product(product), Vec::new());
        }
        for (key, first_invoice) in customers {
            let customer = ImportedCustomer {
                id: IDENTITY.customer(&key),
                name: format!("Customer {key}"),
                key,
                email: None,
                email_verified_at: None,
                birth_date: None,
                created_at: Some(first_invoice),
                wishes: None,
            };
            out.entry(Record::Customer(customer), Vec::new());
        }
        for (key, invoice) in invoices {
            invoice.give_out(key, out);
        }
    }
}

impl Invoice {
    fn begun_with(sale: Sale, line: SourceLine) -> Self {
        Self {
            is_cancellation: sale.is_cancellation,
            at: sale.at,
            customer: sale.customer.clone(),
            country: sale.country,
            sales: vec![(sale, line)],
        }
    }

    fn give_out(self, key: String, out: &mut Outcomes) {
        let mut lines = Vec::with_capacity(self.sales.len());
        let mut sources = Vec::with_capacity(self.sales.len());
        for (sale, source) in self.sales {
            lines.push(ImportedLine {
                number: source.number,
                variant: IDENTITY.variant(&sale.code),
                sku: sale.code,
                description: sale.description,
                quantity: sale.quantity,
                unit_price: sale.unit_price,
            });
            sources.push(source);
        }
        let id = if self.is_cancellation { IDENTITY.credit_note(&key) } else { IDENTITY.order(&key) };
        let invoice = ImportedInvoice {
            id,
            key,
            placed_at: self.at,
            customer: self.customer.as_deref().map(|customer| IDENTITY.customer(customer)),
            country: self.country,
            currency: CURRENCY,
            lines,
        };
        let record =
            if self.is_cancellation { Record::Cancellation(invoice) } else { Record::Order(invoice) };
        out.entry(record, sources);
    }
}
