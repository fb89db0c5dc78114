//! Lists of active products: `listings` has a row for each product, category on its path, and currency.
//!
//! A page reads an index from the position of its cursor. Only newest first within a price range has no index: it reads
//! a bounded number of rows by time, and then, if the range has few products, sorts those.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::indexed_product::IndexedProduct;
use crate::domain::ids::{CategoryId, ProductId};
use crate::domain::money::Currency;
use crate::infrastructure::repositories::database::{
    Conditions, Connection, DatabaseError, ListError, Page, PageRequest, Param, UnitOfWork, from_row,
    key_lists, params,
};

/// The category that represents the whole catalogue.
const CATALOGUE: CategoryId = CategoryId(Uuid::nil());
/// The rows that a page newest first reads for products within a price range, in steps.
const STEPS: [usize; 3] = [128, 512, 2_048];
/// The most products within a price range that are sorted instead.
const FEW: usize = 1_000;

/// Which products a list or a search includes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct ProductFilter {
    /// Only those in the subtree of this category.
    pub category: Option<CategoryId>,
    /// Only those with a price in this currency.
    pub currency: Currency,
    /// Only those whose lowest price is at least this amount, in minor units.
    pub min_price: Option<i64>,
    /// Only those whose lowest price is at most this amount, in minor units.
    pub max_price: Option<i64>,
    /// The order; if omitted, a list is newest first, and a search is by relevance.
    pub sort: Option<ProductSort>,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum ProductSort {
    /// The newest products first.
    Newest,
    /// The cheapest products first.
    PriceAscending,
    /// The most expensive products first.
    PriceDescending,
}

impl ProductFilter {
    /// Returns whether an amount is within the price range.
    pub(crate) fn includes(&self, amount: i64) -> bool {
        self.min_price.is_none_or(|least| least <= amount) && self.max_price.is_none_or(|most| amount <= most)
    }

    /// Returns the statement for up to `limit` rows of the index after a position, with its parameters. A list by price
    /// stays within its range.
    pub fn statement(&self, after: Option<ListPosition>, limit: usize) -> (String, Vec<Param<'static>>) {
        let sort = self.sort.unwrap_or(ProductSort::Newest);
        let (column, direction, relation) = match sort {
            ProductSort::Newest => ("created_at", "DESC", '<'),
            ProductSort::PriceAscending => ("amount", "ASC", '>'),
            ProductSort::PriceDescending => ("amount", "DESC", '<'),
        };
        // After a position, the range's end before it is left out: a database could begin to read there.
        let (least, most) = match (sort, after) {
            (ProductSort::Newest, _) => (None, None),
            (ProductSort::PriceAscending, Some(_)) => (None, self.max_price),
            (ProductSort::PriceDescending, Some(_)) => (self.min_price, None),
            (_, None) => (self.min_price, self.max_price),
        };
        let mut conditions = Conditions::default()
            .compare("category_id =", self.category.unwrap_or(CATALOGUE))
            .compare("currency =", self.currency)
            .compare_some("amount >=", least)
            .compare_some("amount <=", most);
        if let Some((at, product)) = after {
            let at = match sort {
                ProductSort::Newest => Timestamp::from_microsecond(at).unwrap_or(Timestamp::MIN).into(),
                ProductSort::PriceAscending | ProductSort::PriceDescending => at.into(),
            };
            let comparison = format!("({column}, product_id) {relation}");
            conditions = conditions.compare_position(&comparison, (at, product.into()));
        }
        let order = format!("{column} {direction}, product_id {direction}");
        conditions.first("SELECT created_at, amount, product_id FROM listings", &order, limit)
    }
}

/// A position in a list: the creation time in microseconds or the amount, and the product.
pub type ListPosition = (i64, Uuid);

/// Products of a list in its order, each with its position. Fewer than requested, with the position to resume after,
/// if too many rows would have to be read for more.
#[derive(Debug, Default)]
struct Listed {
    rows: Vec<(ListPosition, ProductId)>,
    resume_after: Option<ListPosition>,
}

struct Entry {
    created_at: Timestamp,
    amount: i64,
    product_id: ProductId,
}

from_row!(Entry { created_at, amount, product_id });

/// Returns a page of the active products that a filter includes.
pub(crate) async fn page(
    connection: &mut Connection,
    filter: &ProductFilter,
    request: &PageRequest<'_>,
) -> Result<Page<ProductId>, ListError> {
    let (cursors, after) = request.cursors("products", filter)?;
    let listed = listed(connection, filter, after, request.limit.saturating_add(1)).await?;
    let page = Page::cut(listed.rows, request.limit, &cursors, |&(position, _)| position)?;
    let next = match listed.resume_after {
        Some(position) => Some(cursors.encode(&position)?),
        None => page.next,
    };
    Ok(Page { items: page.items.into_iter().map(|(_, id)| id).collect(), next })
}

/// Returns up to `count` products after the position `after`.
async fn listed(
    connection: &mut Connection,
    filter: &ProductFilter,
    after: Option<ListPosition>,
    count: usize,
) -> Result<Listed, DatabaseError> {
    let by_time = filter.sort.is_none_or(|sort| sort == ProductSort::Newest);
    if by_time && (filter.min_price.is_some() || filter.max_price.is_some()) {
        return newest_within_range(connection, filter, after, count).await;
    }
    let position =
        |entry: &Entry| if by_time { entry.position() } else { (entry.amount, entry.product_id.0) };
    let entries = entries(connection, filter, after, count).await?;
    let rows = entries.iter().map(|entry| (position(entry), entry.product_id)).collect();
    Ok(Listed { rows, resume_after: None })
}

/// Returns up to `count` products within the price range of a filter, newest first: those among the next rows by time,
/// or if these have too few and the range has few products, those of the range, sorted.
async fn newest_within_range(
    connection: &mut Connection,
    filter: &ProductFilter,
    after: Option<ListPosition>,
    count: usize,
) -> Result<Listed, DatabaseError> {
    let mut listed = Listed { rows: Vec::new(), resume_after: after };
    for step in STEPS {
        let entries = entries(connection, filter, listed.resume_after, step).await?;
        listed.resume_after = entries.last().filter(|_| entries.len() == step).map(Entry::position);
        let within = entries.iter().filter(|entry| filter.includes(entry.amount));
        listed.rows.extend(within.map(|entry| (entry.position(), entry.product_id)));
        if listed.resume_after.is_none() || listed.rows.len() >= count {
            listed.rows.truncate(count);
            listed.resume_after = None;
            return Ok(listed);
        }
    }
    let by_price = ProductFilter { sort: Some(ProductSort::PriceAscending), ..filter.clone() };
    let few = entries(connection, &by_price, None, FEW + 1).await?;
    if few.len() > FEW {
        return Ok(listed);
    }
    let mut rows: Vec<_> = few.iter().map(|entry| (entry.position(), entry.product_id)).collect();
    rows.retain(|&(position, _)| after.is_none_or(|after| position < after));
    rows.sort_unstable_by(|one, other| other.cmp(one));
    rows.truncate(count);
    Ok(Listed { rows, resume_after: None })
}

impl Entry {
    fn position(&self) -> ListPosition {
        (self.created_at.as_microsecond(), self.product_id.0)
    }
}

async fn entries(
    connection: &mut Connection,
    filter: &ProductFilter,
    after: Option<ListPosition>,
    limit: usize,
) -> Result<Vec<Entry>, DatabaseError> {
    let (sql, values) = filter.statement(after, limit);
    connection.all(&sql, &values).await
}

/// Writes the entries of products that changed, in the order of the table's key, so that many products touch each page
/// of it once.
pub(crate) async fn write(
    work: &mut UnitOfWork,
    products: &[IndexedProduct<'_>],
) -> Result<(), DatabaseError> {
    let mut rows = BTreeSet::new();
    for product in products {
        let (id, created_at) = (product.product.id, product.product.created_at);
        let now = listed_prices(product);
        if !product.is_new {
            let sql = "SELECT category_id, currency, amount FROM listings WHERE product_id = $1";
            let before = work.all(sql, &params![id]).await?;
            if before.into_iter().collect::<BTreeSet<_>>() == now {
                continue;
            }
            work.execute("DELETE FROM listings WHERE product_id = $1", &params![id]).await?;
        }
        let entry = |(category, currency, amount)| (category, currency, created_at, id, amount);
        rows.extend(now.into_iter().map(entry));
    }
    let rows: Vec<_> = rows
        .into_iter()
        .map(|(category, currency, at, product, amount)| params![category, currency, at, product, amount])
        .collect();
    let table = "listings (category_id, currency, created_at, product_id, amount)";
    work.insert_missing(table, &rows).await.map(drop)
}

/// Returns the lowest prices of a product by category and currency.
fn listed_prices(indexed: &IndexedProduct<'_>) -> BTreeSet<(CategoryId, Currency, i64)> {
    let mut prices = BTreeSet::new();
    if indexed.product.active {
        for (currency, amount) in indexed.product.lowest_prices() {
            let categories = indexed.path.iter().chain([&CATALOGUE]);
            prices.extend(categories.map(|&category| (category, currency, amount)));
        }
    }
    prices
}

/// Replaces the entries of a category's own products; `path` is the category and its new ancestors.
pub(crate) async fn move_to(
    work: &mut UnitOfWork,
    category: CategoryId,
    path: &[CategoryId],
) -> Result<(), DatabaseError> {
    let sql = "DELETE FROM listings WHERE category_id <> $2 \
               AND product_id IN (SELECT id FROM products WHERE category_id = $1)";
    work.execute(sql, &params![category, CATALOGUE]).await?;
    for (mut values, list) in key_lists(path) {
        values.extend(params![category, CATALOGUE]);
        let sql = format!(
            "INSERT INTO listings (category_id, currency, created_at, product_id, amount) \
             SELECT c.id, l.currency, l.created_at, l.product_id, l.amount \
             FROM products p JOIN listings l ON l.product_id = p.id JOIN categories c ON c.id IN ({list}) \
             WHERE p.category_id = ${} AND l.category_id = ${}",
            values.len() - 1,
            values.len()
        );
        work.execute(&sql, &values).await?;
    }
    Ok(())
}
