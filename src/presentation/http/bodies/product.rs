//! A product: for shoppers in one language and currency, and for administrators with all its data.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::ids::{CategoryId, FileId, ProductId, VariantId};
use crate::domain::metadata::Metadata;
use crate::domain::money::{Currency, Money};
use crate::domain::product::{
    BillingInterval, ProductImage, ProductKind, ProductView, Stock, Texts, Variant,
};
use crate::domain::tax::TaxClass;
use crate::presentation::http::response::{StoredResponse, tagged};

/// A product, as shoppers see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Product)]
pub struct ProductBody<'a> {
    /// The id of the product.
    id: ProductId,
    /// The readable part of the product's URL.
    slug: &'a str,
    /// The name, in the best available language.
    name: &'a str,
    /// The description, in the best available language.
    description: &'a str,
    /// The category.
    category_id: Option<CategoryId>,
    /// How the product is delivered.
    kind: ProductKind,
    /// How often a subscription is charged.
    billing_interval: Option<BillingInterval>,
    /// The least age of a buyer in years.
    minimum_age: Option<i64>,
    /// The names of the options in which the variants differ.
    options: &'a [String],
    /// The images, in their order.
    images: Vec<ImageBody<'a>>,
    /// The variants that can be bought.
    variants: Vec<VariantBody<'a>>,
    /// The rating; `null` if there is no approved review.
    rating: Option<Rating>,
    /// The time at which the product was created.
    created_at: Timestamp,
    /// The time of the last change.
    updated_at: Timestamp,
}

/// An image of a product.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProductImageLink)]
struct ImageBody<'a> {
    /// The file.
    file_id: FileId,
    /// The URL of the image.
    #[schema(example = "/v1/files/01900000-0000-7000-8000-000000000001")]
    url: String,
    /// What the image shows, for people who do not see it; empty if it only decorates.
    alternative_text: &'a str,
}

impl<'a> ImageBody<'a> {
    fn of(image: &'a ProductImage) -> Self {
        let ProductImage { file_id, alternative_text } = image;
        Self { file_id: *file_id, url: file_url(*file_id), alternative_text }
    }
}

/// Returns the URL of the content of a file.
pub(in crate::presentation::http) fn file_url(id: FileId) -> String {
    format!("/v1/files/{id}")
}

/// A variant that can be bought.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Variant)]
struct VariantBody<'a> {
    /// The id of the variant.
    id: VariantId,
    /// The merchant's code of the variant.
    sku: &'a str,
    /// The value of each option of the product.
    options: &'a [String],
    /// The price in the requested currency; `null` if the variant has none.
    price: Option<Money>,
    /// The number of pieces that can be bought; `null` if they are not counted, and any number can be.
    available: Option<i64>,
}

/// The rating of a product by its approved reviews.
#[derive(Debug, Serialize, ToSchema)]
struct Rating {
    /// The average in hundredths of a star, 100 to 500.
    average_hundredths: i64,
    /// The number of reviews.
    count: i64,
}

impl<'a> ProductBody<'a> {
    /// The body of a product in the language of a translation, or in its base texts, and in a currency.
    pub fn of(view: &'a ProductView, language: Option<&str>, currency: Currency) -> Self {
        let product = &view.product;
        let translated = language.and_then(|tag| product.translations.get(tag));
        let description = translated.map(|texts| texts.description.as_str()).filter(|text| !text.is_empty());
        Self {
            id: product.id,
            slug: &product.slug,
            name: translated.map_or(&product.name, |texts| &texts.name),
            description: description.unwrap_or(&product.description),
            category_id: product.category_id,
            kind: product.kind,
            billing_interval: product.billing_interval,
            minimum_age: product.minimum_age,
            options: &product.options,
            images: product.images.iter().map(ImageBody::of).collect(),
            variants: view
                .offered()
                .map(|(variant, available)| VariantBody {
                    id: variant.id,
                    sku: &variant.sku,
                    options: &variant.options,
                    price: variant.price(currency),
                    available,
                })
                .collect(),
            rating: product
                .rating_hundredths()
                .map(|average_hundredths| Rating { average_hundredths, count: product.rating_count }),
            created_at: product.created_at,
            updated_at: product.updated_at,
        }
    }
}

/// A product, as administrators see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AdminProduct)]
pub struct AdminProductBody<'a> {
    /// The id of the product.
    id: ProductId,
    /// The readable part of the product's URL.
    slug: &'a str,
    /// The name in the base language of the store.
    name: &'a str,
    /// The description in the base language of the store.
    description: &'a str,
    /// The category.
    category_id: Option<CategoryId>,
    /// How the product is delivered.
    kind: ProductKind,
    /// How often a subscription is charged.
    billing_interval: Option<BillingInterval>,
    /// The least age of a buyer in years.
    minimum_age: Option<i64>,
    /// The tax class; `null` is that of the category.
    #[schema(value_type = Option<String>)]
    tax_class: Option<&'a TaxClass>,
    /// Whether shoppers can see the product.
    active: bool,
    /// The names of the options in which the variants differ.
    options: &'a [String],
    /// The texts in other languages, by BCP 47 tag.
    translations: &'a BTreeMap<String, Texts>,
    /// The merchant's own values, such as those of an imported file; shoppers do not see them.
    metadata: &'a Metadata,
    /// The images, in their order.
    images: Vec<ImageBody<'a>>,
    /// The variants, in their order.
    variants: Vec<AdminVariantBody<'a>>,
    /// The version of the product.
    version: i64,
    /// The time at which the product was created.
    created_at: Timestamp,
    /// The time of the last change.
    updated_at: Timestamp,
}

/// A variant, as administrators see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AdminVariant)]
struct AdminVariantBody<'a> {
    /// The id of the variant.
    id: VariantId,
    /// The merchant's code of the variant.
    sku: &'a str,
    /// The value of each option of the product.
    options: &'a [String],
    /// Whether shoppers can buy the variant.
    active: bool,
    /// The prices, one for each currency.
    prices: Vec<Money>,
    /// The number of pieces, reserved ones included; `null` if they are not counted.
    stock: Option<i64>,
    /// The number of pieces that pending orders have reserved.
    reserved: i64,
    /// The number of pieces that can be bought; `null` if they are not counted, and any number can be.
    available: Option<i64>,
    /// The merchant's own values, such as those of an imported file; shoppers do not see them.
    metadata: &'a Metadata,
}

impl<'a> AdminProductBody<'a> {
    /// The response with this product.
    pub fn response(view: &ProductView) -> StoredResponse {
        tagged(view.product.version, &AdminProductBody::of(view))
    }

    /// The body of a product.
    pub fn of(view: &'a ProductView) -> Self {
        let product = &view.product;
        Self {
            id: product.id,
            slug: &product.slug,
            name: &product.name,
            description: &product.description,
            category_id: product.category_id,
            kind: product.kind,
            billing_interval: product.billing_interval,
            minimum_age: product.minimum_age,
            tax_class: product.tax_class.as_ref(),
            active: product.active,
            options: &product.options,
            translations: &product.translations,
            metadata: &product.metadata,
            images: product.images.iter().map(ImageBody::of).collect(),
            variants: product.variants.iter().zip(&view.stock).map(AdminVariantBody::of).collect(),
            version: product.version,
            created_at: product.created_at,
            updated_at: product.updated_at,
        }
    }
}

impl<'a> AdminVariantBody<'a> {
    fn of((variant, stock): (&'a Variant, &'a Stock)) -> Self {
        Self {
            id: variant.id,
            sku: &variant.sku,
            options: &variant.options,
            active: variant.active,
            prices: variant.prices.iter().map(|(&currency, &amount)| Money::new(amount, currency)).collect(),
            stock: stock.stock,
            reserved: stock.reserved,
            available: stock.available(),
            metadata: &variant.metadata,
        }
    }
}
