//! The catalogue: what shoppers find in it, and what an administrator puts into it.

use std::collections::BTreeMap;

use crate::domain::events::{ProductChanged, StockChanged};
use crate::domain::ids::{CategoryId, ProductId, VariantId};
use crate::domain::money::Currency;
use crate::domain::product::{
    BillingInterval, Product, ProductKind, ProductView, Stock, Translations, Variant,
};
use crate::domain::slug::slug;
use crate::domain::tax::TaxClass;
use crate::infrastructure::exceptions::{
    CategoryNotFoundException, Conflict, Failure, Fault, NotFound, ValidationException,
};
use crate::infrastructure::repositories::{
    AdminProductFilter, CategoryRepository, Connection, Found, InventoryRepository, Page, ProductFilter,
    ProductRepository, SaveError, StockSet, UnitOfWork,
};

use super::naming::{check_slug, check_translations};
use crate::application::Store;

/// A product as an administrator describes it.
#[derive(Debug, Clone)]
pub struct ProductDraft {
    /// The readable part of its address; made from the name if it is not said.
    pub slug: Option<String>,
    /// Name in the store's base language.
    pub name: String,
    /// Description in the store's base language.
    pub description: String,
    /// Where it stands in the tree.
    pub category_id: Option<CategoryId>,
    /// What kind of thing it is.
    pub kind: ProductKind,
    /// How often it is charged; only for subscriptions.
    pub billing_interval: Option<BillingInterval>,
    /// The age a buyer must have reached.
    pub minimum_age: Option<i64>,
    /// Its tax class; the category's if it is not said.
    pub tax_class: Option<TaxClass>,
    /// Whether shoppers see it.
    pub active: bool,
    /// The names of its options.
    pub options: Vec<String>,
    /// Texts in other languages.
    pub translations: Translations,
    /// What is sold.
    pub variants: Vec<VariantDraft>,
}

/// A variant as an administrator describes it.
#[derive(Debug, Clone)]
pub struct VariantDraft {
    /// Which, if it is there already.
    pub id: Option<VariantId>,
    /// Its SKU.
    pub sku: String,
    /// The value for each of the product's options.
    pub options: Vec<String>,
    /// Whether it can be bought.
    pub active: bool,
    /// Its prices in minor units.
    pub prices: BTreeMap<Currency, i64>,
    /// How many there are, if it is new.
    pub stock: i64,
}

/// The product with this id or slug, if shoppers may see it.
pub async fn product(store: &Store, name: &str) -> Result<ProductView, Failure> {
    let mut connection = store.database().read().await?;
    let found = match name.parse() {
        Ok(id) => ProductRepository(&mut connection).by_id(id).await?,
        Err(_) => ProductRepository(&mut connection).by_slug(name).await?,
    };
    found.filter(|view| view.product.active).ok_or_else(|| NotFound::Product.into())
}

/// The product with this id, also one that shoppers do not see.
pub async fn any_product(store: &Store, id: ProductId) -> Result<ProductView, Failure> {
    let mut connection = store.database().read().await?;
    ProductRepository(&mut connection).by_id(id).await?.ok_or_else(|| NotFound::Product.into())
}

/// A page of what shoppers see, of all of it or of what holds the words of `q`.
pub async fn browse(
    store: &Store,
    q: Option<String>,
    filter: ProductFilter,
    limit: usize,
    cursor: Option<String>,
) -> Result<Found, Failure> {
    let key = store.database().cursor_key().clone();
    let mut connection = store.database().read().await?;
    let mut products = ProductRepository(&mut connection);
    let found = match q {
        Some(q) => products.search(&q, &filter, limit, cursor.as_deref(), &key).await?,
        None => Found { page: products.list(&filter, limit, cursor.as_deref(), &key).await?, facets: None },
    };
    Ok(found)
}

/// A page of all products, newest first.
pub async fn all_products(
    store: &Store,
    filter: &AdminProductFilter,
    limit: usize,
    cursor: Option<&str>,
) -> Result<Page<ProductView>, Failure> {
    let mut connection = store.database().read().await?;
    let key = store.database().cursor_key();
    Ok(ProductRepository(&mut connection).list_all(filter, limit, cursor, key).await?)
}

/// The category that a caller names by id or slug.
pub async fn category_id(store: &Store, name: &str) -> Result<CategoryId, Failure> {
    let mut connection = store.database().read().await?;
    let found = CategoryRepository(&mut connection).by_id_or_slug(name).await?;
    let category = found.ok_or_else(|| CategoryNotFoundException { category: name.to_owned() })?;
    Ok(category.id)
}

/// Adds a product.
pub async fn create_product(work: &mut UnitOfWork, draft: &ProductDraft) -> Result<ProductView, Failure> {
    let id: ProductId = work.id();
    let now = work.now();
    let mut product = Product {
        id,
        slug: draft.slug.clone().unwrap_or_else(|| made_slug(&draft.name, id)),
        name: String::new(),
        description: String::new(),
        category_id: None,
        kind: draft.kind,
        billing_interval: None,
        minimum_age: None,
        tax_class: None,
        active: true,
        options: Vec::new(),
        translations: Translations::new(),
        rating_sum: 0,
        rating_count: 0,
        version: 1,
        created_at: now,
        updated_at: now,
        variants: Vec::new(),
    };
    let stock = describe(work, &mut product, draft).await?;
    ProductRepository::insert(work, &product, &stock).await.map_err(|error| refused(error, draft))?;
    saved(work, id).await
}

/// Describes a product anew; variants that are not named any more are no longer sold.
pub async fn update_product(
    work: &mut UnitOfWork,
    id: ProductId,
    version: Option<i64>,
    draft: &ProductDraft,
) -> Result<ProductView, Failure> {
    let view = ProductRepository(work).by_id(id).await?.ok_or(NotFound::Product)?;
    let mut product = view.product;
    if version.is_some_and(|seen| seen != product.version) {
        return Err(Conflict::PreconditionFailed.into());
    }
    if let Some(slug) = &draft.slug {
        product.slug.clone_from(slug);
    }
    let stock = describe(work, &mut product, draft).await?;
    ProductRepository::update(work, &mut product, &stock).await.map_err(|error| refused(error, draft))?;
    saved(work, id).await
}

/// Takes a product off the shelf. What was sold of it stays in the books.
pub async fn archive_product(
    work: &mut UnitOfWork,
    id: ProductId,
    version: Option<i64>,
) -> Result<(), Failure> {
    let view = ProductRepository(work).by_id(id).await?.ok_or(NotFound::Product)?;
    let mut product = view.product;
    if version.is_some_and(|seen| seen != product.version) {
        return Err(Conflict::PreconditionFailed.into());
    }
    product.active = false;
    let none = BTreeMap::new();
    ProductRepository::update(work, &mut product, &none).await.map_err(|error| match error {
        SaveError::Store(error) => Failure::from(error),
        SaveError::SlugTaken | SaveError::SkuTaken(_) => Conflict::Stale.into(),
    })?;
    Ok(work.publish(&ProductChanged { product_id: id }).await?)
}

/// Sets how many pieces of a variant there are, those that orders have reserved included; its stock after that.
pub async fn set_stock(
    work: &mut UnitOfWork,
    variant_id: VariantId,
    stock: i64,
    version: Option<i64>,
) -> Result<Stock, Failure> {
    match InventoryRepository::set_stock(work, variant_id, stock, version).await? {
        StockSet::Done(stock) => {
            work.publish(&StockChanged { variant_id, available: stock.available() }).await?;
            Ok(stock)
        }
        StockSet::Changed => Err(Conflict::PreconditionFailed.into()),
        StockSet::BelowReserved { reserved } => Err(Conflict::StockReserved { reserved }.into()),
        StockSet::NoSuchVariant => Err(NotFound::Variant.into()),
    }
}

async fn saved(work: &mut UnitOfWork, id: ProductId) -> Result<ProductView, Failure> {
    work.publish(&ProductChanged { product_id: id }).await?;
    ProductRepository(work).by_id(id).await?.ok_or_else(|| NotFound::Product.into())
}

/// A slug of the name's beginning, told apart by the id.
fn made_slug(name: &str, id: ProductId) -> String {
    let digits = id.0.simple().to_string();
    let beginning: String = slug(name).chars().take(60).collect();
    slug(&format!("{beginning}-{}", &digits[digits.len() - 6..]))
}

/// Puts what a draft says into a product; the stock of variants that are new.
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
    let known: Vec<VariantId> = product.variants.iter().map(|variant| variant.id).collect();
    let by_sku: BTreeMap<String, VariantId> =
        product.variants.iter().map(|variant| (variant.sku.clone(), variant.id)).collect();
    let mut stock = BTreeMap::new();
    product.variants.clear();
    for (i, variant) in draft.variants.iter().enumerate() {
        let id = match variant.id.or_else(|| by_sku.get(&variant.sku).copied()) {
            Some(id) if known.contains(&id) => id,
            Some(_) => {
                let place = format!("/variants/{i}/id");
                return Err(ValidationException::one(place, Fault::NoSuchThing).into());
            }
            None => derived(product.id, &variant.sku),
        };
        if stock.insert(id, variant.stock).is_some() {
            return Err(ValidationException::one(format!("/variants/{i}/id"), Fault::Duplicate).into());
        }
        product.variants.push(Variant {
            id,
            product_id: product.id,
            sku: variant.sku.clone(),
            options: variant.options.clone(),
            active: variant.active,
            prices: variant.prices.clone(),
        });
    }
    Ok(stock)
}

/// The id of a new variant: that of its product and SKU.
fn derived(product: ProductId, sku: &str) -> VariantId {
    use sha2::{Digest, Sha256};
    let digest = Sha256::new().chain_update(product.0.as_bytes()).chain_update(sku).finalize();
    let bytes = digest.first_chunk::<16>().copied().unwrap_or_default();
    VariantId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// Looks for what a schema cannot say: all of it at once.
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
        faults.add("/category_id", Fault::NoSuchThing);
    }
    for (i, variant) in draft.variants.iter().enumerate() {
        if variant.options.len() != draft.options.len() {
            faults.add(format!("/variants/{i}/options"), Fault::Invalid);
        }
        if draft.variants[..i].iter().any(|other| other.sku == variant.sku) {
            faults.add(format!("/variants/{i}/sku"), Fault::Duplicate);
        }
    }
    faults.check()
}

fn refused(error: SaveError, draft: &ProductDraft) -> Failure {
    match error {
        SaveError::SlugTaken => Conflict::AlreadyExists { field: "slug" }.into(),
        SaveError::SkuTaken(sku) => {
            tracing::debug!(sku, product = draft.name, "the SKU is another variant's");
            Conflict::AlreadyExists { field: "sku" }.into()
        }
        SaveError::Store(error) => error.into(),
    }
}
