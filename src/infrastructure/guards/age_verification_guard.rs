//! The buyer has the minimum age of a product, in the country to which it is delivered.

use std::sync::Arc;

use super::Guard;
use crate::domain::age::{AgeRule, required_age};
use crate::domain::country::Country;
use crate::infrastructure::exceptions::{Failure, UnauthorizedAccessException};

/// A product and its buyer.
#[derive(Debug, Clone)]
pub struct AgeFacts {
    /// The minimum age of the product in years, if it has one.
    pub minimum_age: Option<i64>,
    /// The country to which it is delivered.
    pub country: Country,
    /// The rules of countries.
    pub rules: Arc<[AgeRule]>,
    /// The buyer's age in full years, if it is known.
    pub age: Option<i64>,
}

/// The proof that the buyer has the age that is required.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgeVerificationGuard(());

impl Guard for AgeVerificationGuard {
    type Facts = AgeFacts;

    fn check(facts: AgeFacts) -> Result<Self, Failure> {
        let required = facts.minimum_age.map(|stated| required_age(&facts.rules, facts.country, stated));
        match required {
            Some(required) if facts.age.is_none_or(|age| age < required) => {
                Err(UnauthorizedAccessException::AgeRestricted.into())
            }
            _ => Ok(Self(())),
        }
    }

    fn refusals() -> Vec<Failure> {
        vec![UnauthorizedAccessException::AgeRestricted.into()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_is_that_of_the_country() {
        let rules: Arc<[AgeRule]> = Arc::new(["US 18 21".parse().unwrap()]);
        let is_old_enough = |country: &str, minimum_age, age| {
            let country = country.parse().unwrap();
            let facts = AgeFacts { minimum_age, country, rules: Arc::clone(&rules), age };
            AgeVerificationGuard::check(facts).is_ok()
        };
        assert!(is_old_enough("DE", Some(18), Some(18)));
        assert!(!is_old_enough("DE", Some(18), Some(17)));
        assert!(!is_old_enough("US", Some(18), Some(20)));
        assert!(is_old_enough("US", Some(18), Some(21)));
        assert!(is_old_enough("US", Some(16), Some(16)));
        assert!(!is_old_enough("DE", Some(1), None), "the age is not known");
        assert!(is_old_enough("US", None, None), "the product has no minimum age");
    }
}
