//! Feature flags, as pages of the shop evaluate them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::application::features;
use crate::domain::country::Country;
use crate::domain::feature_flag::{Evaluation, EvaluationContext, EvaluationError, EvaluationReason};
use crate::presentation::http::json::Json;
use crate::presentation::http::principal::Anyone;
use crate::presentation::http::response::HandlerResult;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    routes![evaluate_feature_flags]
}

/// Which flags are evaluated, and for whom.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EvaluateFeatureFlags {
    /// The keys of the flags. If omitted, all that pages may evaluate.
    #[schema(nullable = false, max_items = 200)]
    keys: Option<Vec<String>>,
    /// For whom the flags are evaluated. If omitted, for the user, or for a guest of whom nothing is known.
    #[serde(default)]
    context: EvaluatedFor,
}

/// For whom flags are evaluated.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EvaluatedFor {
    /// A name of the guest that stays the same, such as an id in a cookie: the share of those who have a feature
    /// depends on it. That of a user is the user's id.
    #[serde(rename = "targetingKey")]
    #[schema(nullable = false, min_length = 1, max_length = 200)]
    targeting_key: Option<String>,
    /// The country of the shopper.
    #[schema(nullable = false)]
    country: Option<Country>,
}

/// The values of flags.
#[derive(Debug, Serialize, ToSchema)]
struct EvaluatedFeatureFlags {
    /// The values.
    flags: Vec<EvaluatedFeatureFlag>,
}

/// The value of a flag, named as OpenFeature names it.
#[derive(Debug, Serialize, ToSchema)]
struct EvaluatedFeatureFlag {
    /// The key of the flag.
    key: String,
    /// Whether the feature is on.
    value: bool,
    /// The name of the value: `on` or `off`.
    variant: &'static str,
    /// The reason of the value.
    reason: EvaluationReason,
    /// Why the flag could not be evaluated, with the reason `ERROR`.
    #[serde(rename = "errorCode", skip_serializing_if = "Option::is_none")]
    error_code: Option<EvaluationError>,
}

/// Evaluate feature flags
///
/// Returns the values of flags that pages of the shop may evaluate, with the names of OpenFeature, for the user or a
/// guest.
#[utoipa::path(post, path = "/v1/feature-flags/evaluations", tag = "feature-flags",
    request_body = EvaluateFeatureFlags, responses((status = 200, body = EvaluatedFeatureFlags)))]
async fn evaluate_feature_flags(
    Anyone(user): Anyone,
    State(app): State<AppState>,
    Json(EvaluateFeatureFlags { keys, context }): Json<EvaluateFeatureFlags>,
) -> HandlerResult<Json<EvaluatedFeatureFlags>> {
    let EvaluatedFor { targeting_key, country } = context;
    let context = match user {
        Some(user) => {
            EvaluationContext { country, ..EvaluationContext::of_user(user.user_id(), user.user.role) }
        }
        None => EvaluationContext { targeting_key, country, ..EvaluationContext::default() },
    };
    let evaluated = features::evaluate_public(&app.store, keys.as_deref(), &context).await?;
    let flags =
        evaluated.into_iter().map(|(key, evaluation)| EvaluatedFeatureFlag::of(key, evaluation)).collect();
    Ok(Json(EvaluatedFeatureFlags { flags }))
}

impl EvaluatedFeatureFlag {
    fn of(key: String, evaluation: Evaluation) -> Self {
        let Evaluation { value, reason, error } = evaluation;
        Self { key, value, variant: evaluation.variant(), reason, error_code: error }
    }
}
