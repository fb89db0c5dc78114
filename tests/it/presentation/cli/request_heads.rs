//! The heads of requests that the server refuses.

use tempfile::TempDir;

use super::{send, serve};

#[test]
fn a_request_needs_exactly_one_valid_host() {
    let folder = TempDir::new().unwrap();
    let (server, address) = serve(folder.path());
    for (head, status) in [
        ("HTTP/1.1\r\nhost: shop\r\n", "HTTP/1.1 200 "),
        ("HTTP/1.1\r\n", "HTTP/1.1 400 "),
        ("HTTP/1.1\r\nhost: shop\r\nhost: shop\r\n", "HTTP/1.1 400 "),
        ("HTTP/1.1\r\nhost: a b/..\r\n", "HTTP/1.1 400 "),
        ("HTTP/1.1\r\nhost: ann@shop\r\n", "HTTP/1.1 400 "),
        ("HTTP/1.1\r\nhost: shop:99999\r\n", "HTTP/1.1 400 "),
        ("HTTP/1.1\r\nhost: [::1]:8080\r\n", "HTTP/1.1 200 "),
        ("HTTP/1.0\r\n", "HTTP/1.0 200 "),
        ("HTTP/1.0\r\nhost: a b\r\n", "HTTP/1.0 400 "),
    ] {
        let response = send(&address, &format!("GET /health/live {head}connection: close\r\n\r\n"));
        assert!(response.starts_with(status), "{head}: {response}");
    }
    server.stop();
}

#[test]
fn a_transfer_coding_other_than_chunked_is_refused() {
    let folder = TempDir::new().unwrap();
    let (server, address) = serve(folder.path());
    for (coding, status) in [
        ("chunked", "HTTP/1.1 201 "),
        ("Chunked", "HTTP/1.1 201 "),
        ("gzip, chunked", "HTTP/1.1 400 "),
        ("gzip\r\ntransfer-encoding: chunked", "HTTP/1.1 400 "),
    ] {
        let head = format!("POST /v1/carts HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: {coding}\r\n");
        let rest = "content-type: application/json\r\nconnection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
        let response = send(&address, &format!("{head}{rest}"));
        assert!(response.starts_with(status), "{coding}: {response}");
    }
    server.stop();
}
