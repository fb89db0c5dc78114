//! The countries of the data set, by their names in it.

use crate::domain::country::Country;

/// Returns the country with this name, or `None` for a name of no country, such as `Unspecified` or
/// `European Community`.
pub(super) fn by_name(name: &str) -> Option<Country> {
    let index = NAMES.binary_search_by_key(&name, |(known, _)| known).ok()?;
    NAMES.get(index)?.1.parse().ok()
}

/// Names of both editions of the data set, sorted.
///
/// "Channel Islands" means two countries, Jersey and Guernsey; it is read as the larger, Jersey.
const NAMES: [(&str, &str); 40] = [
    ("Australia", "AU"),
    ("Austria", "AT"),
    ("Bahrain", "BH"),
    ("Belgium", "BE"),
    ("Bermuda", "BM"),
    ("Brazil", "BR"),
    ("Canada", "CA"),
    ("Channel Islands", "JE"),
    ("Cyprus", "CY"),
    ("Czech Republic", "CZ"),
    ("Denmark", "DK"),
    ("EIRE", "IE"),
    ("Finland", "FI"),
    ("France", "FR"),
    ("Germany", "DE"),
    ("Greece", "GR"),
    ("Hong Kong", "HK"),
    ("Iceland", "IS"),
    ("Israel", "IL"),
    ("Italy", "IT"),
    ("Japan", "JP"),
    ("Korea", "KR"),
    ("Lebanon", "LB"),
    ("Lithuania", "LT"),
    ("Malta", "MT"),
    ("Netherlands", "NL"),
    ("Nigeria", "NG"),
    ("Norway", "NO"),
    ("Poland", "PL"),
    ("Portugal", "PT"),
    ("RSA", "ZA"),
    ("Saudi Arabia", "SA"),
    ("Singapore", "SG"),
    ("Spain", "ES"),
    ("Sweden", "SE"),
    ("Switzerland", "CH"),
    ("Thailand", "TH"),
    ("USA", "US"),
    ("United Arab Emirates", "AE"),
    ("United Kingdom", "GB"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_country_and_the_table_is_in_order() {
        assert!(NAMES.is_sorted());
        for (name, code) in NAMES {
            assert_eq!(by_name(name).map_or("", Country::code), code);
        }
    }

    #[test]
    fn a_region_is_no_country() {
        for name in ["European Community", "West Indies", "Unspecified", "", "united kingdom"] {
            assert_eq!(by_name(name), None, "{name}");
        }
    }
}
