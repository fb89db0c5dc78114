//! The trace of the running task: what a request causes is published with it.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
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

/// Runs a future within the trace of the present task: what does not have to wait in this task, the rest in a task of
/// its own. A panic ends the future alone.
pub(crate) fn start_in_trace<F>(future: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut future = Box::pin(in_trace(current_trace(), AssertUnwindSafe(future).catch_unwind()));
    if future.as_mut().now_or_never().is_none() {
        tokio::spawn(future);
    }
}

/// Returns the trace of the running task.
pub fn current_trace() -> Option<TraceContext> {
    CURRENT.try_with(|trace| *trace).ok().flatten()
}
