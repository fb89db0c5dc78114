//! What processes share: a change of a type has another number, by which no process reads what another version wrote.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use undercroft::domain::category::Category;
use undercroft::domain::ids::{CategoryId, FileId, ProductId, VariantId};
use undercroft::domain::metadata::Metadata;
use undercroft::domain::product::{
    BillingInterval, Product, ProductImage, ProductKind, ProductView, Stock, Texts, Translations, Variant,
};
use undercroft::infrastructure::cache::{Categories, Rendered, Shape};
use undercroft::infrastructure::repositories::{Facets, Offer, Page, PriceBand, SearchResults};
use uuid::Uuid;

use crate::support::{Shop, ShopOptions};

const PRODUCT: ProductId = ProductId(Uuid::from_u128(1));
const VARIANT: VariantId = VariantId(Uuid::from_u128(2));
const CATEGORY: CategoryId = CategoryId(Uuid::from_u128(3));

#[tokio::test]
async fn a_change_of_what_processes_share_has_another_number() {
    let recorded: Value = serde_json::from_str(include_str!("../../../fixtures/cache_shapes.json")).unwrap();
    // with all members: what is omitted may be read as if it were none
    let categories = serde_json::to_value([category()]).unwrap();
    let categories: Categories = serde_json::from_value(categories).unwrap();
    let samples = BTreeMap::from([
        ("product", written(&Rendered::with_forms(product(), 9))),
        ("listing", written(&Rendered::with_forms(page(), 9))),
        ("search", written(&Rendered::with_forms(page(), 9))),
        ("category", written(&Rendered::with_forms(categories, 9))),
        ("inventory", written(&Arc::new(offer()))),
    ]);
    let shop = Shop::on_sqlite(ShopOptions::default()).await;
    let states = shop.store.infrastructure.caches.states();
    for state in states.iter().filter(|state| state.is_shared) {
        let cache = state.cache;
        let sample = samples.get(cache).unwrap_or_else(|| panic!("a value of `{cache}` is missing here"));
        assert_eq!(
            json!({ "shape": state.policy.shape, "value": sample }),
            recorded[cache],
            "what `{cache}` writes to Redis has changed: increment the number in its `Policy::named`, so that a process \
             of the version before does not read it, and then record the value with the number in \
             tests/fixtures/cache_shapes.json"
        );
    }
}

fn written(value: &impl Shape) -> Value {
    let mut bytes = Vec::new();
    value.write(&mut bytes);
    serde_json::from_slice(&bytes).unwrap()
}

fn translations() -> Translations {
    let texts = Texts { name: "Tee".to_owned(), description: "Schwarz".to_owned() };
    Translations::from([("de".to_owned(), texts)])
}

fn product() -> ProductView {
    let variant = Variant {
        id: VARIANT,
        product_id: PRODUCT,
        sku: "TEA".to_owned(),
        options: vec!["100 g".to_owned()],
        active: true,
        prices: BTreeMap::from([("EUR".parse().unwrap(), 900)]),
        metadata: Metadata::default(),
    };
    let product = Product {
        id: PRODUCT,
        slug: "tea".to_owned(),
        name: "Tea".to_owned(),
        description: "Black".to_owned(),
        category_id: Some(CATEGORY),
        kind: ProductKind::Subscription,
        billing_interval: Some(BillingInterval::Month),
        minimum_age: Some(18),
        tax_class: Some("reduced".parse().unwrap()),
        active: true,
        options: vec!["size".to_owned()],
        translations: translations(),
        metadata: Metadata::default(),
        images: vec![ProductImage {
            file_id: FileId(Uuid::from_u128(4)),
            alternative_text: "A bag".to_owned(),
        }],
        rating_sum: 9,
        rating_count: 2,
        version: 7,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        variants: vec![variant],
    };
    ProductView { product, stock: vec![Stock { stock: Some(5), reserved: 0, version: 1 }] }
}

fn page() -> SearchResults {
    let page = Page { items: vec![product()], next: Some("cursor".to_owned()) };
    let prices = vec![PriceBand { from: 500, until: 1_000, count: 2 }];
    SearchResults { page, facets: Some(Facets { categories: vec![(CATEGORY, 2)], prices }) }
}

fn category() -> Category {
    Category {
        id: CATEGORY,
        slug: "tea".to_owned(),
        name: "Tea".to_owned(),
        parent_id: Some(CategoryId(Uuid::from_u128(5))),
        position: 1,
        tax_class: Some("reduced".parse().unwrap()),
        translations: translations(),
        version: 7,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    }
}

fn offer() -> Offer {
    Offer {
        variant_id: VARIANT,
        product_id: PRODUCT,
        sku: "TEA".to_owned(),
        name: "Tea (100 g)".to_owned(),
        active: true,
        prices: BTreeMap::from([("EUR".parse().unwrap(), 900)]),
        kind: ProductKind::Subscription,
        billing_interval: Some(BillingInterval::Month),
        minimum_age: Some(18),
        tax_class: Some("reduced".parse().unwrap()),
        category_id: Some(CATEGORY),
        available: Some(5),
    }
}
