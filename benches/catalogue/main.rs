//! Lists and searches over a small and a large catalogue, side by side: the cost of a page must be the same with
//! a thousand times as many products.
//!
//! `cargo bench --bench catalogue -- URL [small] [large] [query]`, where URL is `sqlite:FOLDER` or `postgres://…`; by
//! default a folder in `target`, 1,000 and 1,000,000 products, and every query. Loaded catalogues are kept for the next
//! run. Rounds of both catalogues alternate, so that a busy machine slows both.
#![expect(clippy::expect_used, reason = "an error ends the measurement")]

mod measure;
mod products;

use std::time::Instant;

use measure::{Samples, Workers};
use products::GeneratedCatalogue;
use undercroft::domain::context::Context;
use undercroft::domain::money::Currency;
use undercroft::infrastructure::repositories::{
    AdminProductFilter, Database, Engine, ProductFilter, ProductRepository, ProductSort, Setup,
};

const ROUNDS: usize = 20;
const PAGES_A_ROUND: usize = 100;
const PAGE: usize = 20;
const TIMES: &str = "     p50     p99 CPU p50 CPU p99";

/// A query that is measured.
#[derive(Clone, Copy)]
enum Query {
    /// The pages of a list in this order, of the catalogue or of one category after another.
    List { sort: Option<ProductSort>, by_category: bool, priced: bool },
    /// The first page of a search for these words.
    Search(fn(&mut GeneratedCatalogue) -> String),
    /// The list of products for administrators, or a search in it.
    Admin { q: Option<fn(&mut GeneratedCatalogue) -> String> },
}

const QUERIES: [(&str, Query); 14] = [
    ("list", Query::List { sort: None, by_category: false, priced: false }),
    ("list of a category", Query::List { sort: None, by_category: true, priced: false }),
    (
        "list by price",
        Query::List { sort: Some(ProductSort::PriceAscending), by_category: false, priced: false },
    ),
    (
        "list of a category by price",
        Query::List { sort: Some(ProductSort::PriceDescending), by_category: true, priced: true },
    ),
    ("list within prices", Query::List { sort: None, by_category: false, priced: true }),
    ("search: in 20 products", Query::Search(GeneratedCatalogue::rare_word)),
    ("search: in 5 of 100", Query::Search(|_| "uncommon".into())),
    ("search: in half of all", Query::Search(|_| "common".into())),
    ("search: two in half of all", Query::Search(|_| "common even".into())),
    ("search: two rarely together", Query::Search(|_| "uncommon scarce".into())),
    ("search: two never together", Query::Search(|_| "even odd".into())),
    ("search: beginning of a word", Query::Search(|_| "comm".into())),
    ("administrator's list", Query::Admin { q: None }),
    ("administrator's search", Query::Admin { q: Some(|_| "common".into()) }),
];

/// A catalogue with the cursor of the next page to read.
struct Shop {
    database: Database,
    workers: Workers,
    catalogue: GeneratedCatalogue,
    cursor: Option<String>,
    filter: ProductFilter,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let size = |at: usize, usual| {
        arguments.get(at).map_or(usual, |size| size.parse().expect("a number of products"))
    };
    let url = arguments.first().map_or("sqlite:target/bench-catalogue", String::as_str);
    let mut shops = Vec::new();
    for size in [size(1, 1_000), size(2, 1_000_000)] {
        shops.push(Shop::open(url, size).await);
    }
    println!("{:>29} {:^31} {:^31} {:^13}", "", "small", "large", "ratio of p99");
    println!("{:>29}{TIMES}{TIMES} {:>6} {:>6}", "milliseconds", "clock", "CPU");
    let selected =
        |(name, _): &(&str, Query)| arguments.get(3).is_none_or(|part| name.contains(part.as_str()));
    for (name, query) in QUERIES.into_iter().filter(selected) {
        let mut samples = [Samples::default(), Samples::default()];
        for round in 0..=ROUNDS {
            for (shop, samples) in shops.iter_mut().zip(&mut samples) {
                shop.start(query);
                for _ in 0..PAGES_A_ROUND {
                    let (begun, busy) = (Instant::now(), shop.workers.busy());
                    shop.read_page(query).await;
                    // the first round warms up
                    if round > 0 {
                        samples.add(begun.elapsed(), shop.workers.busy().saturating_sub(busy));
                    }
                }
            }
        }
        samples.iter_mut().for_each(Samples::sort);
        let [small, large] = &samples;
        let (clock, cpu) = (large.elapsed_p99() / small.elapsed_p99(), large.busy_p99() / small.busy_p99());
        println!("{name:>29}{small}{large} {clock:>6.2} {cpu:>6.2}");
    }
}

impl Shop {
    async fn open(url: &str, size: usize) -> Self {
        let url = match url.strip_prefix("sqlite:") {
            Some(folder) => {
                std::fs::create_dir_all(folder).expect("a folder");
                format!("sqlite:{folder}/{size}.db")
            }
            None => measure::schema(url, &format!("undercroft_bench_{size}")).await,
        };
        let database = Database::open(&url.parse().expect("a URL"), Context::system(), Setup::IfEmpty)
            .await
            .expect("a database");
        let catalogue = GeneratedCatalogue::load(&database, size).await;
        if database.engine() == Engine::Postgres {
            measure::analyze(&database).await;
        }
        let workers = Workers::of(&database).await;
        Self { database, workers, catalogue, cursor: None, filter: euros() }
    }

    /// Starts to read a list or a search from its first page.
    fn start(&mut self, query: Query) {
        self.cursor = None;
        self.filter = euros();
        if let Query::List { sort, by_category, priced } = query {
            self.filter.sort = sort;
            self.filter.category = by_category.then(|| self.catalogue.category());
            (self.filter.min_price, self.filter.max_price) =
                if priced { (Some(2_000), Some(5_000)) } else { (None, None) };
        }
    }

    /// Reads a page: the next one of a list, or the first one of a search.
    async fn read_page(&mut self, query: Query) {
        let mut connection = self.database.read().await.expect("a connection");
        let mut products = ProductRepository(&mut connection);
        let cursor = self.cursor.take();
        let request = self.database.page_request(PAGE, cursor.as_deref());
        let page = match query {
            Query::List { by_category, .. } => {
                if by_category && cursor.is_none() {
                    self.filter.category = Some(self.catalogue.category());
                }
                products.list(&self.filter, &request).await.expect("a page")
            }
            Query::Search(q) => {
                let q = q(&mut self.catalogue);
                products
                    .search(&q, &self.filter, &self.database.page_request(PAGE, None))
                    .await
                    .expect("a page")
                    .page
            }
            Query::Admin { q } => {
                let filter =
                    AdminProductFilter { q: q.map(|q| q(&mut self.catalogue)), ..Default::default() };
                products.list_all(&filter, &request).await.expect("a page")
            }
        };
        if !matches!(query, Query::Search(_)) {
            self.cursor = page.next;
        }
        std::hint::black_box(page.items);
    }
}

/// The whole catalogue in euros.
fn euros() -> ProductFilter {
    ProductFilter { category: None, currency: Currency::EUR, min_price: None, max_price: None, sort: None }
}
