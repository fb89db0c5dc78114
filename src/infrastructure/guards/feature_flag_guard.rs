//! A feature is on for the user.

use super::Guard;
use crate::domain::feature_flag::Evaluation;
use crate::infrastructure::exceptions::{Failure, UnauthorizedAccessException};

/// The proof that a feature is on, by the evaluation of its flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeatureFlagGuard(());

impl Guard for FeatureFlagGuard {
    type Facts = Evaluation;

    fn check(evaluation: Evaluation) -> Result<Self, Failure> {
        if evaluation.value { Ok(Self(())) } else { Err(UnauthorizedAccessException::FeatureOff.into()) }
    }

    fn refusals() -> Vec<Failure> {
        vec![UnauthorizedAccessException::FeatureOff.into()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::feature_flag::EvaluationError;

    #[test]
    fn a_feature_that_is_off_is_refused() {
        assert!(FeatureFlagGuard::check(Evaluation::built_in(true)).is_ok());
        for off in [Evaluation::built_in(false), Evaluation::failed(EvaluationError::FlagNotFound)] {
            assert_eq!(FeatureFlagGuard::check(off).unwrap_err().status(), 403);
        }
    }
}
