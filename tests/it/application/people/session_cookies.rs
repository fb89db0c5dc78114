//! The cookies of sessions: their names, and what ends them.

use http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};
use undercroft::infrastructure::middleware::SameSiteCookie;
use undercroft::settings::HttpSettings;

use super::{PASSWORD, log_in, newcomer, register, try_log_in};
use crate::support::totp::{code_at, enrol};
use crate::support::{Shop, ShopOptions, TestClient, TestResponse, TestServer};

/// The cookies that a response sets.
fn cookies(response: &TestResponse) -> Vec<&str> {
    response.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect()
}

on_both_engines!(cookies_for_https_belong_to_the_host_alone);
async fn cookies_for_https_belong_to_the_host_alone(shop: &Shop) {
    register(shop.server().await, "ann@example.org").await;
    for http in [
        HttpSettings { secure_cookies: Some(true), ..HttpSettings::default() },
        HttpSettings { cookie_same_site: SameSiteCookie::None, ..HttpSettings::default() },
    ] {
        let server = TestServer::start_with(shop.store.clone(), http).await;
        let response = try_log_in(&server, "ann@example.org", PASSWORD).await;
        let token = response.expect(201)["token"].as_str().unwrap().to_owned();
        let cookies = cookies(&response);
        assert_eq!(cookies.len(), 2, "{cookies:?}");
        for (cookie, name) in cookies.iter().zip(["session", "device"]) {
            assert!(cookie.starts_with(&format!("__Host-undercroft_{name}=")), "{cookie}");
            assert!(cookie.contains("; Path=/; ") && cookie.ends_with("; Secure"), "{cookie}");
            assert!(cookie.contains("; HttpOnly; ") && !cookie.contains("Domain"), "{cookie}");
        }
        let me = async |name: &str| {
            let client = server.guest().with("cookie", &format!("{name}={token}"));
            client.get("/v1/me").await.status
        };
        assert_eq!(me("__Host-undercroft_session").await, 200);
        assert_eq!(me("undercroft_session").await, 401, "any host of the domain may have set it");
        server.end().await;
    }
}

on_both_engines!(logging_out_removes_the_cookie_by_each_of_its_names);
async fn logging_out_removes_the_cookie_by_each_of_its_names(shop: &Shop) {
    for (http, attributes) in [
        (HttpSettings::default(), "SameSite=Lax"),
        (HttpSettings { secure_cookies: Some(true), ..HttpSettings::default() }, "SameSite=Lax; Secure"),
    ] {
        let server = TestServer::start_with(shop.store.clone(), http).await;
        let erasure = json!({"current_password": PASSWORD});
        for (path, body) in [("/v1/sessions", None), ("/v1/me/sessions", None), ("/v1/me", Some(erasure))] {
            ensure_user(&server).await;
            let ann = log_in(&server, "ann@example.org", PASSWORD).await;
            let response = ann.send(Method::DELETE, path, body).await;
            response.expect(204);
            let plain = format!("undercroft_session=; Path=/; Max-Age=0; HttpOnly; {attributes}");
            let secure =
                "__Host-undercroft_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure".to_owned();
            assert_eq!(cookies(&response), [plain, secure], "{path}");
        }
        server.end().await;
    }
}

/// The credentials of a user, with another member.
fn credentials(email: &str, (member, value): (&str, &str)) -> Value {
    json!({"email": email, "password": PASSWORD, member: value})
}

/// A browser with the session that a response begins.
fn browser(server: &TestServer, response: &TestResponse) -> TestClient {
    response.expect(201);
    let (pair, _) = cookies(response)[0].split_once(';').unwrap();
    assert!(pair.starts_with("undercroft_session="), "{pair}");
    server.guest().with("cookie", pair)
}

with_both_session_stores!(logging_in_ends_the_session_of_the_cookie, ShopOptions::manual_clock());
async fn logging_in_ends_the_session_of_the_cookie(shop: &Shop) {
    const ANN: &str = "ann@example.org";
    const BOB: &str = "bob@example.org";
    let server = shop.server().await;
    let elsewhere = newcomer(server, ANN).await;
    register(server, BOB).await;
    let first = browser(server, &try_log_in(server, ANN, PASSWORD).await);
    first.post("/v1/sessions", credentials(ANN, ("password", "wrong password"))).await.expect(401);
    first.get("/v1/me").await.expect(200);
    let same = ("email", ANN);
    for client in [&first, &server.guest()] {
        let foreign = client.with("sec-fetch-site", "cross-site");
        let refused = foreign.post("/v1/sessions", credentials(BOB, ("email", BOB))).await;
        assert_eq!(refused.problem(403), "unauthorized_access");
        assert_eq!(refused.json()["reason"], "foreign_origin");
        assert_eq!(cookies(&refused), [""; 0], "no other site logs a browser in or out");
    }
    first.get("/v1/me").await.expect(200);

    let second = browser(server, &first.post("/v1/sessions", credentials(ANN, same)).await);
    assert_eq!(first.get("/v1/me").await.problem(401), "unauthorized_access");
    second.get("/v1/me").await.expect(200);
    let of_bob = browser(server, &second.post("/v1/sessions", credentials(BOB, ("email", BOB))).await);
    assert_eq!(second.get("/v1/me").await.problem(401), "unauthorized_access");
    assert_eq!(of_bob.get("/v1/me").await.expect(200)["email"], BOB);
    elsewhere.get("/v1/me").await.expect(200);
    for ended in [first, second, server.guest().with("cookie", "undercroft_session=unknown")] {
        browser(server, &ended.post("/v1/sessions", credentials(ANN, same)).await)
            .get("/v1/me")
            .await
            .expect(200);
    }

    // with a second factor, only a request that has it
    let ann = browser(server, &try_log_in(server, ANN, PASSWORD).await);
    let (secret, _, token) = enrol(shop, &ann, PASSWORD).await;
    assert_eq!(ann.get("/v1/me").await.problem(401), "unauthorized_access");
    let ann = server.guest().with("cookie", &format!("undercroft_session={token}"));
    ann.get("/v1/me").await.expect(200);
    ann.post("/v1/sessions", credentials(ANN, same)).await.expect(401);
    ann.get("/v1/me").await.expect(200);
    shop.clock().advance(SignedDuration::from_secs(30));
    let code = code_at(&secret, shop.now());
    let next = ann.post("/v1/sessions", credentials(ANN, ("one_time_password", &code))).await;
    let next = browser(server, &next);
    assert_eq!(ann.get("/v1/me").await.problem(401), "unauthorized_access");
    next.get("/v1/me").await.expect(200);
}

/// Registers the user, unless the user has an account.
async fn ensure_user(server: &TestServer) {
    let new = json!({"email": "ann@example.org", "password": PASSWORD});
    server.guest().post("/v1/users", new).await;
}
