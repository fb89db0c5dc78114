//! The UCI data set "Online Retail": the order lines of a British retailer.
//!
//! <https://archive.ics.uci.edu/dataset/352/online+retail> (CC BY 4.0). The file has order lines only, and products,
//! customers and orders are assembled from them; therefore everything is held until the end of the file. What the
//! columns do not show:
//! - Stock codes that differ only in case are different products. One code has many descriptions and prices.
//! - The number of a cancellation begins with `C`, and its quantities are negative.
//! - The times of the lines of an invoice may differ by minutes.
//! - The same code twice on one invoice is two lines.

mod countries;
mod products;
mod sale;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

use jiff::Timestamp;
use uuid::Uuid;

use self::products::Products;
use self::sale::{Sale, SaleColumns};
use super::Options;
use super::columns::{Column, Columns, Coverage};
use super::error::Fault;
use super::format::Format;
use super::format_reader::{FormatReader, Outcomes};
use super::kept_columns::{KeptColumns, UnusedValues};
use super::numbers::{Marks, NumberColumns};
use crate::application::import::line::{Fields, Reason, SourceLine};
use crate::application::records::identity::Identity;
use crate::application::records::{
    ImportedCustomer, ImportedInvoice, ImportedLine, Record, placeholder_email,
};
use crate::domain::country::Country;
use crate::domain::money::Currency;

const IDENTITY: Identity = Identity::new(Format::OnlineRetail.name());

/// The currency of the data set.
pub(super) const CURRENCY: Currency = Currency::GBP;

/// Assembles invoices from lines.
pub(super) struct OnlineRetail {
    columns: SaleColumns,
    unused: Vec<Column>,
    counted: KeptColumns,
    invoices: BTreeMap<String, Invoice>,
}

/// The lines of an invoice that were read so far.
struct Invoice {
    is_cancellation: bool,
    at: Timestamp,
    customer: Option<String>,
    country: Country,
    sales: Vec<(Sale, SourceLine)>,
}

impl OnlineRetail {
    pub(super) fn new(header: &Fields, options: &Options) -> Result<Self, Fault> {
        let mut columns = Columns::of(header);
        let found = SaleColumns::find(&mut columns, options.marks);
        let unused = columns.unused();
        columns.check()?;
        Ok(Self { columns: found, unused, counted: KeptColumns::of(header), invoices: BTreeMap::new() })
    }
}

/// Returns how much of the format a header has.
pub(super) fn coverage(header: &Fields) -> Coverage {
    let mut columns = Columns::of(header);
    SaleColumns::find(&mut columns, Marks::default());
    columns.coverage()
}

impl FormatReader for OnlineRetail {
    fn numbers(&self) -> NumberColumns {
        self.columns.numbers()
    }

    fn read(&mut self, mut line: SourceLine, out: &mut Outcomes) {
        self.counted.count(&line, &self.unused);
        line.amount = self.columns.amount(&line);
        let sale = match self.columns.read(&line) {
            Ok(sale) => sale,
            Err((reason, detail)) => return out.reject(line.reject(reason, detail)),
        };
        match self.invoices.entry(sale.invoice.clone()) {
            Slot::Vacant(slot) => {
                slot.insert(Invoice::new(sale, line));
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
            invoice.sales.iter().for_each(|(sale, _)| products.add(sale));
            if let Some(customer) = &invoice.customer {
                customers.entry(customer.clone()).or_insert(invoice.at);
            }
        }
        for product in products.into_records() {
            out.entry(Record::Product(product), Vec::new());
        }
        for (key, first_invoice) in customers {
            let buyer = Buyer::customer(&key);
            let customer =
                ImportedCustomer::new(IDENTITY.customer(&key), buyer.email, buyer.name, first_invoice);
            out.entry(Record::Customer(customer), Vec::new());
        }
        for (key, invoice) in invoices {
            invoice.into_entry(key, out);
        }
    }

    fn unused_values(&self) -> UnusedValues {
        self.counted.values()
    }
}

impl Invoice {
    fn new(sale: Sale, line: SourceLine) -> Self {
        Self {
            is_cancellation: sale.is_cancellation,
            at: sale.at,
            customer: sale.customer.clone(),
            country: sale.country,
            sales: vec![(sale, line)],
        }
    }

    /// Adds the record of the invoice with its lines.
    fn into_entry(self, key: String, out: &mut Outcomes) {
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
        let buyer = self.customer.as_deref().map_or_else(|| Buyer::guest(&key, id), Buyer::customer);
        let invoice = ImportedInvoice {
            id,
            key,
            placed_at: self.at,
            customer: self.customer.as_deref().map(|customer| IDENTITY.customer(customer)),
            name: buyer.name,
            email: buyer.email,
            country: self.country,
            currency: CURRENCY,
            lines,
        };
        let record =
            if self.is_cancellation { Record::Cancellation(invoice) } else { Record::Order(invoice) };
        out.entry(record, sources);
    }
}

/// The name and address of a buyer, which the file does not contain.
struct Buyer {
    name: String,
    email: String,
}

impl Buyer {
    fn customer(key: &str) -> Self {
        let id = IDENTITY.customer(key);
        Self { name: format!("Customer {key}"), email: placeholder_email(key, id.0) }
    }

    fn guest(invoice: &str, id: Uuid) -> Self {
        Self { name: "Guest".to_owned(), email: placeholder_email(&format!("guest-{invoice}"), id) }
    }
}
