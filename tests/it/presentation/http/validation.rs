//! Invalid requests: each kind has its problem document, and every fault its location and code.

pub mod documented;
mod parameters;
mod parts;
mod properties;

use std::collections::BTreeMap;

use axum::{
    Router,
    body::Body,
    routing::{get, post},
};
use http::{Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower::ServiceExt;
use undercroft::{
    domain::{country::Country, discount::DiscountKind, ids::ProductId, money::Money},
    infrastructure::exceptions::{Fault, Location, ValidationException},
    infrastructure::middleware::BodyLimit,
    presentation::http::{
        idempotency_key::Idempotent,
        json::{self, Json},
        query::{Path, Query},
    },
};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// A body without required members.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Label {
    text: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Parcel {
    id: Uuid,
    #[schema(min_length = 2, max_length = 10)]
    name: String,
    #[schema(format = "email")]
    email: Option<String>,
    #[schema(minimum = 1, maximum = 99)]
    quantity: u32,
    price: Option<Money>,
    country: Option<Country>,
    colour: Option<Colour>,
    day: Option<Date>,
    at: Option<Timestamp>,
    discount: Option<DiscountKind>,
    weight: Option<f64>,
    total: Option<i64>,
    small: Option<u8>,
    #[serde(default)]
    gift: bool,
    #[serde(default)]
    #[schema(min_items = 1, max_items = 3)]
    lines: Vec<Line>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    note: Option<Value>,
    #[schema(no_recursion)]
    inside: Option<Box<Parcel>>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Line {
    #[schema(minimum = 0)]
    amount: i64,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Colour {
    Red,
    DarkBlue,
}

#[derive(Debug, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u16>,
    #[param(max_length = 5)]
    q: Option<String>,
    #[param(inline)]
    colour: Option<Colour>,
    gift: Option<bool>,
    weight: Option<f64>,
    shop: Uuid,
    #[serde(default)]
    #[param(max_items = 2)]
    tag: Vec<i64>,
}

fn router() -> Router {
    Router::new()
        .route("/parcels", post(async |Json(parcel): Json<Parcel>| Json(parcel)))
        .route("/labels", post(async |request: Idempotent<Label>| Json(request.body.text)))
        .route("/filter", get(async |Query(filter): Query<Filter>| Json(filter)))
        .route("/ids/{id}", get(async |Path(id): Path<ProductId>| Json(id)))
        .route("/pairs/{id}/{count}", get(async |Path(pair): Path<(Uuid, u8)>| Json(pair)))
        .route("/names/{name}", get(async |Path(name): Path<String>| Json(name)))
        .merge(parts::routes())
        .layer(axum::Extension(BodyLimit(2000)))
}

async fn send(request: Request<Body>) -> (StatusCode, Value) {
    let response = router().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let media_type = if parts.status.is_success() { "application/json" } else { "application/problem+json" };
    assert_eq!(parts.headers[CONTENT_TYPE], media_type, "{}", parts.status);
    let body: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
    if !parts.status.is_success() {
        assert_eq!(body["status"], parts.status.as_u16());
        assert!(["type", "title", "detail", "code"].iter().all(|member| body[member].is_string()), "{body}");
    }
    (parts.status, body)
}

async fn post_json(body: impl Into<Body>) -> (StatusCode, Value) {
    send(Request::post("/parcels").header(CONTENT_TYPE, "application/json").body(body.into()).unwrap()).await
}

/// The faults of a problem document as `location: code`, sorted.
fn faults(body: &Value) -> Vec<String> {
    let errors = body["errors"].as_array().unwrap_or_else(|| panic!("no errors in {body}"));
    let mut faults: Vec<_> = errors
        .iter()
        .map(|error| {
            assert!(error["detail"].is_string(), "{error}");
            let location = error.get("pointer").or(error.get("parameter")).or(error.get("header")).unwrap();
            format!("{}: {}", location.as_str().unwrap(), error["code"].as_str().unwrap())
        })
        .collect();
    faults.sort();
    faults
}

fn good() -> Value {
    json!({
        "id": "01890a5d-ac96-774b-bcce-b302099a8057", "name": "Größe", "email": "ann@example.org",
        "quantity": 3, "price": {"amount": 1299, "currency": "EUR"}, "country": "DE", "colour": "dark_blue",
        "day": "2024-02-29", "at": "2024-02-29T12:00:00Z", "discount": {"type": "percent", "basis_points": 1000},
        "weight": 1.5, "total": -9_223_372_036_854_775_808_i64, "small": 255, "gift": true,
        "lines": [{"amount": 0}, {"amount": 9_223_372_036_854_775_807_i64}], "labels": {"a/b": "c d"},
        "note": {"any": ["thing"]}, "inside": null,
    })
}

/// The faults of the valid parcel with these members replaced.
async fn faults_with(fields: Value) -> Vec<String> {
    let mut parcel = good();
    let members = parcel.as_object_mut().unwrap();
    members.extend(fields.as_object().unwrap().clone());
    let (status, body) = post_json(parcel.to_string()).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
    assert_eq!(body["code"], "validation");
    faults(&body)
}

#[tokio::test]
async fn a_valid_body_is_passed_on_unchanged() {
    assert_eq!(post_json(good().to_string()).await, (StatusCode::OK, good()));
    let least = json!({"id": Uuid::nil(), "name": "ab", "quantity": 1, "country": null});
    assert_eq!(post_json(least.to_string()).await.0, StatusCode::OK);
}

#[tokio::test]
async fn all_faults_are_listed_together() {
    let body = json!({
        "name": "A name that is too long", "quantity": 0, "colour": "green", "extra": 1, "gift": "yes",
        "price": {"amount": 1.5, "currency": "EURO", "tax": 0}, "lines": [{"amount": 1}, {"amount": -1}, {}],
        "inside": {"id": 7, "name": "in", "quantity": 100},
    });
    let (status, body) = post_json(body.to_string()).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        faults(&body),
        [
            "/colour: not_allowed",
            "/extra: unknown",
            "/gift: type",
            "/id: required",
            "/inside/id: type",
            "/inside/quantity: maximum",
            "/lines/1/amount: minimum",
            "/lines/2/amount: required",
            "/name: too_long",
            "/price/amount: not_an_integer",
            "/price/currency: format",
            "/price/tax: unknown",
            "/quantity: minimum",
        ]
    );
}

#[tokio::test]
async fn each_kind_of_fault_has_its_code() {
    let cases = [
        (json!({"id": "7"}), "/id: format"),
        (json!({"id": "{01890a5d-ac96-774b-bcce-b302099a8057}"}), "/id: format"),
        (json!({"id": null}), "/id: type"),
        (json!({"name": "x"}), "/name: too_short"),
        (json!({"name": "ééééééééééé"}), "/name: too_long"),
        (json!({"name": "a\u{0}b"}), "/name: character"),
        (json!({"name": "   "}), "/name: blank"),
        (json!({"name": "\u{200b}\u{ad} \u{feff}\u{3164}"}), "/name: blank"),
        (json!({"email": "ann"}), "/email: format"),
        (json!({"email": "a\u{200b}nn@example.org"}), "/email: format"),
        (json!({"quantity": "3"}), "/quantity: type"),
        (json!({"quantity": 3.0}), "/quantity: not_an_integer"),
        (json!({"quantity": 1e30}), "/quantity: not_an_integer"),
        (json!({"quantity": 100}), "/quantity: maximum"),
        (json!({"total": u64::MAX}), "/total: maximum"),
        (json!({"small": -1}), "/small: minimum"),
        (json!({"small": 3_000_000_000_i64}), "/small: maximum"),
        (json!({"weight": "heavy"}), "/weight: type"),
        (json!({"gift": 1}), "/gift: type"),
        (json!({"gift": null}), "/gift: type"),
        (json!({"price": 5}), "/price: type"),
        (json!({"price": {"amount": 5}}), "/price/currency: required"),
        (json!({"price": {"amount": 5, "currency": "XXX"}}), "/price/currency: format"),
        (json!({"country": "UK"}), "/country: format"),
        (json!({"colour": "Red"}), "/colour: not_allowed"),
        (json!({"day": "2023-02-29"}), "/day: format"),
        (json!({"at": "2024-02-29"}), "/at: format"),
        (json!({"lines": []}), "/lines: too_few"),
        (
            json!({"lines": [{"amount": 1}, {"amount": 1}, {"amount": 1}, {"amount": "not read"}]}),
            "/lines: too_many",
        ),
        (json!({"lines": {"0": 1}}), "/lines: type"),
        (json!({"labels": {"a/b~c": 1}}), "/labels/a~1b~0c: type"),
        (json!({"labels": {"a\u{0}": ""}}), "/labels/a\u{0}: unknown"),
        (json!({"note": {"deep": ["a", "\u{0}"]}}), "/note/deep/1: character"),
        (json!({"discount": {"type": "percent", "basis_points": 0}}), "/discount/basis_points: minimum"),
        (json!({"discount": {"type": "percent"}}), "/discount/basis_points: required"),
        (
            json!({"discount": {"type": "fixed", "amount": {"amount": 1}}}),
            "/discount/amount/currency: required",
        ),
        (json!({"discount": {"type": "gift"}}), "/discount/type: not_allowed"),
        (json!({"discount": {"basis_points": 5}}), "/discount/type: required"),
        (json!({"discount": 7}), "/discount: type"),
        (json!({"Name": "ab"}), "/Name: unknown"),
    ];
    for (fields, fault) in cases {
        assert_eq!(faults_with(fields.clone()).await, [fault], "{fields}");
    }
}

#[tokio::test]
async fn a_fault_that_the_schema_does_not_exclude_has_the_location_of_its_member() {
    assert_eq!(faults_with(json!({"small": 256})).await, ["/small: invalid"]);
    let extra = json!({"discount": {"type": "percent", "basis_points": 1, "extra": 1}});
    assert_eq!(faults_with(extra).await, ["/discount: invalid"]);
}

#[tokio::test]
async fn the_fault_of_an_unknown_tag_lists_the_allowed_ones() {
    let failure = json::parse::<DiscountKind>(br#"{"type": "gift"}"#).unwrap_err();
    let allowed = vec!["percent".into(), "fixed".into()];
    let fault = (Location::Pointer("/type".into()), Fault::NotAllowed { allowed });
    assert_eq!(failure.downcast_ref::<ValidationException>().unwrap().faults(), [fault]);
}

#[tokio::test]
async fn a_body_that_is_no_object_is_one_fault() {
    for body in ["null", "[]", "7", "\"text\"", "true"] {
        let (status, body) = post_json(body).await;
        assert_eq!((status, faults(&body)), (StatusCode::UNPROCESSABLE_ENTITY, vec![": type".to_owned()]));
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused_with_line_and_column() {
    let (status, body) = post_json("{\n  \"id\": }").await;
    assert_eq!((status, &body["code"]), (StatusCode::BAD_REQUEST, &json!("malformed_json")));
    assert_eq!((&body["line"], &body["column"]), (&json!(2), &json!(9)));
    for bad in ["", "{", "{\"id\": 1, \"id\": 2}", "{\"id\": 1e999}", "\u{feff}{}"] {
        assert_eq!(post_json(bad).await.0, StatusCode::BAD_REQUEST, "{bad:?}");
    }
    let deep = "[".repeat(1500);
    assert_eq!(post_json(deep).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(post_json(&b"{\"name\": \"\xff\"}"[..]).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn media_types_other_than_json_are_refused() {
    let with = |media_type: &'static str| {
        send(
            Request::post("/parcels")
                .header(CONTENT_TYPE, media_type)
                .body(good().to_string().into())
                .unwrap(),
        )
    };
    for media_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "json",
        "",
        "application/json; charset=latin1",
        "application/json;charset=\"utf-16\"",
    ] {
        let (status, body) = with(media_type).await;
        assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{media_type}");
        assert_eq!(body["expected"], "application/json");
    }
    for media_type in [
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/merge-patch+json",
        "application/json; a=b; Charset=\"UTF-8\"",
    ] {
        assert_eq!(with(media_type).await.0, StatusCode::OK, "{media_type}");
    }
    let without = send(Request::post("/parcels").body(good().to_string().into()).unwrap()).await;
    assert_eq!(without.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_with_or_without_its_length() {
    let mut parcel = good();
    parcel["note"] = "x".repeat(2000).into();
    let (status, body) = post_json(parcel.to_string()).await;
    assert_eq!((status, &body["limit"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!(2000)));

    let pieces = (0..100).map(|_| Ok::<_, std::io::Error>("[1,2,3,4,5,6,7,8,9,0,1,2,3,4,5]"));
    let (status, _) = post_json(Body::from_stream(futures_util::stream::iter(pieces))).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_refused() {
    let pieces = [Ok("{\"id\":"), Err(std::io::Error::other("reset by peer"))];
    let (status, body) = post_json(Body::from_stream(futures_util::stream::iter(pieces))).await;
    assert_eq!((status, &body["code"]), (StatusCode::BAD_REQUEST, &json!("body_incomplete")));
}

#[tokio::test]
async fn a_body_may_be_omitted_if_no_member_is_required() {
    let post =
        |request: http::request::Builder, body: &str| send(request.body(body.to_owned().into()).unwrap());
    assert_eq!(post(Request::post("/labels"), "").await, (StatusCode::OK, Value::Null));
    let typed = || Request::post("/labels").header(CONTENT_TYPE, "application/json");
    assert_eq!(post(typed(), r#"{"text": "Größe"}"#).await, (StatusCode::OK, json!("Größe")));
    assert_eq!(post(typed(), "").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(post(Request::post("/labels"), "{}").await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn at_most_a_hundred_faults_are_listed() {
    let members: serde_json::Map<String, Value> =
        (0..150).map(|index| (index.to_string(), 0.into())).collect();
    let (_, body) = post_json(Value::Object(members).to_string()).await;
    assert_eq!(faults(&body).len(), 100);
}
