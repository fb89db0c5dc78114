//! The signals that stop a server, or another command before it is complete.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::CliError;

/// SIGINT and SIGTERM.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Starts to receive the signals, which no longer end the process.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next signal and returns its name.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

/// Runs the work of a command. The first signal cancels the token, at which the work ends with what it has committed; a
/// second one ends it at once.
pub(super) async fn interruptible<T>(
    work: impl AsyncFnOnce(CancellationToken) -> Result<T, CliError>,
) -> Result<T, CliError> {
    let mut signals = Signals::listen().map_err(CliError::Signals)?;
    let (first, second) = (CancellationToken::new(), CancellationToken::new());
    let stop = first.clone();
    let end = second.clone();
    // a task of its own, because the work may not yield
    let waiting = tokio::spawn(async move {
        signals.next().await;
        first.cancel();
        signals.next().await;
        second.cancel();
    });
    let result = tokio::select! {
        result = work(stop) => result,
        () = end.cancelled() => {
            Err(CliError::Interrupted("by a second signal; what was committed remains".into()))
        }
    };
    waiting.abort();
    result
}
