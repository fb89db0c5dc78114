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

/// The proof that the buyer has the age that is required: that age, if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgeVerificationGuard {
    required: Option<i64>,
}

impl Guard for AgeVerificationGuard {
    type Facts = AgeFacts;

    fn check(facts: AgeFacts) -> Result<Self, Failure> {
        let required = facts.minimum_age.map(|stated| required_age(&facts.rules, facts.country, stated));
        match required {
            Some(required) if facts.age.is_none_or(|age| age < required) => {
                Err(UnauthorizedAccessException::AgeRestricted.into())
            }
            required => Ok(Self { required }),
        }
    }

    fn refusals() -> Vec<Failure> {
        vec![UnauthorizedAccessException::AgeRestricted.into()]
    }
}

impl AgeVerificationGuard {
    /// Returns the age in years that was required; `None` if there is none.
    pub fn required(self) -> Option<i64> {
        self.required
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_is_that_of_the_country() {
        let rules: Arc<[AgeRule]> = Arc::new(["US 18 21".parse().unwrap()]);
        let required = |country: &str, minimum_age, age| {
            let country = country.parse().unwrap();
            let facts = AgeFacts { minimum_age, country, rules: Arc::clone(&rules), age };
            AgeVerificationGuard::check(facts).ok().map(AgeVerificationGuard::required)
        };
        assert_eq!(required("DE", Some(18), Some(18)), Some(Some(18)));
        assert_eq!(required("DE", Some(18), Some(17)), None);
        assert_eq!(required("US", Some(18), Some(20)), None);
        assert_eq!(required("US", Some(18), Some(21)), Some(Some(21)));
        assert_eq!(required("US", Some(16), Some(16)), Some(Some(16)));
        assert_eq!(required("DE", Some(1), None), None, "the age is not known");
        assert_eq!(required("US", None, None), Some(None), "the product has no minimum age");
    }
}
