//! Clients that send or read too slowly are disconnected, and do not delay others.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use undercroft::settings::HttpSettings;

use crate::support::{Shop, TestServer};

/// Longer than everything that the test waits for.
const PATIENCE: Duration = Duration::from_mins(1);
/// The time-outs: long enough for the requests of others on a busy machine.
const SHORT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(50);
/// The requests of a client that reads no response: more than the buffers of its connection hold.
const UNREAD: usize = 200;
/// The clients of each kind.
const CLIENTS: usize = 10;

/// Sends `begin`, and then one byte after the other until the connection ends; returns what the server sent.
async fn drip(server: TestServer, begin: &'static str) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(begin.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    while stream.write_all(b"x").await.is_ok() {
        if let Ok(read) = timeout(PAUSE, stream.read_buf(&mut received)).await
            && !matches!(read, Ok(1..))
        {
            break;
        }
    }
    // a write may fail before what the server has sent is read
    let _ = stream.read_to_end(&mut received).await;
    String::from_utf8(received).unwrap()
}

/// Sends requests and reads nothing until the server has closed the connection; returns how many responses came.
async fn read_nothing(server: TestServer) -> usize {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = "GET /openapi.json HTTP/1.1\r\nhost: shop\r\n\r\n";
    stream.write_all(request.repeat(UNREAD).as_bytes()).await.unwrap();
    while stream.write_all(b"\r\n").await.is_ok() {
        sleep(PAUSE).await;
    }
    let mut received = Vec::new();
    // the end, or a reset
    let _ = stream.read_to_end(&mut received).await;
    String::from_utf8_lossy(&received).matches("HTTP/1.1 200 OK").count()
}

on_both_engines!(slow_clients_are_disconnected_and_others_served);
async fn slow_clients_are_disconnected_and_others_served(shop: &Shop) {
    let http = HttpSettings { header_timeout: SHORT, send_timeout: SHORT, ..HttpSettings::default() };
    let server = TestServer::start_with(shop.store.clone(), http).await;
    let head = "GET / HTTP/1.1\r\nhost: shop\r\nx: ";
    let body = "POST /v1/carts HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\ncontent-length: 9000\r\n\r\n";
    // the first request for the document generates it
    let guest = server.guest();
    guest.get("/openapi.json").await.expect(200);
    let (mut heads, mut bodies, mut readers) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
    for _ in 0..CLIENTS {
        heads.spawn(drip(server.clone(), head));
        bodies.spawn(drip(server.clone(), body));
        readers.spawn(read_nothing(server.clone()));
    }
    for _ in 0..CLIENTS {
        guest.get("/v1/products").await.expect(200);
    }

    let all = async { tokio::join!(heads.join_all(), bodies.join_all(), readers.join_all()) };
    let (heads, bodies, readers) = timeout(PATIENCE, all).await.expect("the server closes");
    assert!(heads.iter().all(String::is_empty), "{heads:?}");
    assert!(bodies.iter().all(|response| response.starts_with("HTTP/1.1 408 ")), "{bodies:?}");
    assert!(readers.iter().all(|&responses| responses < UNREAD), "{readers:?}");
}
