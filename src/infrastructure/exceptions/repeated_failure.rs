//! A failure that repeats, since what failed is attempted again every few seconds: the log has one line for it.

use std::fmt::Display;

/// The failures in a row of what is attempted again and again.
#[derive(Debug, Default)]
pub struct RepeatedFailure(Option<String>);

impl RepeatedFailure {
    /// Notes that an attempt failed. Returns the text for the log, unless the attempt before failed with the same.
    pub fn begin(&mut self, failure: impl Display) -> Option<&str> {
        let text = failure.to_string();
        let is_new = self.0.as_ref() != Some(&text);
        let kept = self.0.insert(text);
        is_new.then_some(kept.as_str())
    }

    /// Notes that an attempt succeeded.
    pub fn end(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_logged_once_until_it_ends_or_becomes_another() {
        let mut failure = RepeatedFailure::default();
        assert_eq!(failure.begin("no route"), Some("no route"));
        assert_eq!(failure.begin("no route"), None);
        assert_eq!(failure.begin("the disk is full"), Some("the disk is full"));
        assert_eq!(failure.begin("no route"), Some("no route"));
        failure.end();
        assert_eq!(failure.begin("no route"), Some("no route"));
    }
}
