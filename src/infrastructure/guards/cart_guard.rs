//! The cart is within the bounds of the store: its currency, its lines, and what is ordered at least.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Guard;
use crate::domain::cart::MAX_LINES;
use crate::domain::money::{Currency, Money};
use crate::infrastructure::exceptions::{
    Failure, Fault, Location, OrderProcessingException, ValidationException,
};

/// The bounds of the carts of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CartBounds {
    /// The most lines.
    pub max_lines: usize,
    /// The least subtotal of an order in each currency that has one, in minor units.
    pub minimum_subtotals: BTreeMap<Currency, i64>,
    /// The currencies that a cart may have; every one if there are none.
    pub currencies: BTreeSet<Currency>,
}

impl Default for CartBounds {
    /// Returns the widest bounds.
    fn default() -> Self {
        Self { max_lines: MAX_LINES, minimum_subtotals: BTreeMap::new(), currencies: BTreeSet::new() }
    }
}

/// A cart, as far as it is known when it is created, changed or checked out.
#[derive(Debug, Clone)]
pub struct CartFacts {
    /// The bounds.
    pub bounds: Arc<CartBounds>,
    /// The currency of the cart.
    pub currency: Currency,
    /// The number of its lines.
    pub lines: usize,
    /// The price of its lines before discount and shipping; `None` before the checkout.
    pub subtotal: Option<Money>,
    /// What a fault of the request is about.
    pub location: Location,
}

/// The proof that a cart is within the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CartGuard(());

impl Guard for CartGuard {
    type Facts = CartFacts;

    fn check(facts: CartFacts) -> Result<Self, Failure> {
        let CartFacts { bounds, currency, lines, subtotal, location } = facts;
        if !bounds.currencies.is_empty() && !bounds.currencies.contains(&currency) {
            let allowed = bounds.currencies.iter().map(|allowed| allowed.code().into()).collect();
            return Err(ValidationException::one(location, Fault::NotAllowed { allowed }).into());
        }
        if lines > bounds.max_lines {
            let fault = Fault::TooMany { max_items: bounds.max_lines };
            return Err(ValidationException::one(location, fault).into());
        }
        let minimum = bounds.minimum_subtotals.get(&currency).map(|&amount| Money::new(amount, currency));
        match (minimum, subtotal) {
            (Some(minimum), Some(subtotal)) if subtotal.amount < minimum.amount => {
                Err(OrderProcessingException::BelowMinimum { minimum }.into())
            }
            _ => Ok(Self(())),
        }
    }

    fn refusals() -> Vec<Failure> {
        let minimum = Money::zero(Currency::EUR);
        vec![
            ValidationException::one("", Fault::NotAllowed { allowed: Vec::new() }).into(),
            ValidationException::one("", Fault::TooMany { max_items: 1 }).into(),
            OrderProcessingException::BelowMinimum { minimum }.into(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(currency: &str, lines: usize, subtotal: Option<i64>) -> Option<String> {
        let bounds = CartBounds {
            max_lines: 3,
            minimum_subtotals: BTreeMap::from([(Currency::EUR, 1_000)]),
            currencies: ["EUR", "USD"].map(|code| code.parse().unwrap()).into(),
        };
        let currency = currency.parse().unwrap();
        let subtotal = subtotal.map(|amount| Money::new(amount, currency));
        let facts =
            CartFacts { bounds: Arc::new(bounds), currency, lines, subtotal, location: "/items".into() };
        let failure = CartGuard::check(facts).err()?;
        let faults =
            failure.downcast_ref::<ValidationException>().map(|invalid| format!("{:?}", invalid.faults()));
        Some(faults.unwrap_or_else(|| failure.to_string()))
    }

    #[test]
    fn a_cart_has_an_allowed_currency_few_lines_and_the_least_subtotal() {
        assert_eq!(check("EUR", 3, None), None);
        assert_eq!(check("EUR", 3, Some(1_000)), None);
        assert_eq!(check("USD", 1, Some(1)), None, "the currency has no least subtotal");
        assert!(check("CHF", 1, None).unwrap().contains("NotAllowed"));
        assert!(check("EUR", 4, None).unwrap().contains("TooMany"));
        assert!(check("EUR", 1, Some(999)).unwrap().contains("at least"));
    }
}
