//! Many connections of one network do not keep the clients of others away.

use std::convert::Infallible;

use tokio::net::TcpSocket;
use undercroft::infrastructure::middleware::TrustedProxies;

use super::*;

const LIMIT: u32 = 8;
/// More connections than the server accepts at once.
const CROWD: usize = 40;
const SLOW_BODY: &str =
    "POST /length HTTP/1.1\r\nhost: shop\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n";
const SLOW_READ: &str = "GET /endless HTTP/1.1\r\nhost: shop\r\n\r\n";

/// Routes, one of which has a response without an end.
fn endless() -> Router {
    let part = Bytes::from_static(&[b'x'; 8_192]);
    let parts = move || {
        let parts = stream::repeat(Ok::<_, Infallible>(part.clone()));
        async move { Body::from_stream(parts) }
    };
    router(&Gate::new()).route("/endless", get(parts))
}

async fn start(router: Router, change: impl FnOnce(&mut HttpSettings)) -> Running {
    Running::start(router, |http| {
        http.max_connections = LIMIT.try_into().unwrap();
        change(http);
    })
    .await
}

/// Connects from another address than the crowd.
async fn other(server: &Running) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    Client(socket.connect(server.address).await.unwrap())
}

/// Connects, sends a request, and reads no further than the first head that the server sends.
async fn hold(server: &Running, request: &str) -> Client {
    let mut client = server.connect().await;
    client.send(request).await;
    client.read_until("\r\n\r\n").await;
    client
}

#[cfg_attr(target_os = "macos", ignore = "it has no address 127.0.0.2")]
#[tokio::test]
async fn slow_bodies_and_slow_reads_of_one_address_leave_room_for_others() {
    let server = start(endless(), |_| {}).await;
    let mut slow = Vec::new();
    for at in 0..CROWD {
        slow.push(hold(&server, [SLOW_BODY, SLOW_READ][at % 2]).await);
    }
    assert_eq!(slow[0].rest().await, "", "the oldest one is closed");

    let mut kept = other(&server).await;
    assert!(kept.get("/").await.ends_with("here"));
    let mut body = other(&server).await;
    body.send(SLOW_BODY).await;
    body.read_until("\r\n\r\n").await;
    for at in 0..CROWD {
        slow.push(hold(&server, [SLOW_BODY, SLOW_READ][at % 2]).await);
    }
    assert!(kept.get("/").await.ends_with("here"), "it is idle, and stays open");
    body.send("123456789").await;
    assert!(body.response().await.ends_with("\r\n\r\n9"), "its request is not interrupted");
}

#[cfg_attr(target_os = "macos", ignore = "it has no address 127.0.0.2")]
#[tokio::test]
async fn the_requests_of_a_trusted_proxy_are_not_interrupted_for_others() {
    let gate = Gate::new();
    let server = start(router(&gate), |http| {
        http.trusted_proxies = TrustedProxies::parse(["127.0.0.1"]).unwrap();
    })
    .await;
    let mut proxied = Vec::new();
    for _ in 0..=LIMIT {
        proxied.push(hold(&server, SLOW_BODY).await);
    }
    assert!(other(&server).await.get("/").await.ends_with("here"), "there are some places more");
    for client in &mut proxied {
        client.send("123456789").await;
        assert!(client.response().await.ends_with("\r\n\r\n9"));
    }
}
