//! Time-outs, connection limits and the graceful shutdown of the HTTP server. The tests wait for effects on the client;
//! the time-out under test is short, all others are long.

mod crowds;
mod stops;
mod streams;

use std::{future::pending, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Path,
    routing::{get, post},
};
use futures_util::stream;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use undercroft::infrastructure::middleware::{Chain, LoggingMiddleware};
use undercroft::{
    domain::context::Context,
    presentation::http::server::{DrainReport, serve},
    settings::HttpSettings,
};

/// Longer than every time-out under test; a test that waits for it fails.
const PATIENCE: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(80);

/// A running server, and the token that stops it.
struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    report: JoinHandle<DrainReport>,
}

impl Running {
    async fn start(router: Router, change: impl FnOnce(&mut HttpSettings)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let long = 10 * PATIENCE;
        let mut settings = HttpSettings {
            header_timeout: long,
            body_timeout: long,
            send_timeout: long,
            idle_timeout: long,
            request_timeout: long,
            shutdown_grace: long,
            ..HttpSettings::default()
        };
        change(&mut settings);
        let report = tokio::spawn({
            let (stop, context) = (stop.clone(), Context::system());
            async move {
                let chain = Chain { logging: Some(LoggingMiddleware::default()), ..Chain::default() };
                serve(listener, router, chain, &settings, context, stop).await
            }
        });
        Self { address, stop, report }
    }

    async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    async fn stopped(self) -> DrainReport {
        self.stop.cancel();
        timeout(PATIENCE, self.report).await.expect("the server ends").unwrap()
    }
}

/// A client that sends and reads bytes.
struct Client(TcpStream);

impl Client {
    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    async fn get(&mut self, path: &str) -> String {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: shop\r\n\r\n")).await;
        self.response().await
    }

    /// Reads one response with a `content-length`.
    async fn response(&mut self) -> String {
        let mut text = String::new();
        timeout(PATIENCE, async {
            loop {
                if let Some((head, body)) = text.split_once("\r\n\r\n") {
                    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
                    if body.len() == length.unwrap_or("0").parse::<usize>().unwrap() {
                        return;
                    }
                }
                let byte = self.0.read_u8().await.expect("a response");
                text.push(char::from(byte));
            }
        })
        .await
        .expect("a response in time");
        text
    }

    /// Reads up to this text.
    async fn read_until(&mut self, end: &str) {
        let mut text = String::new();
        let read = async {
            while !text.ends_with(end) {
                text.push(self.0.read_u8().await.expect("more of the response").into());
            }
        };
        timeout(PATIENCE, read).await.expect("the text in time");
    }

    /// Reads until the server closes the connection.
    async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        let end = timeout(PATIENCE, self.0.read_to_end(&mut bytes)).await.expect("the server closes");
        end.unwrap();
        String::from_utf8(bytes).unwrap()
    }
}

/// Routes that respond at once, with the length of the body, when the gate opens, and never.
fn router(gate: &Arc<Gate>) -> Router {
    let waiting = Arc::clone(gate);
    Router::new()
        .route("/", get(|| async { "here" }))
        .route("/length", post(|body: Bytes| async move { body.len().to_string() }))
        .route("/refuse", post(|| async { "no" }))
        .route(
            "/wait",
            get(move || async move { waiting.pass().await }).post(async |_: Bytes| pending::<()>().await),
        )
        .route("/panic", get(|| async { panic!("on purpose") as &str }))
        .route("/status/{code}", get(|Path(code): Path<u16>| async move { code.to_string() }))
}

/// A gate at which a handler waits, so that the test controls when the handler ends.
struct Gate {
    reached: Semaphore,
    open: Semaphore,
}

impl Gate {
    fn new() -> Arc<Self> {
        Arc::new(Self { reached: Semaphore::new(0), open: Semaphore::new(0) })
    }

    async fn pass(&self) -> &'static str {
        self.reached.add_permits(1);
        self.open.acquire().await.unwrap().forget();
        "passed"
    }

    async fn reached(&self) {
        timeout(PATIENCE, self.reached.acquire()).await.expect("the handler runs").unwrap().forget();
    }
}

#[tokio::test]
async fn a_connection_serves_one_request_after_another_and_pipelined_ones() {
    let server = Running::start(router(&Gate::new()), |_| {}).await;
    let mut client = server.connect().await;
    for _ in 0..3 {
        assert!(client.get("/").await.ends_with("here"));
    }
    client
        .send("GET /status/7 HTTP/1.1\r\nhost: a\r\n\r\nGET /status/8 HTTP/1.1\r\nhost: a\r\n\r\nGET /sta")
        .await;
    assert!(client.response().await.ends_with("\r\n\r\n7"));
    assert!(client.response().await.ends_with("\r\n\r\n8"));
    client.send("tus/9 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(client.response().await.ends_with("\r\n\r\n9"));
    client.send("POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nab").await;
    client.send("cde").await;
    assert!(client.response().await.ends_with("\r\n\r\n5"));
    drop(client);
    assert_eq!(server.stopped().await, DrainReport { served: 7, drained: 0, cut_off: 0 });
}

#[tokio::test]
async fn a_connection_whose_head_is_incomplete_or_missing_is_closed_in_time() {
    let server = Running::start(router(&Gate::new()), |http| http.header_timeout = SHORT).await;
    let (mut silent, mut half) = (server.connect().await, server.connect().await);
    half.send("GET / HTTP/1.1\r\nhost: sh").await;
    assert_eq!(half.rest().await, "");
    assert_eq!(silent.rest().await, "");
    let mut second = server.connect().await;
    assert!(second.get("/").await.ends_with("here"));
    second.send("GET / HT").await;
    assert_eq!(second.rest().await, "", "also after a first request");
}

#[tokio::test]
async fn a_head_that_is_sent_slowly_gets_no_more_time() {
    let server = Running::start(router(&Gate::new()), |http| http.header_timeout = SHORT).await;
    let (mut read, mut write) = server.connect().await.0.into_split();
    write.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let drip = async {
        while write.write_all(b"x: y\r\n").await.is_ok() {
            tokio::time::sleep(SHORT / 8).await;
        }
    };
    let mut response = Vec::new();
    let closed = async {
        tokio::select! {
            // closed or reset, since the client is still sending
            _ = read.read_to_end(&mut response) => {}
            () = drip => {}
        }
    };
    timeout(PATIENCE, closed).await.expect("the server closes");
    assert_eq!(response, b"");
}

#[tokio::test]
async fn a_slow_body_leads_to_status_408_and_the_connection_is_closed() {
    let server = Running::start(router(&Gate::new()), |http| http.body_timeout = SHORT).await;
    let mut client = server.connect().await;
    client.send("POST /length HTTP/1.1\r\nhost: shop\r\ncontent-length: 10\r\n\r\nhalf").await;
    let response = client.response().await;
    assert!(response.starts_with("HTTP/1.1 408 "), "{response}");
    assert!(response.contains("content-type: application/problem+json"), "{response}");
    assert!(response.contains("x-request-id: "), "{response}");
    assert!(
        response.contains("connection: close") && response.contains(r#""code":"request_too_slow""#),
        "{response}"
    );
    assert_eq!(client.0.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_large_body_that_arrives_steadily_has_more_time_than_the_settings_give_a_small_one() {
    let server = Running::start(router(&Gate::new()), |http| {
        http.body_timeout = 4 * SHORT;
        http.request_timeout = 4 * SHORT;
    })
    .await;
    let mut client = server.connect().await;
    let part = "x".repeat(16_000);
    client.send(&format!("POST /length HTTP/1.1\r\nhost: shop\r\ncontent-length: 64000\r\n\r\n{part}")).await;
    for _ in 0..3 {
        tokio::time::sleep(5 * SHORT).await;
        client.send(&part).await;
    }
    let response = client.response().await;
    assert!(response.starts_with("HTTP/1.1 200 ") && response.ends_with("64000"), "{response}");
}

#[tokio::test]
async fn a_slow_handler_leads_to_status_504_and_the_connection_stays_open() {
    let server = Running::start(router(&Gate::new()), |http| {
        http.request_timeout = SHORT;
        http.body_timeout = SHORT / 8;
    })
    .await;
    let mut client = server.connect().await;
    for _ in 0..2 {
        // the body is complete, so the client is not at fault
        client.send("POST /wait HTTP/1.1\r\nhost: shop\r\ncontent-length: 2\r\n\r\nok").await;
        let response = client.response().await;
        assert!(response.starts_with("HTTP/1.1 504 "), "{response}");
        assert!(response.contains(r#""code":"timed_out""#), "{response}");
        let id = response.split("x-request-id: ").nth(1).expect(&response).split('\r').next().unwrap();
        assert!(response.contains(&format!("urn:uuid:{id}")), "{response}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_time() {
    let server = Running::start(router(&Gate::new()), |http| http.idle_timeout = SHORT).await;
    let mut client = server.connect().await;
    assert!(client.get("/").await.ends_with("here"));
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_client_that_does_not_read_its_response_is_disconnected() {
    let (gone, mut is_gone) = mpsc::channel::<()>(1);
    let endless = move || {
        let held = gone.clone();
        let chunks = stream::repeat_with(move || {
            let _ = &held;
            Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 8_192]))
        });
        async { Body::from_stream(chunks) }
    };
    let router = Router::new().route("/endless", get(endless));
    let server = Running::start(router, |http| http.send_timeout = SHORT).await;
    let mut client = server.connect().await;
    client.send("GET /endless HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    client.0.read_u8().await.expect("the response begins");
    assert_eq!(server.stopped().await, DrainReport { served: 1, drained: 0, cut_off: 0 });
    assert!(is_gone.recv().await.is_none(), "the response is dropped");
}

#[tokio::test]
async fn a_client_that_is_still_sending_can_read_the_response() {
    let server = Running::start(router(&Gate::new()), |_| {}).await;
    let mut client = server.connect().await;
    let length = 16 << 20;
    client.send(&format!("POST /refuse HTTP/1.1\r\nhost: shop\r\ncontent-length: {length}\r\n\r\n")).await;
    client.0.write_all(&vec![b'x'; length]).await.expect("the server reads and discards the body");
    let response = client.response().await;
    assert!(response.starts_with("HTTP/1.1 200 ") && response.ends_with("no"), "{response}");
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_response_to_a_request_whose_body_was_not_read_announces_the_end_of_the_connection() {
    let server = Running::start(router(&Gate::new()), |_| {}).await;
    for path in ["/refuse", "/none", "/status/9"] {
        let mut client = server.connect().await;
        client.send(&format!("POST {path} HTTP/1.1\r\nhost: shop\r\ncontent-length: 5\r\n\r\nab")).await;
        let response = client.response().await;
        assert!(response.contains("connection: close\r\n"), "{response}");
        client.send("cde").await;
        assert_eq!(client.rest().await, "");
    }

    let mut client = server.connect().await;
    for (path, body) in [("/length", "abcde"), ("/refuse", "")] {
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nhost: shop\r\ncontent-length: {length}\r\n\r\n");
        client.send(&format!("{head}{body}")).await;
        let response = client.response().await;
        assert!(response.starts_with("HTTP/1.1 200 ") && !response.contains("connection:"), "{response}");
    }
}

#[tokio::test]
async fn a_panic_leads_to_status_500_without_its_message_and_the_connection_stays_open() {
    let server = Running::start(router(&Gate::new()), |_| {}).await;
    let mut client = server.connect().await;
    let response = client.get("/panic").await;
    assert!(response.starts_with("HTTP/1.1 500 ") && !response.contains("purpose"), "{response}");
    assert!(client.get("/").await.ends_with("here"));
}

#[tokio::test]
async fn a_connection_beyond_the_limit_takes_the_place_of_the_longest_idle_one() {
    let router = router(&Gate::new());
    let server = Running::start(router, |http| http.max_connections = 2.try_into().unwrap()).await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    first.get("/").await;
    second.get("/").await;
    first.get("/").await;

    let mut third = server.connect().await;
    assert!(third.get("/").await.starts_with("HTTP/1.1 200 "));
    assert_eq!(second.rest().await, "");
    assert!(first.get("/").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn connections_with_a_request_are_never_closed_for_others() {
    let gate = Gate::new();
    let server = Running::start(router(&gate), |http| http.max_connections = 1.try_into().unwrap()).await;
    let mut first = server.connect().await;
    first.send("GET /wait HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    gate.reached().await;

    for _ in 0..40 {
        assert!(server.connect().await.get("/").await.starts_with("HTTP/1.1 200 "));
    }
    gate.open.add_permits(1);
    assert!(first.response().await.ends_with("passed"));
}
