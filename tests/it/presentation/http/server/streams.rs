//! A response is in progress until its last byte is written: downloads and streams of events are not cut off.

use std::convert::Infallible;
use std::sync::Mutex;

use super::*;
use crate::support::eventually;

/// More than the buffers of a connection hold.
const LARGE: usize = 16 << 20;

/// A route with a stream whose chunks the test sends.
fn streaming() -> (Router, mpsc::Sender<&'static str>) {
    let (chunks, receiver) = mpsc::channel::<&str>(1);
    let receiver = Arc::new(Mutex::new(Some(receiver)));
    let respond = move || async move {
        let receiver = receiver.lock().unwrap().take().expect("one request");
        Body::from_stream(stream::unfold(receiver, async |mut receiver| {
            let chunk = receiver.recv().await?;
            Some((Ok::<_, Infallible>(chunk), receiver))
        }))
    };
    (router(&Gate::new()).route("/stream", get(respond)), chunks)
}

/// Requests a path over a connection that ends with the response.
async fn last_request(client: &mut Client, path: &str) {
    client.send(&format!("GET {path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n")).await;
}

/// Reads the first chunk of the stream.
async fn reader_of(server: &Running, chunks: &mpsc::Sender<&'static str>) -> Client {
    let mut reader = server.connect().await;
    chunks.send("first,").await.unwrap();
    reader.send("GET /stream HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    reader.read_until("first,\r\n").await;
    reader
}

/// Stops a server, and waits until it accepts no connections.
async fn stop_accepting(server: &Running) {
    server.stop.cancel();
    eventually("a refused connection", async || TcpStream::connect(server.address).await.is_err()).await;
}

async fn send_others(server: &Running) {
    for _ in 0..40 {
        assert!(server.connect().await.get("/").await.starts_with("HTTP/1.1 200 "));
    }
}

#[tokio::test]
async fn a_stream_is_not_cut_off_for_other_connections() {
    let (router, chunks) = streaming();
    let server = Running::start(router, |http| http.max_connections = 1.try_into().unwrap()).await;
    let mut reader = reader_of(&server, &chunks).await;

    send_others(&server).await;
    chunks.send("last").await.unwrap();
    drop(chunks);
    reader.read_until("last\r\n0\r\n\r\n").await;

    send_others(&server).await;
    assert_eq!(reader.rest().await, "", "it is idle now");
}

#[tokio::test]
async fn a_response_that_is_read_slowly_is_not_cut_off_for_other_connections() {
    let large = get(async || vec![b'x'; LARGE]);
    let router = router(&Gate::new()).route("/large", large);
    let server = Running::start(router, |http| http.max_connections = 1.try_into().unwrap()).await;
    let mut reader = server.connect().await;
    last_request(&mut reader, "/large").await;
    reader.read_until("\r\n\r\n").await;

    send_others(&server).await;
    assert_eq!(reader.rest().await.len(), LARGE);
}

#[tokio::test]
async fn a_shutdown_completes_streams_and_counts_them() {
    let (router, chunks) = streaming();
    let server = Running::start(router, |_| {}).await;
    let mut reader = reader_of(&server, &chunks).await;

    stop_accepting(&server).await;
    chunks.send("last").await.unwrap();
    drop(chunks);
    assert!(reader.rest().await.ends_with("last\r\n0\r\n\r\n"));
    assert_eq!(server.stopped().await, DrainReport { served: 1, drained: 1, cut_off: 0 });
}

#[tokio::test]
async fn a_response_whose_client_leaves_is_not_drained() {
    let (router, chunks) = streaming();
    let server = Running::start(router, |_| {}).await;
    let reader = reader_of(&server, &chunks).await;

    stop_accepting(&server).await;
    drop(reader);
    eventually("the end of the response", async || chunks.send("more").await.is_err()).await;
    assert_eq!(server.stopped().await, DrainReport { served: 1, drained: 0, cut_off: 0 });
}
