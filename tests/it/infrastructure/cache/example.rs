//! The example of a service that keeps a type of its own in memory and in Redis.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::util::ServiceExt;
use undercroft::infrastructure::cache::Redis;

use crate::support::redis::redis_url;
use crate::support::unique;

#[path = "../../../../examples/cache.rs"]
#[expect(dead_code, reason = "the example is a program of its own")]
mod cache;

use cache::{Service, Table};

/// The table in a folder, as a process opens it.
fn table(folder: &TempDir) -> Arc<Table> {
    Arc::new(Table::open(folder.path().join("forecasts.jsonl")).unwrap())
}

async fn send(service: &Router, method: Method, town: &str, body: Value) -> (StatusCode, Value) {
    let request = Request::builder()
        .method(method)
        .uri(format!("/forecasts/{town}"))
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    let response = service.clone().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let bytes = to_bytes(body, 1_000).await.unwrap();
    (head.status, serde_json::from_slice(&bytes).unwrap_or_default())
}

async fn weather(service: &Router, town: &str) -> Value {
    send(service, Method::GET, town, json!({})).await.1["weather"].clone()
}

async fn change(service: &Router, town: &str, weather: &str) {
    let forecast = json!({"region": "north", "weather": weather});
    assert_eq!(send(service, Method::PUT, town, forecast).await.0, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_change_drops_the_region_in_every_process() {
    let folder = TempDir::new().unwrap();
    let processes = [(); 2].map(|()| Service::new(table(&folder), None));
    let [first, second] = processes.clone().map(Service::routes);
    for _ in 0..2 {
        assert_eq!(send(&first, Method::GET, "bremen", json!({})).await.0, StatusCode::NOT_FOUND);
    }
    change(&first, "bremen", "rain").await;
    change(&first, "kiel", "wind").await;
    for service in [&first, &second, &first, &second] {
        assert_eq!(
            (weather(service, "bremen").await, weather(service, "kiel").await),
            (json!("rain"), json!("wind"))
        );
    }
    let reads = processes.iter().map(Service::reads_of_the_table).collect::<Vec<_>>();
    assert_eq!(reads, [3, 2], "each forecast once, and that there was none");

    change(&second, "bremen", "sun").await;
    for service in [&first, &second] {
        assert_eq!(
            (weather(service, "bremen").await, weather(service, "kiel").await),
            (json!("sun"), json!("wind"))
        );
    }

    // a town moves to another region, of which there was no forecast
    let moved = json!({"region": "south", "weather": "snow"});
    assert_eq!(send(&second, Method::PUT, "kiel", moved).await.0, StatusCode::NO_CONTENT);
    assert_eq!(weather(&first, "kiel").await, "snow");
}

#[tokio::test]
async fn with_redis_the_second_process_reads_nothing() {
    let Some(url) = redis_url().await else { return };
    let folder = TempDir::new().unwrap();
    let process = || Service::new(table(&folder), Some(Redis::new(&url).unwrap()));
    let (first, second, town) = (process(), process(), unique("town"));
    let [at_first, at_second] = [&first, &second].map(|process| process.clone().routes());
    change(&at_first, &town, "rain").await;
    assert_eq!(weather(&at_first, &town).await, "rain");
    // it is put there after the response
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(weather(&at_second, &town).await, "rain");
    assert_eq!((first.reads_of_the_table(), second.reads_of_the_table()), (1, 0));

    change(&at_second, &town, "sun").await;
    assert_eq!(
        (weather(&at_first, &town).await, weather(&at_second, &town).await),
        (json!("sun"), json!("sun"))
    );
}
