//! What processes share: a change of a type or of its tags has another number, by which no process reads what another
//! version wrote.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use undercroft::domain::category::Category;
use undercroft::domain::ids::{CategoryId, DiscountId, FileId, ProductId, VariantId};
use undercroft::domain::metadata::Metadata;
use undercroft::domain::product::{
    BillingInterval, Product, ProductImage, ProductKind, ProductView, Stock, Texts, Translations, Variant,
};
use undercroft::infrastructure::cache::{Categories, Rendered, Shape};
use undercroft::infrastructure::events::CacheInvalidationEvent;
use undercroft::infrastructure::repositories::{
    CacheTag, DatabaseError, Facets, Offer, Page, PriceBand, SearchResults,
};
use uuid::Uuid;

use super::shoppers::counts;
use crate::support::http::cart_of;
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
    // entries do not end meanwhile
    let shop = Shop::on_sqlite(ShopOptions::manual_clock()).await;
    let tags = tags_by_cache(&shop).await;
    let states = shop.store.infrastructure.caches.states();
    for state in states.iter().filter(|state| state.is_shared) {
        let cache = state.cache;
        let sample = samples.get(cache).unwrap_or_else(|| panic!("a value of `{cache}` is missing here"));
        assert_eq!(
            json!({ "shape": state.policy.shape, "tags": tags.get(cache), "value": sample }),
            recorded[cache],
            "what `{cache}` writes to Redis has changed, or the kinds of its tags: increment the number in its \
             `Policy::named`, so that a process of the version before does not read it, and then record the value and \
             the kinds with the number in tests/fixtures/cache_shapes.json"
        );
    }
}

/// The kinds of the tags of what each cache keeps: of a value, and of the knowledge that there is none.
async fn tags_by_cache(shop: &Shop) -> BTreeMap<&'static str, Value> {
    let server = shop.server().await;
    let admin = server.admin().await;
    let category = admin.post("/admin/v1/categories", json!({"name": "Tea"})).await.expect(201);
    let variants = json!([{"sku": "T-1", "price": {"amount": 900, "currency": "EUR"}, "stock": 5}]);
    let draft =
        json!({"name": "Assam", "slug": "assam", "category_id": category["id"], "variants": variants});
    let product = admin.post("/admin/v1/products", draft).await.expect(201);
    let variant = product["variants"][0]["id"].as_str().unwrap();
    let cart = cart_of(&server.guest(), variant, 1).await;

    let id = |text: &Value| text.as_str().unwrap().parse::<Uuid>().unwrap();
    let of_rows = [
        CacheTag::Category(CategoryId(id(&category["id"]))),
        CacheTag::Product(ProductId(id(&product["id"]))),
        CacheTag::Variant(VariantId(id(&product["variants"][0]["id"]))),
        CacheTag::Discount(DiscountId(Uuid::from_u128(6))),
    ];
    let of_all = [CacheTag::CATEGORIES, CacheTag::PRODUCTS].map(|tag| (tag, tag.to_owned()));
    let tags: Vec<_> = of_all.into_iter().chain(of_rows.map(|tag| (kind(tag), tag.to_string()))).collect();

    let mut found = BTreeMap::new();
    for (cache, value, none) in [
        ("product", "/v1/products/assam", Some("/v1/products/none")),
        ("listing", "/v1/products?category=tea", Some("/v1/products?category=none")),
        ("search", "/v1/products?q=assam&category=tea", Some("/v1/products?q=assam&category=none")),
        ("category", "/v1/categories", None),
        ("inventory", cart.as_str(), None),
    ] {
        let mut kinds = json!({ "value": kinds_of_tags(shop, cache, value, &tags).await });
        if let Some(path) = none {
            kinds["none"] = json!(kinds_of_tags(shop, cache, path, &tags).await);
        }
        found.insert(cache, kinds);
    }
    found
}

/// The kind of a tag: a new one is added to those that are dropped here.
fn kind(tag: CacheTag) -> &'static str {
    match tag {
        CacheTag::Category(_) => "category",
        CacheTag::Product(_) => "product",
        CacheTag::Variant(_) => "variant",
        CacheTag::Discount(_) => "discount",
    }
}

/// The kinds of the tags whose drop lets a cache load again what a path reads.
async fn kinds_of_tags(
    shop: &Shop,
    cache: &str,
    path: &str,
    tags: &[(&'static str, String)],
) -> Vec<&'static str> {
    let server = shop.server().await;
    let guest = server.guest();
    let loads = async || {
        guest.get(path).await;
        counts(server, cache).loads
    };
    let mut kinds = Vec::new();
    for (kind, tag) in tags {
        let before = loads().await;
        assert_eq!(loads().await, before, "`{cache}` keeps {path}");
        let published: Result<(), DatabaseError> = shop
            .database
            .write(tag.clone(), async |work, tag| {
                work.publish(&CacheInvalidationEvent { tags: vec![tag.clone()] }).await
            })
            .await;
        published.unwrap();
        if loads().await > before {
            kinds.push(*kind);
        }
    }
    kinds
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
