//! Parses one line of the data set.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::super::columns::{Column, Columns};
use super::super::decimal::units;
use super::super::field_parsing::{LineError, number_error, price, quoted, required};
use super::super::numbers::{Marks, NumberColumns};
use super::{CURRENCY, countries};
use crate::application::import::line::{Reason, SourceLine};
use crate::domain::country::Country;
use crate::domain::pricing::LINE_QUANTITY;
use crate::domain::time::is_accepted;

/// The columns of the data set.
pub(super) struct SaleColumns {
    invoice: Column,
    code: Column,
    description: Column,
    quantity: Column,
    date: Column,
    price: Column,
    customer: Column,
    country: Column,
    marks: Marks,
}

/// A valid line.
pub(super) struct Sale {
    pub(super) invoice: String,
    pub(super) is_cancellation: bool,
    pub(super) code: String,
    pub(super) description: String,
    /// The pieces; positive, in a cancellation too.
    pub(super) quantity: i64,
    pub(super) at: Timestamp,
    pub(super) unit_price: i64,
    pub(super) customer: Option<String>,
    pub(super) country: Country,
}

impl SaleColumns {
    /// Finds the columns by their names in both editions of the data set.
    pub(super) fn find(columns: &mut Columns<'_>, marks: Marks) -> Self {
        Self {
            invoice: columns.required(&["InvoiceNo", "Invoice"]),
            code: columns.required(&["StockCode"]),
            description: columns.required(&["Description"]),
            quantity: columns.required(&["Quantity"]),
            date: columns.required(&["InvoiceDate"]),
            price: columns.required(&["UnitPrice", "Price"]),
            customer: columns.required(&["CustomerID", "Customer ID"]),
            country: columns.required(&["Country"]),
            marks,
        }
    }

    /// Returns the columns with numbers.
    pub(super) fn numbers(&self) -> NumberColumns {
        NumberColumns::new(vec![self.price], vec![self.quantity])
    }

    /// Returns quantity times price, signed as in the file, if both are numbers.
    pub(super) fn amount(&self, line: &SourceLine) -> Option<i64> {
        let quantity = self.marks.quantity(self.quantity.of(line)).ok()?;
        quantity.checked_mul(self.marks.price(self.price.of(line), CURRENCY).ok()?)
    }

    /// Parses a line. The error is that of the first faulty field, in the order of the columns.
    pub(super) fn read(&self, line: &SourceLine) -> Result<Sale, LineError> {
        let (invoice, is_cancellation) = self.invoice_number(line)?;
        let sale = Sale {
            invoice,
            is_cancellation,
            code: required(self.code.of(line), Reason::NoSku)?,
            description: required(self.description.of(line), Reason::NoDescription)?,
            quantity: self.quantity(line, is_cancellation)?,
            at: self.date(line)?,
            unit_price: self.unit_price(line)?,
            customer: self.customer(line)?,
            country: self.country(line)?,
        };
        line.amount.ok_or_else(|| (Reason::TooLarge, "quantity times price".to_owned()))?;
        Ok(sale)
    }

    fn unit_price(&self, line: &SourceLine) -> Result<i64, LineError> {
        let text = self.price.of(line);
        price(text, self.marks.price(text, CURRENCY))
    }

    fn quantity(&self, line: &SourceLine, is_cancellation: bool) -> Result<i64, LineError> {
        let text = self.quantity.of(line);
        match self.marks.quantity(text).map_err(|fault| number_error(fault, Reason::BadQuantity, text))? {
            0 => Err((Reason::BadQuantity, quoted(text))),
            // the limit of an order line, which applies to returns as well
            quantity if quantity.unsigned_abs() > LINE_QUANTITY.end().unsigned_abs() => {
                Err((Reason::TooLarge, format!("{} pieces, more than {}", quoted(text), LINE_QUANTITY.end())))
            }
            quantity if quantity < 0 && !is_cancellation => Err((Reason::NegativeQuantity, quoted(text))),
            quantity if quantity > 0 && is_cancellation => Err((Reason::PositiveCancellation, quoted(text))),
            quantity => Ok(quantity.abs()),
        }
    }

    /// Returns the invoice number, and whether it is that of a cancellation. Other letters than `C` are refused, such
    /// as `A` for a bad debt that was written off.
    fn invoice_number(&self, line: &SourceLine) -> Result<(String, bool), LineError> {
        let text = self.invoice.of(line);
        let (is_cancellation, digits) = text.strip_prefix('C').map_or((false, text), |digits| (true, digits));
        if text.is_empty() {
            return Err((Reason::NoKey, "the column InvoiceNo is empty".to_owned()));
        }
        if digits.is_empty() || digits.len() > 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err((Reason::BadKey, format!("invoice number {}", quoted(text))));
        }
        Ok((text.to_owned(), is_cancellation))
    }

    /// Returns the customer number. Some editions write it as a decimal: `12923.0` is 12923.
    fn customer(&self, line: &SourceLine) -> Result<Option<String>, LineError> {
        let text = self.customer.of(line);
        if text.is_empty() {
            return Ok(None);
        }
        match units(text, 0) {
            Ok(number) if number > 0 => Ok(Some(number.to_string())),
            _ => Err((Reason::BadKey, format!("customer {}", quoted(text)))),
        }
    }

    fn country(&self, line: &SourceLine) -> Result<Country, LineError> {
        let name = self.country.of(line);
        countries::by_name(name).ok_or_else(|| (Reason::UnknownCountry, quoted(name)))
    }

    /// Returns the time, read as UTC: the file does not name a time zone, and British time has an ambiguous hour.
    fn date(&self, line: &SourceLine) -> Result<Timestamp, LineError> {
        let text = self.date.of(line);
        let parsed = text.parse::<DateTime>().or_else(|_| DateTime::strptime("%m/%d/%Y %H:%M", text));
        let timestamp = parsed.and_then(|date| TimeZone::UTC.to_timestamp(date)).ok();
        timestamp.filter(|at| is_accepted(*at)).ok_or_else(|| (Reason::BadDate, quoted(text)))
    }
}
