//! Access tokens: issued for a session, verified by other services, refused if they are forged, and rotated.

use std::time::Duration;

use http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use undercroft::application::Terms;
use undercroft::application::people::access_tokens::{published, rotate};
use undercroft::domain::access_token::{ACCESS_TOKEN_LIFETIME, ROTATION};
use undercroft::domain::ids::AccessTokenKeyId;
use undercroft::infrastructure::middleware::jwt::{
    Algorithm, Claims, Expected, InvalidToken, KeySet, verify,
};
use undercroft::infrastructure::repositories::{Database, Setup};

use super::one_time_passwords::REQUIRED;
use super::{PASSWORD, bearer, log_in, newcomer};
use crate::support::forged_tokens::Forger;
use crate::support::store::{store, terms, value};
use crate::support::{FaultyProxy, Shop, ShopOptions, TestClient, TestServer};

const ISSUER: &str = "https://shop.example";
/// The audience of another service.
const BILLING: &str = "https://billing.example";

async fn token_of(client: &TestClient) -> String {
    let issued = client.post("/v1/sessions/token", json!({})).await.expect(200);
    assert_eq!((&issued["token_type"], &issued["expires_in"]), (&json!("Bearer"), &json!(600)));
    issued["access_token"].as_str().unwrap().to_owned()
}

/// The keys, as another service gets them.
async fn keys(client: &TestClient) -> KeySet {
    let set = client.get("/.well-known/jwks.json").await.expect(200);
    KeySet::parse(set.to_string().as_bytes()).unwrap()
}

/// What another service makes of a token.
fn verified(shop: &Shop, token: &str, keys: &KeySet) -> Result<Claims, InvalidToken> {
    verified_for(shop, token, keys, ISSUER)
}

/// What another service with this audience makes of a token.
fn verified_for(shop: &Shop, token: &str, keys: &KeySet, audience: &str) -> Result<Claims, InvalidToken> {
    let expected = Expected {
        issuer: ISSUER.into(),
        audience: audience.into(),
        parties: Vec::new(),
        types: vec![Some("at+jwt")],
        algorithms: vec![Algorithm::EdDsa],
    };
    verify(token, keys, &expected, shop.database.context().clock.now())
}

with_both_session_stores!(another_service_verifies_a_token_by_the_published_keys);
async fn another_service_verifies_a_token_by_the_published_keys(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, "ann@example.org").await;
    assert_eq!(server.guest().get("/.well-known/jwks.json").await.expect(200), json!({"keys": []}));
    let token = token_of(&ann).await;
    let account = ann.get("/v1/me").await.expect(200);
    let claims = verified(shop, &token, &keys(&server.guest()).await).unwrap();
    assert_eq!(
        (claims.subject(), claims.get("roles")),
        (account["id"].as_str().unwrap(), Some(&json!(["customer"])))
    );

    let client = bearer(server, &token);
    assert_eq!(client.get("/v1/me").await.expect(200), account);
    let refused = client.get("/v1/me/sessions").await;
    assert_eq!(
        (refused.problem(403), &refused.json()["reason"]),
        ("unauthorized_access".into(), &json!("session_required"))
    );
    client.post("/v1/sessions/token", json!({})).await.problem(403);
    server.guest().post("/v1/sessions/token", json!({})).await.problem(401);

    let list = server.guest().get("/.well-known/jwks.json").await.expect(200);
    let secret: String =
        value(&shop.database, "SELECT value FROM store_settings WHERE key = 'secret'", &[]).await;
    assert!(list["keys"][0].get("d").is_none() && !list.to_string().contains(&secret), "{list}");
    ann.delete("/v1/sessions").await.expect(204);
    client.get("/v1/me").await.problem(401);
}

on_both_engines!(an_access_token_of_an_administrator_names_the_credentials_that_are_enough);
async fn an_access_token_of_an_administrator_names_the_credentials_that_are_enough(shop: &Shop) {
    let server = shop.server().await;
    let client = bearer(server, &token_of(&server.admin().await).await);
    client.get("/v1/me").await.expect(200);
    for path in ["/admin/v1/orders", "/admin/v1/api-keys"] {
        let refused = client.get(path).await;
        assert_eq!(refused.problem(403), "unauthorized_access", "{path}");
        let problem = refused.json();
        assert_eq!(problem["reason"], "session_or_api_key_required", "{path}");
        assert_eq!(problem.get("permission"), None, "{path}");
    }
    let refused = client.get("/v1/me/sessions").await;
    assert_eq!((refused.status, &refused.json()["reason"]), (403, &json!("session_required")));
}

with_both_session_stores!(
    a_token_for_another_service_is_not_accepted_by_the_store,
    ShopOptions::default().terms(Terms { access_token_audiences: vec![BILLING.to_owned()], ..terms() })
);
async fn a_token_for_another_service_is_not_accepted_by_the_store(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, "ann@example.org").await;
    let path = "/v1/sessions/token";
    let requested = async |audience: &str| ann.post(path, json!({"audience": audience})).await;
    let issued = requested(BILLING).await.expect(200);
    let token = issued["access_token"].as_str().unwrap();
    let keys = keys(&server.guest()).await;
    let claims = verified_for(shop, token, &keys, BILLING).unwrap();
    assert_eq!((claims.get("iss"), claims.get("aud")), (Some(&json!(ISSUER)), Some(&json!(BILLING))));
    assert_eq!(verified(shop, token, &keys).unwrap_err(), InvalidToken::Audience);
    let client = bearer(server, token);
    client.get("/v1/me").await.problem(401);
    client.get("/v1/carts/01900000-0000-7000-8000-000000000001").await.problem(401);
    // it ends no session either
    client.delete("/v1/sessions").await.expect(204);
    ann.get("/v1/me").await.expect(200);

    for own in [requested(ISSUER).await, ann.send(Method::POST, path, None).await] {
        let token = own.expect(200)["access_token"].as_str().unwrap().to_owned();
        verified(shop, &token, &keys).unwrap();
        bearer(server, &token).get("/v1/me").await.expect(200);
    }
    for other in ["https://other.example", "https://billing.example/", "HTTPS://BILLING.EXAMPLE"] {
        let refused = requested(other).await;
        assert_eq!(refused.faults(), [("/audience".to_owned(), "not_found".to_owned())], "{other}");
        let shown = refused.json().to_string();
        assert!(!shown.contains(BILLING) && !shown.contains(ISSUER), "{shown}");
    }
}

with_both_session_stores!(logging_out_by_an_access_token_ends_its_session);
async fn logging_out_by_an_access_token_ends_its_session(shop: &Shop) {
    let server = shop.server().await;
    let (ann, other) =
        (newcomer(server, "ann@example.org").await, log_in(server, "ann@example.org", PASSWORD).await);
    let client = bearer(server, &token_of(&ann).await);
    for _ in 0..2 {
        client.delete("/v1/sessions").await.expect(204);
    }
    for ended in [&ann, &client] {
        ended.get("/v1/me").await.problem(401);
    }
    other.get("/v1/me").await.expect(200);
}

with_both_session_stores!(a_token_expires, ShopOptions::manual_clock());
async fn a_token_expires(shop: &Shop) {
    let server = shop.server().await;
    let client = bearer(server, &token_of(&newcomer(server, "ann@example.org").await).await);
    client.get("/v1/me").await.expect(200);
    shop.clock().advance(SignedDuration::from_secs(10 * 60 + 31));
    client.get("/v1/me").await.problem(401);
}

on_both_engines!(a_forged_token_is_not_accepted);
async fn a_forged_token_is_not_accepted(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, "ann@example.org").await;
    let token = token_of(&ann).await;
    let claims = verified(shop, &token, &keys(&server.guest()).await).unwrap();
    let member = |name: &str| claims.get(name).cloned().unwrap();
    let names = ["iss", "aud", "sub", "client_id", "iat", "exp", "jti", "sid", "roles"];
    let claims: Value =
        Value::Object(names.map(|name| (name.to_owned(), member(name))).into_iter().collect());
    let id: AccessTokenKeyId = value(&shop.database, "SELECT id FROM access_token_keys", &[]).await;
    let seed = shop.database.signing_key().sign("access token key", id.0.as_bytes());
    let forger = Forger { seed, kid: id.to_string(), claims };
    bearer(server, &forger.valid()).get("/v1/me").await.expect(200);

    let mut tried = 0;
    for (name, token) in forger.all() {
        // spaces around a value are no part of it, and a longer header is refused before
        if token.trim() != token || token.len() > 50_000 {
            continue;
        }
        let response = server.guest().with("authorization", &format!("Bearer {token}")).get("/v1/me").await;
        assert_eq!(response.problem(401), "unauthorized_access", "{name}: {token}");
        assert!(response.headers.contains_key("www-authenticate"), "{name}");
        tried += 1;
    }
    assert!(tried >= 200, "{tried}");
}

on_both_engines!(no_valid_token_is_refused_while_keys_are_rotated, ShopOptions::manual_clock());
async fn no_valid_token_is_refused_while_keys_are_rotated(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, "ann@example.org").await;
    let (mut cached, mut cached_at) = (keys(&ann).await, shop.now());
    let (mut tokens, mut rotations, mut checked) = (Vec::new(), 0, 0);
    for step in 0..150_u32 {
        // uneven times, so that a rotation comes before, while and after the one before it takes effect
        shop.clock().advance(SignedDuration::from_secs((i64::from(step) * 37) % 540));
        let mut requests = JoinSet::new();
        for _ in 0..4 {
            let ann = ann.clone();
            requests.spawn(async move { token_of(&ann).await });
        }
        if step % 9 == 4 {
            rotate(&shop.store).await.unwrap();
            rotations += 1;
        }
        let issued = requests.join_all().await;
        // another service keeps the keys for an hour, and gets them again if it does not know one
        if step == 0 || shop.now().duration_since(cached_at) >= SignedDuration::from_hours(1) {
            (cached, cached_at) = (keys(&ann).await, shop.now());
        }
        tokens.extend(issued.into_iter().map(|token| (shop.now(), token)));
        tokens.retain(|(at, _)| shop.now().duration_since(*at) < SignedDuration::from_mins(10));
        for (_, token) in &tokens {
            verified(shop, token, &cached).unwrap_or_else(|error| panic!("step {step}: {error}"));
            checked += 1;
        }
        if let Some((_, token)) = tokens.first() {
            bearer(server, token).get("/v1/me").await.expect(200);
        }
    }
    assert!(rotations > 10 && checked > 1000, "{rotations} rotations, {checked} tokens");
    let left = published(&shop.store).await.unwrap().len();
    assert!(left < 6, "{left} keys are published");
}

/// Issues tokens of a session by two servers in turn, and uses each at both until it expires, until `stop`. Returns how
/// often one was used that was valid.
async fn use_tokens(shop: Shop, servers: [TestServer; 2], session: String, stop: CancellationToken) -> usize {
    let (mut held, mut used) = (Vec::new(), 0);
    for issuer in servers.iter().cycle() {
        if stop.is_cancelled() {
            break;
        }
        let issued_at = shop.now();
        held.push((issued_at, token_of(&issuer.guest().with("authorization", &session)).await));
        for (issued_at, token) in &held {
            for server in &servers {
                let response = bearer(server, token).get("/v1/me").await;
                // while the request was on its way, the token may have expired
                if shop.now().duration_since(*issued_at) < ACCESS_TOKEN_LIFETIME {
                    response.expect(200);
                    used += 1;
                }
            }
        }
        held.retain(|(issued_at, _)| shop.now().duration_since(*issued_at) < ACCESS_TOKEN_LIFETIME);
    }
    used
}

#[tokio::test(flavor = "multi_thread")]
async fn no_valid_token_is_refused_by_two_servers_while_both_rotate_keys() {
    let Some(shop) = Shop::on_postgres(ShopOptions::manual_clock()).await else { return };
    shop.run(async |shop: &Shop| {
        let (url, context) = (shop.url.parse().unwrap(), shop.database.context().clone());
        let database = Database::open(&url, context, Setup::IfEmpty).await.unwrap();
        let servers = [shop.server().await.clone(), TestServer::start(store(&database, terms())).await];
        let ann = newcomer(&servers[0], "ann@example.org").await;
        let session = ann.header("authorization").to_owned();
        token_of(&ann).await;
        let first = keys(&ann).await;
        let stop = CancellationToken::new();
        let mut using = JoinSet::new();
        for _ in 0..4 {
            using.spawn(use_tokens(shop.clone(), servers.clone(), session.clone(), stop.clone()));
        }
        // so fast that keys begin to sign, and are not published any more, while tokens are issued and used
        for (step, server) in (0..80_i64).zip(servers.iter().cycle()) {
            rotate(&server.store).await.unwrap();
            shop.clock().advance(SignedDuration::from_secs(30 + step * 37 % 150));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        stop.cancel();
        let used: usize = using.join_all().await.into_iter().sum();
        assert!(used > 50, "{used} uses of valid tokens");
        // the keys at the beginning do not sign any more
        let token = token_of(&ann).await;
        assert!(verified(shop, &token, &first).is_err());
        verified(shop, &token, &keys(&ann).await).unwrap();
        servers[1].end().await;
    })
    .await;
}

on_both_engines!(
    a_token_names_no_administrator_who_must_enrol_one_time_passwords,
    ShopOptions::default().terms(Terms { accounts: REQUIRED, ..terms() })
);
async fn a_token_names_no_administrator_who_must_enrol_one_time_passwords(shop: &Shop) {
    let server = shop.server().await;
    let token = token_of(&server.admin().await).await;
    let claims = verified(shop, &token, &keys(&server.guest()).await).unwrap();
    assert_eq!(claims.get("roles"), Some(&json!(["customer"])));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_are_published_while_the_database_is_away_for_an_hour() {
    let Some(shop) = Shop::on_postgres(ShopOptions::manual_clock()).await else { return };
    rotate(&shop.store).await.unwrap();
    let (proxy, url) = FaultyProxy::before(&shop.url).await;
    let (url, context) = (url.parse().unwrap(), shop.database.context().clone());
    let database = Database::open(&url, context, Setup::IfEmpty).await.unwrap();
    let [reader, late] = [(); 2].map(|()| store(&database, terms()));
    let keys = published(&reader).await.unwrap();
    assert_eq!(keys.len(), 1);

    proxy.refuse("57P03");
    assert_eq!(published(&reader).await.unwrap(), keys);
    assert!(published(&late).await.is_err(), "it has read none");
    shop.clock().advance(SignedDuration::from_mins(59));
    assert_eq!(published(&reader).await.unwrap(), keys);
    shop.clock().advance(SignedDuration::from_mins(1));
    assert!(published(&reader).await.is_err(), "they are too old");

    proxy.let_in();
    rotate(&shop.store).await.unwrap();
    assert_eq!(published(&reader).await.unwrap().len(), 2);
    rotate(&shop.store).await.unwrap();
    assert_eq!(published(&reader).await.unwrap().len(), 3, "they are read again");

    let minute = SignedDuration::from_mins(1);
    shop.clock().advance(ROTATION - minute);
    let keys = published(&reader).await.unwrap();
    proxy.refuse("57P03");
    assert_eq!(published(&reader).await.unwrap(), keys);
    shop.clock().advance(minute);
    assert!(published(&reader).await.is_err(), "another process may have published a new key");
}
