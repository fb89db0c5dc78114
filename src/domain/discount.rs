//! Discounts, which shoppers redeem by a code.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::domain::ids::DiscountId;
use crate::domain::money::{Money, MoneyError};
use crate::domain::text::is_line;

/// The longest code, in characters.
pub const MAX_CODE_LENGTH: usize = 64;
/// The largest share of a subtotal, in basis points: 100 %.
const MAX_BASIS_POINTS: u32 = 10_000;

/// A discount, with the number of orders that used it.
///
/// `used` may be out of date as soon as it is read. The usage limit is guarded by a conditional update of the database;
/// [`Discount::applies`] alone does not guard it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discount {
    /// The id.
    pub id: DiscountId,
    /// The code as the merchant wrote it; two codes are equal if their [`code_key`] is.
    pub code: String,
    /// The percentage or the amount.
    pub kind: DiscountKind,
    /// The subtotal from which the discount applies; `None` for any.
    pub minimum: Option<Money>,
    /// The most orders that may use the discount; `None` for no limit.
    pub usage_limit: Option<i64>,
    /// The number of orders that used the discount.
    pub used: i64,
    /// The time from which the discount applies, UTC.
    pub starts_at: Option<Timestamp>,
    /// The time from which the discount no longer applies, UTC.
    pub ends_at: Option<Timestamp>,
    /// Whether the discount can be used.
    pub active: bool,
    /// The number of changes, from 1.
    pub version: i64,
    /// The time of the creation, UTC.
    pub created_at: Timestamp,
    /// The time of the last change, UTC.
    pub updated_at: Timestamp,
}

/// How much a discount deducts from the subtotal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum DiscountKind {
    /// A share of the subtotal, rounded half away from zero to minor units.
    Percent {
        /// The share in basis points: 1000 is 10 %.
        #[schema(minimum = 1, maximum = 10_000, example = 1000)]
        basis_points: u32,
    },
    /// An amount, but at most the subtotal.
    Fixed {
        /// The amount, in one currency: with a cart in another one the code is refused, with the reason
        /// `wrong_currency`. Create a discount for each currency, with a code of its own.
        amount: Money,
    },
}

/// The reason why a discount does not apply to a cart at this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiscountRejection {
    /// The discount is not active.
    #[error("the discount is not active")]
    Inactive,
    /// The discount starts later.
    #[error("the discount is not valid yet")]
    NotStarted,
    /// The discount has ended.
    #[error("the discount is no longer valid")]
    Expired,
    /// The usage limit is reached.
    #[error("the discount is used up")]
    UsedUp,
    /// The subtotal is below the minimum.
    #[error("the discount applies from {minimum}")]
    MinimumNotReached {
        /// The subtotal from which the discount applies.
        minimum: Money,
    },
    /// The discount and the cart have different currencies.
    #[error("the discount is in another currency")]
    WrongCurrency,
}

/// A rule that the fields of a discount violate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiscountFault {
    /// The code is empty or longer than [`MAX_CODE_LENGTH`], or is not of one line ([`is_line`]).
    #[error("the code must be a line of 1 to {MAX_CODE_LENGTH} characters")]
    Code,
    /// The percentage is zero, or more than 100 %.
    #[error("the percentage must be 1 to {MAX_BASIS_POINTS} basis points")]
    BasisPoints,
    /// The fixed amount is not positive.
    #[error("the amount must be positive")]
    Amount,
    /// The minimum is not positive.
    #[error("the minimum must be positive")]
    Minimum,
    /// The minimum is in another currency than the fixed amount.
    #[error("the minimum must be in the currency of the amount")]
    MinimumCurrency,
    /// The usage limit is not positive, or already passed.
    #[error("the usage limit must be positive and not below the uses so far")]
    UsageLimit,
    /// The end is not after the start.
    #[error("the end must be after the start")]
    Period,
}

impl DiscountFault {
    /// Returns the JSON pointer of what is at fault in a discount.
    pub const fn pointer(self) -> &'static str {
        match self {
            Self::Code => "/code",
            Self::BasisPoints => "/kind/basis_points",
            Self::Amount => "/kind/amount/amount",
            Self::Minimum => "/minimum/amount",
            Self::MinimumCurrency => "/minimum/currency",
            Self::UsageLimit => "/usage_limit",
            Self::Period => "/ends_at",
        }
    }
}

impl Discount {
    /// Returns an active discount without a minimum, a limit or a period.
    pub fn new(id: DiscountId, code: String, kind: DiscountKind, created_at: Timestamp) -> Self {
        Self {
            id,
            code,
            kind,
            minimum: None,
            usage_limit: None,
            used: 0,
            starts_at: None,
            ends_at: None,
            active: true,
            version: 1,
            created_at,
            updated_at: created_at,
        }
    }

    /// Checks that the discount may be used at `now` for this subtotal.
    pub fn applies(&self, now: Timestamp, subtotal: Money) -> Result<(), DiscountRejection> {
        if !self.active {
            return Err(DiscountRejection::Inactive);
        }
        if self.starts_at.is_some_and(|start| now < start) {
            return Err(DiscountRejection::NotStarted);
        }
        if self.ends_at.is_some_and(|end| now >= end) {
            return Err(DiscountRejection::Expired);
        }
        if self.usage_limit.is_some_and(|limit| self.used >= limit) {
            return Err(DiscountRejection::UsedUp);
        }
        if self.amounts().any(|amount| amount.currency != subtotal.currency) {
            return Err(DiscountRejection::WrongCurrency);
        }
        match self.minimum {
            Some(minimum) if subtotal.amount < minimum.amount => {
                Err(DiscountRejection::MinimumNotReached { minimum })
            }
            _ => Ok(()),
        }
    }

    /// Returns the amount by which the discount lowers this subtotal: zero to the subtotal.
    pub fn amount_off(&self, subtotal: Money) -> Result<Money, MoneyError> {
        let off = match self.kind {
            DiscountKind::Percent { basis_points } => {
                subtotal.times_rate(basis_points.min(MAX_BASIS_POINTS))?
            }
            DiscountKind::Fixed { amount } => amount,
        };
        off.min(subtotal)?.max(Money::zero(subtotal.currency))
    }

    /// Checks the fields, and returns all faults.
    pub fn validate(&self) -> Result<(), Vec<DiscountFault>> {
        let mut faults = Vec::new();
        let mut check = |sound: bool, fault| {
            if !sound {
                faults.push(fault);
            }
        };
        let length = self.code.trim().chars().count();
        check(is_line(&self.code) && (1..=MAX_CODE_LENGTH).contains(&length), DiscountFault::Code);
        match self.kind {
            DiscountKind::Percent { basis_points } => {
                check((1..=MAX_BASIS_POINTS).contains(&basis_points), DiscountFault::BasisPoints);
            }
            DiscountKind::Fixed { amount } => {
                let same = self.minimum.is_none_or(|minimum| minimum.currency == amount.currency);
                check(amount.amount > 0, DiscountFault::Amount);
                check(same, DiscountFault::MinimumCurrency);
            }
        }
        check(self.minimum.is_none_or(|minimum| minimum.amount > 0), DiscountFault::Minimum);
        check(self.usage_limit.is_none_or(|limit| limit >= self.used.max(1)), DiscountFault::UsageLimit);
        let backwards = matches!((self.starts_at, self.ends_at), (Some(start), Some(end)) if end <= start);
        check(!backwards, DiscountFault::Period);
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// Returns the amounts whose currency must be that of the cart.
    fn amounts(&self) -> impl Iterator<Item = Money> {
        let fixed = match self.kind {
            DiscountKind::Fixed { amount } => Some(amount),
            DiscountKind::Percent { .. } => None,
        };
        fixed.into_iter().chain(self.minimum)
    }
}

/// Returns the key of a code, which all spellings of the code share: compatibility forms, letter case and surrounding
/// space do not count, so that `ＳＡＶＥ１０`, ` save10 ` and `Save10` are one code.
pub fn code_key(code: &str) -> String {
    // Unicode folds case by more than one mapping (ß, ẞ and SS are one; so are σ, ς and Σ): going
    // down and up again reaches one form for all of them, which may then be composed.
    let folded = code.nfkc().collect::<String>().to_lowercase().to_uppercase();
    folded.nfkc().collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Currency;

    fn eur(amount: i64) -> Money {
        Money::new(amount, Currency::EUR)
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn discount(kind: DiscountKind) -> Discount {
        Discount::new(DiscountId(uuid::Uuid::nil()), "Save10".to_owned(), kind, at(0))
    }

    fn percent(basis_points: u32) -> Discount {
        discount(DiscountKind::Percent { basis_points })
    }

    fn fixed(amount: Money) -> Discount {
        discount(DiscountKind::Fixed { amount })
    }

    #[test]
    fn it_applies_from_its_start_until_just_before_its_end() {
        let sale = Discount { starts_at: Some(at(10)), ends_at: Some(at(20)), ..percent(1_000) };
        assert_eq!(sale.applies(at(9), eur(1)), Err(DiscountRejection::NotStarted));
        assert_eq!(sale.applies(at(10), eur(1)), Ok(()));
        assert_eq!(sale.applies(at(19), eur(1)), Ok(()));
        assert_eq!(sale.applies(at(20), eur(1)), Err(DiscountRejection::Expired));
    }

    #[test]
    fn it_does_not_apply_switched_off_or_used_up() {
        let off = Discount { active: false, ..percent(1_000) };
        assert_eq!(off.applies(at(0), eur(1)), Err(DiscountRejection::Inactive));
        let last_use = Discount { usage_limit: Some(3), used: 2, ..percent(1_000) };
        assert_eq!(last_use.applies(at(0), eur(1)), Ok(()));
        let used_up = Discount { used: 3, ..last_use };
        assert_eq!(used_up.applies(at(0), eur(1)), Err(DiscountRejection::UsedUp));
    }

    #[test]
    fn it_applies_from_its_minimum_and_in_its_currency() {
        let minimum = eur(5_000);
        let from_50 = Discount { minimum: Some(minimum), ..percent(1_000) };
        assert_eq!(from_50.applies(at(0), eur(5_000)), Ok(()));
        let reason = DiscountRejection::MinimumNotReached { minimum };
        assert_eq!(from_50.applies(at(0), eur(4_999)), Err(reason));
        let dollars = Money::new(9_999, Currency::USD);
        assert_eq!(from_50.applies(at(0), dollars), Err(DiscountRejection::WrongCurrency));
        assert_eq!(fixed(eur(1)).applies(at(0), dollars), Err(DiscountRejection::WrongCurrency));
        assert_eq!(percent(1).applies(at(0), dollars), Ok(()));
    }

    #[test]
    fn it_never_takes_off_more_than_there_is() {
        assert_eq!(fixed(eur(500)).amount_off(eur(1_999)), Ok(eur(500)));
        assert_eq!(fixed(eur(500)).amount_off(eur(499)), Ok(eur(499)));
        assert_eq!(fixed(eur(-1)).amount_off(eur(499)), Ok(eur(0)));
        assert_eq!(percent(10_000).amount_off(eur(1_999)), Ok(eur(1_999)));
        assert_eq!(percent(u32::MAX).amount_off(eur(i64::MAX)), Ok(eur(i64::MAX)));
        let mismatch = MoneyError::CurrencyMismatch { left: Currency::EUR, right: Currency::USD };
        assert_eq!(fixed(eur(5)).amount_off(Money::new(9, Currency::USD)), Err(mismatch));
    }

    #[test]
    fn a_kind_has_its_type_on_the_wire_and_no_member_of_another_kind() {
        let text = r#"{"type":"percent","basis_points":1000}"#;
        let kind = serde_json::from_str::<DiscountKind>(text).unwrap();
        assert_eq!(kind, DiscountKind::Percent { basis_points: 1_000 });
        assert_eq!(serde_json::to_string(&kind).unwrap(), text);
        let both = r#"{"type":"percent","basis_points":1000,"amount":{"amount":1,"currency":"EUR"}}"#;
        assert!(serde_json::from_str::<DiscountKind>(both).is_err());
    }

    #[test]
    fn half_a_cent_off_is_a_cent_off() {
        assert_eq!(percent(1_000).amount_off(eur(1_995)), Ok(eur(200)));
        assert_eq!(percent(1_000).amount_off(eur(1_994)), Ok(eur(199)));
    }

    #[test]
    fn every_fault_of_an_impossible_discount_is_named() {
        let faults = |discount: Discount| discount.validate().unwrap_err();
        assert_eq!(percent(1).validate(), Ok(()));
        assert_eq!(faults(percent(0)), [DiscountFault::BasisPoints]);
        assert_eq!(faults(percent(10_001)), [DiscountFault::BasisPoints]);
        assert_eq!(faults(fixed(eur(0))), [DiscountFault::Amount]);
        let used = Discount { usage_limit: Some(1), used: 2, ..percent(1) };
        assert_eq!(faults(used), [DiscountFault::UsageLimit]);
        let all = Discount {
            code: "a\u{0}b".to_owned(),
            minimum: Some(Money::new(-1, Currency::USD)),
            usage_limit: Some(0),
            starts_at: Some(at(5)),
            ends_at: Some(at(5)),
            ..fixed(eur(-1))
        };
        let pointers = faults(all).into_iter().map(DiscountFault::pointer).collect::<Vec<_>>();
        let expected = [
            "/code",
            "/kind/amount/amount",
            "/minimum/currency",
            "/minimum/amount",
            "/usage_limit",
            "/ends_at",
        ];
        assert_eq!(pointers, expected);
    }

    #[test]
    fn a_code_has_1_to_64_characters() {
        let with_code = |code: String| Discount { code, ..percent(1) }.validate();
        assert_eq!(with_code("é".repeat(64)), Ok(()));
        assert_eq!(with_code("é".repeat(65)), Err(vec![DiscountFault::Code]));
        assert_eq!(with_code("  ".to_owned()), Err(vec![DiscountFault::Code]));
    }

    #[test]
    fn codes_that_read_the_same_are_the_same() {
        let same = |one: &str, other: &str| assert_eq!(code_key(one), code_key(other), "{one} {other}");
        same("Save10", "\u{a0}sAVE10 ");
        same("SAVE10", "ＳＡＶＥ１０");
        same("straße", "STRASSE");
        same("ẞ", "ß");
        same("ΟΔΟΣ", "οδοσ");
        same("οδος", "οδοσ");
        same("cafe\u{301}", "CAFÉ");
        assert_ne!(code_key("SAVE10"), code_key("SAVE1O"));
    }

    #[test]
    fn no_letter_has_two_keys() {
        for letter in ('\0'..=char::MAX).filter(|letter| letter.is_alphabetic()) {
            let key = code_key(&letter.to_string());
            for written in [key.clone(), letter.to_lowercase().collect(), letter.to_uppercase().collect()] {
                assert_eq!(code_key(&written), key, "{letter:?}");
            }
        }
    }
}
