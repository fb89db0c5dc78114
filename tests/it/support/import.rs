//! Imports from texts in memory, and exports.

use std::io::{self, Cursor};

use jiff::Timestamp;
use undercroft::application::Store;
use undercroft::application::export::export;
use undercroft::application::import::line::{Fields, Rejection};
use undercroft::application::import::readers::{Dialect, Options};
use undercroft::application::import::report::Report;
use undercroft::application::import::run::{ImportError, Observer, check, import};
use undercroft::application::import::write_options::ExistingProducts;
use undercroft::domain::money::Currency;

use super::store::value;
use super::{Shop, ShopOptions};

/// Real order lines; tests/fixtures/README.md has the source.
pub const ONLINE_RETAIL: &str = include_str!("../../fixtures/online-retail.csv");
/// A product export of Shopify.
pub const SHOPIFY: &str = include_str!("../../fixtures/shopify-products.csv");
/// A product export of WooCommerce.
pub const WOOCOMMERCE: &str = include_str!("../../fixtures/woocommerce-products.csv");
/// The demo catalogue.
pub const DEMO: &str = include_str!("../../../demo/catalogue.jsonl");
/// The header of [`ONLINE_RETAIL`].
pub const HEADER: &str =
    "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

/// Records the progress of an import, and stops it after some units of work.
pub struct Progress {
    /// Line, reason and detail of each rejection.
    pub rejected: Vec<(u64, &'static str, String)>,
    /// The number of lines after each commit.
    pub committed: Vec<u64>,
    most: usize,
}

impl Progress {
    /// Stops the import after this number of commits.
    pub fn stopping_after(most: usize) -> Self {
        Self { rejected: Vec::new(), committed: Vec::new(), most }
    }
}

impl Observer for Progress {
    fn opened(&mut self, header: &Fields, _: Dialect) -> io::Result<()> {
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

/// A second shop on SQLite, without a check at the end.
pub async fn another_shop() -> Shop {
    Shop::on_sqlite(ShopOptions::default()).await
}

/// The options of the imports.
pub fn options() -> Options {
    let created_at: Timestamp = "2024-02-29T12:00:00Z".parse().unwrap();
    Options { currency: Some(Currency::EUR), created_at, ..Options::default() }
}

/// Imports a file, with an observer that may stop it.
pub async fn try_import(store: &Store, text: &str, progress: &mut Progress) -> Result<Report, ImportError> {
    try_import_with(store, text, &options(), ExistingProducts::Keep, progress).await
}

async fn try_import_with(
    store: &Store,
    text: &str,
    options: &Options,
    existing: ExistingProducts,
    progress: &mut Progress,
) -> Result<Report, ImportError> {
    let open = || Ok(Cursor::new(text.to_owned()));
    let checked = check(open, options, progress)?;
    import(store, open, checked, existing, progress).await
}

/// Imports a whole file with some options.
pub async fn import_with(store: &Store, text: &str, options: &Options) -> (Report, Progress) {
    let mut progress = Progress::stopping_after(usize::MAX);
    let report = try_import_with(store, text, options, ExistingProducts::Keep, &mut progress).await.unwrap();
    (report, progress)
}

/// Imports a whole file, and updates products that are in the store already.
pub async fn update_all(store: &Store, text: &str) -> (Report, Progress) {
    update_with(store, text, &options()).await
}

/// Imports a whole file with some options, and updates products that are in the store already.
pub async fn update_with(store: &Store, text: &str, options: &Options) -> (Report, Progress) {
    let mut progress = Progress::stopping_after(usize::MAX);
    let update = ExistingProducts::Update;
    let report = try_import_with(store, text, options, update, &mut progress).await.unwrap();
    (report, progress)
}

/// Imports a whole file.
pub async fn import_all(store: &Store, text: &str) -> (Report, Progress) {
    let mut progress = Progress::stopping_after(usize::MAX);
    let report = try_import(store, text, &mut progress).await.unwrap();
    (report, progress)
}

/// Returns the export of a store.
pub async fn exported(store: &Store) -> String {
    let (lines, bytes) = export(store, Vec::new()).await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(text.lines().count() as u64, lines);
    text
}

/// Returns a number from the database.
pub async fn number(store: &Store, sql: &str) -> i64 {
    value(store.database(), sql, &[]).await
}
