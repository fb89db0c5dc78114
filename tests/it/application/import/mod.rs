//! Imports of real orders into a store and exports of it: repeated, interrupted, and on both databases.

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

/// Records the progress of an import, and stops it after some units of work.
struct Progress {
    rejected: Vec<(u64, &'static str, String)>,
    committed: Vec<u64>,
    most: usize,
}

impl Progress {
    fn stopping_after(most: usize) -> Self {
        Self { rejected: Vec::new(), committed: Vec::new(), most }
    }
}

impl Observer for Progress {
    fn opened(&mut self, _: Format, header: &Fields) -> io::Result<()> {
        assert!(!header.is_empty());
        Ok(())
    }

    fn checked(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn committed(&mut self, done: u64, lines: u64) -> io::Result<()> {
        assert!(done <= lines);
        self.committed.push(done);
        if self.committed.len() < self.most { Ok(()) } else { Err(io::Error::other("stopped")) }
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

async fn try_import(store: &Store, text: &str, progress: &mut Progress) -> Result<Report, ImportError> {
    let created_at: Timestamp = "2024-02-29T12:00:00Z".parse().unwrap();
    let options = Options { currency: Some(Currency::EUR), created_at, ..Options::default() };
    let open = || Ok(Cursor::new(text.to_owned()));
    let checked = check(open, &options, progress)?;
    import(store, open, &options, checked, progress).await
}

/// Imports a whole file.
async fn import_all(store: &Store, text: &str) -> (Report, Progress) {
    let mut progress = Progress::stopping_after(usize::MAX);
    let report = try_import(store, text, &mut progress).await.unwrap();
    (report, progress)
}

/// Returns the export of a store.
async fn exported(store: &Store) -> String {
    let (lines, bytes) = export(store, Vec::new()).await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(text.lines().count() as u64, lines);
    text
}

/// Returns a number from the database.
async fn number(store: &Store, sql: &str) -> i64 {
    value(store.database(), sql, &[]).await
}
