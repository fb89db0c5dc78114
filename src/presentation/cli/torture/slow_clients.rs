//! Many clients send and read too slowly: each is disconnected in time, the others are served as before (the 99th
//! percentile of their times is at most twice that of before), and the server releases the memory that they used.

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
    /// A 99th percentile that is fast enough in the second in which the slow clients connect
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 20)]
    fast_arriving: u64,
    /// The most memory that the server may keep in addition, after the slow clients are disconnected
    #[arg(long, value_name = "MEBIBYTES", default_value_t = 32)]
    kept: u64,
}

/// What was measured.
#[derive(Clone, Copy)]
struct Measured {
    /// The slow clients that were disconnected.
    disconnected: usize,
    /// The longest time for which one of them was connected, in milliseconds.
    longest: u64,
    /// The requests of others that failed.
    failed: u64,
    /// The 99th percentiles of others in microseconds: before the slow clients, while they connected, and during them.
    late: [u64; 3],
    /// The memory of the server in kB: before them, at most, and after them; 0 if it is not known.
    memory: [u64; 3],
}

/// The pause between two bytes of a slow client.
const PAUSE: Duration = Duration::from_millis(500);
/// The pause between two requests of the other client.
const INTERVAL: Duration = Duration::from_millis(5);
/// The time in which all slow clients connect, and those that read nothing send all their requests.
const ARRIVAL: Duration = Duration::from_secs(1);
/// The longest wait for the server to release the memory that the slow clients used.
const RELEASE: Duration = Duration::from_secs(10);
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
        // the first request for the document generates it
        let mut failed = u64::from(!is_successful(&mut guest, "/openapi.json").await);
        let mut before = Vec::new();
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
        let ended = Instant::now();
        let mut memory_after = memory(&server);
        while self.keeps_too_much([memory_before, memory_after]) && ended.elapsed() < RELEASE {
            // memory is released while the server is used
            look(&mut guest, &mut Vec::new(), &mut failed).await;
            sleep(INTERVAL).await;
            memory_after = memory(&server);
        }
        server.stop().await?;

        let longest = open.iter().max().map_or(0, |open| u64::try_from(open.as_millis()).unwrap_or(u64::MAX));
        let measured = Measured {
            disconnected: open.len(),
            longest,
            failed,
            late: [late(&mut before), late(&mut arriving), late(&mut during)],
            memory: [memory_before, most_memory, memory_after],
        };
        Ok(Outcome { counts: measured.counts(), error: self.error(measured) })
    }

    /// Returns the failure of the test, if not all slow clients were disconnected within the time, others were not
    /// served as before, or the server kept the memory.
    fn error(&self, measured: Measured) -> Option<TortureError> {
        let Measured { disconnected, longest, failed, late: [before, arriving, during], memory } = measured;
        let (clients, [memory_before, _, memory_after]) = (self.clients, memory);
        TortureError::of_exceeded([
            (disconnected < clients, format!("{disconnected} of {clients} slow clients were disconnected")),
            (longest > self.longest.saturating_mul(1_000), format!("one of them after {longest} ms")),
            (failed > 0, counted(failed, "request of others failed", "requests of others failed")),
            (
                is_slow([before, arriving], self.fast_arriving),
                format!(
                    "the 99th percentile of others became {arriving} µs from {before} µs while they connected"
                ),
            ),
            (
                is_slow([before, during], self.fast),
                format!("the 99th percentile of others became {during} µs from {before} µs"),
            ),
            (
                self.keeps_too_much([memory_before, memory_after]),
                format!("the memory of the server became {memory_after} kB from {memory_before} kB"),
            ),
        ])
    }

    /// Returns whether a server that used the first amount of memory in kB before uses more than it may after.
    fn keeps_too_much(&self, [before, after]: [u64; 2]) -> bool {
        after > before.saturating_add(self.kept.saturating_mul(1 << 10))
    }
}

impl Measured {
    fn counts(self) -> Vec<(&'static str, u64)> {
        vec![
            ("disconnected", self.disconnected as u64),
            ("longest_ms", self.longest),
            ("failed", self.failed),
            ("p99_before_us", self.late[0]),
            ("p99_arriving_us", self.late[1]),
            ("p99_during_us", self.late[2]),
            ("memory_before_kb", self.memory[0]),
            ("memory_most_kb", self.memory[1]),
            ("memory_after_kb", self.memory[2]),
        ]
    }
}

/// Reads a list, and notes the time it took, or that it failed.
async fn look(guest: &mut Client, times: &mut Vec<Duration>, failed: &mut u64) {
    let began = Instant::now();
    if is_successful(guest, "/v1/products?limit=5").await {
        times.push(began.elapsed());
    } else {
        *failed += 1;
    }
}

/// Sends a request, and returns whether the response has status 200.
async fn is_successful(guest: &mut Client, path: &str) -> bool {
    let response = guest.send(Method::GET, path, None, None).await;
    response.is_ok_and(|response| response.status == 200)
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

    const TEST: SlowClients =
        SlowClients { clients: 3, server_processor: None, longest: 10, fast: 2, fast_arriving: 20, kept: 32 };
    const GOOD: Measured = Measured {
        disconnected: 3,
        longest: 10_000,
        failed: 0,
        late: [300, 20_000, 2_000],
        memory: [90_000, 200_000, 90_000 + (32 << 10)],
    };

    #[test]
    fn slow_clients_that_stay_others_that_wait_and_memory_that_is_kept_are_a_failure() {
        assert!(TEST.error(GOOD).is_none());
        assert!(TEST.error(Measured { late: [15_000, 30_000, 30_000], ..GOOD }).is_none());
        assert!(TEST.error(Measured { memory: [0; 3], ..GOOD }).is_none());
        for (measured, expected) in [
            (Measured { disconnected: 2, ..GOOD }, "2 of 3 slow clients were disconnected"),
            (Measured { longest: 10_001, ..GOOD }, "one of them after 10001 ms"),
            (Measured { failed: 1, ..GOOD }, "1 request of others failed"),
            (
                Measured { late: [300, 20_001, 300], ..GOOD },
                "the 99th percentile of others became 20001 µs from 300 µs while they connected",
            ),
            (
                Measured { late: [300, 300, 2_001], ..GOOD },
                "the 99th percentile of others became 2001 µs from 300 µs",
            ),
            (
                Measured { late: [1_500, 1_500, 3_001], ..GOOD },
                "the 99th percentile of others became 3001 µs from 1500 µs",
            ),
            (
                Measured { late: [300, 300, 0], ..GOOD },
                "the 99th percentile of others became 0 µs from 300 µs",
            ),
            (
                Measured { memory: [90_000, 200_000, 122_769], ..GOOD },
                "the memory of the server became 122769 kB from 90000 kB",
            ),
        ] {
            let error = TEST.error(measured).unwrap().to_string();
            assert_eq!(error, format!("the server was worse than it may be: {expected}"));
        }
    }
}
