//! The lines of requests in the log.

use tempfile::TempDir;

use super::{SERVE, Server, send, undercroft};

/// Returns the line of a request from a client behind a proxy, logged in this form.
fn line(form: &str) -> String {
    let folder = TempDir::new().unwrap();
    let mut command = undercroft(folder.path(), &SERVE);
    command
        .env("UNDERCROFT_LOG__FORMAT", "json")
        .env("UNDERCROFT_LOG__CLIENT_ADDRESS", form)
        .env("UNDERCROFT_PAYMENTS__SANDBOX", "enabled")
        .env("UNDERCROFT_HTTP__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]");
    let (mut server, address) = Server::start(&mut command);
    send(
        &address,
        "GET /v1/carts/x HTTP/1.1\r\nhost: shop\r\nx-forwarded-for: 192.0.2.77\r\nconnection: close\r\n\r\n",
    );
    let line = server.wait_for_log("/v1/carts/{id}");
    server.stop();
    line
}

#[test]
fn the_address_of_the_client_is_logged_as_the_setting_says() {
    assert!(line("full").contains("\"192.0.2.77\""));
    let truncated = line("truncated");
    assert!(truncated.contains("\"192.0.2.0/24\"") && !truncated.contains("192.0.2.77"), "{truncated}");
    assert!(!line("none").contains("192.0.2."));
}
