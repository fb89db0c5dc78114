//! Metadata: values that the store keeps for the merchant and does not use itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use super::text::{is_line, is_text};

/// Values of a product or variant by their names, such as those of the columns of an imported file. Shoppers do not see
/// them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(BTreeMap<String, String>);

/// The error for a value that metadata cannot have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMetadata {
    /// There are too many values.
    #[error("more than {} values", Metadata::MAX_VALUES)]
    TooMany,
    /// The name is too long, or not of one line.
    #[error("a name is a line of at most {} bytes", Metadata::MAX_NAME_BYTES)]
    Name,
    /// The value is too long.
    #[error("longer than {} characters", Metadata::MAX_CHARACTERS)]
    TooLong,
    /// The value has a control character.
    #[error("a control character")]
    Character,
}

impl Metadata {
    /// The most values.
    pub const MAX_VALUES: usize = 200;
    /// The greatest length of a name in bytes of UTF-8, which is that of the names of all JSON objects of the API.
    pub const MAX_NAME_BYTES: usize = 256;
    /// The greatest length of a value in characters.
    pub const MAX_CHARACTERS: usize = 5_000;

    /// Returns whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the value with this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns the values with their names, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Adds a value, and replaces another one with its name. Fails if the name or the value is invalid, or if there are
    /// [`Metadata::MAX_VALUES`] others.
    pub fn insert(&mut self, name: &str, value: String) -> Result<(), InvalidMetadata> {
        if name.len() > Self::MAX_NAME_BYTES || !is_line(name) {
            return Err(InvalidMetadata::Name);
        }
        // a text has at most as many characters as bytes
        if value.len() > Self::MAX_CHARACTERS && value.chars().count() > Self::MAX_CHARACTERS {
            return Err(InvalidMetadata::TooLong);
        }
        if !is_text(&value) {
            return Err(InvalidMetadata::Character);
        }
        if self.0.len() == Self::MAX_VALUES && !self.0.contains_key(name) {
            return Err(InvalidMetadata::TooMany);
        }
        self.0.insert(name.to_owned(), value);
        Ok(())
    }

    /// Fails with the name of the first invalid value, if there is one.
    pub fn check(&self) -> Result<(), (&str, InvalidMetadata)> {
        let mut checked = Self::default();
        self.0.iter().try_for_each(|(name, value)| {
            checked.insert(name, value.clone()).map_err(|error| (name.as_str(), error))
        })
    }
}

impl PartialSchema for Metadata {
    fn schema() -> RefOr<Schema> {
        let value = ObjectBuilder::new()
            .schema_type(Type::String)
            .max_length(Some(Self::MAX_CHARACTERS))
            .format(Some(SchemaFormat::Custom("multiline".to_owned())));
        let names = ObjectBuilder::new().schema_type(Type::String).max_length(Some(Self::MAX_NAME_BYTES));
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some("Values by their names, which the store keeps and does not use."))
            .max_properties(Some(Self::MAX_VALUES))
            .property_names(Some(names))
            .additional_properties(Some(AdditionalProperties::RefOr(value.into())))
            .into()
    }
}

impl ToSchema for Metadata {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_values_and_their_number_are_bounded() {
        let mut metadata = Metadata::default();
        let long = "é".repeat(Metadata::MAX_CHARACTERS);
        assert_eq!(metadata.insert("Note", format!("{long}e")), Err(InvalidMetadata::TooLong));
        assert_eq!(metadata.insert("Note", "a\0".to_owned()), Err(InvalidMetadata::Character));
        assert_eq!(metadata.insert(&"n".repeat(257), String::new()), Err(InvalidMetadata::Name));
        assert_eq!(metadata.insert("a\nb", String::new()), Err(InvalidMetadata::Name));
        assert!(metadata.is_empty());

        metadata.insert("Note", long.clone()).unwrap();
        for number in 1..Metadata::MAX_VALUES {
            metadata.insert(&number.to_string(), "line\nline".to_owned()).unwrap();
        }
        assert_eq!(metadata.insert("One more", String::new()), Err(InvalidMetadata::TooMany));
        assert_eq!(metadata.get("Note"), Some(long.as_str()));
        assert_eq!(metadata.insert("Note", "short".to_owned()), Ok(()));
        assert_eq!(metadata.check(), Ok(()));
        let unchecked: Metadata = serde_json::from_str(r#"{"a":"b","c":"d\u0001"}"#).unwrap();
        assert_eq!(unchecked.check(), Err(("c", InvalidMetadata::Character)));
    }
}
