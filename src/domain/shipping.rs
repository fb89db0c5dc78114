//! Shipping methods and their rates.

use serde::{Deserialize, Serialize};

use super::country::Country;
use super::ids::ShippingMethodId;
use super::money::{Currency, MAX_PRICE, Money};
use super::product::Translations;
use super::tax::TaxClass;

/// A shipping method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShippingMethod {
    /// The id.
    pub id: ShippingMethodId,
    /// The code by which a checkout selects the method, unique in the store.
    pub code: String,
    /// The name in the store's base language.
    pub name: String,
    /// The names in other languages.
    pub translations: Translations,
    /// The tax class of the shipping price.
    pub tax_class: TaxClass,
    /// The rank in the list, smallest first.
    pub position: i64,
    /// Whether a checkout may select the method.
    pub active: bool,
    /// The rates by country and currency.
    pub rates: Vec<ShippingRate>,
}

/// The price of a shipping method for a country and a currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShippingRate {
    /// The country. `null` applies to all countries without a rate of their own.
    pub country: Option<Country>,
    /// The currency of the amounts.
    pub currency: Currency,
    /// The price in minor units.
    #[schema(minimum = 0, maximum = 1_000_000_000_000_000_i64)]
    pub amount: i64,
    /// The subtotal in minor units, before discounts, from which shipping is free; `null` if it is never free.
    #[schema(minimum = 0)]
    pub free_from: Option<i64>,
}

impl ShippingRate {
    /// Returns whether the amounts are within their bounds.
    pub fn is_valid(&self) -> bool {
        (0..=MAX_PRICE).contains(&self.amount) && self.free_from.is_none_or(|from| from >= 0)
    }
}

impl ShippingMethod {
    /// Returns the price of shipping an order of this subtotal to a country; `None` without a rate for the country and
    /// the currency. The rate of a country has priority over the rate of all countries.
    pub fn price(&self, country: Country, subtotal: Money) -> Option<Money> {
        let rate = self
            .rates
            .iter()
            .filter(|rate| rate.currency == subtotal.currency && rate.country.is_none_or(|to| to == country))
            .max_by_key(|rate| rate.country.is_some())?;
        let free = rate.free_from.is_some_and(|from| subtotal.amount >= from);
        Some(Money::new(if free { 0 } else { rate.amount }, subtotal.currency))
    }
}
