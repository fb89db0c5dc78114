//! Lines of the log, which are written together: each request has one, and a system call for each
//! line would be a tenth of what a request costs.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FormatFields, MakeWriter};

use super::log_text::TextFields;
use super::terminal::escaped;

/// The longest time that a line waits for others.
const WAIT: Duration = Duration::from_millis(10);
/// The bytes that are written at once at most, unless a line has more: what other processes write to the same pipe does
/// not come between them (`PIPE_BUF` of Linux).
const PIECE: usize = 4096;
/// The bytes that wait at most.
const MOST: usize = 64 << 10;

/// The lines that are not written yet. Warnings and errors are written at once, after what waits; other lines within
/// [`WAIT`], or when they are dropped.
pub struct LogLines(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    arrived: Condvar,
}

struct State {
    waiting: Vec<u8>,
    out: Box<dyn Write + Send>,
}

/// Takes the lines of events.
pub(super) struct LineWriter<'a> {
    writers: &'a LineWriters,
    is_urgent: bool,
}

/// Makes the writers of a subscriber.
pub(super) struct LineWriters {
    shared: Arc<Shared>,
    is_coloured: bool,
}

/// Writes the fields of a coloured line, themselves without colours: what looks like a code of a terminal is part of a
/// value.
pub(super) struct UncolouredFields;

impl LogLines {
    /// Starts a thread that writes the lines to `out`.
    pub(super) fn start(out: impl Write + Send + 'static) -> Self {
        let state = Mutex::new(State { waiting: Vec::new(), out: Box::new(out) });
        let shared = Arc::new(Shared { state, arrived: Condvar::new() });
        let lines = Self(Arc::clone(&shared));
        // without the thread, lines are written when there are many
        let _ = thread::Builder::new().name("log".into()).spawn(move || {
            loop {
                shared.wait();
                thread::sleep(WAIT);
                shared.state().write();
            }
        });
        lines
    }

    /// Returns what makes writers of these lines.
    pub(super) fn writers(&self) -> LineWriters {
        LineWriters { shared: Arc::clone(&self.0), is_coloured: false }
    }

    /// Returns what makes writers of these lines for a terminal, with the codes of colours. Values have none if the
    /// subscriber writes them as [`UncolouredFields`].
    pub(super) fn coloured_writers(&self) -> LineWriters {
        LineWriters { is_coloured: true, ..self.writers() }
    }
}

impl Drop for LogLines {
    fn drop(&mut self) {
        self.0.state().write();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a line.
    fn wait(&self) {
        drop(self.arrived.wait_while(self.state(), |state| state.waiting.is_empty()));
    }
}

impl State {
    fn write(&mut self) {
        let mut rest = &*self.waiting;
        while !rest.is_empty() {
            let most = rest.len().min(PIECE);
            let end = rest[..most].iter().rposition(|byte| *byte == b'\n').map_or(most, |at| at + 1);
            let (piece, later) = rest.split_at(end);
            // a closed standard error has no reader
            let _ = self.out.write_all(piece).and_then(|()| self.out.flush());
            rest = later;
        }
        self.waiting.clear();
    }
}

impl<'a> MakeWriter<'a> for LineWriters {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter { writers: self, is_urgent: true }
    }

    fn make_writer_for(&'a self, line: &Metadata<'_>) -> LineWriter<'a> {
        LineWriter { writers: self, is_urgent: *line.level() <= Level::WARN }
    }
}

impl Write for LineWriter<'_> {
    /// Takes a whole line. A line break within it, such as in the error of a vendor, begins no other line, and a
    /// control character does nothing to a terminal.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let LineWriters { shared, is_coloured } = self.writers;
        let (text, end) = line.split_at(line.len() - usize::from(line.ends_with(b"\n")));
        let text = if *is_coloured { escaped(text, is_escape) } else { escaped(text, |_| false) };
        let mut state = shared.state();
        let is_first = state.waiting.is_empty();
        state.waiting.extend_from_slice(&text);
        state.waiting.extend_from_slice(end);
        if self.is_urgent || state.waiting.len() >= MOST {
            state.write();
        } else if is_first {
            shared.arrived.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writers.shared.state().write();
        Ok(())
    }
}

impl<'w> FormatFields<'w> for UncolouredFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut text = String::new();
        TextFields.format_fields(Writer::new(&mut text), fields)?;
        writer.write_str(&text.replace(is_escape, "\\u001b"))
    }
}

/// Returns whether a character begins a code of a terminal.
fn is_escape(character: char) -> bool {
    character == '\u{1b}'
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tracing_subscriber::{layer::SubscriberExt, registry};

    use super::*;
    use crate::domain::text::is_line;

    /// Sends what is written.
    struct Sent(mpsc::SyncSender<String>);

    impl Write for Sent {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(String::from_utf8_lossy(bytes).into_owned()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_written_together_warnings_at_once_and_the_rest_at_the_end() {
        let (sender, written) = mpsc::sync_channel(100);
        let lines = LogLines::start(Sent(sender));
        let layer = tracing_subscriber::fmt::layer().with_writer(lines.writers()).without_time();
        tracing::subscriber::with_default(registry().with(layer.with_ansi(false).with_target(false)), || {
            tracing::info!("a");
            tracing::info!("b");
            tracing::warn!("c");
            let text: String = written.try_iter().collect();
            assert_eq!(text, " INFO a\n INFO b\n WARN c\n");

            tracing::info!("d");
            assert_eq!(written.recv().unwrap(), " INFO d\n");
            tracing::info!("e");
        });
        drop(lines);
        assert_eq!(written.recv().unwrap(), " INFO e\n");
    }

    #[test]
    fn a_line_break_in_a_value_begins_no_line() {
        let (sender, written) = mpsc::sync_channel(100);
        let lines = LogLines::start(Sent(sender));
        let text = tracing_subscriber::fmt::layer().with_writer(lines.writers()).with_ansi(false);
        let json = tracing_subscriber::fmt::layer().with_writer(lines.writers()).json();
        tracing::subscriber::with_default(registry().with(text).with(json), || {
            tracing::warn!(failure = %"away\r\n INFO forged", name = "a\nb", "of a\nvendor");
        });
        drop(lines);
        let written: String = written.try_iter().collect();
        assert_eq!((written.matches('\n').count(), written.matches('\r').count()), (2, 0), "{written}");
        assert!(
            written.contains("failure=away\\r\\n INFO forged") && written.contains("of a\\nvendor"),
            "{written}"
        );
    }

    /// Returns what is written of the lines that `log` logs.
    fn written(log: impl FnOnce(&LogLines)) -> String {
        let (sender, written) = mpsc::sync_channel(100);
        let lines = LogLines::start(Sent(sender));
        log(&lines);
        drop(lines);
        written.try_iter().collect()
    }

    #[test]
    fn no_value_controls_a_terminal() {
        let value = "\u{1b}[8mAnn\u{9b}\u{202e}\0\u{7}";
        let log = || tracing::warn!(failure = %value, name = value, "of {value}");
        let text = written(|lines| {
            let layer = tracing_subscriber::fmt::layer().with_writer(lines.writers()).with_ansi(false);
            tracing::subscriber::with_default(registry().with(layer), log);
        });
        let coloured = written(|lines| {
            let layer = tracing_subscriber::fmt::layer().with_writer(lines.coloured_writers());
            let layer = layer.with_ansi(true).fmt_fields(UncolouredFields);
            tracing::subscriber::with_default(registry().with(layer), log);
        });
        for line in [&text, &coloured] {
            assert!(line.contains("failure=\\u001b[8mAnn\\u009b\\u202e\\u0000\\u0007"), "{line:?}");
        }
        assert!(is_line(text.trim_end_matches('\n')), "{text:?}");
        assert!(coloured.contains("\u{1b}[33m WARN") && !coloured.contains("\u{1b}[8m"), "{coloured:?}");
    }

    #[test]
    fn a_line_of_json_has_the_value() {
        let value = "\u{1b}[8mAnn\u{7f}\u{9b}\u{202e}";
        let line = written(|lines| {
            let layer = tracing_subscriber::fmt::layer().with_writer(lines.writers()).json();
            tracing::subscriber::with_default(registry().with(layer.flatten_event(true)), || {
                tracing::warn!(failure = %value);
            });
        });
        assert!(is_line(line.trim_end_matches('\n')), "{line:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap()["failure"], value);
    }
}
