//! Faults of single fields of a request, and their locations.

use std::borrow::Cow;

use serde_json::{Map, Number, Value, json};

use super::facts;
use crate::domain::{country::Country, money::Currency};

/// Where a fault is. A text converts to a JSON pointer (RFC 6901) into the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A JSON pointer into the body; empty is the body itself.
    Pointer(String),
    /// A member of an item of `items`, by the position of the item from 0; a pointer in the problem document.
    Item(usize, &'static str),
    /// A parameter of the query or the path, by name.
    Parameter(String),
    /// A header, by name.
    Header(&'static str),
}

impl Location {
    /// Returns the name and value of the problem document's member for the location.
    pub(super) fn member(&self) -> (&'static str, Cow<'_, str>) {
        match self {
            Self::Pointer(pointer) => ("pointer", pointer.into()),
            Self::Item(position, member) => ("pointer", format!("/items/{position}/{member}").into()),
            Self::Parameter(name) => ("parameter", name.into()),
            Self::Header(name) => ("header", (*name).into()),
        }
    }
}

impl From<&str> for Location {
    fn from(pointer: &str) -> Self {
        Self::Pointer(pointer.to_owned())
    }
}

impl From<String> for Location {
    fn from(pointer: String) -> Self {
        Self::Pointer(pointer)
    }
}

/// What is wrong with a field. Variants have their parameters as fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A required member is missing.
    Required,
    /// The field or parameter is not known.
    Unknown,
    /// The value has the wrong type.
    Type {
        /// The expected JSON type.
        expected: &'static str,
    },
    /// The number has a fraction or exceeds the range of integers.
    NotAnInteger,
    /// The number is below the minimum.
    Minimum {
        /// The least allowed value.
        minimum: Number,
    },
    /// The number is above the maximum.
    Maximum {
        /// The greatest allowed value.
        maximum: Number,
    },
    /// The text has too few characters.
    TooShort {
        /// The least number of characters.
        min_length: usize,
    },
    /// The text has too many characters.
    TooLong {
        /// The greatest number of characters.
        max_length: usize,
    },
    /// The text has a minimum length, and no visible character.
    Blank,
    /// The list has too few items.
    TooFew {
        /// The least number of items.
        min_items: usize,
    },
    /// The cart has no item.
    EmptyCart,
    /// The cart has more pieces than an order may hold.
    TooManyPieces {
        /// The greatest number of pieces.
        maximum: i64,
    },
    /// The variant of a product has another number of option values than the product has options.
    OptionValues {
        /// The number of the product's options.
        options: usize,
    },
    /// An active variant of a product has the options of another one, such as none.
    SameOptions,
    /// The list or object has too many items.
    TooMany {
        /// The greatest number of items.
        max_items: usize,
    },
    /// The text does not have the format.
    Format {
        /// The format: `uuid`, `email`, `date`, `date-time`, `currency`, …
        format: String,
        /// A text that has it.
        example: &'static str,
    },
    /// The header or the body does not have its syntax. It stands for a failure of its own beside other faults.
    Malformed {
        /// The expected syntax, in words.
        expected: &'static str,
    },
    /// The value is not one of those allowed.
    NotAllowed {
        /// The allowed values. If there are none, the code is `none_allowed`.
        allowed: Vec<Value>,
    },
    /// The value is repeated where it must be unique.
    Duplicate,
    /// The amount has another currency than the rest.
    WrongCurrency {
        /// The expected currency.
        expected: String,
    },
    /// The sum of the amounts exceeds the supported range.
    AmountTooLarge,
    /// The text has a control character, a line break where it is of one line, a control of bidirectional text or, in a
    /// header, a space or a character beyond ASCII.
    Character,
    /// The value refers to a resource that does not exist.
    NotFound,
    /// The shipping method has no rate for the country and the currency, or no method of the store has one.
    DoesNotShip {
        /// The country of the shipping address.
        country: Country,
        /// The currency of the cart.
        currency: Currency,
    },
    /// The variant is not sold in the currency.
    NotSoldIn {
        /// The currency of the cart.
        currency: Currency,
    },
    /// The URL of a webhook endpoint is HTTP, or its host is an address that is not public.
    PrivateUrl,
    /// The password is not that of the user.
    WrongPassword,
    /// The one-time password or the recovery code is wrong, or was used.
    WrongOneTimePassword,
    /// The user has not begun to enrol an authenticator app, or too long ago.
    NoEnrolment,
    /// The password is guessed first: it is common, or the user's own address or name.
    PasswordTooCommon,
    /// The token is not known, has expired or was used.
    InvalidToken,
    /// The category would be below itself.
    Cycle,
    /// The cursor was not issued by this store, or belongs to another list.
    InvalidCursor,
    /// The value is set already, and only an administrator can change it.
    AlreadySet,
    /// The pieces of an order are restocked only with the refund of all that is left, unless the order is cancelled.
    NotRestockable,
    /// No entry of a cache can have the text as a tag.
    CacheTag,
    /// The text cannot be the name of a role of the staff.
    RoleName,
    /// The text cannot be the key of a feature flag.
    FeatureFlagKey,
    /// The user is no administrator, and only administrators have a role of the staff.
    AdministratorsOnly,
    /// The value is invalid, and no other fault is more precise.
    Invalid,
}

impl Fault {
    /// A text with the format `uuid`.
    pub(crate) const UUID_EXAMPLE: &'static str = "0198c5b2-7d1e-7c3a-9f4b-2a6d8e1f3c5b";

    /// Returns the wire code, which is also the key of the message.
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
            Self::Blank => "blank",
            Self::TooFew { .. } => "too_few",
            Self::EmptyCart => "empty_cart",
            Self::TooManyPieces { .. } => "too_many_pieces",
            Self::OptionValues { .. } => "option_values",
            Self::SameOptions => "same_options",
            Self::TooMany { .. } => "too_many",
            Self::Format { .. } => "format",
            Self::Malformed { .. } => "malformed",
            Self::NotAllowed { allowed } if allowed.is_empty() => "none_allowed",
            Self::NotAllowed { .. } => "not_allowed",
            Self::Duplicate => "duplicate",
            Self::WrongCurrency { .. } => "wrong_currency",
            Self::AmountTooLarge => "amount_too_large",
            Self::Character => "character",
            Self::NotFound => "not_found",
            Self::DoesNotShip { .. } => "does_not_ship",
            Self::NotSoldIn { .. } => "not_sold_in",
            Self::PrivateUrl => "private_url",
            Self::WrongPassword => "wrong_password",
            Self::WrongOneTimePassword => "wrong_one_time_password",
            Self::NoEnrolment => "no_enrolment",
            Self::PasswordTooCommon => "password_too_common",
            Self::InvalidToken => "invalid_token",
            Self::Cycle => "cycle",
            Self::InvalidCursor => "invalid_cursor",
            Self::AlreadySet => "already_set",
            Self::NotRestockable => "not_restockable",
            Self::CacheTag => "cache_tag",
            Self::RoleName => "role_name",
            Self::FeatureFlagKey => "feature_flag_key",
            Self::AdministratorsOnly => "administrators_only",
            Self::Invalid => "invalid",
        }
    }

    /// Returns the parameters, which are also the arguments of the message.
    pub(super) fn params(&self) -> Map<String, Value> {
        match self {
            Self::Type { expected } | Self::Malformed { expected } => facts([("expected", json!(expected))]),
            Self::Minimum { minimum } => facts([("minimum", json!(minimum))]),
            Self::Maximum { maximum } => facts([("maximum", json!(maximum))]),
            Self::TooShort { min_length } => facts([("min_length", json!(min_length))]),
            Self::TooLong { max_length } => facts([("max_length", json!(max_length))]),
            Self::TooFew { min_items } => facts([("min_items", json!(min_items))]),
            Self::TooManyPieces { maximum } => facts([("maximum", json!(maximum))]),
            Self::OptionValues { options } => facts([("options", json!(options))]),
            Self::TooMany { max_items } => facts([("max_items", json!(max_items))]),
            Self::Format { format, example } => {
                facts([("format", json!(format)), ("example", json!(example))])
            }
            Self::NotAllowed { allowed } if allowed.is_empty() => Map::new(),
            Self::NotAllowed { allowed } => facts([("allowed", json!(allowed))]),
            Self::WrongCurrency { expected } => facts([("expected", json!(expected))]),
            Self::DoesNotShip { country, currency } => {
                facts([("country", json!(country)), ("currency", json!(currency))])
            }
            Self::NotSoldIn { currency } => facts([("currency", json!(currency))]),
            Self::Required
            | Self::Unknown
            | Self::NotAnInteger
            | Self::Blank
            | Self::EmptyCart
            | Self::SameOptions
            | Self::Duplicate
            | Self::AmountTooLarge
            | Self::Character
            | Self::NotFound
            | Self::PrivateUrl
            | Self::WrongPassword
            | Self::WrongOneTimePassword
            | Self::NoEnrolment
            | Self::PasswordTooCommon
            | Self::InvalidToken
            | Self::Cycle
            | Self::InvalidCursor
            | Self::AlreadySet
            | Self::NotRestockable
            | Self::CacheTag
            | Self::RoleName
            | Self::FeatureFlagKey
            | Self::AdministratorsOnly
            | Self::Invalid => Map::new(),
        }
    }
}
