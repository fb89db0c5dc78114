//! What one line of the data set says.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::super::decimal::units;
use super::super::layout::{Column, Columns};
use super::super::refusal::{Refusal, not_a_number, present, price, quoted};
use super::{CURRENCY, countries};
use crate::application::import::line::{Reason, SourceLine};
use crate::domain::country::Country;
use crate::domain::pricing::LINE_QUANTITY;

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
}

/// A line that can be taken.
pub(super) struct Sale {
    pub(super) invoice: String,
    pub(super) is_cancellation: bool,
    pub(super) code: String,
    pub(super) description: String,
    /// Positive, in a cancellation too.
    pub(super) quantity: i64,
    pub(super) at: Timestamp,
    pub(super) unit_price: i64,
    pub(super) customer: Option<String>,
    pub(super) country: Country,
}

impl SaleColumns {
    /// Finds them; both editions' names are known.
    pub(super) fn find(columns: &mut Columns<'_>) -> Self {
        Self {
            invoice: columns.required(&["InvoiceNo", "Invoice"]),
            code: columns.required(&["StockCode"]),
            description: columns.required(&["Description"]),
            quantity: columns.required(&["Quantity"]),
            date: columns.required(&["InvoiceDate"]),
            price: columns.required(&["UnitPrice", "Price"]),
            customer: columns.required(&["CustomerID", "Customer ID"]),
            country: columns.required(&["Country"]),
        }
    }

    /// What the line is worth, signed as in the file, where both factors are numbers.
    pub(super) fn amount(&self, line: &SourceLine) -> Option<i64> {
        let quantity = units(self.quantity.of(line), 0).ok()?;
        quantity.checked_mul(units(self.price.of(line), CURRENCY.minor_digits()).ok()?)
    }

    /// Reads the line, or says what is wrong with the first field that is, in the order of the columns.
    pub(super) fn read(&self, line: &SourceLine) -> Result<Sale, Refusal> {
        let (invoice, is_cancellation) = self.invoice_number(line)?;
        let sale = Sale {
            invoice,
            is_cancellation,
            code: present(self.code.of(line), Reason::NoSku)?,
            description: present(self.description.of(line), Reason::NoDescription)?,
            quantity: self.quantity(line, is_cancellation)?,
            at: self.date(line)?,
            unit_price: self.unit_price(line)?,
            customer: self.customer(line)?,
            country: self.country(line)?,
        };
        line.amount.ok_or_else(|| (Reason::TooLarge, "quantity times price".to_owned()))?;
        Ok(sale)
    }

    fn unit_price(&self, line: &SourceLine) -> Result<i64, Refusal> {
        let text = self.price.of(line);
        price(text, units(text, CURRENCY.minor_digits()))
    }

    fn quantity(&self, line: &SourceLine, is_cancellation: bool) -> Result<i64, Refusal> {
        let text = self.quantity.of(line);
        match units(text, 0).map_err(|fault| not_a_number(fault, Reason::BadQuantity, text))? {
            0 => Err((Reason::BadQuantity, quoted(text))),
            // what no line of an order can hold cannot come back from one either
            quantity if quantity.unsigned_abs() > LINE_QUANTITY.end().unsigned_abs() => {
                Err((Reason::TooLarge, format!("{} pieces, more than {}", quoted(text), LINE_QUANTITY.end())))
            }
            quantity if quantity < 0 && !is_cancellation => Err((Reason::NegativeQuantity, quoted(text))),
            quantity if quantity > 0 && is_cancellation => Err((Reason::PositiveCancellation, quoted(text))),
            quantity => Ok(quantity.abs()),
        }
    }

    /// The number and whether it is a cancellation's; what begins with another letter (`A`, a bad debt written off)
    /// is neither order nor cancellation.
    fn invoice_number(&self, line: &SourceLine) -> Result<(String, bool), Refusal> {
        let text = self.invoice.of(line);
        let (is_cancellation, digits) = text.strip_prefix('C').map_or((false, text), |digits| (true, digits));
        if text.is_empty() {
            return Err((Reason::NoKey, "no invoice number".to_owned()));
        }
        if digits.is_empty() || digits.len() > 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err((Reason::BadKey, format!("invoice number {}", quoted(text))));
        }
        Ok((text.to_owned(), is_cancellation))
    }

    /// Some editions write the customer as a decimal number: `12923.0` is 12923.
    fn customer(&self, line: &SourceLine) -> Result<Option<String>, Refusal> {
        let text = self.customer.of(line);
        if text.is_empty() {
            return Ok(None);
        }
        match units(text, 0) {
            Ok(number) if number > 0 => Ok(Some(number.to_string())),
            _ => Err((Reason::BadKey, format!("customer {}", quoted(text)))),
        }
    }

    fn country(&self, line: &SourceLine) -> Result<Country, Refusal> {
        let name = self.country.of(line);
        countries::by_name(name).ok_or_else(|| (Reason::UnknownCountry, quoted(name)))
    }

    /// The file's times are taken for UTC: it does not say, and British time has an hour that comes twice.
    fn date(&self, line: &SourceLine) -> Result<Timestamp, Refusal> {
        let text = self.date.of(line);
        let parsed = text.parse::<DateTime>().or_else(|_| DateTime::strptime("%m/%d/%Y %H:%M", text));
        let timestamp = parsed.and_then(|date| TimeZone::UTC.to_timestamp(date));
        timestamp.map_err(|_| (Reason::BadDate, quoted(text)))
    }
}
