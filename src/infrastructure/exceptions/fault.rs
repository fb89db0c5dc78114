//! What can be wrong with one field, and where the field stands.

use serde_json::{Map, Number, Value, json};

use super::facts;

/// Where a fault is. A text that is not made into another place is a JSON pointer (RFC 6901) into the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A JSON pointer into the body; empty is the body itself.
    Pointer(String),
    /// A parameter of the query or the path, by name.
    Parameter(String),
    /// A header, by name.
    Header(&'static str),
}

impl Place {
    /// The name and value of the member that tells the place.
    pub(super) fn member(&self) -> (&'static str, &str) {
        match self {
            Self::Pointer(pointer) => ("pointer", pointer),
            Self::Parameter(name) => ("parameter", name),
            Self::Header(name) => ("header", name),
        }
    }
}

impl From<&str> for Place {
    fn from(pointer: &str) -> Self {
        Self::Pointer(pointer.to_owned())
    }
}

impl From<String> for Place {
    fn from(pointer: String) -> Self {
        Self::Pointer(pointer)
    }
}

/// What is wrong with a field. [`code`](Self::code) is the wire code; the fields are its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It must be there.
    Required,
    /// There is no such field or parameter.
    Unknown,
    /// It has another type.
    Type {
        /// The type that it must have, in JSON's words.
        expected: &'static str,
    },
    /// It is a number with a fraction, or one that no integer holds.
    NotAnInteger,
    /// It is below the minimum.
    Minimum {
        /// The least that is allowed.
        minimum: Number,
    },
    /// It is above the maximum.
    Maximum {
        /// The most that is allowed.
        maximum: Number,
    },
    /// The text has too few characters.
    TooShort {
        /// The least length.
        min_length: usize,
    },
    /// The text has too many characters.
    TooLong {
        /// The greatest length.
        max_length: usize,
    },
    /// The list has too few items.
    TooFew {
        /// The least number.
        min_items: usize,
    },
    /// The list or object has too many items.
    TooMany {
        /// The greatest number.
        max_items: usize,
    },
    /// The text is not written as it must be.
    Format {
        /// The format: `uuid`, `email`, `date`, `date-time`, `currency`, …
        format: String,
    },
    /// It is none of the values that are allowed.
    NotAllowed {
        /// The values that are.
        allowed: Vec<Value>,
    },
    /// The same thing is there twice.
    Duplicate,
    /// The amount is in another currency than the rest.
    WrongCurrency {
        /// The currency that it must have.
        expected: String,
    },
    /// The amounts add up to more than can be counted.
    AmountTooLarge,
    /// The text holds a control character other than a tab or a line break.
    Character,
    /// It names something that does not exist.
    NoSuchThing,
    /// The cursor is not one of ours, or belongs to another list.
    InvalidCursor,
    /// It is not valid, and no other fault says more.
    Invalid,
}

impl Fault {
    /// The wire code, which is also the key of its message.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Unknown => "unknown",
            Self::Type { .. } => "type",
            Self::NotAnInteger => "not_an_integer",
            Self::Minimum { .. } => "minimum",
            Self::Maximum { .. } => "maximum",
            Self::TooShort { .. } => "too_short",
            Self::TooLong { .. } => "too_long",
            Self::TooFew { .. } => "too_few",
            Self::TooMany { .. } => "too_many",
            Self::Format { .. } => "format",
            Self::NotAllowed { .. } => "not_allowed",
            Self::Duplicate => "duplicate",
            Self::WrongCurrency { .. } => "wrong_currency",
            Self::AmountTooLarge => "amount_too_large",
            Self::Character => "character",
            Self::NoSuchThing => "no_such_thing",
            Self::InvalidCursor => "invalid_cursor",
            Self::Invalid => "invalid",
        }
    }

    /// The parameters, which are also the arguments of its message.
    pub(super) fn params(&self) -> Map<String, Value> {
        match self {
            Self::Type { expected } => facts([("expected", json!(expected))]),
            Self::Minimum { minimum } => facts([("minimum", json!(minimum))]),
            Self::Maximum { maximum } => facts([("maximum", json!(maximum))]),
            Self::TooShort { min_length } => facts([("min_length", json!(min_length))]),
            Self::TooLong { max_length } => facts([("max_length", json!(max_length))]),
            Self::TooFew { min_items } => facts([("min_items", json!(min_items))]),
            Self::TooMany { max_items } => facts([("max_items", json!(max_items))]),
            Self::Format { format } => facts([("format", json!(format))]),
            Self::NotAllowed { allowed } => facts([("allowed", json!(allowed))]),
            Self::WrongCurrency { expected } => facts([("expected", json!(expected))]),
            Self::Required
            | Self::Unknown
            | Self::NotAnInteger
            | Self::Duplicate
            | Self::AmountTooLarge
            | Self::Character
            | Self::NoSuchThing
            | Self::InvalidCursor
            | Self::Invalid => Map::new(),
        }
    }
}
