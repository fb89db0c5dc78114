//! The HTTP server: accepts connections and serves their requests, each within its time.
//!
//! `axum::serve` has no time-outs: a head that was half sent keeps its connection open for ever. Here the time of a
//! client is limited for the head of a request, for its body and between two requests, and so is that of a handler. A
//! handler is dropped when its time is over or the client disconnects, so work that must not stop half-way (money,
//! stock) runs in a task of its own. The middleware makes responses of these, and of
//! handlers that panic.

mod connection;
mod deadline;
mod file_limit;
mod phase;
mod registry;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::connection::Connections;
pub use self::file_limit::{connections_within, greatest_file_limit, raise_file_limit};
use crate::domain::context::Context;
use crate::infrastructure::middleware::Chain;
use crate::settings::HttpSettings;

/// The pause in accepting connections after the operating system had no file descriptor or memory for one.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);
/// The pause between two searches for connections that can be closed, while there is no room for a further one.
const PAUSE_WHEN_FULL: Duration = Duration::from_millis(100);
/// The connections accepted beyond the limit while others are being closed.
const SPARE: usize = 16;

/// The outcome of a server that was stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainReport {
    /// The requests to which a handler responded, since the start.
    pub served: u64,
    /// The requests that were in progress at the stop, or whose response was being sent, and got the whole of it within
    /// the grace period.
    pub drained: usize,
    /// The connections that were still open at the end of the grace period.
    pub cut_off: usize,
}

/// Serves `router`, surrounded by the middleware of `chain`, on `listener` until `shutdown` is cancelled, the delay of
/// the settings has passed, and the requests then in progress have their responses to the end, or the grace period
/// is over.
/// During the delay each response ends its connection. `context` has the clock of `Date`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    chain: Chain,
    settings: &HttpSettings,
    context: Context,
    shutdown: CancellationToken,
) -> DrainReport {
    let connections = Arc::new(Connections::new(router, chain, settings.clone(), context));
    let mut tasks = JoinSet::new();
    let stop = async {
        shutdown.cancelled().await;
        if !settings.shutdown_delay.is_zero() {
            connections.close_after_responses();
            sleep(settings.shutdown_delay).await;
        }
    };
    accept(&listener, &connections, &mut tasks, stop).await;
    // it ends with the error that none waits any more
    let _ = accept_waiting(listener, &connections, &mut tasks);

    connections.stop();
    let mut drained = 0;
    let drain = async {
        while let Some(ended) = tasks.join_next().await {
            drained += usize::from(ended.unwrap_or(false));
        }
    };
    // connections that outlast the grace period are counted below, and end when their tasks are dropped
    let _ = timeout(settings.shutdown_grace, drain).await;
    DrainReport { served: connections.served(), drained, cut_off: tasks.len() }
}

/// Accepts connections until `stop` is ready, up to the greatest number that may be open at once. Beyond that,
/// each new connection closes others, as `Registry::make_room` chooses them; while none can be closed, new ones wait.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Connections>,
    tasks: &mut JoinSet<bool>,
    stop: impl Future<Output = ()>,
) {
    let limit = connections.settings.max_connections.get() as usize;
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => return,
            Some(_) = tasks.join_next() => {}
            accepted = listener.accept(), if tasks.len() < limit + SPARE => match accepted {
                Ok((stream, peer)) => {
                    if tasks.len() >= limit {
                        connections.make_room(tasks.len() - limit + 1);
                    }
                    spawn(stream, peer, connections, tasks);
                }
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    let closed = connections.make_room(usize::MAX);
                    tracing::warn!(%error, closed, "no connection can be accepted; others are closed");
                    if timeout(PAUSE_AFTER_ERROR, &mut stop).await.is_ok() {
                        return;
                    }
                }
            },
            // meanwhile requests that had a handler may wait for their clients
            () = sleep(PAUSE_WHEN_FULL), if tasks.len() >= limit + SPARE => {
                connections.make_room(usize::MAX);
            }
        }
    }
}

/// Accepts the connections that wait, which the system has accepted and whose clients may have sent requests, and
/// closes the listener.
fn accept_waiting(
    listener: TcpListener,
    connections: &Arc<Connections>,
    tasks: &mut JoinSet<bool>,
) -> io::Result<()> {
    let listener = listener.into_std()?;
    loop {
        let (stream, peer) = match listener.accept() {
            Err(error) if concerns_one_connection(&error) => continue,
            accepted => accepted?,
        };
        stream.set_nonblocking(true)?;
        spawn(TcpStream::from_std(stream)?, peer, connections, tasks);
    }
}

/// Serves a connection in a task of its own.
fn spawn(stream: TcpStream, peer: SocketAddr, connections: &Arc<Connections>, tasks: &mut JoinSet<bool>) {
    // responses are small and written at once: Nagle's algorithm would only delay them
    let _ = stream.set_nodelay(true);
    tasks.spawn(Arc::clone(connections).serve(stream, peer.ip()));
}

/// Whether an error of `accept` means only that the one connection is gone.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
