//! Ways of shipping and what they cost.

use serde::{Deserialize, Serialize};

use super::country::Country;
use super::ids::ShippingMethodId;
use super::money::{Currency, Money};
use super::product::Translations;
use super::tax::TaxClass;

/// A shipping method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShippingMethod {
    /// Its id.
    pub id: ShippingMethodId,
    /// The name it is asked for by, unique.
    pub code: String,
    /// Name in the store's base language.
    pub name: String,
    /// Names in other languages.
    pub translations: Translations,
    /// Its tax class.
    pub tax_class: TaxClass,
    /// Its place in the list.
    pub position: i64,
    /// Whether it can be chosen.
    pub active: bool,
    /// What it costs where.
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
    #[schema(minimum = 0)]
    pub amount: i64,
    /// The subtotal in minor units from which shipping is free; `null` if it is never free.
    #[schema(minimum = 0)]
    pub free_from: Option<i64>,
}

impl ShippingMethod {
    /// What it costs to ship goods of this value to a country, if it goes there.
    pub fn price(&self, country: Country, goods: Money) -> Option<Money> {
        let rate = self
            .rates
            .iter()
            .filter(|rate| rate.currency == goods.currency && rate.country.is_none_or(|to| to == country))
            .max_by_key(|rate| rate.country.is_some())?;
        let free = rate.free_from.is_some_and(|from| goods.amount >= from);
        Some(Money::new(if free { 0 } else { rate.amount }, goods.currency))
    }
}
