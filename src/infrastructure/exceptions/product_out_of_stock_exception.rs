//! A variant is not there in the quantity asked for.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Exception, Kind, facts};
use crate::domain::ids::VariantId;

/// Less is left than was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sku}: {requested} requested, {available} available")]
pub struct ProductOutOfStockException {
    /// The variant.
    pub variant_id: VariantId,
    /// Its stock-keeping unit.
    pub sku: String,
    /// How many were asked for.
    pub requested: i64,
    /// How many are left.
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
