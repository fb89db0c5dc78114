//! Feature flags, as administrators manage them.

use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::application::features::{self, ReplaceFeatureFlag};
use crate::domain::feature_flag::{FeatureFlag, TargetingRule};
use crate::infrastructure::exceptions::{Conflict, NotFound};
use crate::presentation::http::conditional::{IfMatch, IfNoneMatch, RequiredState};
use crate::presentation::http::json::Json;
use crate::presentation::http::list::List;
use crate::presentation::http::principal::Admin;
use crate::presentation::http::query::Path;
use crate::presentation::http::response::{HandlerResult, StoredResponse, tagged};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    routes![
        list_feature_flags,
        get_feature_flag: [NotFound::FeatureFlag],
        replace_feature_flag: [Conflict::TooManyFeatureFlags],
        delete_feature_flag: [NotFound::FeatureFlag],
    ]
}

/// A feature flag.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FeatureFlag)]
struct FeatureFlagBody {
    /// The key.
    key: String,
    /// The description, for administrators.
    description: String,
    /// Whether rules and roll-out apply. If not, the feature is off for everyone.
    enabled: bool,
    /// Whether pages of the shop may evaluate the flag.
    public: bool,
    /// The rules, of which the first that matches decides.
    rules: Vec<TargetingRule>,
    /// The share of the users for whom no rule matches that have the feature, in basis points: 10000 is everyone.
    rollout: i64,
    /// The time at which the flag was created.
    created_at: Timestamp,
    /// The time of the last change.
    updated_at: Timestamp,
}

/// List feature flags
///
/// All flags, by their keys. A feature of the store that has no flag is on.
#[utoipa::path(get, path = "/admin/v1/feature-flags", tag = "admin-feature-flags",
    responses((status = 200, body = List<FeatureFlagBody>)))]
async fn list_feature_flags(
    _: Admin,
    State(app): State<AppState>,
) -> HandlerResult<Json<List<FeatureFlagBody>>> {
    let flags = features::flags(&app.store).await?;
    Ok(Json(List::whole(flags, |flag| FeatureFlagBody::of(&flag))))
}

/// Get a feature flag
#[utoipa::path(get, path = "/admin/v1/feature-flags/{key}", tag = "admin-feature-flags",
    params(("key" = String, Path)), responses((status = 200, body = FeatureFlagBody)))]
async fn get_feature_flag(
    _: Admin,
    State(app): State<AppState>,
    Path(key): Path<String>,
    if_none_match: IfNoneMatch,
) -> HandlerResult {
    let flag = features::flag(&app.store, key).await?;
    Ok(if_none_match.respond(flag.version, &FeatureFlagBody::of(&flag)))
}

/// Replace a feature flag
///
/// Creates the flag if there is none; with `If-None-Match: *` the request only creates, and with `If-Match` it only
/// replaces. The key has 1 to 100 small letters, digits, `.`, `_` and `-`, and not dots alone. The flags `sign_up`,
/// `guest_checkout` and `reviews` switch features of the store, which are on without a flag; others are for the shop's
/// pages and other services. The change is effective on every server of the store within two seconds. With `enabled`
/// false the feature is off for everyone, whatever the rules say.
#[utoipa::path(put, path = "/admin/v1/feature-flags/{key}", tag = "admin-feature-flags",
    params(("key" = String, Path)), request_body = ReplaceFeatureFlag,
    responses((status = 200, body = FeatureFlagBody)))]
async fn replace_feature_flag(
    _: Admin,
    State(app): State<AppState>,
    Path(key): Path<String>,
    RequiredState(required): RequiredState,
    Json(values): Json<ReplaceFeatureFlag>,
) -> HandlerResult<StoredResponse> {
    let flag = features::replace(&app.store, key, required, values).await?;
    Ok(FeatureFlagBody::response(&flag))
}

/// Delete a feature flag
///
/// A feature of the store that had the flag is on again.
#[utoipa::path(delete, path = "/admin/v1/feature-flags/{key}", tag = "admin-feature-flags",
    params(("key" = String, Path)), responses((status = 204)))]
async fn delete_feature_flag(
    _: Admin,
    State(app): State<AppState>,
    Path(key): Path<String>,
    IfMatch(expected_version): IfMatch,
) -> HandlerResult<StatusCode> {
    features::remove(&app.store, key, expected_version).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl FeatureFlagBody {
    fn response(flag: &FeatureFlag) -> StoredResponse {
        tagged(flag.version, &Self::of(flag))
    }

    fn of(flag: &FeatureFlag) -> Self {
        Self {
            key: flag.key.clone(),
            description: flag.description.clone(),
            enabled: flag.enabled,
            public: flag.public,
            rules: flag.rules.clone(),
            rollout: flag.rollout,
            created_at: flag.created_at,
            updated_at: flag.updated_at,
        }
    }
}
