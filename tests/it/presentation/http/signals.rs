//! Requests and calls of payment providers are emitted as signals.

use std::time::Duration;

use http::{Method, StatusCode};
use tokio::time::timeout;
use undercroft::infrastructure::events::{
    ApiRequestReceivedEvent, CallOutcome, Signal, Subscription, ThirdPartyApiResponseEvent,
};

use crate::support::Shop;
use crate::support::http::order_of;

/// Waits for the next signal that a test accepts.
async fn next<S: Signal>(subscription: &mut Subscription<S>, accept: impl Fn(&S) -> bool) -> S {
    let found = async {
        loop {
            let signal = subscription.next().await;
            if accept(&signal) {
                return signal;
            }
        }
    };
    timeout(Duration::from_mins(1), found).await.expect("the signal")
}

on_both_engines!(a_request_is_emitted_with_its_route_and_user);
async fn a_request_is_emitted_with_its_route_and_user(shop: &Shop) {
    let server = shop.server().await;
    let user = server.customer().await;
    let mut requests = server.store.infrastructure.bus.subscribe::<ApiRequestReceivedEvent>();

    let response = user.get("/v1/orders?limit=1").await;
    let request = next(&mut requests, |_| true).await;
    assert_eq!((&request.method, request.status), (&Method::GET, Some(StatusCode::OK)));
    assert_eq!(request.route.as_deref(), Some("/v1/orders"));
    assert_eq!(response.header("x-request-id"), request.request_id.to_string());
    let me = user.get("/v1/me").await.expect(200);
    assert_eq!(request.user_id.unwrap().to_string(), me["id"].as_str().unwrap());

    server.guest().get("/no/such/page").await.problem(404);
    let unknown = next(&mut requests, |request| request.status == Some(StatusCode::NOT_FOUND)).await;
    assert_eq!((unknown.route, unknown.user_id), (None, None));
}

on_both_engines!(calls_of_payment_providers_are_emitted);
async fn calls_of_payment_providers_are_emitted(shop: &Shop) {
    let server = shop.server().await;
    let mut calls = server.store.infrastructure.bus.subscribe::<ThirdPartyApiResponseEvent>();
    order_of(&server.customer().await, shop.product().create().await).await;
    let call = next(&mut calls, |call| call.operation == "authorize").await;
    assert_eq!((call.vendor, call.outcome, call.attempt), ("sandbox", CallOutcome::Succeeded, 1));
}
