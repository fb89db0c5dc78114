//! A server that stops completes what its clients have begun.

use std::io::{Read, Write};

use tokio::time::sleep;

use super::*;

#[tokio::test]
async fn a_graceful_shutdown_completes_running_requests_and_accepts_no_new_ones() {
    let gate = Gate::new();
    let server = Running::start(router(&gate), |_| {}).await;
    let (mut busy, mut idle, mut half) =
        (server.connect().await, server.connect().await, server.connect().await);
    assert!(idle.get("/").await.ends_with("here"));
    half.send("GET / HT").await;
    busy.send("GET /wait HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    gate.reached().await;

    server.stop.cancel();
    assert_eq!(idle.rest().await, "", "an idle connection is closed at once");
    assert!(TcpStream::connect(server.address).await.is_err(), "no connection is accepted");
    assert!(!server.report.is_finished(), "a request is running");
    gate.open.add_permits(1);
    let response = busy.rest().await;
    assert!(response.contains("connection: close") && response.ends_with("passed"), "{response}");
    drop(half);
    assert_eq!(server.stopped().await, DrainReport { served: 2, drained: 1, cut_off: 0 });
}

#[tokio::test]
async fn requests_are_accepted_during_the_delay_and_end_their_connections() {
    let gate = Gate::new();
    let server = Running::start(router(&gate), |http| http.shutdown_delay = PATIENCE / 10).await;
    let mut kept = server.connect().await;
    assert!(!kept.get("/").await.contains("connection: close"));
    server.stop.cancel();
    let mut new = server.connect().await;
    for client in [&mut kept, &mut new] {
        client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
        let response = client.rest().await;
        assert!(
            response.starts_with("HTTP/1.1 200 ") && response.contains("connection: close"),
            "{response}"
        );
    }
    let address = server.address;
    assert_eq!(server.stopped().await, DrainReport { served: 3, drained: 0, cut_off: 0 });
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn requests_that_outlast_the_grace_period_are_cut_off_and_counted() {
    let gate = Gate::new();
    let server = Running::start(router(&gate), |http| http.shutdown_grace = SHORT).await;
    let mut client = server.connect().await;
    client.send("GET /wait HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    gate.reached().await;
    assert_eq!(server.stopped().await, DrainReport { served: 0, drained: 0, cut_off: 1 });
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn connections_that_wait_at_the_stop_are_accepted_and_may_send_their_first_request() {
    let server = Running::start(router(&Gate::new()), |_| {}).await;
    // the system accepts them, and the server has no time to
    let connect = || std::net::TcpStream::connect(server.address).unwrap();
    let mut waiting = [connect(), connect(), connect()];
    let [first, later, _] = &mut waiting;
    let request = b"GET / HTTP/1.1\r\nhost: shop\r\n\r\n";
    first.write_all(request).unwrap();
    server.stop.cancel();
    sleep(SHORT).await;
    later.write_all(request).unwrap();
    assert_eq!(server.stopped().await.served, 2);
    for stream in &mut waiting[..2] {
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        assert!(response.contains("connection: close") && response.ends_with("here"), "{response}");
    }
}
