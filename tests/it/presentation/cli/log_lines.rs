//! The lines of requests in the log.

use tempfile::TempDir;

use super::{SERVE, Server, send, undercroft};

/// Returns the line of a request from a client behind a proxy, logged in this form.
fn line(form: &str) -> String {
    line_of(form, "GET /v1/carts/x", "", "/v1/carts/{id}")
}

/// Returns the line of a request with these headers to a route, which names the address of the client in this form.
fn line_of(form: &str, request: &str, headers: &str, route: &str) -> String {
    let folder = TempDir::new().unwrap();
    let mut command = undercroft(folder.path(), &SERVE);
    command
        .env("UNDERCROFT_LOG__FORMAT", "json")
        .env("UNDERCROFT_LOG__CLIENT_ADDRESS", form)
        .env("UNDERCROFT_PAYMENTS__SANDBOX", "enabled")
        .env("UNDERCROFT_HTTP__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]");
    let (mut server, address) = Server::start(&mut command);
    let head = "HTTP/1.1\r\nhost: shop\r\nx-forwarded-for: 192.0.2.77\r\nconnection: close";
    send(&address, &format!("{request} {head}\r\n{headers}\r\n"));
    let line = server.wait_for_log(route);
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

#[test]
fn the_line_of_a_request_that_is_not_allowed_has_the_reason() {
    let guest = line_of("none", "GET /admin/v1/orders", "", "/admin/v1/orders");
    assert!(guest.contains("\"status\":401") && guest.contains("\"reason\":\"not logged in\""), "{guest}");
    let headers = "cookie: undercroft_session=x\r\norigin: https://evil.example\r\n";
    let forged = line_of("none", "DELETE /admin/v1/roles/x", headers, "/admin/v1/roles/{name}");
    assert!(
        forged.contains("\"status\":403") && forged.contains("\"reason\":\"sent by another site\""),
        "{forged}"
    );
}
