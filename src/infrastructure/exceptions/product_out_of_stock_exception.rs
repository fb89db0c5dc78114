//! A variant is not available in the requested quantity.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Exception, Kind, facts};
use crate::domain::ids::VariantId;

/// Fewer pieces are available than were requested.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sku}: {requested} requested, {available} available")]
pub struct ProductOutOfStockException {
    /// The variant.
    pub variant_id: VariantId,
    /// The SKU of the variant.
    pub sku: String,
    /// The requested pieces.
    pub requested: i64,
    /// The available pieces.
    pub available: i64,
}

impl Exception for ProductOutOfStockException {
    fn code(&self) -> &'static str {
        "product_out_of_stock"
    }

    fn kind(&self) -> Kind {
        Kind::Refused
    }

    fn status(&self) -> StatusCode {
        StatusCode::CONFLICT
    }

    fn details(&self) -> Map<String, Value> {
        facts([
            ("variant_id", json!(self.variant_id)),
            ("sku", json!(self.sku)),
            ("requested", json!(self.requested)),
            ("available", json!(self.available)),
        ])
    }
}
