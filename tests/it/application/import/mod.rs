//! Importing real history into a store and exporting it again: repeated, cut off, and on both databases.

mod demo;
mod exporting;
mod history;
mod over_http;
mod readers;
mod refusals;

use std::io::{self, Cursor};

use jiff::Timestamp;
use undercroft::application::Store;
use undercroft::application::export::export;
use undercroft::application::import::line::{Fields, Rejection};
use undercroft::application::import::readers::{Format, Options};
use undercroft::application::import::report::Report;
use undercroft::application::import::run::{ImportError, Observer, check, import};
use undercroft::domain::money::Currency;

use crate::support::store::value;
use crate::support::{Shop, ShopOptions};

const ONLINE_RETAIL: &str = include_str!("../../../fixtures/online-retail.csv");
const SHOPIFY: &str = include_str!("../../../fixtures/shopify-products.csv");
const WOOCOMMERCE: &str = include_str!("../../../fixtures/woocommerce-products.csv");
const DEMO: &str = include_str!("../../../../demo/catalogue.jsonl");
const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

/// Watches an import, and breaks it off after some units of work.
struct Watch {
    rejected: Vec<(u64, &'static str, String)>,
    settled: Vec<u64>,
    most: usize,
}

impl Watch {
    fn breaking_off_after(most: usize) -> Self {
        Self { rejected: Vec::new(), settled: Vec::new(), most }
    }
}

impl Observer for Watch {
    fn opened(&mut self, _: Format, header: &Fields) -> io::Result<()> {
        assert!(!header.is_empty());
        Ok(())
    }

    fn checked(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn settled(&mut self, settled: u64, lines: u64) -> io::Result<()> {
        assert!(settled <= lines);
        self.settled.push(settled);
        if self.settled.len() < self.most { Ok(()) } else { Err(io::Error::other("broken off")) }
    }

    fn rejected(&mut self, rejection: &Rejection) -> io::Result<()> {
        let (number, reason) = (rejection.line.number, rejection.reason.code());
        self.rejected.push((number, reason, rejection.detail.clone()));
        Ok(())
    }
}

/// A second shop, which is not checked at the end.
async fn another_shop() -> Shop {
    Shop::on_sqlite(ShopOptions::default()).await
}

async fn try_import(store: &Store, text: &str, watch: &mut Watch) -> Result<Report, ImportError> {
    let options = Options { currency: Some(Currency::EUR), ..Options::default() };
    let dated: Timestamp = "2024-02-29T12:00:00Z".parse().unwrap();
    let open = || Ok(Cursor::new(text.to_owned()));
    let checked = check(open, &options, watch)?;
    import(store, open, &options, dated, checked, watch).await
}

/// Imports a file to its end.
async fn import_all(store: &Store, text: &str) -> (Report, Watch) {
    let mut watch = Watch::breaking_off_after(usize::MAX);
    let report = try_import(store, text, &mut watch).await.unwrap();
    (report, watch)
}

/// Everything that is exported.
async fn exported(store: &Store) -> String {
    let (lines, bytes) = export(store, Vec::new()).await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(text.lines().count() as u64, lines);
    text
}

/// One number from the database.
async fn number(store: &Store, sql: &str) -> i64 {
    value(store.database(), sql, &[]).await
}
