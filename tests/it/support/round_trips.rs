//! Counts the round trips between a store and PostgreSQL.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::faulty_proxy::listen_before;

/// The delay of the server's messages.
const LATENCY: Duration = Duration::from_millis(10);

/// A TCP proxy that counts how often a client's message follows one of the server.
pub struct RoundTrips {
    count: Arc<AtomicU64>,
}

/// The direction in which bytes went last, over one connection.
const FROM_SERVER: u64 = 0;
const FROM_CLIENT: u64 = 1;

impl RoundTrips {
    /// Starts a proxy in front of the PostgreSQL server of `url`; returns it with the URL that leads through it.
    pub async fn before(url: &str) -> (Self, String) {
        let (listener, address, proxied) = listen_before(url).await;
        let count = Arc::new(AtomicU64::new(0));
        let total = Arc::clone(&count);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&address).await.unwrap();
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                let last = Arc::new(AtomicU64::new(FROM_SERVER));
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                tokio::spawn(forward(
                    from_client,
                    to_server,
                    FROM_CLIENT,
                    Arc::clone(&last),
                    Arc::clone(&total),
                ));
                tokio::spawn(forward(from_server, to_client, FROM_SERVER, last, Arc::clone(&total)));
            }
        });
        (Self { count }, proxied)
    }

    /// Returns the number of round trips since the last call.
    pub fn take(&self) -> u64 {
        self.count.swap(0, Ordering::SeqCst)
    }
}

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    direction: u64,
    last: Arc<AtomicU64>,
    total: Arc<AtomicU64>,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if direction == FROM_SERVER {
            // as on a network: messages that are sent together arrive before the response to the first
            tokio::time::sleep(LATENCY).await;
        }
        // only now can the client send what depends on the response
        let before = last.swap(direction, Ordering::SeqCst);
        // wake-ups of other processes are sent in the background: no response waits for them
        let is_wake_up = buffer[..length].windows(9).any(|bytes| bytes == b"pg_notify");
        if direction == FROM_CLIENT && before == FROM_SERVER && !is_wake_up {
            total.fetch_add(1, Ordering::SeqCst);
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
}
