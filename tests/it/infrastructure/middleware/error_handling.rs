//! Errors of handlers, panics, time-outs, unknown routes and methods as problem documents, in the language of the
//! client.

use std::future::pending;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Path;
use axum::routing::{get, post};
use http::{HeaderMap, Method, Request, StatusCode};
use serde_json::Value;
use undercroft::infrastructure::exceptions::{Conflict, Failure, NotReady, NotReadyReason, Technical};
use undercroft::infrastructure::middleware::{Chain, ErrorHandlingMiddleware, Languages, Recheck};

use super::{send, text};

fn router(error_handling: ErrorHandlingMiddleware) -> Router {
    let stale = async || Failure::from(Conflict::Stale);
    let routes = Router::new()
        .route("/panic", get(async || panic!("secret") as &str))
        .route("/wait", get(pending::<&str>))
        .route("/broken", get(async || Failure::from(Technical::internal("secret"))))
        .route("/stale", get(stale).post(stale))
        .route("/status/{code}", post(async |Path(code): Path<u16>| StatusCode::from_u16(code).unwrap()))
        .route("/own", get(async || (StatusCode::NOT_FOUND, "own text")))
        .route("/bare", post(async || StatusCode::NOT_FOUND))
        .route("/languages", get(async |languages: Languages| format!("{languages:?}")));
    Chain { error_handling, ..Chain::default() }.apply(routes)
}

async fn read(router: &Router, method: Method, path: &str, language: &str) -> (u16, HeaderMap, String) {
    let request = Request::builder().method(method).uri(path).header("accept-language", language);
    let (head, body) = send(router, request.body(Body::empty()).unwrap()).await.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    (head.status.as_u16(), head.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn every_error_is_a_problem_document_in_the_language_of_the_client() {
    let timeout = Some(Duration::from_millis(20));
    let router = router(ErrorHandlingMiddleware { timeout, ..ErrorHandlingMiddleware::default() });
    for (method, path, status, code, german) in [
        (Method::GET, "/panic", 500, "internal", "Interner Fehler"),
        (Method::GET, "/wait", 504, "timed_out", "Zeit überschritten"),
        (Method::GET, "/broken", 500, "internal", "Interner Fehler"),
        (Method::GET, "/stale", 409, "stale", "Inzwischen geändert"),
        (Method::GET, "/none", 404, "route_not_found", "Nicht gefunden"),
        (Method::DELETE, "/stale", 405, "method_not_allowed", "Methode nicht erlaubt"),
    ] {
        for (accepted, language) in [("de-AT, en;q=0.5", "de"), ("en, de;q=0.5", "en"), ("xx", "en")] {
            let (found, headers, body) = read(&router, method.clone(), path, accepted).await;
            assert_eq!(
                (found, text(&headers, "content-type")),
                (status, "application/problem+json"),
                "{path}"
            );
            assert_eq!(text(&headers, "content-language"), language, "{path} {accepted}");
            // the server adds it where the router does not
            let length = headers.get("content-length");
            assert!(length.is_none_or(|length| *length == body.len().to_string()), "{path}");
            assert!(headers.get_all("vary").iter().any(|value| value == "accept-language"), "{path}");
            let problem: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(problem["code"], code, "{body}");
            assert_eq!(problem["title"] == german, language == "de", "{body}");
            assert_eq!(problem["instance"].is_string(), status >= 500, "{body}");
            assert!(!body.contains("secret"), "{body}");
        }
    }
}

#[tokio::test]
async fn responses_that_a_service_makes_itself_stay_as_they_are() {
    let router = router(ErrorHandlingMiddleware::default());
    for (method, path, status, expected) in [
        (Method::GET, "/own", 404, "own text"),
        (Method::POST, "/bare", 404, ""),
        (Method::OPTIONS, "/stale", 204, ""),
        (Method::GET, "/languages", 200, r#"Languages(["de"])"#),
    ] {
        let (found, headers, body) = read(&router, method, path, "de").await;
        assert_eq!((found, body.as_str()), (status, expected), "{path}");
        assert_eq!(text(&headers, "content-language"), "", "{path}");
    }
    let (_, headers, _) = read(&router, Method::OPTIONS, "/stale", "de").await;
    assert_eq!(text(&headers, "allow"), "GET,HEAD,POST");
}

#[tokio::test]
async fn a_check_explains_the_refusal_of_a_change() {
    let moved = async || Err(Failure::from(NotReady { reason: NotReadyReason::Moved }));
    let recheck = Some(Recheck::new(moved));
    let router = router(ErrorHandlingMiddleware { recheck, ..ErrorHandlingMiddleware::default() });
    for (method, status) in [(Method::POST, 503), (Method::GET, 409)] {
        assert_eq!(read(&router, method, "/stale", "en").await.0, status);
    }
}

#[tokio::test]
async fn a_check_is_asked_only_about_refusals_that_it_may_explain() {
    let moved = async || Err(Failure::from(NotReady { reason: NotReadyReason::Moved }));
    let recheck = Some(Recheck::new(moved));
    let router = router(ErrorHandlingMiddleware { recheck, ..ErrorHandlingMiddleware::default() });
    for status in [201, 401, 413, 415, 429, 500] {
        assert_eq!(read(&router, Method::POST, &format!("/status/{status}"), "en").await.0, status);
    }
    for status in [400, 403, 404, 409, 412, 422] {
        assert_eq!(read(&router, Method::POST, &format!("/status/{status}"), "en").await.0, 503, "{status}");
    }
}

#[tokio::test]
async fn a_check_is_part_of_the_request() {
    let timeout = Some(Duration::from_millis(20));
    for (recheck, status, code) in [
        (Recheck::new(pending), 504, "timed_out"),
        (Recheck::new(async || -> Result<(), Failure> { panic!("secret") }), 500, "internal"),
    ] {
        let recheck = Some(recheck);
        let router =
            router(ErrorHandlingMiddleware { timeout, recheck, ..ErrorHandlingMiddleware::default() });
        let (found, _, body) = read(&router, Method::POST, "/stale", "en").await;
        assert_eq!(found, status, "{body}");
        assert!(body.contains(code) && !body.contains("secret"), "{body}");
    }
}
