//! Checks records by the rules of the API, so that what was imported can be written back by it unchanged.
//!
//! Each record is validated as the request that would change it, by the schema of the API document. The rules that a
//! schema cannot express are those of the use cases.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::application::catalogue::categories::UpdateCategory;
use crate::application::catalogue::naming::{check_names, check_translated_names};
use crate::application::catalogue::product_draft::ProductDraft;
use crate::application::people::birth_dates::check_birth_date;
use crate::application::people::preferences::ReplacePreferences;
use crate::application::people::profile::UpdateAccount;
use crate::application::records::ImportedCustomer;
use crate::application::schema::Schema;
use crate::application::selling::discounts::{self, UpdateDiscount};
use crate::application::selling::rates::{ReplaceShippingMethod, check_rates};
use crate::domain::category::Category;
use crate::domain::discount::Discount;
use crate::domain::ids::VariantId;
use crate::domain::money::Money;
use crate::domain::product::{Product, Variant};
use crate::domain::shipping::ShippingMethod;
use crate::domain::time::is_accepted;
use crate::domain::user::Preferences;
use crate::infrastructure::exceptions::{Failure, Fault, Technical, ValidationException};

/// Refuses a category that the API would refuse.
pub(super) fn check_category(category: &Category) -> Result<(), Failure> {
    check_times([("/created_at", Some(category.created_at))])?;
    check::<UpdateCategory>(&json!({
        "name": category.name,
        "slug": category.slug,
        "tax_class": category.tax_class,
        "translations": category.translations,
    }))?;
    check_names(&category.slug, &category.translations)
}

/// Refuses a shipping method that the API would refuse.
pub(super) fn check_shipping_method(method: &ShippingMethod) -> Result<(), Failure> {
    check::<ReplaceShippingMethod>(&json!({
        "code": method.code,
        "name": method.name,
        "translations": method.translations,
        "tax_class": method.tax_class,
        "active": method.active,
        "rates": method.rates,
    }))?;
    let mut faults = ValidationException::none();
    check_translated_names(&method.translations, "", &mut faults);
    check_rates(&method.rates, "", &mut faults);
    faults.check()
}

/// Refuses a discount that the API would refuse.
pub(super) fn check_discount(discount: &Discount) -> Result<(), Failure> {
    check_times([("/created_at", Some(discount.created_at))])?;
    check::<UpdateDiscount>(&json!({
        "code": discount.code,
        "kind": discount.kind,
        "minimum": discount.minimum,
        "usage_limit": discount.usage_limit,
        "starts_at": discount.starts_at,
        "ends_at": discount.ends_at,
        "active": discount.active,
    }))?;
    discounts::check(discount)
}

/// Refuses a customer that the API would refuse at `now`.
pub(super) fn check_customer(customer: &ImportedCustomer, now: Timestamp) -> Result<(), Failure> {
    let ImportedCustomer { user, preferences } = customer;
    check_times([("/created_at", Some(user.created_at)), ("/email_verified_at", user.email_verified_at)])?;
    check::<UpdateAccount>(&json!({ "name": user.name, "email": user.email }))?;
    check_birth_date(user.birth_date, now)?;
    preferences.as_ref().map_or(Ok(()), check_preferences)
}

fn check_preferences(preferences: &Preferences) -> Result<(), Failure> {
    check_times([("/preferences/consent_at", preferences.consent_at)])?;
    let mut faults = ValidationException::none();
    let input = json!({
        "locale": preferences.locale,
        "currency": preferences.currency,
        "marketing_consent": preferences.marketing_consent,
    });
    for (pointer, fault) in Schema::of::<ReplacePreferences>().faults(&input) {
        faults.add(format!("/preferences{pointer}"), fault);
    }
    faults.check()
}

/// Refuses a product that the API would refuse, with the stock of those variants whose stock is set. Its category is
/// checked by the database.
pub(super) fn check_product(
    product: &Product,
    stock: &BTreeMap<VariantId, Option<i64>>,
) -> Result<(), Failure> {
    check_times([("/created_at", Some(product.created_at))])?;
    let variants: Vec<_> = product.variants.iter().map(|variant| variant_input(variant, stock)).collect();
    let input = json!({
        "slug": product.slug,
        "name": product.name,
        "description": product.description,
        "category_id": product.category_id,
        "kind": product.kind,
        "billing_interval": product.billing_interval,
        "minimum_age": product.minimum_age,
        "tax_class": product.tax_class,
        "active": product.active,
        "options": product.options,
        "translations": product.translations,
        "metadata": product.metadata,
        "variants": variants,
    });
    check::<ProductDraft>(&input)?;

    let draft: ProductDraft = serde_json::from_value(input).map_err(Technical::internal)?;
    let mut faults = ValidationException::none();
    draft.check(&mut faults);
    faults.check()
}

fn variant_input(variant: &Variant, stock: &BTreeMap<VariantId, Option<i64>>) -> Value {
    let prices = variant.prices.iter().map(|(&currency, &amount)| Money::new(amount, currency));
    let mut input = json!({
        "id": variant.id,
        "sku": variant.sku,
        "options": variant.options,
        "active": variant.active,
        "prices": prices.collect::<Vec<_>>(),
        "metadata": variant.metadata,
    });
    if let Some(pieces) = stock.get(&variant.id) {
        input["stock"] = json!(pieces);
    }
    input
}

/// Refuses times that the store does not accept.
fn check_times<const N: usize>(times: [(&str, Option<Timestamp>); N]) -> Result<(), Failure> {
    let mut faults = ValidationException::none();
    for (pointer, at) in times {
        faults.require(at.is_none_or(is_accepted), pointer, Fault::Invalid);
    }
    faults.check()
}

/// Fails with all faults of a request by its schema.
fn check<T: ToSchema + 'static>(input: &Value) -> Result<(), Failure> {
    Schema::of::<T>().check(input)
}
