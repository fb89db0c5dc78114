//! Minimum ages of products, which differ by country.

use std::str::FromStr;

use super::country::Country;

/// A rule of a country: products with a stated minimum age require another one there.
///
/// A product states the age of the merchant's own country. What that age stands for, such as the sale of spirits, is
/// allowed at 18 in Germany and at 21 in the United States: the rule `US 18 21`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgeRule {
    /// The country to which is delivered.
    pub country: Country,
    /// The minimum age that a product states, in years.
    pub stated: i64,
    /// The minimum age that it requires in the country, in years.
    pub required: i64,
}

/// The error for a text that is not an [`AgeRule`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a country with two ages of 1 to 120 years, such as US 18 21")]
pub struct InvalidAgeRule;

impl FromStr for AgeRule {
    type Err = InvalidAgeRule;

    fn from_str(text: &str) -> Result<Self, InvalidAgeRule> {
        let age = |text: &str| text.parse().ok().filter(|age| (1..=120).contains(age)).ok_or(InvalidAgeRule);
        let mut words = text.split(' ');
        let (Some(country), Some(stated), Some(required), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(InvalidAgeRule);
        };
        let country = country.parse().map_err(|_| InvalidAgeRule)?;
        Ok(Self { country, stated: age(stated)?, required: age(required)? })
    }
}

/// Returns the age in years that a product with a stated minimum age requires in a country.
pub fn required_age(rules: &[AgeRule], country: Country, stated: i64) -> i64 {
    let applies = |rule: &&AgeRule| rule.country == country && rule.stated == stated;
    rules.iter().find(applies).map_or(stated, |rule| rule.required)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_a_country_with_two_ages() {
        let rule: AgeRule = "US 18 21".parse().unwrap();
        assert_eq!((rule.country.code(), rule.stated, rule.required), ("US", 18, 21));
        for text in
            ["", "US", "US 18", "US 18 21 1", "us 18 21", "US 0 21", "US 18 121", "US 18 x", "US  18 21"]
        {
            assert_eq!(text.parse::<AgeRule>(), Err(InvalidAgeRule), "{text}");
        }
    }
}
