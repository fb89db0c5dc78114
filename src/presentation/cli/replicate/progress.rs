//! The progress of a replication: a line every few seconds.

use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::copy::hex_start;
use super::super::counted;
use super::super::terminal::{stderr, stdout};
use crate::infrastructure::events::{DatabaseReplicationEvent, EventBus, ReplicatedOperation};
use crate::infrastructure::exceptions::with_causes;
use crate::infrastructure::repositories::copy::{CopyObserver, CopyStep, TableReport};
use crate::infrastructure::repositories::replication::{
    Outcome, ReplicationError, ReplicationObserver, Round,
};

/// The time between two lines.
const INTERVAL: Duration = Duration::from_secs(5);

/// How the progress is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// To standard error.
    Text,
    /// As lines of JSON, to standard output.
    Json,
    /// Only interruptions, to standard error.
    None,
}

/// Prints the progress of a replication.
pub(super) struct Progress {
    format: Format,
    stop: CancellationToken,
    /// Gets a signal for the changes of each table.
    bus: EventBus,
    printed_at: Option<Instant>,
    step: Option<CopyStep>,
    /// The rows that were written and removed since the last line.
    written: u64,
    removed: u64,
    /// The greatest lag since the last line.
    lag: Duration,
}

impl Progress {
    pub(super) fn new(format: Format, stop: CancellationToken, bus: EventBus) -> Self {
        Self { format, stop, bus, printed_at: None, step: None, written: 0, removed: 0, lag: Duration::ZERO }
    }

    /// Returns whether a line is due.
    fn is_due(&mut self) -> bool {
        let is_due = self.printed_at.is_none_or(|at| at.elapsed() >= INTERVAL);
        if is_due {
            self.printed_at = Some(Instant::now());
        }
        is_due
    }

    fn emit(&self, table: &str, operation: ReplicatedOperation, rows: u64, lag: Duration) {
        if rows > 0 {
            self.bus.emit(&DatabaseReplicationEvent { table: table.to_owned(), operation, rows, lag });
        }
    }

    fn print(&self, text: impl FnOnce() -> String, json: impl FnOnce() -> Value) {
        // both may be closed; the replication continues
        let _ = match self.format {
            Format::Text => writeln!(stderr(), "{}", text()),
            Format::Json => print(&json()),
            Format::None => Ok(()),
        };
    }
}

/// Prints a line of JSON to standard output.
pub(super) fn print(line: &Value) -> io::Result<()> {
    writeln!(stdout(), "{line}")
}

/// Returns the last line of JSON.
pub(super) fn outcome(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Stopped => json!({"state": "stopped"}),
        Outcome::Verified(tables) => json!({"state": "verified", "tables": members(tables)}),
        Outcome::HandedOver { tables, stop } => json!({
            "state": "handed_over",
            "stop_seconds": stop.map(|stop| stop.as_secs_f64()),
            "tables": members(tables),
        }),
    }
}

fn members(tables: &[TableReport]) -> Vec<Value> {
    let member =
        |table: &TableReport| json!({"name": table.name, "rows": table.rows, "hash": hex_start(&table.hash)});
    tables.iter().map(member).collect()
}

impl CopyObserver for Progress {
    fn progressed(&mut self, step: CopyStep, rows: i64, of: Option<i64>) -> ControlFlow<()> {
        if self.step.replace(step) != Some(step) {
            self.printed_at = None;
        }
        let state = match step {
            CopyStep::Copying => "copying",
            CopyStep::Reading => "reading the source to compare it",
            CopyStep::Comparing => "comparing",
        };
        if self.is_due() {
            let of_all = of.map(|of| format!(" of {of}")).unwrap_or_default();
            self.print(
                || format!("{state}: {rows}{of_all} rows"),
                || json!({"state": state.split(' ').next(), "rows": rows, "of": of}),
            );
        }
        if self.stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl ReplicationObserver for Progress {
    fn applied(&mut self, round: &Round) {
        if self.step.take().is_some() {
            self.printed_at = None;
        }
        for (table, changes) in &round.changes {
            self.written += changes.written;
            self.removed += changes.removed;
            self.emit(table, ReplicatedOperation::Upserted, changes.written, round.lag);
            self.emit(table, ReplicatedOperation::Deleted, changes.removed, round.lag);
        }
        self.lag = self.lag.max(round.lag);
        if !self.is_due() {
            return;
        }
        let (waited, equal_at, lag) = (round.waited, round.equal_at, self.lag.as_secs_f64());
        let (written, removed) = (std::mem::take(&mut self.written), std::mem::take(&mut self.removed));
        self.lag = Duration::ZERO;
        self.print(
            || {
                let waited = counted(waited.cast_unsigned(), "change", "changes");
                let (written, removed) = (counted(written, "row", "rows"), counted(removed, "row", "rows"));
                format!(
                    "equal as of {equal_at}: {waited} waited; since the last line {written} written, {removed} removed, \
                     greatest lag {lag:.2} s"
                )
            },
            || {
                json!({
                    "state": "following", "equal_at": equal_at, "waited": waited, "written": written,
                    "removed": removed, "lag_seconds": lag,
                })
            },
        );
    }

    fn interrupted(&mut self, error: &ReplicationError, delay: Duration) {
        self.printed_at = None;
        let (error, seconds) = (with_causes(error).to_string(), delay.as_secs_f64());
        // both may be closed; the replication continues
        let _ = match self.format {
            Format::Text | Format::None => writeln!(stderr(), "{error}; retrying in {seconds} s"),
            Format::Json => {
                print(&json!({"state": "interrupted", "error": error, "retry_in_seconds": seconds}))
            }
        };
    }
}
