//! Postal addresses.

use serde::{Deserialize, Serialize};

use super::country::Country;

/// A postal address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The name of the recipient.
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// The street and number.
    #[schema(min_length = 1, max_length = 200)]
    pub line1: String,
    /// A further line, such as a building or apartment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub line2: Option<String>,
    /// The city.
    #[schema(min_length = 1, max_length = 200)]
    pub city: String,
    /// The state, province or county, in countries that use one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub region: Option<String>,
    /// The postal code; may be empty.
    #[schema(max_length = 20)]
    pub postal_code: String,
    /// The country code (ISO 3166-1 alpha-2).
    #[schema(value_type = String, format = "country", example = "DE")]
    pub country: Country,
}
