//! The buyer has the minimum age of a product, in the country to which it is delivered.

use std::sync::Arc;

use super::Guard;
use crate::domain::age::{AgeRule, required_age};
use crate::domain::country::Country;
use crate::domain::ids::VariantId;
use crate::infrastructure::exceptions::{AgeRestriction, Failure, UnauthorizedAccessException};

/// A product and its buyer.
#[derive(Debug, Clone)]
pub struct AgeFacts {
    /// The variant that is bought.
    pub variant_id: VariantId,
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
        let Some(stated) = facts.minimum_age else { return Ok(Self(())) };
        let minimum_age = required_age(&facts.rules, facts.country, stated);
        let restriction = AgeRestriction { variant_id: facts.variant_id, minimum_age };
        match facts.age {
            None => Err(UnauthorizedAccessException::BirthDateRequired(restriction).into()),
            Some(age) if age < minimum_age => {
                Err(UnauthorizedAccessException::AgeRestricted(restriction).into())
            }
            Some(_) => Ok(Self(())),
        }
    }

    fn refusals() -> Vec<Failure> {
        let restriction = AgeRestriction::EXAMPLE;
        let refusals = [
            UnauthorizedAccessException::AgeRestricted(restriction),
            UnauthorizedAccessException::BirthDateRequired(restriction),
        ];
        refusals.map(Failure::from).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_age_is_that_of_the_country() {
        let rules: Arc<[AgeRule]> = Arc::new(["US 18 21".parse().unwrap()]);
        let variant_id = VariantId(Uuid::nil());
        let check = |country: &str, minimum_age, age| {
            let country = country.parse().unwrap();
            let facts = AgeFacts { variant_id, minimum_age, country, rules: Arc::clone(&rules), age };
            AgeVerificationGuard::check(facts)
        };
        let is_old_enough = |country, minimum_age, age| check(country, minimum_age, age).is_ok();
        let refusal = |country, minimum_age, age| {
            let refused = check(country, minimum_age, age).unwrap_err();
            *refused.downcast_ref::<UnauthorizedAccessException>().unwrap()
        };
        assert!(is_old_enough("DE", Some(18), Some(18)));
        assert!(!is_old_enough("DE", Some(18), Some(17)));
        assert!(!is_old_enough("US", Some(18), Some(20)));
        assert!(is_old_enough("US", Some(18), Some(21)));
        assert!(is_old_enough("US", Some(16), Some(16)));
        let restriction = AgeRestriction { variant_id, minimum_age: 21 };
        assert_eq!(
            refusal("US", Some(18), Some(20)),
            UnauthorizedAccessException::AgeRestricted(restriction),
            "the age of the country"
        );
        assert_eq!(
            refusal("US", Some(18), None),
            UnauthorizedAccessException::BirthDateRequired(restriction),
            "the age is not known"
        );
        assert!(is_old_enough("US", None, None), "the product has no minimum age");
    }
}
