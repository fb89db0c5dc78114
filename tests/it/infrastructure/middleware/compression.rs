//! Compressed responses with their entity tags, and compressed requests.

use std::io::{Read, Write};
use std::sync::LazyLock;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, put};
use axum::{Extension, Router};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::{HeaderMap, Method, Request};
use undercroft::infrastructure::cache::KeptBody;
use undercroft::infrastructure::middleware::{Chain, CompressionMiddleware, PublicResponse};

use super::{send, text};

const TAG: &str = "\"3-abc\"";

/// A body that a cache keeps.
static KEPT: LazyLock<KeptBody> = LazyLock::new(|| long().into_bytes().into());

fn long() -> String {
    format!("[{}]", "1234567890,".repeat(200))
}

fn json(
    headers: &[(&'static str, &'static str)],
    body: String,
) -> (HeaderMap, axum::Extension<PublicResponse>, String) {
    let headers = headers.iter().chain(&[("content-type", "application/json")]);
    let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    (headers, axum::Extension(PublicResponse), body)
}

fn router() -> Router {
    let given = async |headers: HeaderMap, body: Bytes| {
        format!("{} {} {}", text(&headers, "if-match"), text(&headers, "content-encoding"), body.len())
    };
    let routes = Router::new()
        .route("/list", get(async || json(&[("etag", TAG)], long())))
        .route("/kept", get(async || (Extension(KEPT.clone()), json(&[("etag", TAG)], long()))))
        .route("/untagged", get(async || json(&[], long())))
        .route("/short", get(async || json(&[("etag", TAG)], "[]".into())))
        .route("/weak", get(async || json(&[("etag", "W/\"1\"")], long())))
        .route("/token", get(async || json(&[("cache-control", "no-store"), ("etag", TAG)], long())))
        .route("/cookie", get(async || json(&[("set-cookie", "a=b")], long())))
        .route(
            "/image",
            get(async || ([("content-type", "image/png")], axum::Extension(PublicResponse), long())),
        )
        .route("/events", get(async || ([("content-type", "text/event-stream")], long())))
        .route("/coded", get(async || json(&[("content-encoding", "br")], long())))
        .route("/given", put(given).post(given))
        .layer(DefaultBodyLimit::disable());
    let compression = CompressionMiddleware { threshold: Some(1000), level: 4 };
    Chain { compression, ..Chain::default() }.apply(routes)
}

async fn read(method: Method, path: &str, headers: &[(&'static str, &str)]) -> (u16, HeaderMap, Bytes) {
    let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let response = send(&router(), request).await;
    let (head, body) = response.into_parts();
    (head.status.as_u16(), head.headers, to_bytes(body, usize::MAX).await.unwrap())
}

fn unpacked(bytes: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_long_text_is_compressed_for_clients_that_accept_it() {
    for accepted in ["gzip", "br, gzip;q=0.5", "GZIP", "deflate, gzip, br"] {
        let (_, headers, body) = read(Method::GET, "/list", &[("accept-encoding", accepted)]).await;
        assert_eq!(text(&headers, "content-encoding"), "gzip", "{accepted}");
        assert_eq!(text(&headers, "vary"), "accept-encoding");
        assert!(body.len() < long().len() / 4);
        assert_eq!(unpacked(&body), long());
    }
    for accepted in ["", "br", "gzip;q=0", "gzip;Q=0", "identity", "*", "gzip;q=x"] {
        let (_, headers, body) = read(Method::GET, "/list", &[("accept-encoding", accepted)]).await;
        assert_eq!(text(&headers, "content-encoding"), "", "{accepted}");
        assert_eq!(text(&headers, "vary"), "accept-encoding", "{accepted}");
        assert_eq!(text(&headers, "content-length"), long().len().to_string());
        assert_eq!(body, long());
    }
}

#[tokio::test]
async fn a_body_that_is_kept_is_compressed_once() {
    let gzip = ("accept-encoding", "gzip");
    let (_, plain, body) = read(Method::GET, "/kept", &[]).await;
    assert_eq!((text(&plain, "etag"), text(&plain, "vary")), (TAG, "accept-encoding"));
    assert_eq!(body, long());
    let (_, first, body) = read(Method::GET, "/kept", &[gzip]).await;
    assert_eq!(unpacked(&body), long());
    assert_eq!((text(&first, "etag"), text(&first, "vary")), ("\"3-abc-gzip\"", "accept-encoding"));
    assert_eq!(text(&first, "content-length"), body.len().to_string());

    let again = KEPT.gzip(|_| Err("it is compressed again"));
    assert_eq!(again.as_ref(), Ok(&body));
    let (_, second, same) = read(Method::GET, "/kept", &[gzip]).await;
    assert_eq!((second, same), (first, body));
}

#[tokio::test]
async fn secrets_short_texts_images_streams_and_coded_bodies_are_not_compressed() {
    for path in ["/short", "/token", "/cookie", "/image", "/events", "/coded", "/missing"] {
        let (_, headers, _) = read(Method::GET, path, &[("accept-encoding", "gzip")]).await;
        assert_ne!(text(&headers, "content-encoding"), "gzip", "{path}");
        assert_ne!(text(&headers, "vary"), "accept-encoding", "{path}");
    }
}

#[tokio::test]
async fn each_coding_has_an_entity_tag_and_conditions_compare_both() {
    let gzip = ("accept-encoding", "gzip");
    for path in ["/list", "/untagged"] {
        let (_, plain, _) = read(Method::GET, path, &[]).await;
        let (_, coded, _) = read(Method::GET, path, &[gzip]).await;
        let (plain, coded) = (text(&plain, "etag"), text(&coded, "etag"));
        assert_eq!(coded, format!("{}-gzip\"", plain.strip_suffix('"').unwrap()));
        let both = format!("\"x\", {coded}");
        for (known, accepts, status, tag) in [
            (coded, true, 304, coded),
            (&*both, true, 304, coded),
            (plain, true, 304, plain),
            (plain, false, 304, plain),
            // without the coding, the client cannot use what it has
            (coded, false, 200, plain),
            ("\"3-abcd-gzip\"", true, 200, coded),
        ] {
            let condition = ("if-none-match", known);
            let headers = if accepts { vec![condition, gzip] } else { vec![condition] };
            let (found, headers, body) = read(Method::GET, path, &headers).await;
            assert_eq!((found, text(&headers, "etag")), (status, tag), "{path} {known} {accepts}");
            assert_eq!(body.is_empty(), status == 304);
            assert_eq!(text(&headers, "vary"), "accept-encoding", "{path} {known}");
        }
    }
    let (_, weak, _) = read(Method::GET, "/weak", &[gzip]).await;
    assert_eq!((text(&weak, "content-encoding"), text(&weak, "etag")), ("gzip", "W/\"1\""));
}

#[tokio::test]
async fn the_head_of_a_response_is_that_of_a_get() {
    for path in ["/list", "/kept", "/short", "/untagged", "/token", "/missing"] {
        for accepted in ["gzip", ""] {
            let (status, mut of_get, _) = read(Method::GET, path, &[("accept-encoding", accepted)]).await;
            let (found, of_head, body) = read(Method::HEAD, path, &[("accept-encoding", accepted)]).await;
            of_get.remove("date");
            assert_eq!((found, &of_head, body.len()), (status, &of_get, 0), "{path} {accepted}");
        }
    }
}

async fn sent(headers: &[(&'static str, &str)], body: Vec<u8>) -> (u16, HeaderMap, String) {
    let mut request = Request::put("/given").body(Body::from(body)).unwrap();
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    let (head, body) = send(&router(), request).await.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    (head.status.as_u16(), head.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn json_is_decoded_and_if_match_has_the_tag_without_its_coding() {
    let json = ("content-type", "application/json; charset=utf-8");
    for coding in ["gzip", "GZip", "x-gzip"] {
        let headers = [json, ("content-encoding", coding), ("if-match", "\"3-abc-gzip\", W/\"4-gzip\"")];
        let (status, _, body) = sent(&headers, packed(long().as_bytes())).await;
        assert_eq!((status, body), (200, format!("\"3-abc\", W/\"4\"  {}", long().len())), "{coding}");
    }
    let (status, _, body) = sent(&[json, ("content-encoding", "identity")], b"[]".to_vec()).await;
    assert_eq!((status, &*body), (200, "  2"));
    let coded = [json, ("content-encoding", "gzip")];
    let (status, ..) = sent(&coded, b"no gzip".to_vec()).await;
    assert_eq!(status, 400);
    for rest in [vec![0], b"garbage".to_vec(), packed(b"[]"), vec![0; 100_000]] {
        let (status, ..) = sent(&coded, [packed(b"[]"), rest.clone()].concat()).await;
        assert_eq!(status, 400, "{} bytes after the coded ones", rest.len());
    }
}

#[tokio::test]
async fn another_coding_is_refused_with_those_that_are_accepted() {
    let (json, image) = (("content-type", "application/json"), ("content-type", "image/png"));
    let coding = |name| ("content-encoding", name);
    for (headers, accepted) in [
        (vec![json, coding("br")], "gzip"),
        (vec![json, coding("gzip, gzip")], "gzip"),
        (vec![json, coding("gzip"), coding("gzip")], "gzip"),
        (vec![json, coding("")], "gzip"),
        (vec![image, coding("gzip")], "identity"),
        (vec![coding("gzip")], "identity"),
    ] {
        let (status, answered, body) = sent(&headers, packed(b"[]")).await;
        assert_eq!((status, text(&answered, "accept-encoding")), (415, accepted), "{headers:?}");
        assert!(body.contains("\"code\":\"unsupported_content_coding\""), "{body}");
    }
}
