//! The readers of `import`: the outcome of each line of a file, and of files that cannot be read.

mod broken_files;
mod catalogues;
mod encodings;
mod online_retail;
mod properties;
mod rejected_products;
mod translated_headers;

use std::io::{BufReader, Read};

use undercroft::application::import::line::Rejection;
use undercroft::application::import::readers::{
    Entry, Options, Outcome, ReadError, Reader, UnusedValues, encoding_of,
};
use undercroft::application::import::totals::LineTotals;
use undercroft::application::records::{ImportedInvoice, ImportedStock, Record};
use undercroft::domain::money::Currency;
use undercroft::domain::product::{Product, Variant};

/// A product export of Shopify with its newer column names.
const SHOPIFY_NEW: &str = include_str!("../../../../fixtures/shopify-products-new-columns.csv");

/// The outcome of a whole file.
struct Import {
    records: Vec<Record>,
    rejected: Vec<Rejection>,
    totals: LineTotals,
    unused: UnusedValues,
}

impl Import {
    fn pick<'a, T: 'a>(&'a self, pick: impl Fn(&'a Record) -> Option<T>) -> Vec<T> {
        self.records.iter().filter_map(pick).collect()
    }

    fn products(&self) -> Vec<&Product> {
        self.pick(
            |record| if let Record::Product(imported) = record { Some(&imported.product) } else { None },
        )
    }

    /// The stock of a variant.
    fn stock(&self, variant: &Variant) -> ImportedStock {
        let stock = |record: &Record| match record {
            Record::Product(imported) => imported.stock.get(&variant.id).copied(),
            _ => None,
        };
        self.records.iter().find_map(stock).unwrap()
    }

    fn product(&self, name: &str) -> &Product {
        self.products().into_iter().find(|product| product.name == name).unwrap()
    }

    fn orders(&self) -> Vec<&ImportedInvoice> {
        self.pick(|record| if let Record::Order(order) = record { Some(order) } else { None })
    }

    fn order(&self, key: &str) -> &ImportedInvoice {
        self.orders().into_iter().find(|order| order.key == key).unwrap()
    }

    fn cancellations(&self) -> Vec<&ImportedInvoice> {
        self.pick(|record| if let Record::Cancellation(invoice) = record { Some(invoice) } else { None })
    }

    fn categories(&self) -> Vec<&str> {
        self.pick(
            |record| {
                if let Record::Category(category) = record { Some(category.slug.as_str()) } else { None }
            },
        )
    }

    fn reasons(&self) -> Vec<(u64, &'static str)> {
        let mut reasons: Vec<_> =
            self.rejected.iter().map(|rejection| (rejection.line.number, rejection.reason.code())).collect();
        reasons.sort_unstable();
        reasons
    }
}

fn with_currency(currency: Currency) -> Options {
    Options { currency: Some(currency), ..Options::default() }
}

fn try_read(bytes: impl Read, options: &Options) -> Result<Import, ReadError> {
    let mut reader = Reader::open(BufReader::new(bytes), options)?;
    let mut read = Import {
        records: Vec::new(),
        rejected: Vec::new(),
        totals: LineTotals::default(),
        unused: UnusedValues::default(),
    };
    for outcome in &mut reader {
        match outcome? {
            Outcome::Entry(Entry { record, lines }) => {
                for line in &lines {
                    read.totals.accept(line);
                }
                read.records.push(record);
            }
            Outcome::Rejected(rejection) => {
                read.totals.reject(&rejection);
                read.rejected.push(rejection);
            }
        }
    }
    read.totals.close(reader.lines()).unwrap();
    read.unused = reader.unused_values();
    Ok(read)
}

/// Reads a file whose encoding is detected.
fn try_read_detected(bytes: &[u8], options: &Options) -> Result<Import, ReadError> {
    let encoding = options.encoding.map_or_else(|| encoding_of(bytes), Ok)?;
    try_read(bytes, &Options { encoding: Some(encoding), ..*options })
}

fn read(text: &str, options: &Options) -> Import {
    try_read(text.as_bytes(), options).unwrap()
}
