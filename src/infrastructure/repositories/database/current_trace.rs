//! The trace of the running task: what a request causes is published with it.

use tokio::task::{JoinHandle, futures::TaskLocalFuture};

use crate::domain::trace::TraceContext;

tokio::task_local! {
    static CURRENT: Option<TraceContext>;
}

/// Runs a future within a trace: the events that it publishes have it.
pub fn in_trace<F: Future>(
    trace: Option<TraceContext>,
    future: F,
) -> TaskLocalFuture<Option<TraceContext>, F> {
    CURRENT.scope(trace, future)
}

/// Runs a future in a task of its own, within the trace of the present one.
pub(crate) fn spawn_in_trace<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(in_trace(current_trace(), future))
}

/// Returns the trace of the running task.
pub fn current_trace() -> Option<TraceContext> {
    CURRENT.try_with(|trace| *trace).ok().flatten()
}
