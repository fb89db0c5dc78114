//! There is no such category.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Exception, Kind, facts};

/// No category has this id or slug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no category {category:?}")]
pub struct CategoryNotFoundException {
    /// The requested id or slug.
    pub category: String,
}

impl Exception for CategoryNotFoundException {
    fn code(&self) -> &'static str {
        "category_not_found"
    }

    fn kind(&self) -> Kind {
        Kind::Refused
    }

    fn status(&self) -> StatusCode {
        StatusCode::NOT_FOUND
    }

    fn details(&self) -> Map<String, Value> {
        facts([("category", json!(self.category))])
    }
}
