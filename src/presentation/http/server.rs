//! Accepts connections and answers their requests, each within its time.
//!
//! `axum::serve` has no time-outs: a head that was half sent keeps its connection open for ever. Here a client has
//! a bounded time for the head of a request, for its body and between two requests, and a handler for its answer.
//! A handler is dropped when its time is over, or when the client goes away, so what must not stop half way (money,
//! stock) runs in a task of its own. A handler that panics answers 500.

mod watch;

use std::{
    any::Any,
    convert::Infallible,
    future::poll_fn,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Poll, ready},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header::CONNECTION};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::Service;

use self::watch::{Noted, Phase, Watch, WatchedBody, WatchedStream};
use super::observe::answered;
use crate::{
    domain::context::IdSource,
    infrastructure::exceptions::{Failure, RejectedRequest, Technical, TechnicalKind, settle},
    settings::HttpSettings,
};

/// The most that is read of a head, and that is written ahead of a client who is slow to take it.
const BUFFER_BYTES: usize = 64 << 10;
/// How long nothing is accepted after the operating system had no file or memory for one more.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// What became of the requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainReport {
    /// Requests that were answered, from the start on.
    pub served: u64,
    /// Requests that were running at the order to stop and were answered within the grace.
    pub drained: usize,
    /// Connections that were still busy when the grace was over.
    pub cut_off: usize,
}

/// Serves `router` on `listener` until `shutdown` is cancelled and the requests that then run are answered, or
/// their grace is over. `ids` name the failures that happen here.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    settings: &HttpSettings,
    ids: Arc<dyn IdSource>,
    shutdown: CancellationToken,
) -> DrainReport {
    let server = Arc::new(Server {
        router,
        settings: settings.clone(),
        ids,
        stopping: AtomicBool::new(false),
        stop: Notify::new(),
        served: AtomicU64::new(0),
    });
    let mut connections = JoinSet::new();
    accept(&listener, &server, &mut connections, &shutdown).await;
    drop(listener);

    server.stopping.store(true, Ordering::SeqCst);
    server.stop.notify_waiters();
    let mut drained = 0;
    let drain = async {
        while let Some(ended) = connections.join_next().await {
            drained += usize::from(ended.unwrap_or(false));
        }
    };
    // what is left when the grace is over is counted next, and ends when the set is dropped
    let _ = timeout(settings.shutdown_grace, drain).await;
    DrainReport { served: server.served.load(Ordering::Relaxed), drained, cut_off: connections.len() }
}

/// Accepts connections until the order to stop; at most as many as may be open at once.
async fn accept(
    listener: &TcpListener,
    server: &Arc<Server>,
    connections: &mut JoinSet<bool>,
    shutdown: &CancellationToken,
) {
    let most = server.settings.max_connections.get() as usize;
    let mut stop = pin!(shutdown.cancelled());
    loop {
        tokio::select! {
            biased;
            () = &mut stop => return,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < most => match accepted {
                Ok((stream, _)) => {
                    // answers are small and written whole: waiting for more would only delay them
                    let _ = stream.set_nodelay(true);
                    connections.spawn(Arc::clone(server).attend(stream));
                }
                Err(error) if is_of_one_client(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted");
                    let _ = timeout(PAUSE_AFTER_ERROR, &mut stop).await;
                    if shutdown.is_cancelled() {
                        return;
                    }
                }
            },
        }
    }
}

/// Whether only the connection that was about to be accepted is gone.
fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// What all connections share.
struct Server {
    router: Router,
    settings: HttpSettings,
    ids: Arc<dyn IdSource>,
    /// Beside the notification, since to ask a `Notify` at each wake-up would take its lock.
    stopping: AtomicBool,
    stop: Notify,
    served: AtomicU64,
}

impl Server {
    /// Answers the requests of one connection. Says whether one was running at the order to stop.
    async fn attend(self: Arc<Self>, stream: TcpStream) -> bool {
        let watch = Arc::new(Watch::new());
        let io = TokioIo::new(WatchedStream::new(stream, Arc::clone(&watch)));
        let service = service_fn(|request| self.answer(request, &watch));
        let mut connection =
            pin!(http1::Builder::new().max_buf_size(BUFFER_BYTES).serve_connection(io, service));

        let mut deadline = Deadline::new(&self.settings, watch.noted());
        let mut alarm = pin!(sleep(self.settings.header_timeout));
        let mut stop = pin!(self.stop.notified());
        // polled once, to be woken by it: the task and with it the waker stay the same
        poll_fn(|cx| Poll::Ready(stop.as_mut().poll(cx).is_ready())).await;
        let (mut told, mut was_running) = (false, false);
        poll_fn(|cx| {
            loop {
                match connection.as_mut().poll(cx) {
                    Poll::Ready(Ok(())) => return Poll::Ready(()),
                    Poll::Ready(Err(error)) => {
                        tracing::debug!(error = &error as &dyn std::error::Error, "connection failed");
                        return Poll::Ready(());
                    }
                    Poll::Pending => {}
                }
                let noted = watch.noted();
                if !told && self.stopping.load(Ordering::SeqCst) {
                    told = true;
                    was_running = noted.phase().is_request();
                    connection.as_mut().graceful_shutdown();
                    continue;
                }
                let deadline = deadline.after(noted);
                if deadline < alarm.deadline() {
                    alarm.as_mut().reset(deadline);
                }
                ready!(alarm.as_mut().poll(cx));
                if Instant::now() < deadline {
                    // requests only note that their deadline moved on; here the alarm follows
                    alarm.as_mut().reset(deadline);
                } else if !watch.late() {
                    return Poll::Ready(());
                }
            }
        })
        .await;
        was_running
    }

    /// Answers one request, or says that its time is over.
    async fn answer(&self, request: Request<Incoming>, watch: &Arc<Watch>) -> Result<Response, Infallible> {
        watch.begin();
        let (began, method) = (std::time::Instant::now(), request.method().clone());
        let (head, body) = request.into_parts();
        let body = if hyper::body::Body::is_end_stream(&body) {
            Body::empty()
        } else {
            Body::new(WatchedBody::new(body, Arc::clone(watch)))
        };
        let mut answer = pin!(self.router.clone().call(Request::from_parts(head, body)));
        let answer = poll_fn(|cx| match watch.phase() {
            Phase::BodyLate => Poll::Ready(Err(RejectedRequest::TooSlow.into())),
            Phase::HandlerLate => {
                Poll::Ready(
                    Err(Technical::new(TechnicalKind::TimedOut, "the handler ran out of time").into()),
                )
            }
            _ => match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx))) {
                Ok(answer) => answer.map(|Ok(answer)| Ok(answer)),
                Err(panic) => Poll::Ready(Err(Technical::internal(told_by(&*panic)).into())),
            },
        })
        .await;
        let answer = answer.unwrap_or_else(|failure: Failure| {
            let id = self.ids.uuid();
            answered(settle(refusal(failure), id), id, &method, "-", began)
        });
        watch.answered();
        self.served.fetch_add(1, Ordering::Relaxed);
        Ok(answer)
    }
}

/// The answer to a failure that the router did not see; of a request that was too slow no more is read.
fn refusal(failure: Failure) -> Response {
    let mut response = failure.into_response();
    if response.status() == StatusCode::REQUEST_TIMEOUT {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// What a panic said.
fn told_by(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    format!("a handler panicked: {}", said.unwrap_or("it did not say why"))
}

/// By when a connection must have gone on.
struct Deadline<'a> {
    settings: &'a HttpSettings,
    noted: Noted,
    at: Instant,
    /// By when the request of `noted` must be answered.
    answer_by: Instant,
}

impl<'a> Deadline<'a> {
    fn new(settings: &'a HttpSettings, noted: Noted) -> Self {
        let at = Instant::now() + settings.header_timeout;
        Self { settings, noted, at, answer_by: at }
    }

    /// The deadline, given what was noted until now. Nothing new leaves it where it is.
    fn after(&mut self, noted: Noted) -> Instant {
        if noted != self.noted {
            let now = Instant::now();
            if noted.request != self.noted.request {
                self.answer_by = now + self.settings.request_timeout;
            }
            self.noted = noted;
            self.at = match noted.phase() {
                Phase::Head | Phase::Closing => now + self.settings.header_timeout,
                // late ones are answered by now, and the answer is on its way
                Phase::Idle | Phase::HandlerLate | Phase::BodyLate => now + self.settings.idle_timeout,
                Phase::Body => self.answer_by.min(now + self.settings.body_timeout),
                Phase::Handler => self.answer_by,
            };
        }
        self.at
    }
}
