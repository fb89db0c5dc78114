//! The example of a service of its own on the events room.

use std::fmt::Display;

use axum::body::Body;
use axum::response::Response;
use http::{Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use undercroft::infrastructure::exceptions::PROBLEM_JSON;
use undercroft::infrastructure::repositories::Database;

use crate::support::Shop;
use crate::support::store::value;

#[path = "../../../../examples/outbox.rs"]
#[expect(dead_code, reason = "the example is a program of its own")]
mod outbox;

async fn send(database: &Database, grams: impl Display) -> Response {
    let request = Request::post("/parcels").header(CONTENT_TYPE, "application/json");
    let body = format!(r#"{{"customer":"ada","grams":{grams}}}"#);
    let request = request.body(Body::from(body)).unwrap();
    outbox::routes(database.clone()).oneshot(request).await.unwrap()
}

on_both_engines!(a_service_publishes_its_own_events_with_its_own_rows);
async fn a_service_publishes_its_own_events_with_its_own_rows(shop: &Shop) {
    let database = outbox::open(&shop.url).await.unwrap();
    for grams in [100, 200] {
        assert_eq!(send(&database, grams).await.status(), StatusCode::CREATED);
    }
    for (wrong, status) in [("0", StatusCode::UNPROCESSABLE_ENTITY), ("{", StatusCode::BAD_REQUEST)] {
        let response = send(&database, wrong).await;
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()[CONTENT_TYPE], PROBLEM_JSON);
    }
    let published = "SELECT COUNT(*) FROM outbox WHERE type = 'parcel.sent'";
    assert_eq!(value::<i64>(&database, published, &[]).await, 2);

    let dispatcher = outbox::dispatcher(&database);
    assert_eq!(dispatcher.deliver(&CancellationToken::new()).await.unwrap(), 2);
    let request = Request::get("/customers/ada/parcels").body(Body::empty()).unwrap();
    let response = outbox::routes(database).oneshot(request).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "2");
}
