//! Facets: how many of a search's matches are in which category and in which range of prices.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::product_texts::ProductText;
use crate::domain::ids::CategoryId;
use crate::domain::money::Currency;

/// The counts of the newest matches of a search, 200 at most.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facets {
    /// The number of matches in each category, the greatest first.
    pub categories: Vec<(CategoryId, usize)>,
    /// The price ranges with matches, the cheapest first.
    pub prices: Vec<PriceBand>,
}

/// A price range with the number of its matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceBand {
    /// The least amount of the range, in minor units.
    pub from: i64,
    /// The least amount above the range, in minor units.
    pub until: i64,
    /// The number of matches in the range.
    pub count: usize,
}

impl Facets {
    /// Counts the products that have a price in `currency`.
    pub(crate) fn of(texts: &[ProductText], currency: Currency) -> Self {
        let (mut categories, mut prices) = (BTreeMap::new(), BTreeMap::new());
        for text in texts {
            let Some(&amount) = text.prices.get(&currency) else { continue };
            *prices.entry(band(amount)).or_insert(0) += 1;
            if let Some(category) = text.category_id {
                *categories.entry(category).or_insert(0) += 1;
            }
        }
        let mut categories: Vec<(CategoryId, usize)> = categories.into_iter().collect();
        categories.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        let prices = prices.into_iter().map(|((from, until), count)| PriceBand { from, until, count });
        Self { categories, prices: prices.collect() }
    }
}

/// Returns the range of the series 1, 2, 5, 10, 20, 50, … that contains an amount.
fn band(amount: i64) -> (i64, i64) {
    let (mut from, mut unit) = (0, 1_i64);
    loop {
        for factor in [1, 2, 5] {
            let until = unit.saturating_mul(factor);
            if amount < until || until == i64::MAX {
                return (from, until);
            }
            from = until;
        }
        unit = unit.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_in_one_range_and_ranges_are_round() {
        assert_eq!(band(0), (0, 1));
        assert_eq!(band(1), (1, 2));
        assert_eq!(band(1_999), (1_000, 2_000));
        assert_eq!(band(2_000), (2_000, 5_000));
        assert_eq!(band(i64::MAX - 1).1, i64::MAX);
        assert_eq!(band(i64::MAX).1, i64::MAX);
    }
}
