//! Tax rates and tax classes, and the tax on one amount.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::country::Country;
use crate::domain::money::{BASIS_POINTS, Money, MoneyError};

/// A tax rate, and whether prices include the tax.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(deny_unknown_fields)]
pub struct TaxRate {
    /// The rate in basis points of the net amount: 1900 is 19 %.
    #[schema(example = 1900, maximum = 10_000)]
    pub basis_points: u32,
    /// Whether prices include the tax, as in the EU. If not, the tax is added to the prices.
    pub inclusive: bool,
}

/// The error for a rate above [`TaxRate::MAX_BASIS_POINTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tax rate is 0 to {} basis points", TaxRate::MAX_BASIS_POINTS)]
pub struct TaxRateTooHigh;

impl TaxRate {
    /// The rate of 0 %.
    pub const NONE: Self = Self { basis_points: 0, inclusive: true };

    /// The highest rate a store may charge: 100 %.
    pub const MAX_BASIS_POINTS: u32 = 10_000;

    /// Checks that the rate is at most [`MAX_BASIS_POINTS`](Self::MAX_BASIS_POINTS).
    pub fn validate(self) -> Result<(), TaxRateTooHigh> {
        if self.basis_points > Self::MAX_BASIS_POINTS { Err(TaxRateTooHigh) } else { Ok(()) }
    }

    /// Returns the tax on the amount of one line, rounded half away from zero to a whole minor unit.
    ///
    /// The tax of an inclusive rate is a part of the amount; the tax of an exclusive one is added to it.
    pub fn tax_on(self, amount: Money) -> Result<Money, MoneyError> {
        let whole = if self.inclusive {
            BASIS_POINTS.saturating_add(u64::from(self.basis_points))
        } else {
            BASIS_POINTS
        };
        amount.times_ratio(u64::from(self.basis_points), whole)
    }

    /// Returns the amount without tax, and the tax; their sum is the amount to pay.
    pub fn split(self, amount: Money) -> Result<(Money, Money), MoneyError> {
        let tax = self.tax_on(amount)?;
        let net = if self.inclusive { amount.checked_sub(tax)? } else { amount };
        Ok((net, tax))
    }
}

/// Writes the rate as in `19 % inclusive`.
impl fmt::Display for TaxRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (percent, hundredths) = (self.basis_points / 100, self.basis_points % 100);
        let kind = if self.inclusive { "inclusive" } else { "exclusive" };
        match hundredths {
            0 => write!(f, "{percent} % {kind}"),
            _ => write!(f, "{percent}.{hundredths:02} % {kind}"),
        }
    }
}

/// A group of products with the same tax rate in a country: `standard`, `reduced`, `zero` or a name of the store's own,
/// of 1 to 32 lower-case letters, digits, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, utoipa::ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = "tax-class", pattern = "^[a-z0-9_-]{1,32}$", example = "standard")]
pub struct TaxClass(String);

/// The error for a text that is not a tax class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tax class is 1 to 32 lower-case letters, digits, - or _, such as standard")]
pub struct InvalidTaxClass;

impl TaxClass {
    /// Returns the class of what is not taxed: `zero`.
    pub fn zero() -> Self {
        Self("zero".to_owned())
    }

    /// Returns the name of the class.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The class of products whose category has none: `standard`.
impl Default for TaxClass {
    fn default() -> Self {
        Self("standard".to_owned())
    }
}

impl FromStr for TaxClass {
    type Err = InvalidTaxClass;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        let valid = (1..=32).contains(&text.len()) && text.bytes().all(allowed);
        valid.then(|| Self(text.to_owned())).ok_or(InvalidTaxClass)
    }
}

impl fmt::Display for TaxClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for TaxClass {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The tax rate of a tax class in a country. Without a rule there is no tax.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TaxRule {
    /// The country to which the order is delivered.
    pub country: Country,
    /// The tax class.
    pub tax_class: TaxClass,
    /// The tax rate.
    pub rate: TaxRate,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Currency;

    fn eur(amount: i64) -> Money {
        Money::new(amount, Currency::EUR)
    }

    fn rate(basis_points: u32, inclusive: bool) -> TaxRate {
        TaxRate { basis_points, inclusive }
    }

    #[test]
    fn a_gross_price_contains_its_tax() {
        // 119.00 at 19 %: 100.00 and 19.00; 9.99 at 7 %: 0.6535…
        assert_eq!(rate(1900, true).split(eur(11_900)), Ok((eur(10_000), eur(1_900))));
        assert_eq!(rate(700, true).split(eur(999)), Ok((eur(934), eur(65))));
    }

    #[test]
    fn a_net_price_has_its_tax_on_top() {
        // 19.99 at 8.88 % is 1.7751…
        assert_eq!(rate(888, false).split(eur(1_999)), Ok((eur(1_999), eur(178))));
    }

    #[test]
    fn half_a_cent_is_rounded_away_from_zero() {
        // 0.50 at 1 % is 0.005; 0.49 at 1 % is 0.0049; 0.03 at 20 % contained is 0.005
        assert_eq!(rate(100, false).tax_on(eur(50)), Ok(eur(1)));
        assert_eq!(rate(100, false).tax_on(eur(49)), Ok(eur(0)));
        assert_eq!(rate(2_000, true).tax_on(eur(3)), Ok(eur(1)));
    }

    #[test]
    fn no_tax_leaves_the_amount_as_it_is() {
        assert_eq!(TaxRate::NONE.split(eur(1_234)), Ok((eur(1_234), eur(0))));
        assert_eq!(rate(0, false).split(eur(1_234)), Ok((eur(1_234), eur(0))));
    }

    #[test]
    fn an_absurd_rate_is_an_error_or_a_part_never_a_wrong_sum() {
        assert_eq!(rate(u32::MAX, false).tax_on(eur(i64::MAX)), Err(MoneyError::Overflow));
        let (net, tax) = rate(u32::MAX, true).split(eur(i64::MAX)).unwrap();
        assert_eq!(net.checked_add(tax), Ok(eur(i64::MAX)));
    }

    #[test]
    fn a_rate_above_the_whole_price_is_refused() {
        assert_eq!(rate(10_000, false).validate(), Ok(()));
        assert_eq!(rate(10_001, false).validate(), Err(TaxRateTooHigh));
        assert_eq!(TaxRateTooHigh.to_string(), "a tax rate is 0 to 10000 basis points");
    }

    #[test]
    fn a_class_is_a_short_lower_case_word() {
        assert_eq!("reduced".parse::<TaxClass>().unwrap().as_str(), "reduced");
        assert_eq!("standard".parse(), Ok(TaxClass::default()));
        for text in ["", "Standard", "food & drink", "a".repeat(33).as_str()] {
            assert_eq!(text.parse::<TaxClass>(), Err(InvalidTaxClass), "{text}");
        }
        assert!(serde_json::from_str::<TaxClass>("\"Standard\"").is_err());
    }

    #[test]
    fn a_rate_prints_as_a_percentage() {
        assert_eq!(rate(1_900, true).to_string(), "19 % inclusive");
        assert_eq!(rate(805, false).to_string(), "8.05 % exclusive");
    }
}
