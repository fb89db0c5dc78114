//! A failure that repeats, since what failed is attempted again every few seconds: the log has one line for it, and
//! another one every ten minutes.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant;

use super::Failure;

/// The code of failures of what is away or overloaded. While it is, the texts of its errors alternate.
const UNAVAILABLE: &str = "unavailable";

/// The time after which a failure that has not ended is logged again.
const AGAIN: Duration = Duration::from_mins(10);

/// The failures in a row of what is attempted again and again: the kind of the last one, and when it was logged.
#[derive(Debug, Default)]
pub struct RepeatedFailure(Option<(String, Instant)>);

impl RepeatedFailure {
    /// Notes that an attempt failed. Returns the text for the log, unless the attempt before failed with the same, or
    /// both failed because something is unavailable, and that was logged in the last ten minutes.
    pub fn begin(&mut self, failure: &Failure) -> Option<String> {
        let text = failure.report().to_string();
        let is_new =
            if failure.code() == UNAVAILABLE { self.begin_as(UNAVAILABLE) } else { self.begin_as(&text) };
        is_new.then_some(text)
    }

    /// Notes that an attempt failed with a failure of this kind. Returns whether it is for the log, because the attempt
    /// before did not fail with one of the same kind, or that was logged ten minutes ago.
    pub fn begin_as(&mut self, kind: impl Display) -> bool {
        let kind = kind.to_string();
        if self.0.as_ref().is_some_and(|(known, at)| *known == kind && at.elapsed() < AGAIN) {
            return false;
        }
        self.0 = Some((kind, Instant::now()));
        true
    }

    /// Returns whether the last attempt failed.
    pub fn has_begun(&self) -> bool {
        self.0.is_some()
    }

    /// Notes that an attempt succeeded.
    pub fn end(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infrastructure::exceptions::{Technical, TechnicalKind};

    #[test]
    fn a_failure_is_logged_once_until_it_ends_or_becomes_another() {
        let mut failing = RepeatedFailure::default();
        let failure = |cause: &str| Failure::from(Technical::internal(cause.to_owned()));
        let [first, second] = ["no key", "no table"].map(failure);
        assert_eq!(failing.begin(&first).as_deref(), Some("internal error: no key"));
        assert!(failing.begin(&first).is_none() && failing.has_begun());
        assert_eq!(failing.begin(&second).as_deref(), Some("internal error: no table"));
        assert!(failing.begin(&first).is_some());
        failing.end();
        assert!(!failing.has_begun() && failing.begin(&first).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_does_not_end_is_logged_again_after_ten_minutes() {
        let mut failing = RepeatedFailure::default();
        assert!(failing.begin_as("no route"));
        tokio::time::advance(AGAIN.saturating_sub(Duration::from_secs(1))).await;
        assert!(!failing.begin_as("no route"));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(failing.begin_as("no route"));
        assert!(!failing.begin_as("no route"));
    }

    #[test]
    fn all_failures_of_what_is_unavailable_are_one() {
        let mut failing = RepeatedFailure::default();
        let failure =
            |cause: &str| Failure::from(Technical::new(TechnicalKind::Unavailable, cause.to_owned()));
        let logged = failing.begin(&failure("connection closed"));
        assert_eq!(logged.as_deref(), Some("unavailable: connection closed"));
        for cause in ["Connection reset by peer", "connection closed", "Connection refused"] {
            assert_eq!(failing.begin(&failure(cause)), None, "{cause}");
        }
        assert!(failing.begin(&Failure::from(Technical::internal("no key"))).is_some());
    }
}
