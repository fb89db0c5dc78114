//! Routes of features that administrators switch on and off.

use http::request::Parts;

use super::guarded::{DescribeGuard, LoadFacts};
use super::routing::Access;
use super::state::AppState;
use crate::application::features::{self, Feature};
use crate::domain::feature_flag::{Evaluation, EvaluationContext};
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::guards::{AuthenticationGuard, Credentials, FeatureFlagGuard};

/// A feature that routes require, as a type.
pub trait RequiredFeature {
    /// The feature.
    const FEATURE: Feature;
}

/// Buyers write reviews.
#[derive(Debug, Clone, Copy)]
pub struct ReviewsFeature;

impl RequiredFeature for ReviewsFeature {
    const FEATURE: Feature = Feature::Reviews;
}

impl<F: RequiredFeature> DescribeGuard<F> for FeatureFlagGuard {
    const ACCESS: Access = Access::Anyone;
}

impl<F: RequiredFeature> LoadFacts<FeatureFlagGuard, F> for AppState {
    async fn load_facts(&self, parts: &mut Parts) -> Result<Evaluation, Failure> {
        let context = match LoadFacts::<AuthenticationGuard>::load_facts(self, parts).await? {
            Credentials::Valid(principal) => {
                EvaluationContext::of_user(principal.user.id, principal.user.role)
            }
            Credentials::Missing | Credentials::Invalid => EvaluationContext::default(),
        };
        features::evaluate(&self.store, F::FEATURE, &context).await
    }
}
