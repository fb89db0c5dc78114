//! Money: whole minor units of one ISO 4217 currency, so that no float is ever an amount.
//!
//! Nothing wraps, saturates or mixes currencies: an amount that is too large, or in another currency, is an error.
//! Fractions of a minor unit are rounded half away from zero.

use std::cmp::Ordering;
use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::parsed::parsed;

/// The basis points of a whole: 10 000 are 100 %.
pub const BASIS_POINTS: NonZeroU64 = NonZeroU64::new(10_000).unwrap();

/// The largest price of a variant or a shipping method, in minor units: added to the largest cart, it does not
/// overflow.
pub const MAX_PRICE: i64 = 1_000_000_000_000_000;

/// A currency in which prices can be written: an ISO 4217 code that has a minor unit.
///
/// Codes without one (gold, special drawing rights, "no currency") are not valid, because they have no amounts in minor
/// units.
// The schema is derived here rather than in the presentation: it is one attribute and cannot drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, utoipa::ToSchema)]
#[schema(value_type = String, format = "currency", pattern = "^[A-Z]{3}$", example = "EUR")]
pub struct Currency(iso_currency::Currency);

/// The error for a text that is not the code of a currency with a minor unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an ISO 4217 currency code with a minor unit, such as EUR")]
pub struct UnknownCurrency;

impl Currency {
    /// The euro.
    pub const EUR: Self = Self(iso_currency::Currency::EUR);
    /// The pound sterling.
    pub const GBP: Self = Self(iso_currency::Currency::GBP);
    /// The United States dollar.
    pub const USD: Self = Self(iso_currency::Currency::USD);

    /// Returns the three-letter code, such as `"EUR"`.
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// Returns whether a text is the code or the symbol of the currency: `EUR`, `eur` or `€`.
    pub fn is_named(self, text: &str) -> bool {
        text.eq_ignore_ascii_case(self.code()) || text.to_lowercase() == self.0.symbol().symbol.to_lowercase()
    }

    /// Returns the number of decimal digits of the minor unit: 2 for EUR, 0 for JPY, 3 for KWD.
    pub fn minor_digits(self) -> u32 {
        self.0.exponent().map_or(0, u32::from)
    }
}

impl FromStr for Currency {
    type Err = UnknownCurrency;

    fn from_str(code: &str) -> Result<Self, Self::Err> {
        iso_currency::Currency::from_code(code)
            .filter(|currency| currency.exponent().is_some())
            .map(Self)
            .ok_or(UnknownCurrency)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, "an ISO 4217 currency code")
    }
}

/// An amount of money. It may be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// The amount in minor units of the currency: 1299 is 12.99 EUR, and 1299 JPY.
    #[schema(format = Int64, example = 1299)]
    pub amount: i64,
    /// The currency of the amount.
    pub currency: Currency,
}

/// The reason why an amount cannot be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The result exceeds 64 bits of minor units.
    #[error("the amount is too large")]
    Overflow,
    /// The operands have different currencies.
    #[error("{left} and {right} cannot be combined")]
    CurrencyMismatch {
        /// The currency of the first operand.
        left: Currency,
        /// The currency of the second operand.
        right: Currency,
    },
    /// A weight is negative, or the amount is not zero and all weights are.
    #[error("the amount cannot be allocated by these weights")]
    Unallocatable,
}

impl Money {
    /// Returns an amount in minor units of `currency`.
    pub const fn new(amount: i64, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// Returns an amount of zero.
    pub const fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// Returns whether the amount is less than zero.
    pub const fn is_negative(self) -> bool {
        self.amount < 0
    }

    /// Returns whether the amount is greater than zero.
    pub const fn is_positive(self) -> bool {
        self.amount > 0
    }

    /// Returns whether the amount is zero.
    pub const fn is_zero(self) -> bool {
        self.amount == 0
    }

    /// Returns the sum of both amounts.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        self.with(self.amount.checked_add(other.amount))
    }

    /// Returns this amount less the other.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        self.with(self.amount.checked_sub(other.amount))
    }

    /// Returns the amount times `quantity`.
    pub fn checked_times(self, quantity: i64) -> Result<Self, MoneyError> {
        self.with(self.amount.checked_mul(quantity))
    }

    /// Returns the sum of `amounts`; zero if there are none.
    pub fn checked_sum(
        currency: Currency,
        amounts: impl IntoIterator<Item = Self>,
    ) -> Result<Self, MoneyError> {
        amounts.into_iter().try_fold(Self::zero(currency), Self::checked_add)
    }

    /// Compares two amounts of one currency. `Money` does not implement `PartialOrd`: comparisons of different
    /// currencies would be false in both directions instead of an error.
    pub fn compare(self, other: Self) -> Result<Ordering, MoneyError> {
        self.same_currency(other)?;
        Ok(self.amount.cmp(&other.amount))
    }

    /// Returns the smaller of both amounts.
    pub fn min(self, other: Self) -> Result<Self, MoneyError> {
        Ok(if self.compare(other)?.is_le() { self } else { other })
    }

    /// Returns the larger of both amounts.
    pub fn max(self, other: Self) -> Result<Self, MoneyError> {
        Ok(if self.compare(other)?.is_ge() { self } else { other })
    }

    /// Returns the amount times `numerator / denominator`, rounded half away from zero.
    pub fn times_ratio(self, numerator: u64, denominator: NonZeroU64) -> Result<Self, MoneyError> {
        // 63 bits times 64 bits fit in the 127 of an i128
        let exact = i128::from(self.amount) * i128::from(numerator);
        let denominator = i128::from(denominator.get());
        let (whole, rest) = (exact / denominator, exact % denominator);
        let half_or_more = 2 * rest.abs() >= denominator;
        let rounded = whole + if half_or_more { exact.signum() } else { 0 };
        self.with(i64::try_from(rounded).ok())
    }

    /// Returns so many basis points of the amount, rounded half away from zero.
    pub fn times_rate(self, basis_points: u32) -> Result<Self, MoneyError> {
        self.times_ratio(u64::from(basis_points), BASIS_POINTS)
    }

    /// Splits the amount in proportion to `weights`. The sum of the parts is the amount.
    ///
    /// Each exact share is rounded down to a whole unit; the remaining units are added to the shares with the largest
    /// remainders, of equal ones to the first. A negative amount is split like its positive counterpart. The part of a
    /// weight of zero is zero.
    pub fn allocate(self, weights: &[i64]) -> Result<Vec<Self>, MoneyError> {
        if weights.iter().any(|weight| *weight < 0) {
            return Err(MoneyError::Unallocatable);
        }
        let total: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
        if total == 0 {
            let nothing_to_split = self.is_zero().then(|| vec![self; weights.len()]);
            return nothing_to_split.ok_or(MoneyError::Unallocatable);
        }
        let amount = i128::from(self.amount).abs();
        let exact = |weight: &i64| amount * i128::from(*weight);
        let mut parts: Vec<i128> = weights.iter().map(|weight| exact(weight) / total).collect();
        let left_over = amount - parts.iter().sum::<i128>();

        let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
        by_remainder.sort_by_key(|i| (-(exact(&weights[*i]) % total), *i));
        for (i, _) in by_remainder.into_iter().zip(0..left_over) {
            parts[i] += 1;
        }
        let sign = i128::from(self.amount.signum());
        parts.into_iter().map(|part| self.with(i64::try_from(sign * part).ok())).collect()
    }

    fn same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            return Ok(());
        }
        Err(MoneyError::CurrencyMismatch { left: self.currency, right: other.currency })
    }

    fn with(self, amount: Option<i64>) -> Result<Self, MoneyError> {
        amount.map(|amount| Self { amount, ..self }).ok_or(MoneyError::Overflow)
    }
}

/// Writes the amount for logs, as in `-12.99 EUR`. Texts for users are formatted in their locale.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.is_negative() { "-" } else { "" };
        let digits = self.currency.minor_digits();
        let (unit, amount) = (10_u64.pow(digits), self.amount.unsigned_abs());
        let (whole, rest, width) = (amount / unit, amount % unit, digits as usize);
        match width {
            0 => write!(f, "{sign}{whole} {}", self.currency),
            _ => write!(f, "{sign}{whole}.{rest:0width$} {}", self.currency),
        }
    }
}
