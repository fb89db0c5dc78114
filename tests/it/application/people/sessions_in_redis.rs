//! Sessions in a Redis that is away, flushed, restored, or has what the store did not write.

use std::time::{Duration, Instant};

use http::Method;
use jiff::SignedDuration;
use redis::AsyncCommands;
use serde_json::json;
use undercroft::application::Store;
use undercroft::domain::user::{Session, token_hash};
use undercroft::infrastructure::middleware::SessionStore;
use undercroft::infrastructure::repositories::{EndedSessions, SessionRepository};

use super::{PASSWORD, bearer, erase, log_in, newcomer, try_log_in};
use crate::support::passwords::create_key;
use crate::support::redis::{InRedis, current_session, redis_url};
use crate::support::store::{execute, value};
use crate::support::{Line, Proxy, Shop, ShopOptions, TestClient, TestServer, eventually};

/// Longer than everything that the tests wait for.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than a request waits for Redis, on a machine that runs other tests.
const BOUND: Duration = Duration::from_secs(5);

/// The store of a shop with its sessions at a URL.
fn with_sessions(shop: &Shop, url: &str) -> Store {
    let mut store = shop.store.clone();
    store.infrastructure.sessions =
        SessionStore::open(&url.parse().unwrap(), store.database().clone()).unwrap();
    store
}

/// A server with the sessions in Redis; `None` if there is none.
async fn server(shop: &Shop) -> Option<&TestServer> {
    let url = redis_url().await?;
    Some(shop.server_of(with_sessions(shop, &url)).await)
}

/// A client that sends the token of another one in the cookie of the session.
fn browser(server: &TestServer, client: &TestClient) -> TestClient {
    let token = client.header("authorization").trim_start_matches("Bearer ");
    server.guest().with("cookie", &format!("undercroft_session={token}"))
}

on_both_engines!(while_redis_is_away_users_wait_and_guests_go_on);
async fn while_redis_is_away_users_wait_and_guests_go_on(shop: &Shop) {
    let Some(url) = redis_url().await else { return };
    let (proxy, through) = Proxy::before(&url).await.unwrap();
    let server = shop.server_of(with_sessions(shop, &through)).await;
    let (ann, guest) = (newcomer(server, "ann@example.org").await, server.guest());
    let cookie = browser(server, &ann);
    let api_key = create_key(server, &ann, json!({"name": "Till"})).await.expect(201);
    let api_key = bearer(server, api_key["key"].as_str().unwrap());
    let access_token = ann.post("/v1/sessions/token", json!({})).await.expect(200);
    let access_token = bearer(server, access_token["access_token"].as_str().unwrap());
    access_token.get("/v1/me/preferences").await.expect(200);
    let state = async || guest.get("/health/ready").await.expect(200)["sessions"].clone();
    assert_eq!(state().await, "ok");
    let rows = async || value::<i64>(&shop.database, "SELECT COUNT(*) FROM carts", &[]).await;
    let carts = rows().await;

    for line in [Line::Silent, Line::Cut] {
        proxy.set(line);
        for (client, method, path) in [
            (&ann, Method::GET, "/v1/me"),
            (&cookie, Method::GET, "/v1/me"),
            (&access_token, Method::GET, "/v1/me/preferences"),
            // for the principal of a cookie that is not verified, it would be the cart of a guest
            (&cookie, Method::POST, "/v1/carts"),
            (&ann, Method::POST, "/v1/carts"),
            (&cookie, Method::DELETE, "/v1/sessions"),
        ] {
            let body = (method == Method::POST).then(|| json!({}));
            let began = Instant::now();
            let response = client.send(method, path, body).await;
            assert_eq!(response.problem(503), "unavailable", "{line:?}");
            assert_eq!(response.header("retry-after"), "1");
            assert!(!response.headers.contains_key("set-cookie"), "{response}");
            assert!(began.elapsed() < BOUND, "{line:?} {path}: {:?}", began.elapsed());
        }
        assert_eq!(try_log_in(server, "ann@example.org", PASSWORD).await.problem(503), "unavailable");
        assert_eq!(rows().await, carts);
        // what needs no session goes on, also with its cookie
        cookie.get("/v1/products").await.expect(200);
        guest.get("/v1/products").await.expect(200);
        api_key.get("/v1/me").await.expect(200);
        assert_eq!(state().await, "unavailable");
    }
    guest.post("/v1/carts", json!({})).await.expect(201);

    proxy.set(Line::Open);
    let back = async {
        while ann.get("/v1/me").await.status == 503 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, back).await.expect("Redis is used again");
    ann.get("/v1/me").await.expect(200);
    cookie.get("/v1/me").await.expect(200);
    access_token.get("/v1/me/preferences").await.expect(200);
    assert_eq!(state().await, "ok");
    ann.delete("/v1/sessions").await.expect(204);
    assert_eq!(cookie.get("/v1/me").await.status, 401);
}

on_both_engines!(a_closed_connection_to_redis_fails_no_request);
async fn a_closed_connection_to_redis_fails_no_request(shop: &Shop) {
    let Some(url) = redis_url().await else { return };
    let (proxy, through) = Proxy::before(&url).await.unwrap();
    let server = shop.server_of(with_sessions(shop, &through)).await;
    let ann = newcomer(server, "ann@example.org").await;
    for _ in 0..5 {
        proxy.cut();
        ann.get("/v1/me").await.expect(200);
    }
}

#[tokio::test]
async fn a_connection_to_redis_that_the_network_forgot_is_replaced() {
    let Some(url) = redis_url().await else { return };
    let shop = Shop::on_sqlite(ShopOptions::default()).await;
    let (proxy, through) = Proxy::before(&url).await.unwrap();
    let server = shop.server_of(with_sessions(&shop, &through)).await;
    let ann = newcomer(server, "ann@example.org").await;
    proxy.set(Line::Lost);
    assert_eq!(ann.get("/v1/me").await.problem(503), "unavailable");
    eventually("the session", async || ann.get("/v1/me").await.status == 200).await;
}

on_both_engines!(users_whose_sessions_are_lost_log_in_again);
async fn users_whose_sessions_are_lost_log_in_again(shop: &Shop) {
    let Some(server) = server(shop).await else { return };
    let ann = newcomer(server, "ann@example.org").await;
    let mut redis = InRedis::of(&ann).await;
    redis.flush().await;
    assert_eq!(ann.get("/v1/me").await.json()["reason"], "invalid_token");
    // as after any session that has ended
    let cookie = browser(server, &ann);
    cookie.post("/v1/carts", json!({})).await.expect(201);

    let again = log_in(server, "ann@example.org", PASSWORD).await;
    let list = again.get("/v1/me/sessions").await.expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(ann.get("/v1/me").await.status, 401);
    // the list is lost, the session is not
    let index = redis.keys().await.into_iter().find(|key| key.contains(":of:")).unwrap();
    let _: () = redis.redis.del(index).await.unwrap();
    let list = again.get("/v1/me/sessions").await.expect(200);
    assert_eq!(list["items"], json!([]));
    again.delete("/v1/me/sessions").await.expect(204);
    assert_eq!(again.get("/v1/me").await.status, 401);
}

on_both_engines!(a_snapshot_of_redis_revives_no_session);
async fn a_snapshot_of_redis_revives_no_session(shop: &Shop) {
    let Some(server) = server(shop).await else { return };
    let (root, bob) = (server.admin().await, newcomer(server, "bob@example.org").await);
    let mut users = Vec::new();
    for number in 0..7 {
        let email = format!("ann{number}@example.org");
        users.push((email.clone(), newcomer(server, &email).await, log_in(server, &email, PASSWORD).await));
    }
    let mut redis = InRedis::of(&bob).await;
    let snapshot = redis.snapshot().await;
    let [logged_out, ended, everywhere, changed, by_admin, promoted, erased] = &users[..] else { panic!() };
    let id = async |client: &TestClient| {
        let user = client.get("/v1/me").await.expect(200);
        format!("/admin/v1/users/{}", user["id"].as_str().unwrap())
    };
    let (of_by_admin, of_promoted) = (id(&by_admin.1).await, id(&promoted.1).await);
    execute(&shop.database, &["UPDATE users SET email_verified_at = created_at"]).await;

    logged_out.1.delete("/v1/sessions").await.expect(204);
    let path = format!("/v1/me/sessions/{}", current_session(&ended.1).await);
    ended.2.delete(&path).await.expect(204);
    everywhere.1.delete("/v1/me/sessions").await.expect(204);
    let change = json!({"password": "another password", "current_password": PASSWORD});
    let response = changed.1.patch("/v1/me", change).await;
    let rotated = bearer(server, response.header("session-token"));
    rotated.get("/v1/me").await.expect(200);
    root.delete(&format!("{of_by_admin}/sessions")).await.expect(204);
    root.patch(&of_promoted, json!({"role": "admin"})).await.expect(200);
    erase(&erased.1).await.expect(204);

    redis.restore(&snapshot).await;
    for (email, first, second) in [everywhere, changed, by_admin, promoted, erased] {
        for client in [first, second] {
            assert_eq!(client.get("/v1/me").await.problem(401), "unauthorized_access", "{email}");
        }
    }
    for (email, first, second) in [logged_out, ended] {
        assert_eq!(first.get("/v1/me").await.problem(401), "unauthorized_access", "{email}");
        let list = second.get("/v1/me/sessions").await.expect(200);
        assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    }
    // it began after the snapshot
    assert_eq!(rotated.get("/v1/me").await.status, 401);
    bob.get("/v1/me").await.expect(200);

    // a log-out while Redis had lost the session holds, too
    redis.flush().await;
    bob.delete("/v1/sessions").await.expect(204);
    redis.restore(&snapshot).await;
    assert_eq!(bob.get("/v1/me").await.status, 401);
}

on_both_engines!(logging_out_with_an_invented_token_writes_nothing);
async fn logging_out_with_an_invented_token_writes_nothing(shop: &Shop) {
    let Some(server) = server(shop).await else { return };
    let ann = newcomer(server, "ann@example.org").await;
    let rows = async || value::<i64>(&shop.database, "SELECT COUNT(*) FROM ended_sessions", &[]).await;
    let own = ann.header("authorization").trim_start_matches("Bearer ").to_owned();
    let forged = format!("{}AAAA", &own[..own.len() - 4]);
    for invented in ["invented", &"A".repeat(43), &"A".repeat(54), &forged, "a.b.c"] {
        bearer(server, invented).delete("/v1/sessions").await.expect(204);
        server.guest().with("cookie", &format!("undercroft_session={invented}")).delete("/v1/sessions").await;
        assert_eq!(rows().await, 0, "{invented}");
    }
    ann.delete("/v1/sessions").await.expect(204);
    assert_eq!(rows().await, 1);
}

on_both_engines!(a_session_that_was_ended_does_not_go_on_with_another_token);
async fn a_session_that_was_ended_does_not_go_on_with_another_token(shop: &Shop) {
    let Some(server) = server(shop).await else { return };
    let ann = newcomer(server, "ann@example.org").await;
    let mut redis = InRedis::of(&ann).await;
    let sessions = &server.store.infrastructure.sessions;
    let end_others = async |session: &Session, to: &[u8]| -> EndedSessions {
        let given = (session.user_id, session.token_hash.clone(), to.to_vec());
        let write = shop.database.write(given, async |work, (user_id, from, to)| {
            SessionRepository::end_others_of(work, *user_id, (from, to)).await
        });
        write.await.unwrap()
    };
    let session_of = async |client: &TestClient| {
        let hash = token_hash(client.header("authorization").trim_start_matches("Bearer "));
        sessions.by_token_hash(&hash).await.unwrap().unwrap().0
    };

    // one that ends between the commit and its effect in Redis
    let snapshot = redis.snapshot().await;
    let ended = end_others(&session_of(&ann).await, b"new").await;
    ann.delete("/v1/sessions").await.expect(204);
    redis.restore(&snapshot).await;
    assert!(!sessions.end_in_redis(&ended).await, "it was of the epoch before, and ended by another request");
    assert!(sessions.by_token_hash(b"new").await.unwrap().is_none());

    // one that ended with an earlier epoch
    let bob = newcomer(server, "bob@example.org").await;
    let (session, snapshot) = (session_of(&bob).await, redis.snapshot().await);
    bob.delete("/v1/me/sessions").await.expect(204);
    redis.restore(&snapshot).await;
    let ended = end_others(&session, &session.token_hash).await;
    assert!(!sessions.end_in_redis(&ended).await);
    assert_eq!(bob.get("/v1/me").await.status, 401);
}

on_both_engines!(a_database_that_was_restored_revives_no_session);
async fn a_database_that_was_restored_revives_no_session(shop: &Shop) {
    let Some(server) = server(shop).await else { return };
    let first = newcomer(server, "ann@example.org").await;
    first.delete("/v1/me/sessions").await.expect(204);
    let unknown = log_in(server, "ann@example.org", PASSWORD).await;
    unknown.get("/v1/me").await.expect(200);
    execute(&shop.database, &["UPDATE users SET session_epoch = 0"]).await;
    assert_eq!(unknown.get("/v1/me").await.status, 401, "the database does not know its epoch");

    let again = log_in(server, "ann@example.org", PASSWORD).await;
    again.delete("/v1/me/sessions").await.expect(204);
    for client in [first, unknown, again] {
        assert_eq!(client.get("/v1/me").await.status, 401);
    }
}

on_both_engines!(what_the_store_did_not_write_into_redis_is_no_session);
async fn what_the_store_did_not_write_into_redis_is_no_session(shop: &Shop) {
    let Some(server) = server(shop).await else { return };
    let (ann, bob) = (newcomer(server, "ann@example.org").await, newcomer(server, "bob@example.org").await);
    let mut redis = InRedis::of(&ann).await;
    let key = async |client: &TestClient, prefix: &str| format!("{prefix}{}", current_session(client).await);
    let (of_ann, of_bob) = (key(&ann, &redis.prefix).await, key(&bob, &redis.prefix).await);
    let whole: Vec<u8> = redis.redis.get(&of_ann).await.unwrap();
    let foreign: Vec<u8> = redis.redis.get(&of_bob).await.unwrap();
    let text = String::from_utf8_lossy(&whole[32..]).into_owned();
    assert!(!text.contains(ann.header("authorization").trim_start_matches("Bearer ")), "{text}");

    let mut unsigned = whole.clone();
    unsigned[..32].fill(0);
    let later = [&whole[..32], text.replace("\"epoch\":0", "\"epoch\":1").as_bytes()].concat();
    assert_ne!(later, whole);
    for bytes in [&b""[..], b"{}", &[0xff; 400], &whole[..31], &whole[..40], &unsigned, &later, &foreign] {
        let _: () = redis.redis.set(&of_ann, bytes).await.unwrap();
        assert_eq!(ann.get("/v1/me").await.json()["reason"], "invalid_token", "{bytes:?}");
        ann.delete("/v1/me/sessions/00000000-0000-4000-8000-000000000000").await.problem(401);
    }
    let _: () = redis.redis.del(&of_ann).await.unwrap();
    let _: () = redis.redis.lpush(&of_ann, "a list").await.unwrap();
    assert_eq!(ann.get("/v1/me").await.json()["reason"], "invalid_token");
    let _: () = redis.redis.del(&of_ann).await.unwrap();
    let _: () = redis.redis.set(&of_ann, &whole).await.unwrap();
    ann.get("/v1/me").await.expect(200);

    // the list of a user's sessions
    let keys = redis.keys().await;
    let indexes: Vec<_> = keys.iter().filter(|key| key.contains(":of:")).collect();
    for index in &indexes {
        for member in ["no id", of_bob.rsplit(':').next().unwrap()] {
            let _: () = redis.redis.zadd(index, member, 7).await.unwrap();
        }
    }
    let list = ann.get("/v1/me/sessions").await.expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "that of another user is not in it: {list}");
    for index in indexes {
        let _: () = redis.redis.set(index, "no list").await.unwrap();
    }
    let again = log_in(server, "ann@example.org", PASSWORD).await;
    let list = again.get("/v1/me/sessions").await.expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    bob.delete("/v1/me/sessions").await.expect(204);
    assert_eq!(bob.get("/v1/me").await.status, 401);
}

on_both_engines!(two_stores_use_one_redis);
async fn two_stores_use_one_redis(shop: &Shop) {
    let Some(server) = server(shop).await else { return };
    let other = Shop::on_sqlite(ShopOptions::default()).await;
    let other_server = self::server(&other).await.unwrap();
    let ann = newcomer(server, "ann@example.org").await;
    let there = newcomer(other_server, "ann@example.org").await;
    let (mut own, mut theirs) = (InRedis::of(&ann).await, InRedis::of(&there).await);
    assert_ne!(own.prefix, theirs.prefix);
    let token = ann.header("authorization").trim_start_matches("Bearer ").to_owned();
    assert_eq!(bearer(other_server, &token).get("/v1/me").await.status, 401);

    // a session of another store is none, also in the place of one's own
    let id = current_session(&ann).await;
    let bytes: Vec<u8> = own.redis.get(format!("{}{id}", own.prefix)).await.unwrap();
    let _: () = theirs.redis.set(format!("{}{id}", theirs.prefix), bytes).await.unwrap();
    assert_eq!(bearer(other_server, &token).get("/v1/me").await.status, 401);
    theirs.flush().await;
    assert!(!own.keys().await.is_empty());
    ann.get("/v1/me").await.expect(200);
    other_server.end().await;
}

on_both_engines!(redis_has_nothing_of_sessions_that_ended, ShopOptions::manual_clock());
async fn redis_has_nothing_of_sessions_that_ended(shop: &Shop) {
    let Some(server) = server(shop).await else { return };
    let ann = newcomer(server, "ann@example.org").await;
    let mut redis = InRedis::of(&ann).await;
    assert_eq!(redis.keys().await.len(), 2);
    let change = json!({"password": "another password", "current_password": PASSWORD});
    let response = ann.patch("/v1/me", change).await;
    let ann = bearer(server, response.header("session-token"));
    let second = try_log_in(server, "ann@example.org", "another password").await.expect(201);
    let second = bearer(server, second["token"].as_str().unwrap());
    assert_eq!(redis.keys().await.len(), 3, "two sessions and their list");
    assert_eq!(redis.snapshot().await.len(), 3);
    second.delete("/v1/sessions").await.expect(204);
    assert_eq!(redis.keys().await.len(), 2);

    // its use is recorded without another end
    shop.clock().advance(SignedDuration::from_hours(1));
    ann.get("/v1/me").await.expect(200);
    for (key, _, ttl) in redis.snapshot().await {
        let expected = if key.contains(":of:") { 24 } else { 23 };
        let hour = 60 * 60 * 1000;
        assert!((expected * hour - hour / 2..=expected * hour).contains(&ttl), "{key} ends in {ttl} ms");
    }
    let erased = json!({"current_password": "another password"});
    ann.send(Method::DELETE, "/v1/me", Some(erased)).await.expect(204);
    assert_eq!(redis.keys().await, Vec::<String>::new());
}
