//! The text of a line in the log, as the format `Full` of `tracing-subscriber` writes it without colours. Each request
//! has a line, for which that format took a quarter of the instructions of a product in memory: it writes empty codes
//! of colours around each name, and computes the date each time.

use std::error::Error;
use std::fmt::{self, Debug};
use std::iter::successors;
use std::mem;
use std::sync::{Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::domain::context::{Clock, SystemClock};

/// Writes a line: its time, level, spans, target and fields.
pub(super) struct TextLines {
    /// The last second since 1970 with its text.
    second: Mutex<(i64, String)>,
}

/// Writes the fields of a line, or of a span.
pub(super) struct TextFields;

/// The fields that are written so far.
struct Written<'w> {
    writer: Writer<'w>,
    has_begun: bool,
    result: fmt::Result,
}

impl Default for TextLines {
    fn default() -> Self {
        Self { second: Mutex::new((i64::MIN, String::new())) }
    }
}

impl TextLines {
    /// Writes the present time in RFC 3339, with microseconds.
    fn write_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let now = SystemClock.now();
        let mut last = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0 != now.as_second() {
            *last = (now.as_second(), now.strftime("%Y-%m-%dT%H:%M:%S").to_string());
        }
        write!(writer, "{}.{:06}Z", last.1, now.subsec_microsecond())
    }
}

impl<S, N> FormatEvent<S, N> for TextLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        self.write_time(&mut writer)?;
        writer.write_str(match *event.metadata().level() {
            Level::ERROR => " ERROR ",
            Level::WARN => "  WARN ",
            Level::INFO => "  INFO ",
            Level::DEBUG => " DEBUG ",
            Level::TRACE => " TRACE ",
        })?;
        if let Some(spans) = context.event_scope() {
            for span in spans.from_root() {
                writer.write_str(span.metadata().name())?;
                let extensions = span.extensions();
                let fields = extensions.get::<FormattedFields<N>>().filter(|fields| !fields.is_empty());
                if let Some(fields) = fields {
                    write!(writer, "{{{fields}}}")?;
                }
                writer.write_char(':')?;
            }
            writer.write_char(' ')?;
        }
        writer.write_str(event.metadata().target())?;
        writer.write_str(": ")?;
        context.format_fields(writer.by_ref(), event)?;
        writer.write_char('\n')
    }
}

impl<'w> FormatFields<'w> for TextFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut written = Written { writer, has_begun: false, result: Ok(()) };
        fields.record(&mut written);
        written.result
    }
}

impl Written<'_> {
    fn add(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if self.result.is_ok() {
            self.result = self.write(field.name(), value);
        }
    }

    /// Writes a field. The message of a line has no name.
    fn write(&mut self, name: &str, value: fmt::Arguments<'_>) -> fmt::Result {
        if mem::replace(&mut self.has_begun, true) {
            self.writer.write_char(' ')?;
        }
        if name != "message" {
            self.writer.write_str(name.strip_prefix("r#").unwrap_or(name))?;
            self.writer.write_char('=')?;
        }
        self.writer.write_fmt(value)
    }
}

impl Visit for Written<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.add(field, format_args!("{value}"));
        } else {
            self.add(field, format_args!("{value:?}"));
        }
    }

    fn record_error(&mut self, field: &Field, error: &(dyn Error + 'static)) {
        let Some(source) = error.source() else {
            return self.add(field, format_args!("{error}"));
        };
        let sources = fmt::from_fn(|f| {
            let sources = successors(Some(source), |&source| source.source());
            f.debug_list()
                .entries(sources.map(|source| fmt::from_fn(move |f| write!(f, "{source}"))))
                .finish()
        });
        self.add(field, format_args!("{error} {}.sources={sources}", field.name()));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::{fs, io};

    use jiff::Timestamp;
    use tempfile::NamedTempFile;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::{fmt::layer, registry};

    use super::*;

    /// An error with the sources below it.
    #[derive(Debug, thiserror::Error)]
    #[error("failure {0}")]
    struct Chained(u8, #[source] Option<Box<Chained>>);

    #[test]
    fn lines_are_those_of_the_library_without_colours() {
        let files = [(); 2].map(|()| NamedTempFile::new().unwrap());
        let [own, library] = files.each_ref().map(|file| Arc::new(file.reopen().unwrap()));
        let lines = layer().with_ansi(false).with_writer(own);
        let lines = lines.fmt_fields(TextFields).event_format(TextLines::default());
        let others = layer().with_ansi(false).with_writer(library);
        let error = Chained(1, Some(Box::new(Chained(2, Some(Box::new(Chained(3, None)))))));
        let of_source = &io::Error::other("alone") as &dyn Error;
        tracing::subscriber::with_default(registry().with(lines).with(others), || {
            tracing::info!("only a \"message\" of {}", 7);
            tracing::warn!(name = "a \"b\"", count = 3_u64, is = true, shown = %"x y", seen = ?Some("z"), "several");
            tracing::error!(error = &error as &dyn Error, r#type = "t", "with sources");
            tracing::debug!(error = of_source, none = None::<u8>);
            let _outer = tracing::info_span!("outer", id = 7, name = "n").entered();
            let _inner = tracing::trace_span!("inner").entered();
            tracing::trace!(target: "other::target", "in spans");
        });

        let [own, library] = files.map(|file| fs::read_to_string(file.path()).unwrap());
        assert_eq!((own.lines().count(), library.lines().count()), (5, 5));
        let parts = |line| str::split_once(line, ' ').unwrap();
        for (own, library) in own.lines().zip(library.lines()) {
            let ((time, line), (other_time, other)) = (parts(own), parts(library));
            assert_eq!(line, other);
            assert_eq!((time.len(), time.ends_with('Z')), (other_time.len(), true));
            let between = time.parse::<Timestamp>().unwrap() - other_time.parse::<Timestamp>().unwrap();
            assert!(between.get_seconds().abs() < 10, "{time} {other_time}");
        }
    }
}
