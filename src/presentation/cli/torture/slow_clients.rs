//! Many clients send and read too slowly: each is disconnected in time, and the others are served as before: the 99th
//! percentile of their times is at most twice that of before.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::Args;
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::super::{CliError, counted};
use super::Outcome;
use super::client::Client;
use super::error::TortureError;
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
    /// The longest time for which a slow client may be connected
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    longest: u64,
    /// A 99th percentile that is fast enough, whatever it was before the slow clients came
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 2)]
    fast: u64,
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
        let (mut before, mut failed) = (Vec::new(), 0);
        for _ in 0..BEFORE {
            look(&mut guest, &mut before, &mut failed).await;
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
            look(&mut guest, looks, &mut failed).await;
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
        let times = [late(&mut before), late(&mut during)];
        Ok(Outcome {
            counts: vec![
                ("disconnected", open.len() as u64),
                ("longest_ms", longest),
                ("failed", failed),
                ("p99_before_us", times[0]),
                ("p99_arriving_us", late(&mut arriving)),
                ("p99_during_us", times[1]),
                ("memory_before_kb", memory_before),
                ("memory_most_kb", most_memory),
                ("memory_after_kb", memory_after),
            ],
            error: self.error(open.len(), longest, failed, times),
        })
    }

    /// Returns the failure of the test, if not all slow clients were disconnected within the time (`longest` is in
    /// milliseconds), or others were not served as before, with the 99th percentiles before and during them.
    fn error(
        &self,
        disconnected: usize,
        longest: u64,
        failed: u64,
        [before, during]: [u64; 2],
    ) -> Option<TortureError> {
        let clients = self.clients;
        TortureError::of_exceeded([
            (disconnected < clients, format!("{disconnected} of {clients} slow clients were disconnected")),
            (longest > self.longest.saturating_mul(1_000), format!("one of them after {longest} ms")),
            (failed > 0, counted(failed, "request of others failed", "requests of others failed")),
            (
                is_slow([before, during], self.fast),
                format!("the 99th percentile of others became {during} µs from {before} µs"),
            ),
        ])
    }
}

/// Reads a list, and notes the time it took, or that it failed.
async fn look(guest: &mut Client, times: &mut Vec<Duration>, failed: &mut u64) {
    let began = Instant::now();
    let response = guest.send(Method::GET, "/v1/products?limit=5", None, None).await;
    if response.is_ok_and(|response| response.status == 200) {
        times.push(began.elapsed());
    } else {
        *failed += 1;
    }
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

/// Returns whether the 99th percentile of times, in microseconds, has more than doubled and is above `fast`, in
/// milliseconds; also if there were no times, for which it is 0.
pub(super) fn is_slow([before, then]: [u64; 2], fast: u64) -> bool {
    then == 0 || then > (2 * before).max(fast.saturating_mul(1_000))
}

/// Returns the 99th percentile in microseconds.
pub(super) fn late(times: &mut [Duration]) -> u64 {
    times.sort_unstable();
    let at = times.get(times.len().saturating_sub(1 + times.len() / 100));
    at.map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST: SlowClients = SlowClients { clients: 3, server_processor: None, longest: 10, fast: 2 };

    #[test]
    fn slow_clients_that_stay_and_others_that_wait_are_a_failure() {
        assert!(TEST.error(3, 10_000, 0, [300, 2_000]).is_none());
        assert!(TEST.error(3, 10_000, 0, [1_500, 3_000]).is_none());
        for (disconnected, longest, failed, times, expected) in [
            (2, 8_000, 0, [300, 300], "2 of 3 slow clients were disconnected"),
            (3, 10_001, 0, [300, 300], "one of them after 10001 ms"),
            (3, 8_000, 1, [300, 300], "1 request of others failed"),
            (3, 8_000, 0, [300, 2_001], "the 99th percentile of others became 2001 µs from 300 µs"),
            (3, 8_000, 0, [1_500, 3_001], "the 99th percentile of others became 3001 µs from 1500 µs"),
            (3, 8_000, 0, [300, 0], "the 99th percentile of others became 0 µs from 300 µs"),
        ] {
            let error = TEST.error(disconnected, longest, failed, times).unwrap().to_string();
            assert_eq!(error, format!("the server was worse than it may be: {expected}"));
        }
    }
}
