//! Writes log lines to standard error, as text or JSON, and emits warnings and errors as signals.

use std::fmt::{Debug, Write};
use std::io::{IsTerminal, stderr};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber, dispatcher};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::{fmt, registry, util::SubscriberInitExt};

use super::log_lines::{LogLines, UncolouredFields};
use super::log_text::{TextFields, TextLines};
use crate::infrastructure::events::{EventBus, LogEvent};
use crate::settings::{LogFormat, LogSettings};

/// The levels of libraries, unless `log.level` names them. All errors of `lapin` are returned to the store, which logs
/// them if they are any: the library also logs the expected one that something is not set up. The warnings of
/// `deadpool.postgres` are one for each connection of an outage, which the store logs itself.
const LIBRARIES: [(&str, LevelFilter); 3] = [
    ("async_nats", LevelFilter::WARN),
    ("deadpool.postgres", LevelFilter::ERROR),
    ("lapin", LevelFilter::OFF),
];

/// The most warnings and errors that are kept until there is a bus: a command that has none logs few.
const MOST_EARLY: usize = 64;

/// Starts logging for the whole process. What is not written yet is when the lines that are returned are dropped.
#[must_use]
pub fn start(settings: &LogSettings) -> LogLines {
    let waiting = LogLines::start(stderr());
    let filtered = registry().with(with_libraries(settings.level.clone())).with(SignalLayer::default());
    let lines = fmt::layer().with_writer(waiting.writers());
    // a subscriber that was set before stays
    let _ = match settings.format {
        LogFormat::Json => filtered.with(lines.json().flatten_event(true)).try_init(),
        LogFormat::Text if stderr().is_terminal() => {
            let lines = lines.with_writer(waiting.coloured_writers()).fmt_fields(UncolouredFields);
            filtered.with(lines).try_init()
        }
        LogFormat::Text => {
            let lines = lines.with_ansi(false).fmt_fields(TextFields).event_format(TextLines::default());
            filtered.with(lines).try_init()
        }
    };
    waiting
}

/// Adds the levels of libraries that are not named.
fn with_libraries(levels: Targets) -> Targets {
    let greatest = levels.default_level().unwrap_or(LevelFilter::OFF);
    LIBRARIES.into_iter().fold(levels, |levels, (name, level)| {
        let is_named = levels.iter().any(|(target, _)| target.split("::").next() == Some(name));
        if is_named { levels } else { levels.with_target(name, level.min(greatest)) }
    })
}

/// Emits the warnings and errors that were logged before, and those that are logged from now on, by a bus. The first
/// bus of a process stays.
pub(super) fn emit_by(bus: &EventBus) {
    dispatcher::get_default(|dispatch| {
        if let Some(layer) = dispatch.downcast_ref::<SignalLayer>() {
            layer.begin(bus);
        }
    });
}

/// Emits warnings and errors by a bus, once there is one.
#[derive(Default)]
struct SignalLayer {
    bus: OnceLock<EventBus>,
    /// The first lines before there was one.
    early: Mutex<Vec<LogEvent>>,
}

impl SignalLayer {
    fn begin(&self, bus: &EventBus) {
        let mut early = self.early();
        if self.bus.set(bus.clone()).is_ok() {
            for line in early.drain(..) {
                bus.emit(&line);
            }
        }
    }

    /// Emits a line, or keeps it until there is a bus, if it is one of the first.
    fn emit(&self, line: LogEvent) {
        if let Some(bus) = self.bus.get() {
            return bus.emit(&line);
        }
        let mut early = self.early();
        match self.bus.get() {
            Some(bus) => bus.emit(&line),
            None if early.len() < MOST_EARLY => early.push(line),
            None => {}
        }
    }

    fn early(&self) -> MutexGuard<'_, Vec<LogEvent>> {
        self.early.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for SignalLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            _ => return,
        };
        let mut texts = Texts::default();
        event.record(&mut texts);
        self.emit(LogEvent::new(level, event.metadata().target(), texts.message, texts.fields));
    }
}

/// The message and the fields of a line.
#[derive(Default)]
struct Texts {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Visit for Texts {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            // writing to a text does not fail
            let _ = write!(self.message, "{value:?}");
        } else {
            self.fields.push((field.name(), format!("{value:?}")));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.push((field.name(), value.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_log_what_their_users_do_not_report_unless_they_are_named() {
        let levels = |text: &str| with_libraries(text.parse().unwrap());
        let info = levels("info");
        assert!(info.would_enable("undercroft", &Level::INFO));
        assert!(info.would_enable("async_nats::connector", &Level::WARN));
        assert!(!info.would_enable("async_nats", &Level::INFO) && !info.would_enable("lapin", &Level::ERROR));
        assert!(!levels("error").would_enable("async_nats", &Level::WARN));
        assert!(!info.would_enable("deadpool.postgres", &Level::WARN));
        assert!(levels("info,deadpool.postgres=warn").would_enable("deadpool.postgres", &Level::WARN));
        assert!(levels("info,lapin::channel=debug").would_enable("lapin::channel", &Level::DEBUG));
    }

    #[tokio::test]
    async fn warnings_and_errors_are_emitted_without_addresses() {
        let bus = EventBus::default();
        let mut lines = bus.subscribe::<LogEvent>();
        tracing::subscriber::with_default(registry().with(SignalLayer::default()), || {
            tracing::error!("no bus yet");
            emit_by(&bus);
            emit_by(&EventBus::default());
            tracing::info!("no problem");
            tracing::warn!(
                to = "ann@example.org",
                attempts = 2,
                "the message of {} failed",
                "ann@example.org"
            );
        });
        let early = lines.next().await;
        assert_eq!((early.level, early.message()), ("error", "no bus yet".to_owned()));
        let line = lines.next().await;
        assert_eq!((line.level, line.message()), ("warn", "the message of *** failed".to_owned()));
        assert_eq!(
            line.fields().collect::<Vec<_>>(),
            [("to", "***".to_owned()), ("attempts", "2".to_owned())]
        );
        assert!(line.target.starts_with("undercroft::"), "{line:?}");
    }
}
