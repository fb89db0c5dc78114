//! The client of a request behind proxies, over connections of several addresses.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::Extension;
use axum::Router;
use axum::routing::get;
use http::header::HOST;
use http::{HeaderMap, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;
use undercroft::domain::context::Context;
use undercroft::infrastructure::middleware::{Chain, Client, TrustedProxies};
use undercroft::presentation::http::server::serve;
use undercroft::settings::HttpSettings;

use crate::support::{Shop, TestServer};

/// The proxies that the servers of these tests trust.
fn settings() -> HttpSettings {
    let trusted_proxies = TrustedProxies::parse(["127.0.0.1", "10.0.0.0/8"]).unwrap();
    HttpSettings { trusted_proxies, ..HttpSettings::default() }
}

/// Starts a server that responds with the client of the request.
async fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let show = async |Extension(client): Extension<Client>| {
        let host = client.host.as_ref().map_or("-", |host| host.to_str().unwrap());
        format!("{} {} {host}", client.address, if client.is_https { "https" } else { "http" })
    };
    let hosts = async |headers: HeaderMap| format!("{:?}", headers.get_all(HOST).iter().collect::<Vec<_>>());
    let router = Router::new().route("/", get(show)).route("/hosts", get(hosts));
    tokio::spawn(async move {
        let (chain, context) = (Chain::default(), Context::system());
        serve(listener, router, chain, &settings(), context, CancellationToken::new()).await
    });
    address
}

/// Sends a request with these lines in its head from an address of this machine; returns the body of the response.
async fn client(server: SocketAddr, from: [u8; 4], lines: &str) -> String {
    send(server, from, &format!("GET / HTTP/1.1\r\nhost: inner:8080\r\n{lines}")).await
}

/// Sends a head with this beginning from an address of this machine; returns the body of the response.
async fn send(server: SocketAddr, from: [u8; 4], head: &str) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((IpAddr::from(from), 0).into()).unwrap();
    let mut stream = socket.connect(server).await.unwrap();
    stream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[tokio::test]
async fn only_a_trusted_proxy_reports_the_client() {
    let (server, proxy, other) = (start().await, [127, 0, 0, 1], [127, 0, 0, 2]);
    let reported = "x-forwarded-for: 203.0.113.9, 192.0.2.1, 10.0.0.7\r\nx-forwarded-proto: https\r\n\
                    x-forwarded-host: shop.example\r\n";
    assert_eq!(client(server, proxy, reported).await, "192.0.2.1 https shop.example");
    assert_eq!(client(server, other, reported).await, "127.0.0.2 http inner:8080");
    assert_eq!(client(server, proxy, "").await, "127.0.0.1 http inner:8080");
    let standard =
        "forwarded: for=203.0.113.9\r\nforwarded: for=\"[2001:db8::1]:9\";proto=https;host=shop.example\r\n";
    assert_eq!(client(server, proxy, standard).await, "2001:db8::1 https shop.example");
    assert_eq!(client(server, other, standard).await, "127.0.0.2 http inner:8080");
}

#[tokio::test]
async fn malformed_reports_leave_the_address_of_the_peer() {
    let (server, proxy) = (start().await, [127, 0, 0, 1]);
    for lines in [
        "x-forwarded-for: \u{e9}\r\n",
        "x-forwarded-for: ,,,,\r\n",
        "forwarded: for=\"\r\n",
        "forwarded: for=192.0.2.1;for=192.0.2.2\r\n",
        "forwarded: for=192.0.2.1\r\nx-forwarded-for: 192.0.2.2\r\n",
        "x-forwarded-host: a b\r\n",
    ] {
        assert_eq!(client(server, proxy, lines).await, "127.0.0.1 http inner:8080", "{lines}");
    }
    let many = format!("x-forwarded-for: {}\r\n", "10.0.0.1,".repeat(4_000));
    assert_eq!(client(server, proxy, &many).await, "127.0.0.1 http inner:8080");
}

#[tokio::test]
async fn the_host_of_an_absolute_target_counts_and_not_the_header() {
    let (server, other) = (start().await, [127, 0, 0, 2]);
    for (target, host, expected) in [
        ("http://shop.example/", "host: inner:8080\r\n", "127.0.0.2 http shop.example"),
        ("http://shop.example:8080/", "host: other.example\r\n", "127.0.0.2 http shop.example:8080"),
        ("https://shop.example/", "host: shop.example\r\n", "127.0.0.2 http shop.example"),
        ("http://shop.example/hosts", "host: inner:8080\r\n", "[\"shop.example\"]"),
        ("/hosts", "host: inner:8080\r\n", "[\"inner:8080\"]"),
    ] {
        let body = send(server, other, &format!("GET {target} HTTP/1.1\r\n{host}")).await;
        assert_eq!(body, expected, "{target} {host}");
    }
    for (target, host, code) in [
        ("http://user@shop.example/", "host: shop.example\r\n", "malformed_header"),
        ("http://shop.example/", "host: shop/x\r\n", "malformed_header"),
        ("http://shop.example/", "", "not_one_host"),
        ("http://shop.example/", "host: shop.example\r\nhost: shop.example\r\n", "not_one_host"),
    ] {
        let body = send(server, other, &format!("GET {target} HTTP/1.1\r\n{host}")).await;
        assert!(body.contains(&format!("\"code\":\"{code}\"")), "{target} {host} → {body}");
    }
    // a trusted proxy still reports another one
    let reported =
        "GET http://inner:8080/ HTTP/1.1\r\nhost: inner:8080\r\nx-forwarded-host: shop.example\r\n";
    assert_eq!(send(server, [127, 0, 0, 1], reported).await, "127.0.0.1 http shop.example");
}

#[test]
fn an_address_of_ipv4_over_a_socket_of_ipv6_is_found_in_the_network_of_ipv4() {
    let trusted = TrustedProxies::parse(["127.0.0.1"]).unwrap();
    let headers = [("x-forwarded-for".parse().unwrap(), HeaderValue::from_static("192.0.2.1"))];
    let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped().into();
    let found = Client::of(&headers.into_iter().collect(), mapped, &trusted);
    assert_eq!(found.address, Ipv4Addr::new(192, 0, 2, 1));
}

on_both_engines!(the_origin_of_a_page_is_compared_with_the_one_that_the_browser_sees);
async fn the_origin_of_a_page_is_compared_with_the_one_that_the_browser_sees(shop: &Shop) {
    let (direct, behind) =
        (shop.server().await.clone(), TestServer::start_with(shop.store.clone(), settings()).await);
    for (server, status) in [(direct, 403), (behind, 204)] {
        let session = server.customer().await;
        let token = session.header("authorization").strip_prefix("Bearer ").unwrap();
        let page = server
            .guest()
            .with("cookie", &format!("undercroft_session={token}"))
            .with("origin", "https://shop.example");
        page.delete("/v1/sessions").await.expect(403);
        let reported = page.with("x-forwarded-host", "shop.example");
        reported.with("x-forwarded-proto", "http").delete("/v1/sessions").await.expect(403);
        let reported = reported.with("x-forwarded-proto", "https");
        assert_eq!(reported.delete("/v1/sessions").await.status, status);
    }
}
