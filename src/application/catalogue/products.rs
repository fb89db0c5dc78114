//! The products of the catalogue: found by shoppers, and managed by administrators.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::domain::events::{ProductChanged, StockChanged};
use crate::domain::ids::{CategoryId, ProductId, VariantId};
use crate::domain::money::Money;
use crate::domain::product::{
    BillingInterval, Product, ProductKind, ProductView, Stock, Translations, Variant,
};
use crate::domain::slug::slug;
use crate::domain::tax::TaxClass;
use crate::infrastructure::exceptions::{
    CategoryNotFoundException, Conflict, Failure, Fault, NotFound, ValidationException,
};
use crate::infrastructure::repositories::{
    AdminProductFilter, CategoryRepository, Connection, InventoryRepository, Page, ProductFilter,
    ProductRepository, SaveError, SearchResults, StockSet, StoredResponse, UnitOfWork,
};

use super::naming::{check_slug, check_translations};
use crate::application::idempotency::{Responder, once};
use crate::application::{Change, Store, active_by_default, check_version};

/// A product as a merchant describes it.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProductInput)]
pub struct ProductDraft {
    /// The readable part of the URL, unique in the store. If omitted, a new product's is derived from the name, and
    /// an existing product's stays.
    #[schema(min_length = 1, max_length = 200)]
    pub slug: Option<String>,
    /// The name in the store's base language.
    #[schema(min_length = 1, max_length = 500)]
    pub name: String,
    /// The description in the store's base language.
    #[serde(default)]
    #[schema(max_length = 50_000)]
    pub description: String,
    /// The category that contains the product.
    pub category_id: Option<CategoryId>,
    /// The kind; `physical` if omitted.
    #[serde(default)]
    pub kind: ProductKind,
    /// The interval at which a subscription is charged; required for subscriptions, and for no other kind.
    pub billing_interval: Option<BillingInterval>,
    /// The age in years that a buyer must have reached.
    #[schema(minimum = 1, maximum = 120)]
    pub minimum_age: Option<i64>,
    /// The tax class; the category's if omitted.
    pub tax_class: Option<TaxClass>,
    /// Whether shoppers see the product; `true` if omitted.
    #[serde(default = "active_by_default")]
    pub active: bool,
    /// The names of the options, such as size and colour.
    #[serde(default)]
    #[schema(max_items = 5)]
    pub options: Vec<String>,
    /// The texts in other languages, by BCP 47 tag.
    #[serde(default)]
    pub translations: Translations,
    /// The variants, in order.
    #[schema(min_items = 1, max_items = 200)]
    pub variants: Vec<VariantDraft>,
}

/// A variant as a merchant describes it.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = VariantInput)]
pub struct VariantDraft {
    /// The id of an existing variant; if omitted, an existing variant is found by its SKU.
    pub id: Option<VariantId>,
    /// The merchant's stock-keeping unit, unique in the store.
    #[schema(min_length = 1, max_length = 200)]
    pub sku: String,
    /// The value for each of the product's options, in their order.
    #[serde(default)]
    #[schema(max_items = 5)]
    pub options: Vec<String>,
    /// Whether the variant can be bought; `true` if omitted.
    #[serde(default = "active_by_default")]
    pub active: bool,
    /// The price, for a variant with one price.
    pub price: Option<Money>,
    /// The prices, at most one in each currency; with or instead of `price`.
    #[serde(default)]
    #[schema(max_items = 50)]
    pub prices: Vec<Money>,
    /// The stock of a new variant, in pieces; the stock of an existing variant stays.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    pub stock: i64,
}

/// Returns the active product with this id or slug.
pub async fn product(store: &Store, name: &str) -> Result<ProductView, Failure> {
    let mut connection = store.database().read().await?;
    let found = match name.parse() {
        Ok(id) => ProductRepository(&mut connection).by_id(id).await?,
        Err(_) => ProductRepository(&mut connection).by_slug(name).await?,
    };
    found.filter(|view| view.product.active).ok_or_else(|| NotFound::Product.into())
}

/// Returns the product with this id, active or not.
pub async fn any_product(store: &Store, id: ProductId) -> Result<ProductView, Failure> {
    let mut connection = store.database().read().await?;
    ProductRepository(&mut connection).by_id(id).await?.ok_or_else(|| NotFound::Product.into())
}

/// Returns a page of the active products: all, or those that contain the words of `q`.
pub async fn browse(
    store: &Store,
    q: Option<String>,
    filter: ProductFilter,
    limit: usize,
    cursor: Option<String>,
) -> Result<SearchResults, Failure> {
    let key = store.database().signing_key().clone();
    let mut connection = store.database().read().await?;
    let mut products = ProductRepository(&mut connection);
    let found = match q {
        Some(q) => products.search(&q, &filter, limit, cursor.as_deref(), &key).await?,
        None => SearchResults {
            page: products.list(&filter, limit, cursor.as_deref(), &key).await?,
            facets: None,
        },
    };
    Ok(found)
}

/// Returns a page of all products, newest first.
pub async fn all_products(
    store: &Store,
    filter: &AdminProductFilter,
    limit: usize,
    cursor: Option<&str>,
) -> Result<Page<ProductView>, Failure> {
    let mut connection = store.database().read().await?;
    let key = store.database().signing_key();
    Ok(ProductRepository(&mut connection).list_all(filter, limit, cursor, key).await?)
}

/// Returns the id of the category with this id or slug.
pub async fn category_id(store: &Store, name: &str) -> Result<CategoryId, Failure> {
    let mut connection = store.database().read().await?;
    let found = CategoryRepository(&mut connection).by_id_or_slug(name).await?;
    let category = found.ok_or_else(|| CategoryNotFoundException { category: name.to_owned() })?;
    Ok(category.id)
}

/// Creates a product.
pub async fn create(
    store: &Store,
    draft: ProductDraft,
    responder: Responder<ProductView>,
) -> Result<StoredResponse, Failure> {
    once(store, responder, draft, create_in).await
}

async fn create_in(work: &mut UnitOfWork, draft: &ProductDraft) -> Result<ProductView, Failure> {
    let id: ProductId = work.id();
    let slug = draft.slug.clone().unwrap_or_else(|| derived_slug(&draft.name, id));
    let mut product = Product::new(id, slug, draft.name.clone(), work.now());
    let stock = describe(work, &mut product, draft).await?;
    ProductRepository::insert(work, &product, &stock).await.map_err(|error| refused(error, draft))?;
    saved(work, id).await
}

/// Replaces a product. Variants that the draft does not name are deactivated.
pub async fn replace(
    store: &Store,
    id: ProductId,
    expected_version: Option<i64>,
    draft: ProductDraft,
) -> Result<ProductView, Failure> {
    let change = Change { id, expected_version, to: draft };
    store.database().write(change, async |work, change| replace_in(work, change).await).await
}

async fn replace_in(
    work: &mut UnitOfWork,
    change: &Change<ProductId, ProductDraft>,
) -> Result<ProductView, Failure> {
    let &Change { id, expected_version, to: ref draft } = change;
    let mut product = ProductRepository(work).by_id(id).await?.ok_or(NotFound::Product)?.product;
    check_version(product.version, expected_version)?;
    if let Some(slug) = &draft.slug {
        product.slug.clone_from(slug);
    }
    let stock = describe(work, &mut product, draft).await?;
    ProductRepository::update(work, &mut product, &stock).await.map_err(|error| refused(error, draft))?;
    saved(work, id).await
}

/// Deactivates a product: shoppers no longer see it. Orders keep what was sold of it.
pub async fn deactivate(store: &Store, id: ProductId, expected_version: Option<i64>) -> Result<(), Failure> {
    let write = store.database().write((id, expected_version), async |work, (id, expected_version)| {
        deactivate_in(work, *id, *expected_version).await
    });
    write.await
}

async fn deactivate_in(
    work: &mut UnitOfWork,
    id: ProductId,
    expected_version: Option<i64>,
) -> Result<(), Failure> {
    let mut product = ProductRepository(work).by_id(id).await?.ok_or(NotFound::Product)?.product;
    check_version(product.version, expected_version)?;
    product.active = false;
    let none = BTreeMap::new();
    ProductRepository::update(work, &mut product, &none).await.map_err(|error| match error {
        SaveError::Database(error) => Failure::from(error),
        SaveError::SlugTaken | SaveError::SkuTaken(_) => Conflict::Stale.into(),
    })?;
    Ok(work.publish(&ProductChanged { product_id: id }).await?)
}

/// Returns the stock of a variant.
pub async fn stock(store: &Store, variant_id: VariantId) -> Result<Stock, Failure> {
    let mut connection = store.database().read().await?;
    let found = InventoryRepository(&mut connection).stocks(&[variant_id]).await?;
    Ok(found.get(&variant_id).copied().ok_or(NotFound::Variant)?)
}

/// Sets the stock of a variant, reserved pieces included, and returns it.
pub async fn set_stock(
    store: &Store,
    variant_id: VariantId,
    expected_version: Option<i64>,
    stock: i64,
) -> Result<Stock, Failure> {
    let given = (variant_id, expected_version, stock);
    let write = store.database().write(given, async |work, (variant_id, expected_version, stock)| {
        set_stock_in(work, *variant_id, *expected_version, *stock).await
    });
    write.await
}

async fn set_stock_in(
    work: &mut UnitOfWork,
    variant_id: VariantId,
    expected_version: Option<i64>,
    stock: i64,
) -> Result<Stock, Failure> {
    match InventoryRepository::set_stock(work, variant_id, stock, expected_version).await? {
        StockSet::Done(stock) => {
            work.publish(&StockChanged { variant_id, available: stock.available() }).await?;
            Ok(stock)
        }
        StockSet::Changed => Err(Conflict::PreconditionFailed.into()),
        StockSet::BelowReserved { reserved } => Err(Conflict::StockReserved { reserved }.into()),
        StockSet::NoSuchVariant => Err(NotFound::Variant.into()),
    }
}

/// Publishes the change of a product and returns the product with its stock.
async fn saved(work: &mut UnitOfWork, id: ProductId) -> Result<ProductView, Failure> {
    work.publish(&ProductChanged { product_id: id }).await?;
    ProductRepository(work).by_id(id).await?.ok_or_else(|| NotFound::Product.into())
}

/// Returns a slug of the name's first 60 characters and the last 6 digits of the id, which make it unique.
fn derived_slug(name: &str, id: ProductId) -> String {
    let digits = id.0.simple().to_string();
    let beginning: String = slug(name).chars().take(60).collect();
    slug(&format!("{beginning}-{}", &digits[digits.len() - 6..]))
}

/// Sets everything in a product that a draft describes but the slug, and returns the stock for each variant.
async fn describe(
    connection: &mut Connection,
    product: &mut Product,
    draft: &ProductDraft,
) -> Result<BTreeMap<VariantId, i64>, Failure> {
    check(connection, draft).await?;

    product.name.clone_from(&draft.name);
    product.description.clone_from(&draft.description);
    product.category_id = draft.category_id;
    product.kind = draft.kind;
    product.billing_interval = draft.billing_interval;
    product.minimum_age = draft.minimum_age;
    product.tax_class.clone_from(&draft.tax_class);
    product.active = draft.active;
    product.options.clone_from(&draft.options);
    product.translations.clone_from(&draft.translations);

    let existing = std::mem::take(&mut product.variants);
    let mut stock = BTreeMap::new();
    for (i, variant) in draft.variants.iter().enumerate() {
        let faulty = |fault| ValidationException::one(format!("/variants/{i}/id"), fault);
        let id = variant.id_in(product.id, &existing).ok_or_else(|| faulty(Fault::NotFound))?;
        if stock.insert(id, variant.stock).is_some() {
            return Err(faulty(Fault::Duplicate).into());
        }
        product.variants.push(Variant {
            id,
            product_id: product.id,
            sku: variant.sku.clone(),
            options: variant.options.clone(),
            active: variant.active,
            prices: variant.money().map(|money| (money.currency, money.amount)).collect(),
        });
    }
    Ok(stock)
}

impl VariantDraft {
    /// Returns all prices.
    fn money(&self) -> impl Iterator<Item = Money> {
        self.price.into_iter().chain(self.prices.iter().copied())
    }

    /// Returns the id of the existing variant with this id or SKU, or that of a new one; `None` if the id is given and
    /// no variant of the product has it.
    fn id_in(&self, product: ProductId, existing: &[Variant]) -> Option<VariantId> {
        let with_sku = || existing.iter().find(|other| other.sku == self.sku).map(|other| other.id);
        match self.id.or_else(with_sku) {
            Some(id) => existing.iter().any(|other| other.id == id).then_some(id),
            None => Some(derived_id(product, &self.sku)),
        }
    }

    /// Adds the faults of the prices of the variant at a JSON pointer.
    fn check_prices(&self, at: &str, faults: &mut ValidationException) {
        let listed = self.prices.iter().enumerate().map(|(n, price)| (format!("{at}/prices/{n}"), price));
        let all = self.price.iter().map(|price| (format!("{at}/price"), price)).chain(listed);
        let mut currencies = BTreeSet::new();
        for (pointer, price) in all {
            if price.amount < 0 {
                faults.add(format!("{pointer}/amount"), Fault::Minimum { minimum: 0.into() });
            }
            if !currencies.insert(price.currency) {
                faults.add(pointer, Fault::Duplicate);
            }
        }
        faults.require(!currencies.is_empty(), format!("{at}/price"), Fault::Required);
    }
}

/// Returns the id of a new variant: a UUID of version 8 that follows from the product and the SKU.
fn derived_id(product: ProductId, sku: &str) -> VariantId {
    let digest = Sha256::new().chain_update(product.0.as_bytes()).chain_update(sku).finalize();
    let bytes = digest.first_chunk::<16>().copied().unwrap_or_default();
    VariantId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// Refuses a draft with all faults that the schema of the request cannot express.
async fn check(connection: &mut Connection, draft: &ProductDraft) -> Result<(), Failure> {
    let mut faults = ValidationException::none();
    if let Some(slug) = &draft.slug {
        check_slug(slug, &mut faults);
    }
    check_translations(&draft.translations, "", &mut faults);
    let recurring = draft.kind == ProductKind::Subscription;
    if recurring != draft.billing_interval.is_some() {
        faults.add("/billing_interval", if recurring { Fault::Required } else { Fault::Invalid });
    }
    if let Some(category) = draft.category_id
        && CategoryRepository(connection).ancestors(category).await?.is_empty()
    {
        faults.add("/category_id", Fault::NotFound);
    }
    for (i, variant) in draft.variants.iter().enumerate() {
        let at = format!("/variants/{i}");
        if variant.options.len() != draft.options.len() {
            faults.add(format!("{at}/options"), Fault::Invalid);
        }
        if draft.variants[..i].iter().any(|other| other.sku == variant.sku) {
            faults.add(format!("{at}/sku"), Fault::Duplicate);
        }
        variant.check_prices(&at, &mut faults);
    }
    faults.check()
}

/// Turns the reason why a product was not saved into the failure of the request.
fn refused(error: SaveError, draft: &ProductDraft) -> Failure {
    match error {
        SaveError::SlugTaken => Conflict::AlreadyExists { field: "slug" }.into(),
        SaveError::SkuTaken(sku) => {
            tracing::debug!(sku, product = draft.name, "another variant has the SKU");
            Conflict::AlreadyExists { field: "sku" }.into()
        }
        SaveError::Database(error) => error.into(),
    }
}
