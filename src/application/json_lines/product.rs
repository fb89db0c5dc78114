//! The line of a product, with its variants.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{LineType, Rebased, id, rebased, required, slug_or_derived};
use crate::application::active_by_default;
use crate::application::records::identity::Identity;
use crate::application::records::{ImportedProduct, ImportedStock};
use crate::application::schema::pointer::escaped;
use crate::domain::language::Language;
use crate::domain::metadata::Metadata;
use crate::domain::money::{Currency, Money};
use crate::domain::product::{
    BillingInterval, Product, ProductKind, ProductView, Stock, Texts, Translations, Variant,
};
use crate::domain::tax::TaxClass;

/// The line of a product.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::application) struct ProductLine {
    r#type: LineType,
    id: String,
    slug: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    language: Option<Language>,
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    #[serde(default)]
    kind: ProductKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    billing_interval: Option<BillingInterval>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    minimum_age: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tax_class: Option<TaxClass>,
    #[serde(default = "active_by_default")]
    active: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    options: Vec<String>,
    #[serde(default, skip_serializing_if = "Translations::is_empty")]
    translations: Translations,
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    metadata: Metadata,
    variants: Vec<VariantLine>,
    created_at: Option<Timestamp>,
}

/// A variant within the line of its product.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VariantLine {
    id: Option<String>,
    sku: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    options: Vec<String>,
    #[serde(default = "active_by_default")]
    active: bool,
    prices: Vec<Money>,
    /// `null` if the pieces are not counted.
    #[serde(deserialize_with = "Option::deserialize")]
    stock: Option<i64>,
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    metadata: Metadata,
}

impl ProductLine {
    /// Returns the line of a product whose base texts are in this language.
    pub(in crate::application) fn of(
        ProductView { product, stock }: ProductView,
        language: Language,
    ) -> Self {
        Self {
            r#type: LineType::Product,
            id: product.id.to_string(),
            slug: Some(product.slug),
            language: Some(language),
            name: product.name,
            description: product.description,
            category: product.category_id.map(|category| category.to_string()),
            kind: product.kind,
            billing_interval: product.billing_interval,
            minimum_age: product.minimum_age,
            tax_class: product.tax_class,
            active: product.active,
            options: product.options,
            translations: product.translations,
            metadata: product.metadata,
            variants: product.variants.into_iter().zip(stock).map(VariantLine::from).collect(),
            created_at: Some(product.created_at),
        }
    }

    /// Changes the SKU of each variant.
    pub(in crate::application) fn change_skus<E>(
        &mut self,
        mut change: impl FnMut(String) -> Result<String, E>,
    ) -> Result<(), E> {
        for variant in &mut self.variants {
            variant.sku = change(std::mem::take(&mut variant.sku))?;
        }
        Ok(())
    }

    /// Returns the product, with its base texts in the language `base`; one without a date was created at
    /// `default_created_at`.
    pub(in crate::application) fn product(
        self,
        default_created_at: Timestamp,
        base: Language,
    ) -> Result<ImportedProduct, String> {
        if (self.kind == ProductKind::Subscription) != self.billing_interval.is_some() {
            return Err("/billing_interval: required for subscriptions, and for no other kind".to_owned());
        }
        if self.minimum_age.is_some_and(|age| !(1..=120).contains(&age)) {
            return Err("/minimum_age: expected 1 to 120 years".to_owned());
        }
        let category = self.category.map(|category| id(&category, "/category", Identity::category));
        let category_id = category.transpose()?;
        let product_id = id(&self.id, "/id", Identity::product)?;
        let slug = slug_or_derived(self.slug, &self.name)?;
        let texts = Texts { name: required(self.name, "/name")?, description: self.description };
        let Rebased { texts, translations, in_base_language } =
            rebased(texts, self.translations, self.language, base);
        let created_at = self.created_at.unwrap_or(default_created_at);
        let mut imported = ImportedProduct::new(Product {
            description: texts.description,
            category_id,
            kind: self.kind,
            billing_interval: self.billing_interval,
            minimum_age: self.minimum_age,
            tax_class: self.tax_class,
            active: self.active,
            options: self.options,
            translations,
            metadata: checked(self.metadata, "")?,
            ..Product::new(product_id, slug, texts.name, created_at)
        });
        imported.in_base_language = in_base_language;

        for (index, line) in self.variants.into_iter().enumerate() {
            let stock = line.stock.map_or(ImportedStock::NotCounted, ImportedStock::Given);
            let variant = line.variant(index, &imported.product)?;
            imported.add(variant, stock);
        }
        if imported.product.variants.is_empty() {
            return Err("/variants: a product has at least one".to_owned());
        }
        Ok(imported)
    }
}

impl From<(Variant, Stock)> for VariantLine {
    fn from((variant, stock): (Variant, Stock)) -> Self {
        let prices = variant.prices.into_iter();
        Self {
            id: Some(variant.id.to_string()),
            sku: variant.sku,
            options: variant.options,
            active: variant.active,
            prices: prices.map(|(currency, amount)| Money::new(amount, currency)).collect(),
            stock: stock.stock,
            metadata: variant.metadata,
        }
    }
}

impl VariantLine {
    /// Returns the variant. An inactive one may have other options than the product has now.
    fn variant(self, index: usize, product: &Product) -> Result<Variant, String> {
        let at = |field: &str| format!("/variants/{index}/{field}");
        if self.active && self.options.len() != product.options.len() {
            return Err(format!("{}: expected a value for each option of the product", at("options")));
        }
        if self.stock.is_some_and(|pieces| pieces < 0) {
            return Err(format!("{}: negative", at("stock")));
        }
        let sku = required(self.sku, &at("sku"))?;
        Ok(Variant {
            id: id(self.id.as_deref().unwrap_or(&sku), &at("id"), Identity::variant)?,
            product_id: product.id,
            sku,
            options: self.options,
            active: self.active,
            prices: prices(self.prices, &at("prices"))?,
            metadata: checked(self.metadata, &format!("/variants/{index}"))?,
        })
    }
}

/// Refuses metadata with an invalid value; `at` is the JSON pointer of the product or variant.
fn checked(metadata: Metadata, at: &str) -> Result<Metadata, String> {
    let fault =
        metadata.check().err().map(|(name, error)| format!("{at}/metadata/{}: {error}", escaped(name)));
    fault.map_or(Ok(metadata), Err)
}

/// Returns the price in each currency.
fn prices(prices: Vec<Money>, pointer: &str) -> Result<BTreeMap<Currency, i64>, String> {
    let mut by_currency = BTreeMap::new();
    for (index, Money { amount, currency }) in prices.into_iter().enumerate() {
        if amount < 0 {
            return Err(format!("{pointer}/{index}/amount: negative"));
        }
        if by_currency.insert(currency, amount).is_some() {
            return Err(format!("{pointer}/{index}/currency: a second price in {currency}"));
        }
    }
    if by_currency.is_empty() {
        Err(format!("{pointer}: a variant has at least one"))
    } else {
        Ok(by_currency)
    }
}
