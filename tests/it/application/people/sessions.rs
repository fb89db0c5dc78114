//! Sessions: logging in and out, expiry, and responses that do not reveal accounts.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use argon2::Params;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::NoSubscriber;
use undercroft::application::Terms;
use undercroft::application::people::passwords::Passwords;

use super::{PASSWORD, bearer, erase, log_in, newcomer, register, try_log_in};
use crate::support::store::{terms, with_costly_passwords};
use crate::support::totp::enrol;
use crate::support::{Shop, ShopOptions, TestResponse};

/// The name and value of the cookie that a response sets, and its attributes.
fn cookie(response: &TestResponse) -> (String, String) {
    let text = response.header("set-cookie");
    let (pair, attributes) = text.split_once("; ").unwrap_or_else(|| panic!("no cookie: {response}"));
    (pair.to_owned(), attributes.to_owned())
}

on_both_engines!(a_log_in_without_a_code_names_the_members_for_one, ShopOptions::manual_clock());
async fn a_log_in_without_a_code_names_the_members_for_one(shop: &Shop) {
    let server = shop.server().await;
    enrol(shop, &newcomer(server, "ann@example.org").await, PASSWORD).await;
    let right = json!({"email": "ann@example.org", "password": PASSWORD});
    let wrong = json!({"email": "ann@example.org", "password": "wrong password"});
    for language in ["en", "de"] {
        let guest = server.guest().with("accept-language", language);
        for (body, has_members) in [(&right, true), (&wrong, false)] {
            let refused = guest.post("/v1/sessions", body.clone()).await;
            assert_eq!(refused.problem(401), "unauthorized_access");
            let detail = refused.json()["detail"].as_str().unwrap().to_owned();
            for member in ["`one_time_password`", "`recovery_code`"] {
                assert_eq!(detail.contains(member), has_members, "{language}: {detail}");
            }
        }
    }
}

on_both_engines!(a_session_has_a_token_of_which_only_the_hash_is_stored);
async fn a_session_has_a_token_of_which_only_the_hash_is_stored(shop: &Shop) {
    let server = shop.server().await;
    let user = register(server, "ann@example.org").await;
    let response = try_log_in(server, " ANN@example.org", PASSWORD).await;
    let session = response.expect(201);
    assert_eq!(session["user"], user);
    assert_eq!(response.header("cache-control"), "no-store");
    let token = session["token"].as_str().unwrap();
    assert_eq!(token.len(), 54, "256 bits and a tag of 64 in base64");
    let (pair, attributes) = cookie(&response);
    assert_eq!(pair, format!("undercroft_session={token}"));
    assert_eq!(attributes, "Path=/; Max-Age=86400; HttpOnly; SameSite=Lax");
    bearer(server, token).get("/v1/me").await.expect(200);
    server.guest().with("cookie", &pair).get("/v1/me").await.expect(200);

    let another = try_log_in(server, "ann@example.org", PASSWORD).await.expect(201);
    assert_ne!(another["token"], session["token"]);
    let mut connection = server.store.database().read().await.unwrap();
    let sql = "SELECT token_hash FROM sessions";
    for stored in connection.all::<Vec<u8>>(sql, &[]).await.unwrap() {
        assert_eq!(stored.len(), 32);
        assert!(!token.as_bytes().windows(8).any(|part| stored.windows(8).any(|stored| stored == part)));
    }
}

on_both_engines!(a_failed_login_does_not_reveal_accounts);
async fn a_failed_login_does_not_reveal_accounts(shop: &Shop) {
    let server = shop.server_of(with_costly_passwords(&shop.store)).await;
    register(server, "ann@example.org").await;
    let gone = newcomer(server, "gone@example.org").await;
    erase(&gone).await.expect(204);
    let wrong = try_log_in(server, "ann@example.org", "wrong password").await;
    assert_eq!(wrong.problem(401), "unauthorized_access");
    assert_eq!(wrong.json()["reason"], "wrong_credentials");
    let names =
        |response: &TestResponse| response.headers.keys().map(ToString::to_string).collect::<Vec<_>>();
    for (email, password) in [
        ("bob@example.org", "wrong password"),
        ("gone@example.org", PASSWORD),
        ("no address", PASSWORD),
        ("ann@example.org", "Correct horse"),
        ("ann@example.org", ""),
    ] {
        let response = try_log_in(server, email, password).await;
        assert_eq!(
            (response.status, &response.body, names(&response)),
            (401, &wrong.body, names(&wrong)),
            "{email}"
        );
    }

    // the least of several times, because other tests run on the same machine
    let fastest = async |email: &str, so_far: Duration| {
        let began = Instant::now();
        try_log_in(server, email, "wrong password").await.expect(401);
        so_far.min(began.elapsed())
    };
    let (mut known, mut unknown) = (Duration::MAX, Duration::MAX);
    for round in 0..50 {
        known = fastest("ann@example.org", known).await;
        unknown = fastest("bob@example.org", unknown).await;
        if round >= 4 && unknown > known / 2 {
            return;
        }
    }
    panic!("{unknown:?} without an account, {known:?} with one");
}

with_both_session_stores!(logging_out_is_idempotent);
async fn logging_out_is_idempotent(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, "ann@example.org").await;
    let other = log_in(server, "ann@example.org", PASSWORD).await;
    for _ in 0..2 {
        let response = ann.delete("/v1/sessions").await;
        assert_eq!(response.expect(204), Value::Null);
        assert_eq!(cookie(&response).0, "undercroft_session=");
    }
    let response = ann.get("/v1/me").await;
    assert_eq!(
        (response.problem(401), &response.json()["reason"]),
        ("unauthorized_access".into(), &json!("invalid_token"))
    );
    other.get("/v1/me").await.expect(200);
    server.guest().delete("/v1/sessions").await.expect(204);
    bearer(server, "nonsense").delete("/v1/sessions").await.expect(204);
    assert_eq!(bearer(server, "nonsense").get("/v1/me").await.status, 401);
    for authorization in ["Bearer nonsense", "Basic c2hvcDpzZWNyZXQ="] {
        let (pair, _) = cookie(&try_log_in(server, "ann@example.org", PASSWORD).await);
        let browser = server.guest().with("cookie", &pair);
        browser.with("authorization", authorization).delete("/v1/sessions").await.expect(204);
        assert_eq!(browser.get("/v1/me").await.status, 401, "the session of the cookie, which is removed");
    }

    let (third, bob) =
        (log_in(server, "ann@example.org", PASSWORD).await, newcomer(server, "b@example.org").await);
    third.delete("/v1/me/sessions").await.expect(204);
    assert_eq!((third.get("/v1/me").await.status, other.get("/v1/me").await.status), (401, 401));
    bob.get("/v1/me").await.expect(200);
}

with_both_session_stores!(another_site_can_neither_log_out_nor_erase_a_browsers_user);
async fn another_site_can_neither_log_out_nor_erase_a_browsers_user(shop: &Shop) {
    let server = shop.server().await;
    register(server, "ann@example.org").await;
    let (pair, _) = cookie(&try_log_in(server, "ann@example.org", PASSWORD).await);
    let browser = server.guest().with("cookie", &pair);
    let foreign = browser.with("sec-fetch-site", "cross-site");
    for path in ["/v1/sessions", "/v1/me", "/v1/me/sessions"] {
        let response = foreign.delete(path).await;
        assert_eq!(response.problem(403), "unauthorized_access", "{path}");
        assert_eq!(response.json()["reason"], "foreign_origin");
    }
    browser.get("/v1/me").await.expect(200);
    server.guest().with("sec-fetch-site", "cross-site").delete("/v1/sessions").await.expect(204);
    let extension =
        log_in(server, "ann@example.org", PASSWORD).await.with("origin", "chrome-extension://abc");
    extension.delete("/v1/sessions").await.expect(204);
    assert_eq!(extension.get("/v1/me").await.status, 401, "a token that no other site can send");
    browser.with("sec-fetch-site", "same-origin").delete("/v1/sessions").await.expect(204);
    assert_eq!(browser.get("/v1/me").await.status, 401);
}

with_both_session_stores!(a_session_expires, ShopOptions::manual_clock());
async fn a_session_expires(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, "ann@example.org").await;
    shop.clock().advance(SignedDuration::from_hours(24) - SignedDuration::from_micros(1));
    ann.get("/v1/me").await.expect(200);
    shop.clock().advance(SignedDuration::from_micros(1));
    assert_eq!(ann.get("/v1/me").await.problem(401), "unauthorized_access");
    ann.delete("/v1/sessions").await.expect(204);
}

with_both_session_stores!(
    a_session_that_is_not_used_ends,
    ShopOptions::manual_clock().terms(Terms { session_idle: SignedDuration::from_hours(2), ..terms() })
);
async fn a_session_that_is_not_used_ends(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, "ann@example.org").await;
    let recorded = async || {
        let list = ann.get("/v1/me/sessions").await.expect(200);
        list["items"][0]["last_used_at"].as_str().unwrap().parse::<Timestamp>().unwrap()
    };
    let begun = shop.now();
    shop.clock().advance(SignedDuration::from_secs(299));
    assert_eq!(recorded().await, begun, "a use in the first five minutes is not recorded");
    for _ in 0..3 {
        shop.clock().advance(SignedDuration::from_mins(110));
        ann.get("/v1/me").await.expect(200);
        assert_eq!(recorded().await, shop.now());
    }
    shop.clock().advance(SignedDuration::from_hours(2));
    assert_eq!(ann.get("/v1/me").await.problem(401), "unauthorized_access");
}

with_both_session_stores!(a_user_lists_the_own_sessions_and_ends_them);
async fn a_user_lists_the_own_sessions_and_ends_them(shop: &Shop) {
    let server = shop.server().await;
    let bob = newcomer(server, "bob@example.org").await;
    let ann = newcomer(server, "ann@example.org").await;
    let phone = server.guest().with("user-agent", &format!("Phone {}", "x".repeat(300)));
    let account = json!({"email": "ann@example.org", "password": PASSWORD});
    let created = phone.post("/v1/sessions", account).await.expect(201);
    let token = created["token"].as_str().unwrap();
    let phone = bearer(server, token);

    let response = phone.get("/v1/me/sessions").await;
    let list = response.expect(200);
    let [first, second] = &list["items"].as_array().unwrap()[..] else { panic!("{response}") };
    assert_eq!((&first["current"], &second["current"]), (&json!(true), &json!(false)));
    assert_eq!(first["user_agent"].as_str().unwrap().len(), 200);
    assert_eq!((&second["user_agent"], &first["expires_at"]), (&Value::Null, &created["expires_at"]));
    assert!(!response.to_string().contains(token) && !response.to_string().contains("hash"), "{response}");

    let path = |session: &Value| format!("/v1/me/sessions/{}", session["id"].as_str().unwrap());
    assert_eq!(bob.delete(&path(second)).await.problem(404), "session_not_found");
    phone.delete(&path(second)).await.expect(204);
    assert_eq!(phone.delete(&path(second)).await.problem(404), "session_not_found");
    assert_eq!(ann.get("/v1/me").await.problem(401), "unauthorized_access");
    phone.delete(&path(first)).await.expect(204);
    assert_eq!(phone.get("/v1/me").await.problem(401), "unauthorized_access");
    bob.get("/v1/me").await.expect(200);
}

with_both_session_stores!(a_session_with_the_old_password_ends_with_its_change);
async fn a_session_with_the_old_password_ends_with_its_change(shop: &Shop) {
    // the password changes while its hashes are computed
    let server = shop.server_of(with_costly_passwords(&shop.store)).await;
    let mut ann = newcomer(server, "ann@example.org").await;
    for number in 0..6 {
        let (old, new) = (format!("password {number}"), format!("password {}", number + 1));
        if number == 0 {
            let first = json!({"password": old, "current_password": PASSWORD});
            ann = bearer(server, ann.patch("/v1/me", first).await.header("session-token"));
        }
        let running: Vec<_> = (0..4)
            .map(|_| {
                let (server, old) = (server.clone(), old.clone());
                tokio::spawn(async move { try_log_in(&server, "ann@example.org", &old).await })
            })
            .collect();
        let changed = ann.patch("/v1/me", json!({"password": new, "current_password": old})).await;
        ann = bearer(server, changed.header("session-token"));
        for one in running {
            let response = one.await.unwrap();
            if response.status == 201 {
                let token = response.json()["token"].as_str().unwrap().to_owned();
                assert_eq!(bearer(server, &token).get("/v1/me").await.status, 401, "the session of {old}");
            }
        }
    }
}

on_both_engines!(too_many_concurrent_logins_are_refused);
async fn too_many_concurrent_logins_are_refused(shop: &Shop) {
    let mut store = shop.store.clone();
    let ids = Arc::clone(&shop.database.context().ids);
    store.passwords = Passwords::bounded(ids, Params::default(), 1, Duration::ZERO);
    let server = shop.server_of(store).await;
    let running: Vec<_> = (0..16)
        .map(|number| {
            let (server, email) = (server.clone(), format!("ann{number}@example.org"));
            tokio::spawn(async move { try_log_in(&server, &email, PASSWORD).await })
        })
        .collect();
    let (mut checked, mut refused) = (0, 0);
    for one in running {
        let response = one.await.unwrap();
        if response.status == 401 {
            checked += 1;
            continue;
        }
        assert_eq!((response.problem(503).as_str(), response.header("retry-after")), ("unavailable", "1"));
        refused += 1;
    }
    assert!(checked > 0 && refused > 0, "{checked} checked, {refused} refused");
}

on_both_engines!(guessing_passwords_does_not_lock_out_others);
async fn guessing_passwords_does_not_lock_out_others(shop: &Shop) {
    let server = shop.server_of(with_costly_passwords(&shop.store)).await;
    register(server, "bob@example.org").await;
    let running: Vec<_> = (0..64)
        .map(|_| {
            let server = server.clone();
            tokio::spawn(async move { try_log_in(&server, "ann@example.org", "guessed").await })
        })
        .collect();
    log_in(server, "bob@example.org", PASSWORD).await;
    let mut refused = 0;
    for one in running {
        let response = one.await.unwrap();
        if response.status != 401 {
            assert_eq!(
                (response.problem(429).as_str(), response.header("retry-after")),
                ("too_many_requests", "1")
            );
            refused += 1;
        }
    }
    assert!((1..=56).contains(&refused), "{refused} refused");
}

/// The log, in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

on_both_engines!(no_password_and_no_token_is_logged_or_returned, on_one_thread);
async fn no_password_and_no_token_is_logged_or_returned(shop: &Shop) {
    const SECRETS: [&str; 3] = ["first-secret-1", "wrong-secret-2", "other-secret-3"];
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // With a single subscriber, a log statement that another test reaches first is cached as disabled.
    let _second = tracing::Dispatch::new(NoSubscriber::default());
    // the server runs on the thread of the test
    let _logging = tracing::subscriber::set_default(subscriber);
    let server = shop.server().await;

    let [first, wrong, other] = SECRETS;
    let (guest, email) = (server.guest(), "ann@example.org");
    let mut responses = vec![
        guest.post("/v1/users", json!({"email": email, "password": first})).await,
        guest.post("/v1/users", json!({"email": email, "password": other})).await,
        guest.post("/v1/users", json!({"email": "no", "password": other})).await,
        guest.post("/v1/sessions", json!({"email": email, "password": wrong})).await,
        guest.post("/v1/sessions", json!({"email": email, "password": wrong, "x": 1})).await,
    ];
    let token = try_log_in(server, email, first).await.expect(201)["token"].as_str().unwrap().to_owned();
    let ann = bearer(server, &token);
    for current in [wrong, first] {
        responses.push(ann.patch("/v1/me", json!({"password": other, "current_password": current})).await);
    }
    let rotated = responses.last().unwrap().header("session-token").to_owned();
    responses.push(bearer(server, &rotated).get("/v1/me").await);
    let statuses: Vec<_> = responses.iter().map(|response| response.status).collect();
    assert_eq!(statuses, [201, 409, 422, 401, 422, 422, 200, 200]);
    for secret in SECRETS.into_iter().chain([token.as_str(), rotated.as_str(), "$argon2"]) {
        for response in &responses {
            assert!(!response.to_string().contains(secret), "{secret}: {response}");
        }
        let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
        assert!(log.contains("/v1/sessions"), "requests are logged");
        let line = log.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret}: {}", line.unwrap());
    }
}
