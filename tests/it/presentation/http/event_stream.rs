//! Administrators read events as they are published, and continue after a message.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use undercroft::settings::HttpSettings;

use crate::support::http::order_of;
use crate::support::{Shop, TestClient, TestServer};

const STREAM: &str = "/admin/v1/events/stream";

/// A message of a stream.
#[derive(Debug, Clone, PartialEq)]
struct Message {
    id: String,
    retry: Option<String>,
    /// The event; `null` if there is none.
    event: Value,
}

/// Reads the messages of a stream.
fn messages(text: &str) -> Vec<Message> {
    let field = |message: &str, name: &str| {
        message
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(|text| text.trim().to_owned())
    };
    let parsed = text.split("\n\n").filter(|message| !message.is_empty()).map(|message| Message {
        id: field(message, "id").expect(message),
        retry: field(message, "retry"),
        event: field(message, "data").map_or(Value::Null, |data| serde_json::from_str(&data).unwrap()),
    });
    parsed.collect()
}

/// Reads a stream that ends soon, after the message with this id if there is one.
async fn read(admin: &TestClient, after: Option<&str>, query: &str) -> Vec<Message> {
    let client = after.map_or_else(|| admin.clone(), |id| admin.with("last-event-id", id));
    let response = client.get(&format!("{STREAM}?seconds=1{query}")).await;
    assert_eq!((response.status, response.header("content-type")), (200, "text/event-stream"), "{response}");
    assert_eq!(response.header("cache-control"), "no-cache", "{response}");
    messages(std::str::from_utf8(&response.body).unwrap())
}

/// The ids of the events of messages.
fn events(messages: &[Message]) -> Vec<&str> {
    messages.iter().filter_map(|message| message.event["id"].as_str()).collect()
}

/// Reads a stream until its text contains another one; until its end if that does not come.
async fn read_until(body: &mut Incoming, text: &str, wanted: &str) -> String {
    let mut text = text.to_owned();
    while !text.contains(wanted) {
        let Some(frame) = body.frame().await else { break };
        text += std::str::from_utf8(frame.unwrap().data_ref().unwrap()).unwrap();
    }
    text
}

on_both_engines!(a_stream_continues_after_a_message_without_a_gap_or_a_repetition);
async fn a_stream_continues_after_a_message_without_a_gap_or_a_repetition(shop: &Shop) {
    let server = shop.server().await;
    let (admin, user) = (server.admin().await, server.customer().await);
    let variant = shop.product().create().await;
    order_of(&user, variant).await;

    let begun = read(&admin, None, "").await;
    assert_eq!((begun[0].retry.as_deref(), &begun[0].event), (Some("2000"), &Value::Null));
    assert_eq!(events(&begun), [""; 0], "a new stream begins with the next event");
    let start = &begun[0].id;

    let order = order_of(&user, variant).await;
    let whole = read(&admin, Some(start), "").await;
    let ids = events(&whole);
    let list = admin.get("/admin/v1/events?limit=100").await.expect(200);
    let listed: Vec<_> =
        list["items"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert!(ids.len() >= 3, "{whole:?}");
    assert_eq!(ids.iter().rev().copied().collect::<Vec<_>>(), listed[..ids.len()], "in their order");
    for (index, message) in whole.iter().filter(|message| message.event != Value::Null).enumerate() {
        assert_eq!(message.event["specversion"], "1.0");
        let rest = read(&admin, Some(&message.id), "").await;
        assert_eq!(events(&rest), ids[index + 1..], "after {message:?}");
    }

    let paid = format!("&type=order.paid&subject={}", order["id"].as_str().unwrap());
    let filtered = read(&admin, Some(start), &paid).await;
    assert_eq!(events(&filtered).len(), 1, "{filtered:?}");
    let foreign = admin.with("last-event-id", "bm9wZQ").get(STREAM).await;
    assert_eq!(foreign.problem(400), "malformed_header");
    assert_eq!(foreign.json()["header"], "Last-Event-ID");
}

on_both_engines!(events_arrive_as_they_are_published_until_the_server_stops);
async fn events_arrive_as_they_are_published_until_the_server_stops(shop: &Shop) {
    let server = TestServer::start(shop.store.clone()).await;
    let (admin, user) = (server.admin().await, server.customer().await);
    let mut body = admin.open(STREAM).await;
    let text = read_until(&mut body, "", "retry").await;
    let order = order_of(&user, shop.product().create().await).await;
    let text = read_until(&mut body, &text, "\"type\":\"order.paid\"").await;
    assert!(text.contains(order["id"].as_str().unwrap()), "{text}");

    let (text, ()) = tokio::join!(read_until(&mut body, &text, "end of the stream"), server.end());
    let all = messages(&text);
    assert_eq!(all.last().unwrap().retry.as_deref(), Some("5000"), "{text}");
    let last = all.iter().rev().find(|message| message.event != Value::Null).unwrap();
    let again = TestServer::start(shop.store.clone()).await;
    let admin = again.admin().await;
    order_of(&again.customer().await, shop.product().create().await).await;
    let rest = read(&admin, Some(&last.id), "").await;
    assert!(events(&rest).iter().all(|id| !events(&all).contains(id)), "no repetition");
    assert!(rest.iter().any(|message| message.event["type"] == "order.paid"), "{rest:?}");
    again.end().await;
}

on_both_engines!(a_stream_without_events_outlasts_the_longest_idle_time);
async fn a_stream_without_events_outlasts_the_longest_idle_time(shop: &Shop) {
    let idle_timeout = std::time::Duration::from_secs(1);
    let http = HttpSettings { idle_timeout, ..HttpSettings::default() };
    let server = TestServer::start_with(shop.store.clone(), http).await;
    let admin = server.admin().await;
    let mut body = admin.open(&format!("{STREAM}?subject=none")).await;
    let mut text = String::new();
    // half the idle time after each other
    while messages(&text).len() < 5 {
        let frame = body.frame().await.expect("the stream goes on").unwrap();
        text += std::str::from_utf8(frame.data_ref().unwrap()).unwrap();
    }
    let beats = messages(&text);
    assert!(beats.iter().all(|beat| beat.event == Value::Null), "{beats:?}");
    server.end().await;
}

on_both_engines!(the_number_of_streams_of_a_user_is_bounded);
async fn the_number_of_streams_of_a_user_is_bounded(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(admin.open(STREAM).await);
    }
    assert_eq!(admin.get(STREAM).await.problem(429), "too_many_requests");
    drop(open);
    for _ in 0..600 {
        if admin.get(&format!("{STREAM}?seconds=1")).await.status == 200 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{}", json!("no stream ended"));
}

on_both_engines!(a_stream_ends_with_the_session_of_its_reader);
async fn a_stream_ends_with_the_session_of_its_reader(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    let mut body = admin.open(STREAM).await;
    let begun = read_until(&mut body, "", "retry").await;
    assert_eq!(messages(&begun).len(), 1);
    assert_eq!(admin.delete("/v1/sessions").await.status, 204);
    let rest = tokio::time::timeout(std::time::Duration::from_mins(1), body.collect()).await;
    assert!(rest.expect("the stream ends").is_ok());
}
