//! The memory of a server process to which large and deep requests are sent.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::{SERVE, Server, create_cart, undercroft};
use crate::support::http::bomb;

/// How often each request is sent: a server that kept a body of [`BODY_LIMIT`] of each would use more than [`MOST`].
const ROUNDS: usize = 200;
/// The most memory that the server may use in addition, in kB.
const MOST: u64 = 16 << 10;
/// The largest body in bytes: the nested JSON is not refused for its length.
const BODY_LIMIT: &str = "131072";

/// The resident memory of a process in kB.
fn resident(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the resident memory");
    line.trim().trim_end_matches(" kB").parse().unwrap()
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
    let settings =
        [("UNDERCROFT_HTTP__BODY_LIMIT_BYTES", BODY_LIMIT), ("UNDERCROFT_RATE_LIMITS__ENABLED", "false")];
    // no one reads the log
    let (server, address) = Server::start(command.args(["--log-level", "error"]).envs(settings));
    assert!(create_cart(&address).starts_with("HTTP/1.1 201 "));
    let id = server.child.id();
    let before = resident(id);

    // without a length, so that it is unpacked until the limit
    let packed = bomb();
    let chunk = [format!("{:x}\r\n", packed.len()).as_bytes(), &packed, b"\r\n0\r\n\r\n"].concat();
    let unpacks_to_a_gigabyte = post("content-encoding: gzip\r\ntransfer-encoding: chunked\r\n", &chunk);
    let many_headers = post(&"x: y\r\n".repeat(100_000), b"");
    let deep = post("content-length: 100000\r\n", "[".repeat(100_000).as_bytes());
    let most = thread::scope(|scope| {
        let sender = scope.spawn(|| {
            for _ in 0..ROUNDS {
                for (request, status) in [(&unpacks_to_a_gigabyte, "413"), (&many_headers, "4")] {
                    let response = send_all(&address, request);
                    let is_refused = response.starts_with(&format!("HTTP/1.1 {status}"));
                    assert!(is_refused || response.is_empty(), "{status}: {response}");
                }
                let response = send_all(&address, &deep);
                assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
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
    server.stop();
}
