//! The limits of the rate of requests.

use http::Method;
use serde_json::json;
use undercroft::settings::{RateLimitSettings, Settings};

use crate::support::{Shop, TestServer};

/// Starts a server with few requests an hour.
async fn limited(shop: &Shop) -> TestServer {
    let quota = |text: &str| text.parse().ok();
    let rate_limits = RateLimitSettings {
        enabled: true,
        general: quota("20/hour"),
        user: quota("3/hour"),
        log_in: quota("2/hour"),
        sign_up: None,
        password: quota("1/hour"),
        discount_code: quota("1/hour"),
        new_cart: quota("1/hour"),
        checkout: quota("1/hour"),
        ..RateLimitSettings::default()
    };
    TestServer::start_with_all(shop.store.clone(), Settings { rate_limits, ..Settings::default() }).await
}

on_both_engines!(each_response_states_the_limits_of_its_request);
async fn each_response_states_the_limits_of_its_request(shop: &Shop) {
    let server = limited(shop).await;
    let id = uuid::Uuid::nil();
    let response = server.guest().get(&format!("/v1/carts/{id}")).await;
    assert_eq!(response.problem(404), "cart_not_found");
    assert_eq!(response.header("ratelimit-policy"), "\"general\";q=20;w=3600");
    assert_eq!(response.header("ratelimit"), "\"general\";r=19;t=180");
    // a shared cache may store it
    let public = server.guest().get("/v1/products").await;
    public.expect(200);
    assert_eq!(public.header("ratelimit-policy"), "\"general\";q=20;w=3600");
    assert!(!public.headers.contains_key("ratelimit"), "{public}");

    let user = server.customer().await;
    for (remaining, status) in [(2, 200), (1, 200), (0, 200), (0, 429)] {
        let response = user.get("/v1/me").await;
        response.expect(status);
        let policies = "\"general\";q=20;w=3600, \"user\";q=3;w=3600";
        assert_eq!(response.header("ratelimit-policy"), policies);
        assert!(response.header("ratelimit").contains(&format!("\"user\";r={remaining};t=")), "{response}");
    }
    server.customer().await.get("/v1/me").await.expect(200);
}

on_both_engines!(a_class_of_routes_has_a_limit_of_its_own);
async fn a_class_of_routes_has_a_limit_of_its_own(shop: &Shop) {
    let server = limited(shop).await;
    let guest = server.guest();
    let credentials = json!({"email": "ann@shop.example", "password": "not her password"});
    for _ in 0..2 {
        assert_eq!(guest.post("/v1/sessions", credentials.clone()).await.problem(401), "unauthorized_access");
    }
    let refused = guest.post("/v1/sessions", credentials).await;
    assert_eq!(refused.problem(429), "too_many_requests");
    assert!((1790..=1800).contains(&refused.header("retry-after").parse().unwrap()), "{refused}");
    assert!(refused.header("ratelimit").contains("\"log_in\";r=0;t="), "{refused}");
    guest.get("/v1/products").await.expect(200);

    let id = uuid::Uuid::nil();
    let (discount, checkout) = (format!("/v1/carts/{id}/discount"), format!("/v1/carts/{id}/checkout"));
    for (method, path) in [
        (Method::PATCH, "/v1/me"),
        (Method::POST, "/v1/carts"),
        (Method::PUT, discount.as_str()),
        (Method::POST, checkout.as_str()),
    ] {
        assert_ne!(guest.send(method.clone(), path, Some(json!({}))).await.status, 429, "{path}");
        assert_eq!(
            guest.send(method, path, Some(json!({}))).await.problem(429),
            "too_many_requests",
            "{path}"
        );
    }
    let key = guest.post("/v1/me/api-keys", json!({"name": "Warehouse"})).await;
    assert_eq!(key.problem(429), "too_many_requests", "it is in the class of changes of accounts");
    assert_eq!(guest.get("/v1/me/api-keys").await.problem(401), "unauthorized_access");
}

on_both_engines!(unknown_routes_are_limited_and_health_checks_are_not);
async fn unknown_routes_are_limited_and_health_checks_are_not(shop: &Shop) {
    let server = limited(shop).await;
    let guest = server.guest();
    for (number, method) in [Method::GET, Method::HEAD].into_iter().cycle().take(18).enumerate() {
        let unknown = guest.send(method, "/no/such/page", None).await;
        assert_eq!(unknown.status, 404);
        let remaining = format!("\"general\";r={};", 19 - number);
        assert!(unknown.header("ratelimit").starts_with(&remaining), "{unknown}");
    }
    for (method, status, remaining) in [(Method::PUT, 405, 1), (Method::OPTIONS, 204, 0)] {
        let response = guest.send(method, "/v1/products", None).await;
        assert_eq!(response.status, status);
        assert!(
            response.header("ratelimit").starts_with(&format!("\"general\";r={remaining};")),
            "{response}"
        );
    }
    let refused = guest.get("/no/such/page").await;
    assert_eq!(refused.problem(429), "too_many_requests");
    guest.get("/v1/products").await.problem(429);
    for _ in 0..3 {
        let healthy = guest.get("/health/live").await;
        healthy.expect(200);
        assert_eq!(healthy.header("ratelimit"), "");
        guest.get("/health/ready").await.expect(200);
        guest.raw(Method::HEAD, "/health/live", "").await.expect(200);
    }
}
