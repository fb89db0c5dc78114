//! Writes log lines to standard error, as text or JSON.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::{fmt, layer::SubscriberExt, registry, util::SubscriberInitExt};

use crate::settings::{LogFormat, LogSettings};

/// Starts logging for the whole process.
pub fn start(settings: &LogSettings) {
    let filtered = registry().with(settings.level.clone());
    let lines = fmt::layer().with_writer(stderr);
    // a subscriber that was set before stays
    let _ = match settings.format {
        LogFormat::Json => filtered.with(lines.json().flatten_event(true)).try_init(),
        LogFormat::Text if stderr().is_terminal() => filtered.with(lines).try_init(),
        LogFormat::Text => filtered.with(lines.with_ansi(false)).try_init(),
    };
}
