//! From the lines of our own files to records.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use uuid::Uuid;

use super::super::format::Format;
use crate::application::import::identity::Identity;
use crate::application::import::record::{
    ImportedCategory, ImportedCustomer, ImportedDiscount, ImportedProduct, ImportedVariant,
    PreferencesChange, Record,
};
use crate::application::json_lines::{
    CategoryLine, CustomerLine, DiscountLine, ProductLine, ShippingMethodLine, TaxRuleLine, VariantLine,
};
use crate::domain::money::{Currency, Money};
use crate::domain::product::ProductKind;
use crate::domain::shipping::ShippingMethod;
use crate::domain::slug::slug;
use crate::domain::tax::{TaxRate, TaxRule};
use crate::domain::user::is_email;

const IDENTITY: Identity = Identity::new(Format::JsonLines.name());

impl CategoryLine {
    pub(super) fn record(self) -> Result<Record, String> {
        Ok(Record::Category(ImportedCategory {
            id: id(&self.id, "/id", Identity::category)?,
            parent: self.parent.map(|parent| id(&parent, "/parent", Identity::category)).transpose()?,
            slug: slug_or_from(self.slug, &self.name)?,
            name: present(self.name, "/name")?,
            tax_class: self.tax_class,
            translations: self.translations,
            created_at: self.created_at,
        }))
    }
}

impl ProductLine {
    pub(super) fn record(self) -> Result<Record, String> {
        if (self.kind == ProductKind::Subscription) != self.billing_interval.is_some() {
            return Err("/billing_interval: belongs to a subscription, and to nothing else".to_owned());
        }
        if self.minimum_age.is_some_and(|age| !(1..=120).contains(&age)) {
            return Err("/minimum_age: expected 1 to 120 years".to_owned());
        }
        let mut variants = Vec::with_capacity(self.variants.len());
        let mut skus = BTreeSet::new();
        for (index, variant) in self.variants.into_iter().enumerate() {
            let variant = variant.read(index, self.options.len())?;
            if !skus.insert(variant.sku.clone()) {
                return Err(format!("/variants/{index}/sku: another variant has the same"));
            }
            variants.push(variant);
        }
        if variants.is_empty() {
            return Err("/variants: a product has at least one".to_owned());
        }
        Ok(Record::Product(ImportedProduct {
            id: id(&self.id, "/id", Identity::product)?,
            slug: slug_or_from(self.slug, &self.name)?,
            name: present(self.name, "/name")?,
            description: self.description,
            category: self
                .category
                .map(|category| id(&category, "/category", Identity::category))
                .transpose()?,
            kind: self.kind,
            billing_interval: self.billing_interval,
            minimum_age: self.minimum_age,
            tax_class: self.tax_class,
            active: self.active,
            options: self.options,
            translations: self.translations,
            variants,
            created_at: self.created_at,
        }))
    }
}

impl VariantLine {
    /// One that is not sold any more keeps the options that the product had then.
    fn read(self, index: usize, options: usize) -> Result<ImportedVariant, String> {
        let at = |field: &str| format!("/variants/{index}/{field}");
        if self.active && self.options.len() != options {
            return Err(format!("{}: expected a value for each option of the product", at("options")));
        }
        if self.stock < 0 {
            return Err(format!("{}: negative", at("stock")));
        }
        let mut prices: BTreeMap<Currency, i64> = BTreeMap::new();
        for (price, Money { amount, currency }) in self.prices.into_iter().enumerate() {
            if amount < 0 {
                return Err(format!("{}/{price}/amount: negative", at("prices")));
            }
            if prices.insert(currency, amount).is_some() {
                return Err(format!("{}/{price}/currency: a second price in {currency}", at("prices")));
            }
        }
        if prices.is_empty() {
            return Err(format!("{}: a variant has at least one", at("prices")));
        }
        let sku = present(self.sku, &at("sku"))?;
        Ok(ImportedVariant {
            id: id(self.id.as_deref().unwrap_or(&sku), &at("id"), Identity::variant)?,
            sku,
            options: self.options,
            active: self.active,
            prices,
            stock: self.stock,
        })
    }
}

impl TaxRuleLine {
    pub(super) fn record(self) -> Result<Record, String> {
        let rate = TaxRate { basis_points: self.basis_points, inclusive: self.inclusive };
        rate.validate().map_err(|error| format!("/basis_points: {error}"))?;
        Ok(Record::TaxRule(TaxRule { country: self.country, tax_class: self.tax_class, rate }))
    }
}

impl ShippingMethodLine {
    pub(super) fn record(self) -> Result<Record, String> {
        for (index, rate) in self.rates.iter().enumerate() {
            if rate.amount < 0 || rate.free_from.is_some_and(|from| from < 0) {
                return Err(format!("/rates/{index}: negative"));
            }
        }
        Ok(Record::ShippingMethod(ShippingMethod {
            id: id(&self.id, "/id", Identity::shipping_method)?,
            code: present(self.code, "/code")?,
            name: present(self.name, "/name")?,
            translations: self.translations,
            tax_class: self.tax_class,
            position: self.position,
            active: self.active,
            rates: self.rates,
        }))
    }
}

impl DiscountLine {
    /// Uses count the orders of one store: those of another are taken off the limit. What is used up is switched off.
    pub(super) fn record(self) -> Result<Record, String> {
        if self.used < 0 || self.usage_limit.is_some_and(|limit| limit < self.used) {
            return Err("/used: expected 0 to the usage limit".to_owned());
        }
        let left = self.usage_limit.map(|limit| limit - self.used);
        let discount = ImportedDiscount {
            id: id(&self.id, "/id", Identity::discount)?,
            code: self.code,
            kind: self.kind,
            minimum: self.minimum,
            usage_limit: left.filter(|left| *left > 0).or(self.usage_limit),
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            active: self.active && left != Some(0),
            created_at: self.created_at,
        };
        match discount.dated(Timestamp::UNIX_EPOCH).validate() {
            Ok(()) => Ok(Record::Discount(discount)),
            Err(faults) => {
                let told = faults.iter().map(|fault| format!("/{}: {fault}", fault.field()));
                Err(told.collect::<Vec<_>>().join("; "))
            }
        }
    }
}

impl CustomerLine {
    pub(super) fn record(self) -> Result<Record, String> {
        if self.email.as_deref().is_some_and(|email| !is_email(email)) {
            return Err("/email: no address that mail could be sent to".to_owned());
        }
        Ok(Record::Customer(ImportedCustomer {
            id: id(&self.id, "/id", Identity::customer)?,
            key: self.id,
            email: self.email,
            email_verified_at: self.email_verified_at,
            name: self.name,
            birth_date: self.birth_date,
            created_at: self.created_at,
            wishes: self.wishes.map(|wishes| PreferencesChange {
                locale: wishes.locale,
                currency: wishes.currency,
                marketing_consent: wishes.marketing_consent,
                consent_at: wishes.consent_at,
            }),
        }))
    }
}

/// A text in the form of a UUID is the id itself, any other is a key.
fn id<T: From<Uuid>>(text: &str, pointer: &str, derive: fn(Identity, &str) -> T) -> Result<T, String> {
    const HYPHENATED: usize = 36;
    match Uuid::parse_str(text) {
        Ok(id) if text.len() == HYPHENATED => Ok(id.into()),
        _ if text.trim().is_empty() => Err(format!("{pointer}: empty")),
        _ => Ok(derive(IDENTITY, text)),
    }
}

fn present(text: String, pointer: &str) -> Result<String, String> {
    if text.is_empty() { Err(format!("{pointer}: empty")) } else { Ok(text) }
}

fn slug_or_from(given: Option<String>, name: &str) -> Result<String, String> {
    present(given.unwrap_or_else(|| slug(name)), "/slug")
}
