//! An outage of a server that is called again and again: the log has one warning when it begins, and one line when it
//! ends.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The outages of a server, which several callers notice.
#[derive(Debug)]
pub struct Outage {
    /// The host and the port, without user and password.
    server: String,
    /// The setting that has the URL.
    setting: &'static str,
    /// What the log says when an outage begins, and when it ends.
    texts: [&'static str; 2],
    /// The callers whose last call failed, and when.
    failing: Mutex<BTreeMap<String, Instant>>,
}

impl Outage {
    /// Returns the outages of a server whose URL is in a setting, with what the log says at the beginning and at the
    /// end of each.
    pub fn new(server: impl Into<String>, setting: &'static str, texts: [&'static str; 2]) -> Self {
        Self { server: server.into(), setting, texts, failing: Mutex::default() }
    }

    /// Notes that the server did not serve a caller. The first failure is logged, unless the outage of another caller
    /// has not ended. The text of the error must have no password.
    pub fn begin(&self, caller: &str, error: impl Display) {
        let mut failing = self.failing();
        if failing.is_empty() {
            tracing::warn!(server = self.server, setting = self.setting, %error, "{}", self.texts[0]);
        }
        failing.insert(caller.to_owned(), Instant::now());
    }

    /// Notes that the server served a caller. It is logged if no caller's last call failed any more.
    pub fn end(&self, caller: &str) {
        let mut failing = self.failing();
        if failing.remove(caller).is_some() && failing.is_empty() {
            tracing::info!(server = self.server, setting = self.setting, "{}", self.texts[1]);
        }
    }

    /// Notes that a caller does not call the server any more: after this time without a failure, as if it were served.
    pub fn end_after(&self, caller: &str, time: Duration) {
        let is_over = self.failing().get(caller).is_some_and(|failed_at| failed_at.elapsed() >= time);
        if is_over {
            self.end(caller);
        }
    }

    fn failing(&self) -> MutexGuard<'_, BTreeMap<String, Instant>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::{fmt, registry};

    use super::*;

    #[test]
    fn an_outage_of_several_callers_has_one_warning_and_its_end_a_line() {
        let lines = tempfile::NamedTempFile::new().unwrap();
        let layer = fmt::layer().with_writer(lines.reopen().unwrap()).without_time().with_ansi(false);
        tracing::subscriber::with_default(registry().with(layer.with_target(false)), || {
            let outage = Outage::new("host:25", "mail.url", ["the server is away", "the server is back"]);
            outage.end("first");
            for _ in 0..2 {
                outage.begin("first", "refused");
                outage.begin("second", "no route");
            }
            outage.end("second");
            outage.end("second");
            outage.begin("second", "no route");
            outage.end_after("second", Duration::from_hours(1));
            outage.end("first");
            outage.end_after("second", Duration::ZERO);
            outage.end("first");
        });
        assert_eq!(
            std::fs::read_to_string(lines.path()).unwrap(),
            " WARN the server is away server=\"host:25\" setting=\"mail.url\" error=refused\n \
             INFO the server is back server=\"host:25\" setting=\"mail.url\"\n"
        );
    }
}
