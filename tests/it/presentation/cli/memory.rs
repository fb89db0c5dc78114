//! The memory of a server process to which large and deep requests are sent.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{SERVE, Server, create_cart, undercroft};
use crate::support::http::bomb;

/// How often each request is sent: a server that kept a body of [`BODY_LIMIT`] of each would use more than [`MOST`].
const ROUNDS: usize = 200;
/// The most memory that the server may use in addition, in kB.
const MOST: u64 = 16 << 10;
/// The most that it may still use in addition after the requests, in kB.
const KEPT: u64 = 4 << 10;
/// The number of carts that are created, one in [`PAUSE`], until it uses no more than that.
const CARTS: usize = 800;
/// The pause between two carts.
const PAUSE: Duration = Duration::from_millis(25);
/// The largest body in bytes: the nested JSON is not refused for its length.
const BODY_LIMIT: &str = "131072";

/// The resident memory of a process in kB, without the pages of its program file.
fn resident(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("the resident memory");
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Creates a cart, and returns the memory of the server in kB.
fn with_a_further_cart(address: &str, id: u32) -> u64 {
    assert!(create_cart(address).starts_with("HTTP/1.1 201 "));
    thread::sleep(PAUSE);
    resident(id)
}

/// Creates carts until the memory of a server that has just started does not increase any more; returns it in kB.
fn settled(address: &str, id: u32) -> u64 {
    let (mut most, mut without_increase) = (resident(id), 0);
    while without_increase < 20 {
        let now = with_a_further_cart(address, id);
        without_increase = if now > most { 0 } else { without_increase + 1 };
        most = most.max(now);
    }
    most
}

/// Sends a request on a new connection; returns what the server sends until it closes the connection. If it does not
/// read all of the request, its response may be lost.
fn send_all(address: &str, request: &[u8]) -> String {
    let mut client = TcpStream::connect(address).unwrap();
    let mut received = Vec::new();
    let _ = client.write_all(request);
    let _ = client.read_to_end(&mut received);
    String::from_utf8(received).unwrap()
}

/// Sends a request; returns the response and the time it took.
fn timed(address: &str, request: &[u8]) -> (String, Duration) {
    let began = Instant::now();
    (send_all(address, request), began.elapsed())
}

/// Prints the median and the longest of times. How long a loaded machine takes is nothing that a test can judge.
fn print(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    println!("{what}: refused in {:?}, {:?} at most", times[times.len() / 2], times[times.len() - 1]);
}

/// A request that creates a cart, with these headers and this body.
fn post(headers: &str, body: &[u8]) -> Vec<u8> {
    let head =
        "POST /v1/carts HTTP/1.1\r\nhost: shop\r\nconnection: close\r\ncontent-type: application/json\r\n";
    [format!("{head}{headers}\r\n").as_bytes(), body].concat()
}

#[test]
fn memory_for_large_and_deep_requests_is_bounded_and_released() {
    let folder = TempDir::new().unwrap();
    let mut command = undercroft(folder.path(), &SERVE);
    let settings = [
        ("UNDERCROFT_HTTP__BODY_LIMIT_BYTES", BODY_LIMIT),
        ("UNDERCROFT_RATE_LIMITS__ENABLED", "false"),
        // small pages: of a huge one, all counts as soon as a part is used
        ("MIMALLOC_ALLOW_THP", "0"),
    ];
    // no one reads the log
    let (server, address) = Server::start(command.args(["--log-level", "error"]).envs(settings));
    let id = server.child.id();
    let before = settled(&address, id);

    // without a length, so that it is unpacked until the limit
    let packed = bomb();
    let chunk = [format!("{:x}\r\n", packed.len()).as_bytes(), &packed, b"\r\n0\r\n\r\n"].concat();
    let unpacks_to_a_gigabyte = post("content-encoding: gzip\r\ntransfer-encoding: chunked\r\n", &chunk);
    let many_headers = post(&"x: y\r\n".repeat(100_000), b"");
    let deep = post("content-length: 100000\r\n", "[".repeat(100_000).as_bytes());
    let mut times: [Vec<_>; 3] = Default::default();
    let most = thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let requests = [(&unpacks_to_a_gigabyte, "413"), (&many_headers, "431"), (&deep, "400")];
            for _ in 0..ROUNDS {
                for (times, (request, status)) in times.iter_mut().zip(requests) {
                    let (response, took) = timed(&address, request);
                    let is_refused = response.starts_with(&format!("HTTP/1.1 {status} "));
                    // the server reads all of the deep one
                    let may_be_lost = response.is_empty() && status != "400";
                    assert!(is_refused || may_be_lost, "{status}: {response}");
                    times.push(took);
                }
            }
        });
        let mut most = before;
        while !sender.is_finished() {
            most = most.max(resident(id));
            thread::sleep(Duration::from_millis(1));
        }
        most
    });
    assert!(most <= before + MOST, "{before} kB before, {most} kB at most");
    // memory is released while the server is used
    let is_released = (0..CARTS).any(|_| with_a_further_cart(&address, id) <= before + KEPT);
    assert!(is_released, "{before} kB before, {} kB after", resident(id));
    for (what, times) in ["unpacking to a gigabyte", "many headers", "deep JSON"].into_iter().zip(&mut times)
    {
        print(what, times);
    }
    server.stop();
}
