//! The faults of the path, the query, the headers and the body of one request are one response, once the policy of the
//! route allows the request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::FromRequestParts;
use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::request::{Builder, Parts};
use http::{Method, Request, StatusCode};
use serde::Deserialize;
use serde_json::json;
use undercroft::domain::ids::ProductId;
use undercroft::infrastructure::exceptions::{
    Failure, Fault, Location, RequestFaults, UnauthorizedAccessException, ValidationException,
};
use undercroft::presentation::http::conditional::IfMatch;
use undercroft::presentation::http::idempotency_key::Idempotent;
use undercroft::presentation::http::json::Json;
use undercroft::presentation::http::principal::Public;
use undercroft::presentation::http::query::{Path, Query};
use undercroft::presentation::http::routing::{Access, Policy, Routes};
use uuid::Uuid;

use super::{Filter, Parcel, faults, good, send};

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// A policy that allows no request.
struct Closed;

impl Policy for Closed {
    const ACCESS: Access = Access::Anyone;
}

impl<S: Sync> FromRequestParts<S> for Closed {
    type Rejection = Failure;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Failure> {
        Err(UnauthorizedAccessException::NotAllowed.into())
    }
}

async fn replace(
    _: Public,
    Path(_): Path<ProductId>,
    Query(_): Query<Filter>,
    IfMatch(_): IfMatch,
    request: Idempotent<Parcel>,
) -> Json<Parcel> {
    Json(request.body)
}

async fn replace_closed(
    _: Closed,
    _: Path<ProductId>,
    _: Query<Filter>,
    request: Json<Parcel>,
) -> Json<Parcel> {
    request
}

/// A parameter of a path with two.
#[derive(Debug, Deserialize)]
struct OfId {
    id: Uuid,
}

/// The other one.
#[derive(Debug, Deserialize)]
struct OfCount {
    count: u8,
}

async fn show_nothing(_: Public) -> &'static str {
    "nothing"
}

async fn show_each(
    _: Public,
    Path(OfId { id }): Path<OfId>,
    Path(OfCount { count }): Path<OfCount>,
) -> Json<(Uuid, u8)> {
    Json((id, count))
}

pub(super) fn routes() -> Router {
    Routes::default()
        .route(Method::GET, "/alone", show_nothing)
        .route(Method::GET, "/each/{id}/{count}", show_each)
        .route(Method::PUT, "/open/{id}", replace)
        .route(Method::PUT, "/closed/{id}", replace_closed)
        .into_router()
}

/// A request to replace the parcel with this id, with a valid query.
fn put(id: &str) -> Builder {
    Request::put(format!("/open/{id}?shop={ID}")).header(CONTENT_TYPE, "application/json")
}

/// A body, and whether it was read.
fn observed_body() -> (Body, Arc<AtomicBool>) {
    let was_read = Arc::new(AtomicBool::new(false));
    let mark = Arc::clone(&was_read);
    let body = Body::from_stream(stream::once(async move {
        mark.store(true, Ordering::SeqCst);
        Ok::<_, std::io::Error>(Bytes::from_static(b"{}"))
    }));
    (body, was_read)
}

#[tokio::test]
async fn the_faults_of_all_parts_of_a_request_are_listed_together() {
    let request = Request::put(format!("/open/7?shop={ID}&limit=0&page=2"))
        .header(CONTENT_TYPE, "application/json")
        .header("if-match", "7")
        .header("idempotency-key", "a b");
    let (status, body) = send(request.body(r#"{"quantity": 0}"#.into()).unwrap()).await;
    assert_eq!((status, &body["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("validation")));
    assert_eq!(
        faults(&body),
        [
            "/id: required",
            "/name: required",
            "/quantity: minimum",
            "If-Match: malformed",
            "id: format",
            "idempotency-key: character",
            "limit: minimum",
            "page: unknown",
        ]
    );

    let valid = put(ID).header("idempotency-key", "ab").body(good().to_string().into()).unwrap();
    assert_eq!(send(valid).await, (StatusCode::OK, good()));
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_one_of_the_faults() {
    let (_, body) = send(put("7").body("{".into()).unwrap()).await;
    assert_eq!(faults(&body), [": malformed", "id: format"]);
    let untyped = Request::put(format!("/open/7?shop={ID}"));
    let (_, body) = send(untyped.body("{}".into()).unwrap()).await;
    assert_eq!(faults(&body), ["Content-Type: malformed", "id: format"]);

    // alone, each is a failure of its own
    assert_eq!(send(put(ID).body("{".into()).unwrap()).await.1["code"], "malformed_json");
    let (status, body) = send(put(ID).header("if-match", "7").body(good().to_string().into()).unwrap()).await;
    assert_eq!((status, &body["header"]), (StatusCode::BAD_REQUEST, &json!("If-Match")));
}

#[tokio::test]
async fn what_was_found_before_a_handler_is_listed_with_its_faults() {
    let mut before = RequestFaults::default();
    let unknown = ValidationException::one(Location::Parameter("x".to_owned()), Fault::Unknown);
    before.keep::<()>(Err(unknown)).unwrap();
    let of = |request: Builder| request.extension(before.clone());
    let (_, body) = send(of(put("7")).body("{".into()).unwrap()).await;
    assert_eq!(faults(&body), [": malformed", "id: format", "x: unknown"]);

    let valid = of(put(ID)).body(good().to_string().into()).unwrap();
    let alone = of(Request::get("/alone")).body(Body::empty()).unwrap();
    for request in [valid, alone] {
        let (status, body) = send(request).await;
        assert_eq!(
            (status, faults(&body)),
            (StatusCode::UNPROCESSABLE_ENTITY, vec!["x: unknown".to_owned()])
        );
    }
    let refused = of(Request::put("/closed/7")).body(Body::empty()).unwrap();
    assert_eq!(send(refused).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_version_is_compared_only_with_a_request_without_faults() {
    let unknown = || put(ID).header("if-match", "\"unknown\"");
    let (_, body) = send(unknown().body("{".into()).unwrap()).await;
    assert_eq!(body["code"], "malformed_json");
    let (status, _) = send(unknown().body(good().to_string().into()).unwrap()).await;
    assert_eq!(status, StatusCode::PRECONDITION_FAILED);
}

#[tokio::test]
async fn a_request_that_the_policy_refuses_gets_no_faults_and_its_body_is_not_read() {
    let (body, was_read) = observed_body();
    let (status, problem) = send(Request::put("/closed/7?limit=0").body(body).unwrap()).await;
    assert_eq!((status, problem.get("errors")), (StatusCode::FORBIDDEN, None));
    assert!(!was_read.load(Ordering::SeqCst));

    let (body, was_read) = observed_body();
    let (status, _) = send(put("7").body(body).unwrap()).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(was_read.load(Ordering::SeqCst), "an allowed request is read to its end");
}
