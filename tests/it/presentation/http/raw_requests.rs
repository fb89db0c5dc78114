//! Requests as bytes: what RFC 9112 forbids is refused, and where the end of a request is in doubt, no second request
//! is answered on its connection.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use undercroft::infrastructure::events::{ApiRequestReceivedEvent, RefusedHeadEvent};
use undercroft::settings::HttpSettings;

use crate::support::{Shop, TestServer};

/// Longer than everything that the tests wait for.
const PATIENCE: Duration = Duration::from_secs(30);
/// A request that would be answered with status 200, and end the connection.
const NEXT: &str = "GET /health/live HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n";

/// A server that does not wait long for the rest of a request.
async fn server(shop: &Shop) -> TestServer {
    let header_timeout = Duration::from_secs(2);
    let http = HttpSettings { header_timeout, ..HttpSettings::default() };
    TestServer::start_with(shop.store.clone(), http).await
}

/// Sends bytes, and returns all that the server sends until it closes the connection.
async fn exchange(server: &TestServer, bytes: &[u8]) -> String {
    exchange_packets(server, [bytes]).await
}

/// Sends packets, and returns all that the server sends until it closes the connection.
async fn exchange_packets<const N: usize>(server: &TestServer, packets: [&[u8]; N]) -> String {
    let stream = TcpStream::connect(server.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut read, mut write) = stream.into_split();
    let sending = async {
        for packet in packets {
            // the server may close before it has read all
            let _ = write.write_all(packet).await;
            tokio::task::yield_now().await;
        }
    };
    let receiving = async {
        let mut received = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = read.read(&mut buffer).await {
            received.extend_from_slice(&buffer[..length]);
        }
        received
    };
    let ((), received) = timeout(PATIENCE, async { tokio::join!(sending, receiving) }).await.expect("an end");
    String::from_utf8(received).unwrap()
}

/// The statuses of responses.
fn statuses(received: &str) -> Vec<u16> {
    let lines = received.split("HTTP/1.1 ").skip(1);
    lines.map(|line| line[..3].parse().unwrap()).collect()
}

/// Sends a request that is refused with a status of the client's faults. If it `closes` the connection, what follows is
/// not answered.
async fn assert_refused(server: &TestServer, what: &str, bytes: &[u8], closes: bool) {
    let received = exchange(server, bytes).await;
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
    let statuses = statuses(&received);
    let [first, rest @ ..] = statuses.as_slice() else {
        panic!("{what}: {shown:?} has no response");
    };
    assert!((400..500).contains(first), "{what}: {shown:?} → {received}");
    assert!(!closes || rest.is_empty(), "{what}: a second request was answered: {received}");
}

/// A request that creates a cart, with these headers and this body.
fn post(headers: &str, body: &str) -> String {
    format!("POST /v1/carts HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\n{headers}\r\n{body}")
}

on_both_engines!(a_request_whose_end_is_in_doubt_is_refused_and_ends_its_connection);
async fn a_request_whose_end_is_in_doubt_is_refused_and_ends_its_connection(shop: &Shop) {
    let server = server(shop).await;
    for (what, headers, body) in [
        ("two lengths", "content-length: 2\r\ncontent-length: 3\r\n", "{}"),
        ("a list of lengths", "content-length: 2, 3\r\n", "{}"),
        ("a length with a sign", "content-length: +2\r\n", "{}"),
        ("a negative length", "content-length: -2\r\n", "{}"),
        ("a hexadecimal length", "content-length: 0x2\r\n", "{}"),
        ("a length with a space", "content-length: 2 2\r\n", "{}"),
        ("an empty length", "content-length: \r\n", "{}"),
        ("a length beyond 64 bits", "content-length: 18446744073709551618\r\n", "{}"),
        (
            "a length before a coding",
            "content-length: 2\r\ntransfer-encoding: chunked\r\n",
            "2\r\n{\r\n0\r\n\r\n",
        ),
        ("an unknown coding", "transfer-encoding: rot13\r\n", "2\r\n{}\r\n0\r\n\r\n"),
        ("a coding after chunked", "transfer-encoding: chunked, gzip\r\n", "2\r\n{}\r\n0\r\n\r\n"),
        ("a coding before chunked", "transfer-encoding: gzip, chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"),
        ("chunked twice", "transfer-encoding: chunked, chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"),
        (
            "chunked in two lines",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            "2\r\n{}\r\n0\r\n\r\n",
        ),
        ("a folded coding", "transfer-encoding:\r\n chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"),
        ("a coding with a vertical tab", "transfer-encoding: \u{b}chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"),
        ("a space before the colon", "transfer-encoding : chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"),
        ("a chunk size that is no number", "transfer-encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n"),
        ("a negative chunk size", "transfer-encoding: chunked\r\n", "-2\r\n{}\r\n0\r\n\r\n"),
        ("a chunk size with 0x", "transfer-encoding: chunked\r\n", "0x2\r\n{}\r\n0\r\n\r\n"),
        (
            "a chunk size beyond 64 bits",
            "transfer-encoding: chunked\r\n",
            "10000000000000002\r\n{}\r\n0\r\n\r\n",
        ),
        ("a chunk longer than its size", "transfer-encoding: chunked\r\n", "1\r\n{}\r\n0\r\n\r\n"),
        ("a chunk without its end", "transfer-encoding: chunked\r\n", "2\r\n{}0\r\n\r\n"),
        ("a chunk size that ends with CR", "transfer-encoding: chunked\r\n", "2\rX{}\r\n0\r\n\r\n"),
        ("a chunk extension with a bare LF", "transfer-encoding: chunked\r\n", "2;a\nb\r\n{}\r\n0\r\n\r\n"),
    ] {
        let request = post(headers, body) + NEXT;
        assert_refused(&server, what, request.as_bytes(), true).await;
    }
    let coded =
        "GET / HTTP/1.0\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_owned() + NEXT;
    assert_refused(&server, "a coding in HTTP/1.0", coded.as_bytes(), true).await;

    let malformed = post("transfer-encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n");
    let received = exchange(&server, malformed.as_bytes()).await;
    assert!(received.contains("\"body_incomplete\""), "{received}");

    // the library removes a length after a coding: the request is that of its chunks, and the last one
    let coded = post("transfer-encoding: chunked\r\ncontent-length: 3\r\n", "2\r\n{}\r\n0\r\n\r\n") + NEXT;
    let received = exchange(&server, coded.as_bytes()).await;
    assert_eq!(statuses(&received).len(), 1, "{received}");
    assert!(received.contains("connection: close"), "{received}");
}

on_both_engines!(a_malformed_head_is_refused);
async fn a_malformed_head_is_refused(shop: &Shop) {
    let server = server(shop).await;
    let head = |line: &str, headers: &str| format!("{line}\r\n{headers}\r\n");
    let live = "GET /health/live HTTP/1.1";
    for (what, request, closes) in [
        ("no host", head(live, ""), false),
        ("two hosts", head(live, "host: shop\r\nhost: shop\r\n"), false),
        ("a host with a space", head(live, "host: shop shop\r\n"), false),
        ("a host with a path", head(live, "host: shop/x\r\n"), false),
        ("a host with a user", head(live, "host: user@shop\r\n"), false),
        ("a host with a word as port", head(live, "host: shop:eighty\r\n"), false),
        ("a folded header", head(live, "host: shop\r\nx: a\r\n b\r\n"), true),
        ("a folded first header", head(live, " x: a\r\nhost: shop\r\n"), true),
        ("a bare CR in a value", head(live, "host: shop\r\nx: a\rb: c\r\n"), true),
        ("a bare CR between headers", head(live, "host: shop\rx: a\r\n"), true),
        ("a NUL in a value", head(live, "host: shop\r\nx: a\0b\r\n"), true),
        ("a NUL in a name", head(live, "host: shop\r\nx\0: a\r\n"), true),
        ("a NUL in the path", head("GET /health/live\0 HTTP/1.1", "host: shop\r\n"), true),
        ("a space before the colon", head(live, "host : shop\r\n"), true),
        ("a header without a colon", head(live, "host: shop\r\nx\r\n"), true),
        ("a header without a name", head(live, "host: shop\r\n: y\r\n"), true),
        ("a method that is no token", head("G@T /health/live HTTP/1.1", "host: shop\r\n"), true),
        ("an unknown method", head("SHOP /health/live HTTP/1.1", "host: shop\r\n"), false),
        ("a method in lower case", head("get /health/live HTTP/1.1", "host: shop\r\n"), false),
        ("no version", head("GET /health/live", "host: shop\r\n"), true),
        ("version 9.9", head("GET /health/live HTTP/9.9", "host: shop\r\n"), true),
        ("a path without a slash", head("GET health HTTP/1.1", "host: shop\r\n"), false),
        ("a tunnel", head("CONNECT shop:443 HTTP/1.1", "host: shop:443\r\n"), false),
    ] {
        assert_refused(&server, what, (request + NEXT).as_bytes(), closes).await;
    }
    // closed without a response, because that would be one of HTTP/1.1, which a client of HTTP/2 cannot read
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned() + NEXT;
    assert_eq!(exchange(&server, preface.as_bytes()).await, "");

    // a line may end with LF alone (RFC 9112 section 2.2): then it does for both requests
    let first = NEXT.replace("connection: close\r\n", "");
    let received = exchange(&server, (first + NEXT).replace("\r\n", "\n").as_bytes()).await;
    assert_eq!(statuses(&received), [200, 200], "{received}");
}

on_both_engines!(a_head_that_is_too_large_is_refused);
async fn a_head_that_is_too_large_is_refused(shop: &Shop) {
    let server = server(shop).await;
    let long = "x".repeat(1 << 20);
    let (parameters, cookies) = ("a=b&".repeat(100_000), "a=b; ".repeat(100_000));
    for (what, target, header) in [
        ("a path of a mebibyte", format!("/{long}"), String::new()),
        ("100,000 parameters", format!("/v1/products?{parameters}"), String::new()),
        ("a header of a mebibyte", "/".to_owned(), format!("x: {long}\r\n")),
        ("100,000 headers", "/".to_owned(), "x: y\r\n".repeat(100_000)),
        ("100,000 cookies", "/".to_owned(), format!("cookie: {cookies}\r\n")),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nhost: shop\r\n{header}\r\n{NEXT}");
        let received = exchange(&server, request.as_bytes()).await;
        // closed with or without its response, because the rest of the head is not read: then the system may reset the
        // connection, and the client loses what it has not read
        assert!(matches!(*statuses(&received), [] | [414 | 431]), "{what}: {received}");
    }
}

#[tokio::test]
async fn a_head_that_cannot_be_read_has_a_signal_and_others_have_that_of_their_request() {
    let shop = Shop::on_sqlite(crate::support::ShopOptions::default()).await;
    let server = server(&shop).await;
    let bus = &server.store.infrastructure.bus;
    let (mut heads, mut requests) =
        (bus.subscribe::<RefusedHeadEvent>(), bus.subscribe::<ApiRequestReceivedEvent>());
    let long = format!("GET /{} HTTP/1.1\r\nhost: shop\r\n\r\n", "x".repeat(1 << 20));
    let many = format!("GET / HTTP/1.1\r\nhost: shop\r\nx: {}\r\n\r\n", "x".repeat(1 << 20));
    for (request, is_too_large) in
        [("GET / HTTP/9.9\r\n\r\n", false), ("G@T / HTTP/1.1\r\n\r\n", false), (&long, true), (&many, true)]
    {
        exchange(&server, request.as_bytes()).await;
        let head = timeout(PATIENCE, heads.next()).await.expect("a signal");
        assert_eq!(head, RefusedHeadEvent { is_too_large }, "{}", &request[..10]);
    }
    assert!(requests.take().is_none());
    exchange(&server, NEXT.as_bytes()).await;
    timeout(PATIENCE, requests.next()).await.expect("a signal");
    assert!(heads.take().is_none());
}

on_both_engines!(a_path_is_what_it_says);
async fn a_path_is_what_it_says(shop: &Shop) {
    let server = server(shop).await;
    for path in [
        "/v1/../health/live",
        "/v1/products/../../health/live",
        "/%2e%2e/health/live",
        "/v1/%2e%2e/health/live",
        "/health%2flive",
        "/health%5clive",
        "//health/live",
        "/health//live",
        "/health/live/",
        "/health/live;a=b",
        "/health/live%00",
        "/health/live%20",
        "/v1/products/%00",
        "/v1/products/%c0%ae%c0%ae",
        "/v1/products/%ff",
        "/v1/products/%zz",
        "/docs/%ff",
        "/docs/../health/live",
        "/docs/..%2f..%2fetc/passwd",
        "/docs/%2e%2e/%2e%2e/etc/passwd",
        "/docs/%0d%0ax-evil:%20yes",
        "/v1/carts/%0d%0ax-evil:%20yes",
        "/%0d%0ax-evil:%20yes",
        "/health/live%0d%0ax-evil:%20yes",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n");
        let received = exchange(&server, request.as_bytes()).await;
        let status = statuses(&received);
        assert!(matches!(*status, [400..=499]), "{path}: {received}");
        let (head, _) = received.split_once("\r\n\r\n").unwrap();
        assert!(!head.to_lowercase().contains("\r\nx-evil"), "{path}: {received}");
    }
    // the absolute form of a request to a proxy (RFC 9112 section 3.2.2)
    let absolute = "GET http://shop/health/live HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n";
    assert_eq!(statuses(&exchange(&server, absolute.as_bytes()).await), [200]);
}

#[tokio::test]
async fn a_packet_may_end_at_every_byte() {
    let shop = Shop::on_sqlite(crate::support::ShopOptions::default()).await;
    let server = server(&shop).await;
    let coded = post(
        "transfer-encoding: chunked\r\nconnection: close\r\n",
        "1\r\n{\r\n1;a=b\r\n}\r\n0\r\nx: y\r\n\r\n",
    );
    let plain = post("content-length: 2\r\nconnection: close\r\n", "{}");
    for request in [coded, plain] {
        for end in 1..request.len() {
            let (first, second) = request.as_bytes().split_at(end);
            let received = exchange_packets(&server, [first, second]).await;
            assert_eq!(statuses(&received), [201], "{end}: {received}");
        }
    }
}

#[tokio::test]
async fn a_malformed_request_is_refused_once_wherever_a_packet_ends() {
    let shop = Shop::on_sqlite(crate::support::ShopOptions::default()).await;
    let server = server(&shop).await;
    for (what, headers, body) in [
        ("two lengths", "content-length: 2\r\ncontent-length: 3\r\n", "{}"),
        ("a coding after chunked", "transfer-encoding: chunked, gzip\r\n", "2\r\n{}\r\n0\r\n\r\n"),
        ("a space before the colon", "transfer-encoding : chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"),
        ("a chunk size that is no number", "transfer-encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n"),
        ("a chunk longer than its size", "transfer-encoding: chunked\r\n", "1\r\n{}\r\n0\r\n\r\n"),
    ] {
        let request = post(headers, body) + NEXT;
        for end in 1..request.len() {
            let (first, second) = request.as_bytes().split_at(end);
            let received = exchange_packets(&server, [first, second]).await;
            // none, if the second packet arrives when the connection is closed: then the system resets it
            assert!(matches!(*statuses(&received), [] | [400]), "{what}, {end}: {received}");
        }
    }
}
