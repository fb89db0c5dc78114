//! The limit of the requests that begin in a second, on a simulated server and around routes.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use http::header::{ACCEPT_LANGUAGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, RETRY_AFTER};
use http::{Method, Request};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use undercroft::infrastructure::events::{ApiRequestReceivedEvent, EventBus, Subscription};
use undercroft::infrastructure::exceptions::ProblemCode;
use undercroft::infrastructure::middleware::{
    Chain, CorsMiddleware, InProgress, LeastWait, LoggingMiddleware, OverloadLimiter, OverloadMiddleware,
    Priority, Probe,
};

use super::{send, text};
use crate::support::eventually;

const STEP: Duration = Duration::from_micros(100);
const SERVICE: Duration = Duration::from_millis(1);
/// The processors of the simulated server, of which each serves 1000 requests a second.
const PROCESSORS: usize = 2;
const TARGET: Duration = Duration::from_millis(5);
/// The origin of a page that uses the service.
const PAGE: &str = "https://shop.example";
const PRIORITIES: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];

/// What waits for a processor.
enum Waiting {
    Request(InProgress),
    Probe(Probe),
}

/// A server whose requests wait in one queue for its processors.
struct Simulation {
    limiter: OverloadLimiter,
    now: Duration,
    queue: VecDeque<(Duration, Waiting)>,
    running: Vec<(Duration, InProgress)>,
    /// The arrivals in ten thousandths of a request that are not yet one, by priority.
    due: [u32; 3],
    seen: Seen,
}

#[derive(Debug, Default)]
struct Seen {
    accepted: [u32; 3],
    refused: [u32; 3],
    served: u32,
    longest_wait: Duration,
}

impl Simulation {
    fn new(queue: Option<LeastWait>) -> Self {
        Self {
            limiter: OverloadLimiter::new(TARGET, queue),
            now: Duration::ZERO,
            queue: VecDeque::new(),
            running: Vec::new(),
            due: [0; 3],
            seen: Seen::default(),
        }
    }

    /// Lets requests of each priority arrive, as many in a second, for some seconds; returns what happened.
    fn run(&mut self, seconds: u64, a_second: [u32; 3]) -> Seen {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            self.now += STEP;
            for (class, rate) in a_second.into_iter().enumerate() {
                self.due[class] += rate;
                while self.due[class] >= 10_000 {
                    self.due[class] -= 10_000;
                    self.arrive(class);
                }
            }
            self.work();
        }
        std::mem::take(&mut self.seen)
    }

    fn arrive(&mut self, class: usize) {
        if let Some(probe) = self.limiter.probe(self.now) {
            self.queue.push_back((self.now, Waiting::Probe(probe)));
        }
        match self.limiter.begin(PRIORITIES[class], self.now) {
            Some(request) => {
                self.seen.accepted[class] += 1;
                self.queue.push_back((self.now, Waiting::Request(request)));
            }
            None => self.seen.refused[class] += 1,
        }
    }

    fn work(&mut self) {
        let (ended, running): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.running).into_iter().partition(|(end, _)| *end <= self.now);
        self.running = running;
        self.seen.served += u32::try_from(ended.len()).unwrap();
        for (_, request) in ended {
            request.end();
        }
        while self.running.len() < PROCESSORS
            && let Some((arrived, waiting)) = self.queue.pop_front()
        {
            match waiting {
                Waiting::Probe(probe) => probe.end(self.now),
                Waiting::Request(request) => {
                    self.seen.longest_wait = self.seen.longest_wait.max(self.now.saturating_sub(arrived));
                    self.running.push((self.now + SERVICE, request));
                }
            }
        }
    }

    fn limit(&self) -> Option<f64> {
        self.limiter.load().limit
    }
}

#[test]
fn nothing_is_refused_of_what_the_server_can_serve() {
    let mut server = Simulation::new(None);
    let seen = server.run(10, [500, 1000, 300]);
    assert_eq!((seen.refused, server.limit()), ([0; 3], None), "{seen:?}");
}

#[test]
fn the_limit_is_found_and_the_server_stays_busy_with_a_short_queue() {
    for arriving in [4000, 20_000] {
        let mut server = Simulation::new(None);
        server.run(5, [0, arriving, 0]);
        let seen = server.run(10, [0, arriving, 0]);
        assert!(seen.served >= 18_500, "of 20,000: {seen:?}");
        assert!(seen.longest_wait <= 6 * TARGET, "{seen:?}");
        let limit = server.limit().unwrap();
        assert!((1500.0..2500.0).contains(&limit), "{limit}");
        let refused = server.limiter.load().refused;
        assert!(refused[1] >= seen.refused[1].into() && refused[0] + refused[2] == 0, "{refused:?}");
    }
}

#[test]
fn the_less_important_is_refused_first() {
    let mut server = Simulation::new(None);
    server.run(5, [1000, 4000, 4000]);
    let seen = server.run(10, [1000, 4000, 4000]);
    assert!(seen.refused[0] <= 100, "of 10,000: {seen:?}");
    assert!(seen.accepted[1] >= 8000, "{seen:?}");
    assert!(seen.accepted[2] <= 1000, "{seen:?}");
}

#[test]
fn there_is_no_limit_when_the_load_is_over() {
    let mut server = Simulation::new(None);
    server.run(5, [0, 20_000, 0]);
    assert!(server.limit().is_some());
    server.run(20, [0, 1000, 0]);
    assert_eq!(server.limit(), None);
    assert_eq!(server.run(5, [0, 1000, 0]).refused, [0; 3]);
}

#[test]
fn the_limit_stays_near_when_nothing_was_served_for_a_moment_and_does_not_grow_without_use() {
    let mut server = Simulation::new(None);
    server.run(5, [0, 4000, 0]);
    for _ in 0..1_200 {
        server.now += 2 * STEP;
        server.arrive(1);
    }
    let seen = server.run(3, [0, 4000, 0]);
    assert!(seen.served >= 5_000, "of 6,000: {seen:?}");
    server.run(8, [0, 500, 0]);
    let limit = server.limit().unwrap();
    assert!(limit < 2_500.0, "{limit}");
}

#[test]
fn a_burst_is_no_overload() {
    let mut server = Simulation::new(None);
    for _ in 0..50 {
        for _ in 0..90 {
            server.arrive(1);
        }
        assert_eq!(server.run(1, [0, 100, 0]).refused, [0; 3]);
    }
    assert_eq!(server.limit(), None);
}

#[test]
fn requests_that_wait_for_a_vendor_leave_room_for_others() {
    let mut server = Simulation::new(None);
    let waiting = || (0..10_000).map(|_| server.limiter.begin(Priority::High, Duration::ZERO));
    let waiting: Vec<_> = waiting().collect::<Option<_>>().unwrap();
    assert_eq!(server.run(5, [0, 1000, 0]).refused, [0; 3]);
    drop(waiting);
    assert_eq!(server.limiter.load().in_progress, server.queue.len() + server.running.len());
}

#[test]
fn requests_whose_clients_have_gone_are_not_served() {
    let limiter = OverloadLimiter::new(TARGET, None);
    let mut now = Duration::ZERO;
    for _ in 0..100 {
        let probe = limiter.probe(now);
        now += 4 * TARGET;
        if let Some(probe) = probe {
            probe.end(now);
        }
        for _ in 0..20 {
            drop(limiter.begin(Priority::High, now));
        }
    }
    let limit = limiter.load().limit.unwrap();
    assert!(limit < 100.0, "of 1000 that came in a second: {limit}");
}

#[test]
fn a_queue_of_the_service_counts_too() {
    let waits: LeastWait = Arc::new(|| Some(Duration::from_millis(30)));
    let mut server = Simulation::new(Some(waits));
    server.run(10, [0, 1000, 0]);
    assert!(server.limit().unwrap() <= 21.0, "{:?}", server.limit());
}

/// Routes with this limiter.
fn routes(limiter: OverloadLimiter) -> Router {
    routes_with_signals(limiter).0
}

/// Routes with this limiter, and the signals of their requests.
fn routes_with_signals(limiter: OverloadLimiter) -> (Router, Subscription<ApiRequestReceivedEvent>) {
    let overload = OverloadMiddleware {
        limiter,
        priority: |_: &Method, route| match route {
            Some("/health") => Priority::Exempt,
            Some("/lists") => Priority::Low,
            _ => Priority::High,
        },
    };
    let routes = Router::new()
        .route("/health", get(|| async { "up" }))
        .route("/lists", get(|| async { "a list" }))
        .route("/carts", post(|| async { "created" }));
    let cors = CorsMiddleware {
        origins: vec![PAGE.parse().unwrap()],
        response_headers: vec![RETRY_AFTER],
        methods: vec![Method::POST],
        ..CorsMiddleware::default()
    };
    let bus = EventBus::default();
    let requests = bus.subscribe();
    let logging = Some(LoggingMiddleware { bus, ..LoggingMiddleware::default() });
    (Chain { overload: Some(overload), logging, cors, ..Chain::default() }.apply(routes), requests)
}

#[tokio::test]
async fn a_request_beyond_the_limit_is_refused_at_once() {
    let waits: LeastWait = Arc::new(|| Some(Duration::from_secs(1)));
    let routes = routes(OverloadLimiter::new(TARGET, Some(waits)));
    let refused = first_refused(&routes).await;

    assert_eq!(refused.status(), 503);
    assert_eq!(text(refused.headers(), "retry-after"), "1");
    assert_eq!(text(refused.headers(), "content-type"), "application/problem+json");
    assert_eq!(text(refused.headers(), "content-language"), "en");
    let document = refused.into_body().collect().await.unwrap().to_bytes();
    let document: serde_json::Value = serde_json::from_slice(&document).unwrap();
    assert_eq!(document["code"], "unavailable");
    let health = Request::get("/health").body(Body::empty()).unwrap();
    assert_eq!(send(&routes, health).await.status(), 200);

    eventually("an accepted request", async || create(&routes).await.status() == 200).await;
}

#[tokio::test]
async fn a_refusal_has_the_headers_of_other_responses_the_language_of_its_client_and_a_signal() {
    let waits: LeastWait = Arc::new(|| Some(Duration::from_secs(1)));
    let (routes, mut requests) = routes_with_signals(OverloadLimiter::new(TARGET, Some(waits)));
    first_refused(&routes).await;
    let health = send(&routes, Request::get("/health").body(Body::empty()).unwrap()).await;
    requests.take_all();
    // what is of low priority is refused for long
    let list = Request::get("/lists").header(ACCEPT_LANGUAGE, "fr, de-AT;q=0.9");
    let refused = send(&routes, list.body(Body::empty()).unwrap()).await;

    assert_eq!((refused.status().as_u16(), text(refused.headers(), "content-language")), (503, "de"));
    assert_eq!(text(refused.headers(), "cache-control"), "no-store");
    for name in [
        "content-security-policy",
        "x-content-type-options",
        "referrer-policy",
        "cross-origin-opener-policy",
        "cross-origin-resource-policy",
    ] {
        let of_others = text(health.headers(), name);
        assert!(!of_others.is_empty() && text(refused.headers(), name) == of_others, "{name}");
    }
    let signal = requests.next().await;
    assert_eq!(text(refused.headers(), "x-request-id"), signal.request_id.to_string());
    assert_eq!((signal.method, signal.route.as_deref()), (Method::GET, Some("/lists")));
    assert_eq!(signal.status.map(|status| status.as_u16()), Some(503));
    assert_eq!(signal.problem, Some(ProblemCode("unavailable".into())));
    assert!(requests.take().is_none(), "once");
    let document = refused.into_body().collect().await.unwrap().to_bytes();
    let document: serde_json::Value = serde_json::from_slice(&document).unwrap();
    assert_eq!((&document["code"], &document["title"]), (&"unavailable".into(), &"Nicht verfügbar".into()));
}

/// A body of ten bytes, none of which arrives.
struct Missing;

impl HttpBody for Missing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(10)
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_does_not_wait_for_its_body() {
    let waits: LeastWait = Arc::new(|| Some(Duration::from_secs(1)));
    let routes = routes(OverloadLimiter::new(TARGET, Some(waits)));
    first_refused(&routes).await;
    // what is of low priority is refused for long
    let list = Request::get("/lists").body(Body::new(Missing)).unwrap();
    let refused = tokio::time::timeout(Duration::from_secs(1), send(&routes, list)).await;
    assert_eq!(refused.unwrap().status(), 503);
}

/// Creates carts until one is refused; returns that response.
async fn first_refused(routes: &Router) -> Response {
    let creating = async {
        loop {
            let response = create(routes).await;
            if response.status() != 200 {
                return response;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), creating).await.expect("a refused request")
}

async fn create(routes: &Router) -> Response {
    send(routes, Request::post("/carts").body(Body::from("{}")).unwrap()).await
}

#[tokio::test]
async fn a_page_of_a_named_origin_reads_that_it_was_refused_and_what_it_may_send() {
    let waits: LeastWait = Arc::new(|| Some(Duration::from_secs(1)));
    let limiter = OverloadLimiter::new(TARGET, Some(waits));
    let routes = routes(limiter.clone());
    first_refused(&routes).await;
    // what is of low priority is refused for long
    let list = async |method, origin: &'static str| {
        let request = Request::builder().method(method).uri("/lists").header(ORIGIN, origin);
        let request = request.header(ACCESS_CONTROL_REQUEST_METHOD, "POST");
        send(&routes, request.body(Body::empty()).unwrap()).await
    };

    let refused = list(Method::GET, PAGE).await;
    assert_eq!(refused.status(), 503);
    assert_eq!(text(refused.headers(), "access-control-allow-origin"), PAGE);
    assert_eq!(text(refused.headers(), "access-control-expose-headers"), "retry-after");
    let foreign = list(Method::GET, "https://other.example").await;
    assert_eq!(foreign.status(), 503);
    let vary: Vec<_> = foreign.headers().get_all("vary").iter().collect();
    assert_eq!(vary, ["accept-language", "origin"]);
    assert!(!foreign.headers().contains_key("access-control-allow-origin"));

    let so_far = limiter.load().refused;
    let asked = list(Method::OPTIONS, PAGE).await;
    assert_eq!(asked.status(), 200);
    assert_eq!(text(asked.headers(), "access-control-allow-methods"), "POST");
    assert_eq!(limiter.load().refused, so_far);
    assert_eq!(list(Method::OPTIONS, "https://other.example").await.status(), 503);
}
