//! The cookies of sessions: their names, and their end.

use http::Method;
use serde_json::json;
use undercroft::infrastructure::middleware::SameSiteCookie;
use undercroft::settings::HttpSettings;

use super::{PASSWORD, log_in, register, try_log_in};
use crate::support::{Shop, TestResponse, TestServer};

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

/// Registers the user, unless the user has an account.
async fn ensure_user(server: &TestServer) {
    let new = json!({"email": "ann@example.org", "password": PASSWORD});
    server.guest().post("/v1/users", new).await;
}
