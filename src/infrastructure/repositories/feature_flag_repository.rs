//! Feature flags.

use super::database::{Connection, DatabaseError, select, table};
use crate::domain::feature_flag::FeatureFlag;

table! {
    FeatureFlag in "feature_flags", key String, versioned;
    key,
    description,
    enabled,
    public,
    rules: json,
    rollout,
    version,
    created_at,
    updated_at,
}

/// Queries on feature flags.
pub struct FeatureFlagRepository<'a>(pub &'a mut Connection);

impl FeatureFlagRepository<'_> {
    /// Returns all flags by their keys.
    pub async fn all(&mut self) -> Result<Vec<FeatureFlag>, DatabaseError> {
        self.0.all(&select::<FeatureFlag>("ORDER BY key"), &[]).await
    }
}
