//! The line of a discount.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{LineType, id};
use crate::application::active_by_default;
use crate::application::records::identity::Identity;
use crate::domain::discount::{Discount, DiscountKind};
use crate::domain::money::Money;

/// The line of a discount.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::application) struct DiscountLine {
    r#type: LineType,
    id: String,
    code: String,
    kind: DiscountKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    minimum: Option<Money>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    usage_limit: Option<i64>,
    #[serde(default)]
    used: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    starts_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends_at: Option<Timestamp>,
    #[serde(default = "active_by_default")]
    active: bool,
    created_at: Option<Timestamp>,
}

impl From<Discount> for DiscountLine {
    fn from(discount: Discount) -> Self {
        Self {
            r#type: LineType::Discount,
            id: discount.id.to_string(),
            code: discount.code,
            kind: discount.kind,
            minimum: discount.minimum,
            usage_limit: discount.usage_limit,
            used: discount.used,
            starts_at: discount.starts_at,
            ends_at: discount.ends_at,
            active: discount.active,
            created_at: Some(discount.created_at),
        }
    }
}

impl DiscountLine {
    /// Returns the discount; one without a date was created at `default_created_at`.
    ///
    /// A store counts its own orders only, so the uses in the exporting store are subtracted from the limit. A
    /// discount without remaining uses is inactive.
    pub(in crate::application) fn discount(self, default_created_at: Timestamp) -> Result<Discount, String> {
        if self.used < 0 || self.usage_limit.is_some_and(|limit| limit < self.used) {
            return Err("/used: expected 0 to the usage limit".to_owned());
        }
        let remaining = self.usage_limit.map(|limit| limit - self.used);
        let created_at = self.created_at.unwrap_or(default_created_at);
        let discount = Discount {
            id: id(&self.id, "/id", Identity::discount)?,
            code: self.code,
            kind: self.kind,
            minimum: self.minimum,
            usage_limit: remaining.filter(|remaining| *remaining > 0).or(self.usage_limit),
            used: 0,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            active: self.active && remaining != Some(0),
            version: 1,
            created_at,
            updated_at: created_at,
        };
        discount.validate().map_err(|faults| {
            let faults = faults.iter().map(|fault| format!("{}: {fault}", fault.pointer()));
            faults.collect::<Vec<_>>().join("; ")
        })?;
        Ok(discount)
    }
}
