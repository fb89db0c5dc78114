//! Invalid parameters of the query and the path.

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use super::{faults, send};

async fn fetch(uri: &str) -> (StatusCode, Value) {
    send(Request::get(uri).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn parameters_of_the_query_are_typed_and_checked_like_a_body() {
    let (status, body) = fetch(
        "/filter?limit=20&q=a%20b&colour=red&gift=true&weight=1.5&tag=1&tag=2&shop=01890a5d-ac96-774b-bcce-b302099a8057",
    )
    .await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(
        body,
        json!({"limit": 20, "q": "a b", "colour": "red", "gift": true, "weight": 1.5, "tag": [1, 2],
               "shop": "01890a5d-ac96-774b-bcce-b302099a8057"})
    );

    let (status, body) =
        fetch("/filter?limit=0&q=too+long&colour=blue&gift=1&weight=NaN&tag=1&tag=x&page=2&shop=7").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(body["errors"].as_array().unwrap().iter().all(|error| error.get("pointer").is_none()), "{body}");
    assert_eq!(
        faults(&body),
        [
            "colour: not_allowed",
            "gift: type",
            "limit: minimum",
            "page: unknown",
            "q: too_long",
            "shop: format",
            "tag: type",
            "weight: type",
        ]
    );
}

#[tokio::test]
async fn a_missing_or_repeated_parameter_is_named() {
    for (query, fault) in [
        ("", "shop: required"),
        ("?shop=01890a5d-ac96-774b-bcce-b302099a8057&limit=1&limit=2&limit=3", "limit: duplicate"),
        ("?shop=01890a5d-ac96-774b-bcce-b302099a8057&limit=", "limit: type"),
        ("?shop=01890a5d-ac96-774b-bcce-b302099a8057&limit=70000", "limit: maximum"),
        ("?shop=01890a5d-ac96-774b-bcce-b302099a8057&q=%00", "q: character"),
        ("?shop=01890a5d-ac96-774b-bcce-b302099a8057&tag=1&tag=2&tag=3", "tag: too_many"),
        ("?shop=01890a5d-ac96-774b-bcce-b302099a8057&a~b/c", "a~b/c: unknown"),
        ("?shop=01890a5d-ac96-774b-bcce-b302099a8057&q=%ff", "q: invalid"),
        ("?shop=01890a5d-ac96-774b-bcce-b302099a8057&%ff&%ff", "\u{fffd}: invalid"),
        ("?shop=%ff", "shop: invalid"),
        ("?shop=%ff&shop=7&shop=%fe", "shop: invalid"),
        ("?shop=01890a5dac96774bbcceb302099a8057", "shop: format"),
    ] {
        assert_eq!(faults(&fetch(&format!("/filter{query}")).await.1), [fault], "{query}");
    }
}

#[tokio::test]
async fn parameters_that_are_not_utf_8_are_listed_with_the_other_faults() {
    let (_, body) = fetch("/filter?q=%ff&limit=0&colour=%fe&page=2").await;
    let expected = ["colour: invalid", "limit: minimum", "page: unknown", "q: invalid", "shop: required"];
    assert_eq!(faults(&body), expected);
    let many = (0..200).map(|number| format!("&{number}=%ff")).collect::<Vec<_>>().concat();
    assert_eq!(faults(&fetch(&format!("/filter?{many}")).await.1).len(), 100);
}

#[tokio::test]
async fn arguments_for_single_parameters_of_the_path_list_the_faults_of_all() {
    let (_, body) = fetch("/each/7/300").await;
    assert_eq!(faults(&body), ["count: invalid", "id: format"]);
    assert_eq!(faults(&fetch("/each/7%00/x%00").await.1), ["count: character", "id: character"]);
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    assert_eq!(fetch(&format!("/each/{id}/3")).await, (StatusCode::OK, json!([id, 3])));
}

#[tokio::test]
async fn a_parameter_of_the_path_is_named() {
    for (uri, fault) in [
        ("/ids/7", "id: format"),
        ("/ids/%ff", "id: invalid"),
        ("/ids/01890a5dac96774bbcceb302099a8057", "id: format"),
        ("/ids/urn:uuid:01890a5d-ac96-774b-bcce-b302099a8057", "id: format"),
        ("/pairs/7/7", "id: format"),
        ("/pairs/01890a5d-ac96-774b-bcce-b302099a8057/300", "count: invalid"),
        ("/names/a%00b", "name: character"),
        ("/names/a\u{202e}b", "name: character"),
    ] {
        let (status, body) = fetch(uri).await;
        assert_eq!(
            (status, faults(&body)),
            (StatusCode::UNPROCESSABLE_ENTITY, vec![fault.to_owned()]),
            "{uri}"
        );
    }
    assert_eq!(fetch("/names/a%20b").await, (StatusCode::OK, json!("a b")));
}
