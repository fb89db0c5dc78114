//! Many clients send and read too slowly: each is disconnected in time, and the others are served as before.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::Args;
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::super::CliError;
use super::Outcome;
use super::client::Client;
use super::test_store::{Server, TestStore};

/// The arguments of `torture slow-clients`.
#[derive(Args, Debug)]
pub(super) struct SlowClients {
    /// The number of slow clients: a third each sends a head, sends a body, and reads a response
    #[arg(long, default_value_t = 1000)]
    clients: usize,
    /// The processor on which the server runs alone (by `taskset`) [default: any]
    #[arg(long)]
    server_processor: Option<u32>,
}

/// The pause between two bytes of a slow client.
const PAUSE: Duration = Duration::from_millis(500);
/// The pause between two requests of the other client.
const INTERVAL: Duration = Duration::from_millis(5);
/// The time in which all slow clients connect, and those that read nothing send all their requests.
const ARRIVAL: Duration = Duration::from_secs(1);
/// The requests whose time is measured before the slow clients come.
const BEFORE: usize = 1000;
/// The requests of a client that reads no response.
const UNREAD: usize = 100;
const HEAD: &str = "GET / HTTP/1.1\r\nhost: store\r\nx: ";
const BODY: &str = "POST /v1/carts HTTP/1.1\r\nhost: store\r\ncontent-type: application/json\r\ncontent-length: 60000\r\n\r\n";
const UNREAD_REQUEST: &str = "GET /openapi.json HTTP/1.1\r\nhost: store\r\n\r\n";

impl SlowClients {
    /// Runs the test.
    pub(super) async fn run(&self, store: &TestStore) -> Result<Outcome, CliError> {
        let server = store.serve_on(self.server_processor, &[]).await?;
        let mut guest = server.guest();
        let mut before = Vec::new();
        for _ in 0..BEFORE {
            before.extend(look(&mut guest).await);
            sleep(INTERVAL).await;
        }
        let memory_before = memory(&server);

        let mut slow = JoinSet::new();
        for client in 0..self.clients {
            slow.spawn(hold(server.address(), client));
        }
        let (mut arriving, mut during) = (Vec::new(), Vec::new());
        let (mut open, mut most_memory, began) = (Vec::new(), 0, Instant::now());
        while !slow.is_empty() {
            let looks = if began.elapsed() < ARRIVAL { &mut arriving } else { &mut during };
            looks.extend(look(&mut guest).await);
            most_memory = most_memory.max(memory(&server));
            while let Some(ended) = slow.try_join_next() {
                open.extend(ended.ok().flatten());
            }
            sleep(INTERVAL).await;
        }
        sleep(Duration::from_secs(1)).await;
        let memory_after = memory(&server);
        server.stop().await?;

        let longest = open.iter().max().map_or(0, |open| u64::try_from(open.as_millis()).unwrap_or(u64::MAX));
        Ok(Outcome {
            counts: vec![
                ("disconnected", open.len() as u64),
                ("longest_ms", longest),
                ("p99_before_us", late(&mut before)),
                ("p99_arriving_us", late(&mut arriving)),
                ("p99_during_us", late(&mut during)),
                ("memory_before_kb", memory_before),
                ("memory_most_kb", most_memory),
                ("memory_after_kb", memory_after),
            ],
            error: None,
        })
    }
}

/// Reads a list; returns the time it took.
async fn look(guest: &mut Client) -> Option<Duration> {
    let began = Instant::now();
    guest.send(Method::GET, "/v1/products?limit=5", None, None).await.ok().map(|_| began.elapsed())
}

/// Is slow until the connection ends; returns how long it was open.
async fn hold(address: SocketAddr, client: usize) -> Option<Duration> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let began = Instant::now();
    let begin = [HEAD, BODY, &UNREAD_REQUEST.repeat(UNREAD)][client % 3].to_owned();
    stream.write_all(begin.as_bytes()).await.ok()?;
    let reads = client % 3 != 2;
    loop {
        // of a client that reads nothing, a write fails when the server has closed
        if stream.write_all(b"x").await.is_err() {
            return Some(began.elapsed());
        }
        if !reads {
            sleep(PAUSE).await;
        } else if let Ok(Ok(0) | Err(_)) = timeout(PAUSE, stream.read(&mut [0; 1024])).await {
            return Some(began.elapsed());
        }
    }
}

/// Returns the resident memory of a server in kB, 0 if it is not known.
fn memory(server: &Server) -> u64 {
    let status = server.id().and_then(|id| std::fs::read_to_string(format!("/proc/{id}/status")).ok());
    let status = status.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Returns the 99th percentile in microseconds.
pub(super) fn late(times: &mut [Duration]) -> u64 {
    times.sort_unstable();
    let at = times.get(times.len().saturating_sub(1 + times.len() / 100));
    at.map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}
