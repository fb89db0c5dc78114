//! What the caches of products, lists and searches have in common.

use std::fmt;

use serde::Serialize;

use super::entry::Loaded;
use super::rendered::Rendered;
use super::tag::Tag;
use super::weight::{self, optional, texts};
use crate::domain::product::{Product, ProductImage, ProductView, Variant};
use crate::infrastructure::repositories::{
    CacheTag, CategoryRepository, Database, Facets, ListError, PageRequest, ProductFilter, ProductRepository,
    SearchResults,
};

/// A page of a list of products.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct ListKey {
    /// The query, as `normalized_query` returns it; `None` for a list.
    pub q: Option<String>,
    /// The id or slug of the category, which takes the place of that of `filter`.
    pub category: Option<String>,
    /// Which products are listed, and how.
    pub filter: ProductFilter,
    /// The most products of the page.
    pub limit: usize,
    /// The cursor of the page; `None` for the first one.
    pub cursor: Option<String>,
}

/// Loads a page; there is none if there is no such category.
pub(super) async fn load_page(
    database: Database,
    key: ListKey,
) -> Result<Loaded<Rendered<SearchResults>>, ListError> {
    let mut connection = database.read().await?;
    let mut filter = key.filter;
    let mut tags = vec![Tag::of(CacheTag::PRODUCTS)];
    if let Some(name) = key.category {
        let categories = Tag::of(CacheTag::CATEGORIES);
        let Some(found) = CategoryRepository(&mut connection).by_id_or_slug(&name).await? else {
            // the next one that is created may have the name
            return Ok(Loaded { value: None, tags: vec![categories], bytes: 0 });
        };
        tags.push(categories);
        filter.category = Some(found.id);
    }
    let request =
        PageRequest { limit: key.limit, cursor: key.cursor.as_deref(), key: database.signing_key() };
    let mut products = ProductRepository(&mut connection);
    let SearchResults { page, facets } = match key.q {
        Some(q) => products.search(&q, &filter, &request).await?,
        None => SearchResults { page: products.list(&filter, &request).await?, facets: None },
    };
    let found = SearchResults { page: page.map(ProductView::as_shown), facets };
    tags.extend(found.page.items.iter().flat_map(product_tags));
    let bytes = weigh_page(&found);
    let (value, bytes) = rendered(found, bytes);
    Ok(Loaded { value: Some(value), tags, bytes })
}

/// Returns a value of so many bytes with space for the forms in which it is served, and the bytes of both.
///
/// A form has the texts of one language and the prices of one currency: with its compressed bytes it is about as large
/// as the value, up to twice if there are many images, and smaller if there are several languages or currencies.
pub(super) fn rendered<T>(value: T, bytes: usize) -> (Rendered<T>, u32) {
    let forms = weight::capped(1_024 + 3 * bytes);
    (Rendered::with_forms(value, forms), weight::capped(bytes).saturating_add(forms))
}

/// The tags of what is shown of a product.
pub(super) fn product_tags(view: &ProductView) -> impl Iterator<Item = Tag> {
    let variants = view.product.variants.iter().map(|variant| CacheTag::Variant(variant.id));
    std::iter::once(CacheTag::Product(view.product.id)).chain(variants).map(Tag::from)
}

/// The bytes that a product takes in memory, about. As shoppers see it, it has no metadata.
pub(super) fn weigh(view: &ProductView) -> usize {
    let Product { slug, name, description, options, translations, images, variants, tax_class, .. } =
        &view.product;
    let images = images.iter().map(|image| size_of::<ProductImage>() + texts([&image.alternative_text]));
    size_of::<ProductView>()
        + texts([slug, name, description])
        + weight::list(options)
        + weight::translations(translations)
        + weight::tax_class(tax_class.as_ref())
        + images.sum::<usize>()
        + variants.iter().map(weigh_variant).sum::<usize>()
        + size_of_val(&*view.stock)
}

fn weigh_variant(Variant { sku, options, prices, .. }: &Variant) -> usize {
    size_of::<Variant>() + texts([sku]) + weight::list(options) + weight::nodes(prices)
}

fn weigh_page(SearchResults { page, facets }: &SearchResults) -> usize {
    let facets = facets.as_ref().map_or(0, |facets| {
        let Facets { categories, prices } = facets;
        size_of_val(&**categories) + size_of_val(&**prices)
    });
    let products = page.items.iter().map(weigh);
    size_of::<SearchResults>() + optional([&page.next]) + facets + products.sum::<usize>()
}

impl fmt::Display for ListKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::domain::ids::{FileId, ProductId, VariantId};
    use crate::domain::product::{Stock, Texts};
    use crate::infrastructure::repositories::Page;

    /// A product with a text of so many bytes wherever it has one.
    fn product(length: usize) -> ProductView {
        let (id, text) = (ProductId(Uuid::from_u128(1)), "x".repeat(length));
        let mut product = Product::new(id, text.clone(), text.clone(), Timestamp::UNIX_EPOCH);
        product.description.clone_from(&text);
        product.options = vec![text.clone(); 3];
        let texts = Texts { name: text.clone(), description: text.clone() };
        product.translations = ["de", "fr"].map(|tag| (tag.to_owned(), texts.clone())).into();
        let image = ProductImage { file_id: FileId(Uuid::nil()), alternative_text: text.clone() };
        product.images = vec![image; 5];
        let prices = BTreeMap::from([("EUR".parse().unwrap(), 900)]);
        let variant = |number| Variant {
            options: product.options.clone(),
            ..Variant::new(VariantId(Uuid::from_u128(number)), id, text.clone(), prices.clone())
        };
        product.variants = (0..10).map(variant).collect();
        ProductView { product, stock: vec![Stock { stock: Some(9), reserved: 0, version: 1 }; 10] }
    }

    #[test]
    fn a_product_weighs_as_much_as_its_texts_at_least_and_a_page_as_its_products() {
        for length in [0, 10, 1_000] {
            let view = product(length);
            // 10 variants with 4 texts, 5 images, 3 options, 2 translations with 2 texts, and 3 texts
            let texts = (40 + 5 + 3 + 4 + 3) * length;
            let weight = weigh(&view);
            assert!(weight >= texts + 10 * size_of::<Variant>(), "{weight} for {texts} bytes of texts");
            assert!(weight <= texts + 10_000, "{weight} for {texts} bytes of texts");

            let page = Page { items: vec![view; 4], next: Some("y".repeat(100)) };
            let page = weigh_page(&SearchResults { page, facets: None });
            assert!(page >= 4 * weight + 100 && page <= 4 * weight + 1_000, "{page} for 4 times {weight}");
        }
    }

    #[test]
    fn what_is_rendered_weighs_as_much_as_its_value_with_its_forms() {
        assert_eq!(rendered((), 1_000).1, 1_000 + 4_024);
    }
}
