//! What a search shows and ranks by, and the words that products are found by; written with each product.
//!
//! Beside the words of its texts a product holds a token for each category above it, so that words *and* category are
//! one question. The words of a product that shoppers do not see begin with a mark, so that theirs cost nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::indexed_product::IndexedProduct;
use super::postings::{self, Change};
use crate::domain::ids::{CategoryId, ProductId};
use crate::domain::money::Currency;
use crate::domain::product::Product;
use crate::domain::words::words;
use crate::infrastructure::repositories::database::{
    Connection, DatabaseError, Param, UnitOfWork, key_lists, params, select, table,
};

/// Words that a product is found by at most; its description's last ones are left out.
const MOST_WORDS: usize = 128;

/// A product as a search sees it.
#[derive(Debug)]
pub(crate) struct ProductText {
    pub seq: i64,
    pub product_id: ProductId,
    pub category_id: Option<CategoryId>,
    pub active: bool,
    /// Its names in all languages, folded.
    pub names: Vec<String>,
    /// Its lowest prices.
    pub prices: BTreeMap<Currency, i64>,
}

table! {
    ProductText in "product_texts", key i64;
    seq,
    product_id,
    category_id,
    active,
    names: json,
    prices: json,
}

/// Those of the texts that are there, newest first.
pub(crate) async fn by_seqs(
    connection: &mut Connection,
    seqs: &[i64],
) -> Result<Vec<ProductText>, DatabaseError> {
    let mut texts = Vec::with_capacity(seqs.len());
    for (keys, list) in key_lists(seqs) {
        let sql = select::<ProductText>(&format!("WHERE seq IN ({list})"));
        texts.extend(connection.all::<ProductText>(&sql, &keys).await?);
    }
    texts.sort_unstable_by_key(|text| std::cmp::Reverse(text.seq));
    Ok(texts)
}

/// The word that stands for a category.
pub(crate) fn token(category: CategoryId) -> String {
    format!("/{}", category.0.simple())
}

/// The word as products hold it that shoppers see, or that they do not see.
pub(crate) fn marked(word: &str, active: bool) -> String {
    if active { word.to_owned() } else { format!("~{word}") }
}

/// Writes what products are found by.
pub(crate) async fn write(
    work: &mut UnitOfWork,
    products: &[IndexedProduct<'_>],
) -> Result<(), DatabaseError> {
    let mut changes = Vec::with_capacity(products.len());
    for IndexedProduct { product, path, is_new } in products {
        let names: Vec<_> = names(product).map(|name| words(name).join(" ")).collect();
        let found_by: Vec<_> = found_by(product).into_iter().chain(path.iter().copied().map(token)).collect();
        let found_by = found_by.join(" ");
        let before = if *is_new { BTreeSet::new() } else { stored(work, product.id).await? };
        let sql = "INSERT INTO product_texts (product_id, category_id, active, names, prices, words) \
                   VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (product_id) DO UPDATE \
                   SET category_id = $2, active = $3, names = $4, prices = $5, words = $6 RETURNING seq";
        let values = params![
            product.id,
            product.category_id,
            product.active,
            Param::json(&names),
            Param::json(&product.lowest_prices()),
            &found_by,
        ];
        let seq = work.one(sql, &values).await?;
        changes.push(Change { seq, before, now: split(&found_by, product.active) });
    }
    postings::change(work, &changes).await
}

/// Moves products, which stand below the categories of `path` now, in the tree.
pub(crate) async fn move_to(
    work: &mut UnitOfWork,
    products: &[ProductId],
    path: &[CategoryId],
) -> Result<(), DatabaseError> {
    for (keys, list) in key_lists(products) {
        let sql = format!("SELECT seq, active, words FROM product_texts WHERE product_id IN ({list})");
        let mut changes = Vec::with_capacity(products.len());
        for (seq, active, words) in work.all::<(i64, bool, String)>(&sql, &keys).await? {
            let kept = words.split(' ').filter(|word| !word.starts_with('/')).map(str::to_owned);
            let now: Vec<_> = kept.chain(path.iter().copied().map(token)).collect();
            let now = now.join(" ");
            let sql = "UPDATE product_texts SET words = $2 WHERE seq = $1";
            work.execute(sql, &params![seq, &now]).await?;
            changes.push(Change { seq, before: split(&words, active), now: split(&now, active) });
        }
        postings::change(work, &changes).await?;
    }
    Ok(())
}

/// The words under which a product is kept now.
async fn stored(connection: &mut Connection, product: ProductId) -> Result<BTreeSet<String>, DatabaseError> {
    let sql = "SELECT active, words FROM product_texts WHERE product_id = $1";
    let stored: Option<(bool, String)> = connection.first(sql, &params![product]).await?;
    Ok(stored.map(|(active, words)| split(&words, active)).unwrap_or_default())
}

fn split(words: &str, active: bool) -> BTreeSet<String> {
    words.split(' ').filter(|word| !word.is_empty()).map(|word| marked(word, active)).collect()
}

/// A product's names, the base language's first.
fn names(product: &Product) -> impl Iterator<Item = &String> {
    std::iter::once(&product.name).chain(product.translations.values().map(|texts| &texts.name))
}

/// The words of a product's texts, the telling ones first.
fn found_by(product: &Product) -> BTreeSet<String> {
    let variants = product.variants.iter();
    let skus = variants.clone().map(|variant| &variant.sku);
    let options = variants.flat_map(|variant| &variant.options);
    let descriptions = std::iter::once(&product.description)
        .chain(product.translations.values().map(|texts| &texts.description));
    let mut found_by = BTreeSet::new();
    for word in names(product).chain(skus).chain(options).chain(descriptions).flat_map(|text| words(text)) {
        if found_by.len() == MOST_WORDS {
            break;
        }
        found_by.insert(word);
    }
    found_by
}
