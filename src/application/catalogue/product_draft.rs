//! A product as a merchant describes it: the checks of a draft, and the product that it describes.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::domain::ids::{CategoryId, ProductId, VariantId};
use crate::domain::metadata::Metadata;
use crate::domain::money::{MAX_PRICE, Money};
use crate::domain::product::{BillingInterval, Product, ProductImage, ProductKind, Translations, Variant};
use crate::domain::slug::slug;
use crate::domain::tax::TaxClass;
use crate::infrastructure::exceptions::{Failure, Fault, ValidationException};
use crate::infrastructure::repositories::{CategoryRepository, Connection, FileRepository};

use super::naming::{check_slug, check_translations};
use crate::application::active_by_default;
use crate::application::partial_update::nullable;

/// The most characters of the name or the value of an option.
const MAX_OPTION: usize = 200;

/// A product as a merchant describes it. It has no member that only responses have: `id`, `version`, `created_at` and
/// `updated_at`, in variants `reserved` and `available`, and in images `url`. Remove these to send a product back.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProductInput)]
pub struct ProductDraft {
    /// The readable part of the URL, unique in the store. If omitted, a new product's is made of the name, up to 60
    /// characters of it, and the last 6 digits of the product's id, as in `green-tea-1af593`; that of an existing
    /// product stays.
    #[schema(min_length = 1, max_length = 200)]
    pub slug: Option<String>,
    /// The name in the base language of the store.
    #[schema(min_length = 1, max_length = 500)]
    pub name: String,
    /// The description in the base language of the store. If omitted, it is empty, also that of an existing
    /// product.
    #[serde(default)]
    #[schema(max_length = 50_000, format = "multiline")]
    pub description: String,
    /// The category that contains the product. If omitted, the product is in none, also an existing one.
    pub category_id: Option<CategoryId>,
    /// The kind. If omitted, it is `physical`, also that of an existing product.
    #[serde(default)]
    pub kind: ProductKind,
    /// The interval at which a subscription is charged; required for subscriptions, and for no other kind.
    pub billing_interval: Option<BillingInterval>,
    /// The age in years that a buyer must have reached. If omitted, there is none, also for an existing product.
    #[schema(minimum = 1, maximum = 120)]
    pub minimum_age: Option<i64>,
    /// The tax class. If omitted, it is that of the category, or of the nearest category above it that has one; without
    /// any, `standard`. The class of an existing product is removed then.
    pub tax_class: Option<TaxClass>,
    /// Whether shoppers see the product. If omitted, they do, also an existing product that was deactivated.
    #[serde(default = "active_by_default")]
    pub active: bool,
    /// The names of the options, such as size and colour, each of at most 200 characters. If omitted, there are none,
    /// also of an existing product.
    #[serde(default)]
    #[schema(max_items = 5)]
    pub options: Vec<String>,
    /// The texts in other languages, by BCP 47 tag. If omitted, there are none: those of an existing product are
    /// removed, as is a language that is not sent.
    #[serde(default)]
    pub translations: Translations,
    /// The merchant's own values, which shoppers do not see. If omitted, a new product has none, and those of an
    /// existing product stay.
    pub metadata: Option<Metadata>,
    /// The images, in order. If omitted, a new product has none, and those of an existing product stay.
    #[schema(max_items = 50)]
    pub images: Option<Vec<ProductImage>>,
    /// The variants, in order. An existing variant that is not sent is deactivated.
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
    /// One value for each of the product's options, in their order, each of at most 200 characters; may be omitted only
    /// if the product has no options.
    #[serde(default)]
    #[schema(max_items = 5)]
    pub options: Vec<String>,
    /// Whether the variant can be bought. If omitted, it can, also an existing one that was deactivated.
    #[serde(default = "active_by_default")]
    pub active: bool,
    /// The price, for a variant with one price: an amount from 0 to 10^15. A variant has `price`, `prices` or both.
    pub price: Option<Money>,
    /// The prices, at most one in each currency; with or instead of `price`. All prices of an existing variant are
    /// replaced: a currency that is not sent is removed, and the variant is no longer sold in it.
    #[serde(default)]
    #[schema(max_items = 50)]
    pub prices: Vec<Money>,
    /// The stock of a new variant, in pieces; `null` if they are not counted. If omitted, the pieces of a digital
    /// product are not counted, and others have 0. The stock of an existing variant stays, also if another one is sent:
    /// `PUT /admin/v1/inventory/{variant_id}` sets it.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 1_000_000_000)]
    pub stock: Option<Option<i64>>,
    /// The merchant's own values, which shoppers do not see. If omitted, a new variant has none, and those of an
    /// existing variant stay.
    pub metadata: Option<Metadata>,
}

/// Returns a slug of the name's first 60 characters and the last 6 digits of the id, which make it unique.
pub(super) fn derived_slug(name: &str, id: ProductId) -> String {
    let digits = id.0.simple().to_string();
    let beginning: String = slug(name).chars().take(60).collect();
    slug(&format!("{beginning}-{}", &digits[digits.len() - 6..]))
}

/// Sets everything in a product that a draft describes but the slug, and returns the stock for each variant.
///
/// Fails with all faults of the draft that the schema of the request cannot express.
pub(super) async fn describe(
    connection: &mut Connection,
    product: &mut Product,
    draft: &ProductDraft,
) -> Result<BTreeMap<VariantId, Option<i64>>, Failure> {
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
    if let Some(metadata) = &draft.metadata {
        product.metadata.clone_from(metadata);
    }
    if let Some(images) = &draft.images {
        product.images.clone_from(images);
    }

    let existing = std::mem::take(&mut product.variants);
    let stock_if_omitted = if draft.kind == ProductKind::Digital { None } else { Some(0) };
    let mut stock = BTreeMap::new();
    for (i, variant) in draft.variants.iter().enumerate() {
        let faulty = |fault| ValidationException::one(format!("/variants/{i}/id"), fault);
        let id = variant.id_in(product.id, &existing).ok_or_else(|| faulty(Fault::NotFound))?;
        if stock.insert(id, variant.stock.unwrap_or(stock_if_omitted)).is_some() {
            return Err(faulty(Fault::Duplicate).into());
        }
        let before = existing.iter().find(|other| other.id == id).map(|other| &other.metadata);
        product.variants.push(Variant {
            id,
            product_id: product.id,
            sku: variant.sku.clone(),
            options: variant.options.clone(),
            active: variant.active,
            prices: variant.money().map(|money| (money.currency, money.amount)).collect(),
            metadata: variant.metadata.as_ref().or(before).cloned().unwrap_or_default(),
        });
    }
    Ok(stock)
}

impl ProductDraft {
    /// Adds the faults of the draft alone that the schema of the request cannot express.
    pub(crate) fn check(&self, faults: &mut ValidationException) {
        if let Some(slug) = &self.slug {
            check_slug(slug, faults);
        }
        check_translations(&self.translations, "", faults);
        let recurring = self.kind == ProductKind::Subscription;
        if recurring != self.billing_interval.is_some() {
            let none = Fault::NotAllowed { allowed: vec![serde_json::Value::Null] };
            faults.add("/billing_interval", if recurring { Fault::Required } else { none });
        }
        check_options(&self.options, "", faults);
        for (i, variant) in self.variants.iter().enumerate() {
            let (at, before) = (format!("/variants/{i}"), &self.variants[..i]);
            check_options(&variant.options, &at, faults);
            if let Some(fault) = variant.options_fault(self.options.len(), before) {
                faults.add(format!("{at}/options"), fault);
            }
            if before.iter().any(|other| other.sku == variant.sku) {
                faults.add(format!("{at}/sku"), Fault::Duplicate);
            }
            variant.check_prices(&at, faults);
        }
    }
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
        let exists = |id: &VariantId| existing.iter().any(|other| other.id == *id);
        if let Some(id) = self.id.or_else(with_sku) {
            return Some(id).filter(exists);
        }
        let mut ids = (0..).map(|earlier| derived_id(product, &self.sku, earlier));
        ids.find(|id| !exists(id))
    }

    /// Returns whether shoppers could not tell the variants of a product apart.
    fn looks_like(&self, other: &Self) -> bool {
        self.active && other.active && self.options == other.options
    }

    /// Returns what is wrong with the options of a variant of a product with this number of options, after other
    /// variants. An inactive variant may have those of an earlier time.
    fn options_fault(&self, options: usize, before: &[Self]) -> Option<Fault> {
        match self.options.len() {
            _ if !self.active => None,
            given if given != options => Some(Fault::OptionValues { options }),
            _ => before.iter().any(|other| other.looks_like(self)).then_some(Fault::SameOptions),
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
            if price.amount > MAX_PRICE {
                faults.add(format!("{pointer}/amount"), Fault::Maximum { maximum: MAX_PRICE.into() });
            }
            if !currencies.insert(price.currency) {
                faults.add(pointer, Fault::Duplicate);
            }
        }
        faults.require(!currencies.is_empty(), format!("{at}/price"), Fault::Required);
    }
}

/// Adds the faults of names or values of options in a product or variant at a JSON pointer.
fn check_options(options: &[String], at: &str, faults: &mut ValidationException) {
    for (i, _) in options.iter().enumerate().filter(|(_, text)| text.chars().count() > MAX_OPTION) {
        faults.add(format!("{at}/options/{i}"), Fault::TooLong { max_length: MAX_OPTION });
    }
}

/// Returns the id of a new variant: a UUID of version 8 that follows from the product, the SKU and the number of
/// earlier variants of the product that had this SKU and have another one now.
fn derived_id(product: ProductId, sku: &str, earlier: usize) -> VariantId {
    let hash = Sha256::new().chain_update(product.0.as_bytes()).chain_update(sku);
    // no SKU contains this character
    let digest = hash.chain_update("\0".repeat(earlier)).finalize();
    let bytes = digest.first_chunk::<16>().copied().unwrap_or_default();
    VariantId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// Refuses a draft with all faults that the schema of the request cannot express.
async fn check(connection: &mut Connection, draft: &ProductDraft) -> Result<(), Failure> {
    let mut faults = ValidationException::none();
    draft.check(&mut faults);
    if let Some(category) = draft.category_id
        && CategoryRepository(connection).ancestors(category).await?.is_empty()
    {
        faults.add("/category_id", Fault::NotFound);
    }
    check_images(connection, draft.images.as_deref().unwrap_or_default(), &mut faults).await?;
    faults.check()
}

/// Adds the faults of images: a file that is missing, there twice, or no image.
async fn check_images(
    connection: &mut Connection,
    images: &[ProductImage],
    faults: &mut ValidationException,
) -> Result<(), Failure> {
    if images.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = images.iter().map(|image| image.file_id).collect();
    let files = FileRepository(connection).by_ids(&ids).await?;
    for (i, id) in ids.iter().enumerate() {
        let fault = match files.iter().find(|file| file.id == *id) {
            None => Fault::NotFound,
            Some(_) if ids[..i].contains(id) => Fault::Duplicate,
            // shoppers could not see the content of a product
            Some(file) if !file.is_image() || file.product_id.is_some() => Fault::Invalid,
            Some(_) => continue,
        };
        faults.add(format!("/images/{i}/file_id"), fault);
    }
    Ok(())
}
