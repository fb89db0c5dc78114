//! Compressed bodies of requests to a store, and what is refused of them.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::Shop;
use crate::support::http::bomb;

fn packed(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

on_both_engines!(a_compressed_body_is_decoded_up_to_the_limit);
async fn a_compressed_body_is_decoded_up_to_the_limit(shop: &Shop) {
    let server = shop.server().await;
    let guest = server.guest().with("content-type", "application/json").with("content-encoding", "gzip");
    guest.raw(Method::POST, "/v1/carts", packed(br#"{"currency": "EUR"}"#)).await.expect(201);

    let long = format!("{{}}{}", " ".repeat(65_534));
    guest.raw(Method::POST, "/v1/carts", packed(long.as_bytes())).await.expect(201);
    let longer = format!("{{}}{}", " ".repeat(65_535));
    let refused = guest.raw(Method::POST, "/v1/carts", packed(longer.as_bytes())).await;
    assert_eq!(refused.problem(413), "body_too_large");

    let mut corrupt = packed(br#"{"currency": "EUR"}"#);
    let end = corrupt.len() - 8;
    corrupt[end] ^= 1;
    let longer = [packed(br#"{"currency": "EUR"}"#), b"garbage".to_vec()].concat();
    for malformed in [corrupt, longer] {
        let refused = guest.raw(Method::POST, "/v1/carts", malformed).await;
        assert_eq!(
            (refused.problem(400), &refused.json()["header"]),
            ("malformed_header".into(), &"Content-Encoding".into())
        );
    }
    let half = &packed(br#"{"currency": "EUR"}"#)[..20];
    let refused = guest.raw(Method::POST, "/v1/carts", half.to_vec()).await;
    assert_eq!(refused.problem(400), "body_incomplete");
}

on_both_engines!(a_file_is_stored_as_it_was_sent_or_not_at_all);
async fn a_file_is_stored_as_it_was_sent_or_not_at_all(shop: &Shop) {
    let admin = shop.server().await.admin().await;
    let json = admin.with("content-type", "application/json");
    let coded = json.with("content-encoding", "gzip");
    let refused = coded.raw(Method::POST, "/admin/v1/files?name=a.json", packed(b"{}")).await;
    assert_eq!(refused.problem(415), "unsupported_content_coding");
    let file = json.raw(Method::POST, "/admin/v1/files?name=a.json", b"{}".to_vec()).await.expect(201);
    assert_eq!(file["size"], 2);
}

on_both_engines!(a_body_that_unpacks_to_a_gigabyte_is_refused_before_most_of_it_is_sent);
async fn a_body_that_unpacks_to_a_gigabyte_is_refused_before_most_of_it_is_sent(shop: &Shop) {
    let server = shop.server().await;
    let bomb = bomb();
    assert!((900_000..1_200_000).contains(&bomb.len()), "{}", bomb.len());
    let mut client = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /v1/carts HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n\
         content-length: {}\r\n\r\n",
        bomb.len()
    );
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&bomb[..4096]).await.unwrap();
    // the rest is not sent: the response does not wait for it
    let mut response = Vec::new();
    while !response.ends_with(b"}") {
        response.push(client.read_u8().await.unwrap());
    }
    let response = String::from_utf8(response).unwrap();
    assert!(response.starts_with("HTTP/1.1 413 "), "{response}");
    assert!(response.contains("connection: close\r\n"), "{response}");
}
