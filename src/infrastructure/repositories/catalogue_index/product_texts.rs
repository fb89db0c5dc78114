//! The columns by which a search ranks products, and the words of products; written with each product.
//!
//! The words of a product include a token for each category on its path, so that a search within a category is a search
//! for one word more. The words of an inactive product begin with a mark, so that a search of active products does not
//! read them.

use std::collections::{BTreeMap, BTreeSet};

use super::indexed_product::IndexedProduct;
use super::postings::{self, Change};
use crate::domain::ids::{CategoryId, ProductId};
use crate::domain::money::Currency;
use crate::domain::product::Product;
use crate::domain::words::spellings;
use crate::infrastructure::repositories::database::{
    Connection, DatabaseError, Param, UnitOfWork, key_lists, params, table,
};

/// The most words of a product's names, SKUs and options: several for each of the 200 variants that it may have. Other
/// spellings are not counted.
const NAME_WORDS: usize = 1_024;
/// The most words that a product's descriptions add; the last ones are left out.
const DESCRIPTION_WORDS: usize = 128;

/// A product as a search reads it.
#[derive(Debug)]
pub(crate) struct ProductText {
    pub seq: i64,
    pub product_id: ProductId,
    pub category_id: Option<CategoryId>,
    /// The names in all languages, folded, in each spelling.
    pub names: Vec<String>,
    /// The lowest price in each currency, in minor units.
    pub prices: BTreeMap<Currency, i64>,
}

table! {
    ProductText in "product_texts", key i64;
    seq,
    product_id,
    category_id,
    names: json,
    prices: json,
}

/// Returns the texts with these `seq`s, newest first; missing ones are left out.
pub(crate) async fn by_seqs(
    connection: &mut Connection,
    seqs: &[i64],
) -> Result<Vec<ProductText>, DatabaseError> {
    let mut texts = connection.all_by_keys::<ProductText, _>("seq", seqs).await?;
    texts.sort_unstable_by_key(|text| std::cmp::Reverse(text.seq));
    Ok(texts)
}

/// Returns the word of a category.
pub(crate) fn token(category: CategoryId) -> String {
    format!("/{}", category.0.simple())
}

/// Returns a word as it is stored for active or inactive products.
pub(crate) fn marked(word: &str, active: bool) -> String {
    if active { word.to_owned() } else { format!("~{word}") }
}

/// Writes the texts and words of products.
pub(crate) async fn write(
    work: &mut UnitOfWork,
    products: &[IndexedProduct<'_>],
) -> Result<(), DatabaseError> {
    let mut changes = Vec::with_capacity(products.len());
    for IndexedProduct { product, path, is_new } in products {
        let names: Vec<_> =
            names(product).flat_map(|name| spellings(name)).map(|words| words.join(" ")).collect();
        let all_words: Vec<_> =
            text_words(product).into_iter().chain(path.iter().copied().map(token)).collect();
        let all_words = all_words.join(" ");
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
            &all_words,
        ];
        let seq = work.one(sql, &values).await?;
        changes.push(Change { seq, before, now: split(&all_words, product.active) });
    }
    postings::change(work, &changes).await
}

/// Replaces the categories in the words of products; `path` is their category and its ancestors.
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

/// Returns the stored words of a product.
async fn stored(connection: &mut Connection, product: ProductId) -> Result<BTreeSet<String>, DatabaseError> {
    let sql = "SELECT active, words FROM product_texts WHERE product_id = $1";
    let stored: Option<(bool, String)> = connection.first(sql, &params![product]).await?;
    Ok(stored.map(|(active, words)| split(&words, active)).unwrap_or_default())
}

fn split(words: &str, active: bool) -> BTreeSet<String> {
    words.split(' ').filter(|word| !word.is_empty()).map(|word| marked(word, active)).collect()
}

/// Returns the names of a product, the base language's first.
fn names(product: &Product) -> impl Iterator<Item = &String> {
    std::iter::once(&product.name).chain(product.translations.values().map(|texts| &texts.name))
}

/// Returns the words of a product's texts.
fn text_words(product: &Product) -> BTreeSet<String> {
    let variants = product.variants.iter();
    let skus = variants.clone().map(|variant| &variant.sku);
    let options = variants.flat_map(|variant| &variant.options);
    let descriptions = std::iter::once(&product.description)
        .chain(product.translations.values().map(|texts| &texts.description));
    let mut found = BTreeSet::new();
    add_words(&mut found, names(product).chain(skus).chain(options), NAME_WORDS);
    add_words(&mut found, descriptions, DESCRIPTION_WORDS);
    found
}

/// Adds the words of texts, at most `most` that were not there before, each with its other spelling.
fn add_words<'a>(found: &mut BTreeSet<String>, texts: impl Iterator<Item = &'a String>, most: usize) {
    let mut left = most;
    for spellings in texts.map(|text| spellings(text)) {
        let Some((words, others)) = spellings.split_first() else { continue };
        for (at, word) in words.iter().enumerate() {
            if left == 0 {
                return;
            }
            left -= usize::from(found.insert(word.clone()));
            found.extend(others.iter().filter_map(|words| words.get(at)).cloned());
        }
    }
}
