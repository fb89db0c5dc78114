//! What belongs to one shopper is kept for its owner alone, on two servers over one database, and never old.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::Method;
use serde_json::{Value, json};
use undercroft::domain::context::Context;
use undercroft::infrastructure::cache::{CacheOptions, Caches, Counts, SharedStore, SharedTier};
use undercroft::infrastructure::repositories::{Database, Setup};

use crate::application::people::newcomer;
use crate::support::http::{cart_of, ids, new_cart, order_of};
use crate::support::store::{execute, store, terms, value};
use crate::support::{Shop, TestClient, TestServer, eventually};

/// The members that are kept for one shopper.
const OWN: [&str; 5] = ["user", "user_preference", "order", "notification", "cart"];

/// Another server over the shop's database, as of another process.
pub(super) async fn another_server(shop: &Shop) -> TestServer {
    let url = shop.url.parse().unwrap();
    let database = Database::open(&url, Context::system(), Setup::IfEmpty).await.unwrap();
    TestServer::start(store(&database, terms())).await
}

/// The same client at another server.
pub(super) fn at(server: &TestServer, client: &TestClient) -> TestClient {
    server.guest().with("authorization", client.header("authorization"))
}

/// What a cache of a server counted.
pub(super) fn counts(server: &TestServer, name: &str) -> Counts {
    let states = server.store.infrastructure.caches.states();
    states.iter().find(|state| state.cache == name).unwrap().counts
}

/// What a user sees of the own data.
async fn shown(client: &TestClient) -> Value {
    let account = client.get("/v1/me").await.expect(200);
    let preferences = client.get("/v1/me/preferences").await.expect(200);
    let orders = client.get("/v1/orders").await.expect(200);
    let statuses: Vec<_> =
        orders["items"].as_array().unwrap().iter().map(|order| order["status"].clone()).collect();
    json!([account["name"], preferences["locale"], statuses])
}

/// Waits until this number of notifications is unread.
async fn until_unread(client: &TestClient, unread: i64) {
    let delivered = async || client.get("/v1/notifications").await.expect(200)["unread"] == unread;
    eventually("the delivery of notifications", delivered).await;
}

/// A client with an access token in place of the session.
async fn with_access_token(client: &TestClient) -> TestClient {
    let issued = client.post("/v1/sessions/token", json!({})).await.expect(200);
    client.with("authorization", &format!("Bearer {}", issued["access_token"].as_str().unwrap()))
}

on_both_engines!(own_data_shows_each_change_at_once_on_every_server);
async fn own_data_shows_each_change_at_once_on_every_server(shop: &Shop) {
    let (first, second) = (shop.server().await, another_server(shop).await);
    let (admin, ann) = (first.admin().await, newcomer(first, "ann@example.org").await);
    let token = with_access_token(&ann).await;
    let clients = [ann.clone(), at(&second, &ann), token.clone(), at(&second, &token)];
    let expect = async |expected: Value| {
        for client in clients.iter().chain(&clients) {
            assert_eq!(shown(client).await, expected);
        }
    };

    expect(json!(["Ann", null, []])).await;
    clients[1].patch("/v1/me", json!({"name": "Anna"})).await.expect(200);
    expect(json!(["Anna", null, []])).await;
    ann.put("/v1/me/preferences", json!({"locale": "pt-BR"})).await.expect(200);
    expect(json!(["Anna", "pt-BR", []])).await;
    let variant = shop.product().stock(5).create().await;
    let order = order_of(&clients[1], variant).await;
    expect(json!(["Anna", "pt-BR", ["paid"]])).await;
    let order = format!("/admin/v1/orders/{}", order["id"].as_str().unwrap());
    admin.post(&format!("{order}/fulfil"), json!({})).await.expect(200);
    expect(json!(["Anna", "pt-BR", ["fulfilled"]])).await;
    let refund = json!({"amount": 100, "reason": "damaged"});
    admin.post(&format!("{order}/refund"), refund).await.expect(201);
    for client in &clients {
        let orders = client.get("/v1/orders").await.expect(200);
        assert_eq!(orders["items"][0]["payment"]["refunded"]["amount"], 100, "of a payment alone");
    }

    for client in &clients {
        until_unread(client, 3).await;
    }
    let notifications = ann.get("/v1/notifications?unread=true").await.expect(200);
    ann.post(&format!("/v1/notifications/{}/read", ids(&notifications)[0]), json!({})).await.expect(204);
    for client in &clients {
        assert_eq!(client.get("/v1/notifications").await.expect(200)["unread"], 2);
    }
    clients[1].post("/v1/notifications/read-all", json!({})).await.expect(204);
    for client in &clients {
        assert_eq!(client.get("/v1/notifications").await.expect(200)["unread"], 0);
        assert_eq!(client.get("/v1/notifications?unread=true").await.expect(200)["items"], json!([]));
    }
    second.end().await;
}

on_both_engines!(what_did_not_change_is_not_loaded_again);
async fn what_did_not_change_is_not_loaded_again(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, "ann@example.org").await;
    let variant = shop.product().stock(9).create().await;
    order_of(&ann, variant).await;
    until_unread(&ann, 1).await;
    // the first look drops everything
    ann.get("/v1/products").await.expect(200);
    shop.discount("Ten", 10, Some(5)).await;
    let cart = cart_of(&ann, variant, 2).await;
    ann.put(&format!("{cart}/discount"), json!({"code": "ten"})).await.expect(200);
    let token = with_access_token(&ann).await;

    let read = async || {
        shown(&token).await;
        let inbox = token.get("/v1/notifications").await.expect(200);
        let cart = token.get(&cart).await.expect(200);
        assert_eq!(token.get("/v1/me/cart").await.expect(200), cart);
        (inbox, cart)
    };
    let loads = |name| counts(server, name).loads;
    let names = [&OWN[..], &["discount", "inventory"]].concat();
    let version = async || {
        let sql = "SELECT CAST(SUM(version) AS BIGINT) FROM user_data_versions";
        value::<i64>(&shop.database, sql, &[]).await
    };
    eventually("an end of the changes that follow an order", async || {
        let (before, first) = (version().await, read().await);
        let counted: Vec<_> = names.iter().map(|name| counts(server, name)).collect();
        for _ in 0..5 {
            read().await;
        }
        if version().await != before {
            return false;
        }
        assert_eq!(read().await, first);
        for (name, Counts { hits, loads: once, .. }) in names.iter().zip(counted) {
            assert_eq!(loads(name), once, "{name} is not loaded again");
            assert!(counts(server, name).hits >= hits + 5, "{name} is used");
        }
        true
    })
    .await;
    assert_eq!(loads("cart"), 0, "a change puts the cart where the next read finds it");
}

on_both_engines!(no_other_user_gets_what_is_kept);
async fn no_other_user_gets_what_is_kept(shop: &Shop) {
    let (first, second) = (shop.server().await, another_server(shop).await);
    let ann = newcomer(first, "ann@example.org").await;
    let variant = shop.product().stock(9).create().await;
    let order = order_of(&ann, variant).await;
    let (path, cart) =
        (format!("/v1/orders/{}", order["id"].as_str().unwrap()), cart_of(&ann, variant, 1).await);
    until_unread(&ann, 1).await;
    let guests_cart = new_cart(&first.guest()).await;
    let (token, there) = (with_access_token(&ann).await, at(&second, &ann));
    for client in [&ann, &token, &there] {
        shown(client).await;
        client.get(&cart).await.expect(200);
    }

    for server in [first, &second] {
        let bob = newcomer(first, &format!("bob{}@example.org", server.address.port())).await;
        let bob = at(server, &bob);
        assert_eq!(shown(&bob).await, json!(["Ann", null, []]));
        assert_eq!(bob.get("/v1/notifications").await.expect(200)["unread"], 0);
        for stranger in [&bob, &server.guest()] {
            stranger.get(&cart).await.expect(404);
            assert_ne!(stranger.get(&path).await.status, 200);
            stranger.get("/v1/carts/018f0000-0000-7000-8000-000000000001").await.expect(404);
            stranger.get(&guests_cart).await.expect(200);
        }
        server.guest().get("/v1/orders").await.expect(401);
        server.guest().get("/v1/notifications").await.expect(401);
        server.guest().get("/v1/me/preferences").await.expect(401);
    }

    // the account ends: at once, at both, by each credential
    let id = order["id"].as_str().unwrap();
    first.admin().await.post(&format!("/admin/v1/orders/{id}/fulfil"), json!({})).await.expect(200);
    shown(&there).await;
    let body = json!({"current_password": "correct horse"});
    ann.send(Method::DELETE, "/v1/me", Some(body)).await.expect(204);
    for client in [&ann, &token, &there, &at(&second, &token)] {
        for path in ["/v1/me", "/v1/me/preferences", "/v1/orders", "/v1/notifications", "/v1/me/cart"] {
            client.get(path).await.expect(401);
        }
        client.get(&cart).await.expect(401);
    }
    second.guest().get(&cart).await.expect(404);
    second.end().await;
}

on_both_engines!(rights_change_with_the_next_request_at_every_server);
async fn rights_change_with_the_next_request_at_every_server(shop: &Shop) {
    let (first, second) = (shop.server().await, another_server(shop).await);
    let admin = first.admin().await;
    let role = json!({"name": "support", "permissions": ["orders:read"]});
    admin.post("/admin/v1/roles", role).await.expect(201);
    let staff = first.staff("support").await;
    let (there, token) = (at(&second, &staff), with_access_token(&staff).await);
    let clients = [&staff, &there, &token, &at(&second, &token)];
    for (permissions, status) in [(json!([]), 403), (json!(["orders:read"]), 200)] {
        let role = json!({"permissions": permissions});
        admin.put("/admin/v1/roles/support", role).await.expect(200);
        for client in clients {
            assert_eq!(client.get("/v1/me").await.expect(200)["role"], "admin");
            client.get("/v1/orders").await.expect(200);
        }
        for client in [&staff, &there] {
            assert_eq!(client.get("/admin/v1/orders").await.status, status);
        }
        assert_eq!(token.get("/admin/v1/orders").await.status, 403, "an access token never has them");
    }

    // a change of the role ends what was begun with the former one
    let id = there.get("/v1/me").await.expect(200)["id"].as_str().unwrap().to_owned();
    admin.patch(&format!("/admin/v1/users/{id}"), json!({"role": "customer"})).await.expect(200);
    for client in clients {
        client.get("/v1/me").await.expect(401);
        client.get("/v1/orders").await.expect(401);
    }
    second.end().await;
}

/// A store that remembers the keys of what it was given.
#[derive(Default)]
struct Recorded(Mutex<Vec<String>>);

impl SharedStore for Recorded {
    fn get(&self, _: String) -> BoxFuture<'_, Option<Vec<u8>>> {
        async { None }.boxed()
    }

    fn set(&self, key: String, _: Vec<u8>, _: Duration) -> BoxFuture<'_, ()> {
        self.0.lock().unwrap().push(key);
        async {}.boxed()
    }

    fn lock(&self, _: String, _: Duration) -> BoxFuture<'_, bool> {
        async { true }.boxed()
    }

    fn remove(&self, _: String) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
}

on_both_engines!(what_belongs_to_one_shopper_stays_in_the_process);
async fn what_belongs_to_one_shopper_stays_in_the_process(shop: &Shop) {
    let recorded = Arc::new(Recorded::default());
    let mut store = shop.store.clone();
    let tier = SharedTier::new(Arc::<Recorded>::clone(&recorded), b"secret");
    let options = CacheOptions { shared: Some(tier), verify: true, ..CacheOptions::default() };
    store.infrastructure.caches = Caches::new(store.database(), options);
    let server = shop.server_of(store).await;
    let ann = newcomer(server, "ann@example.org").await;
    let variant = shop.product().stock(9).create().await;
    order_of(&ann, variant).await;
    shop.discount("Ten", 10, None).await;
    let cart = cart_of(&ann, variant, 2).await;
    ann.put(&format!("{cart}/discount"), json!({"code": "ten"})).await.expect(200);
    let token = with_access_token(&ann).await;
    shown(&token).await;
    token.get("/v1/notifications").await.expect(200);
    execute(&shop.database, &["UPDATE carts SET version = version + 1"]).await;
    token.get(&cart).await.expect(200);

    eventually("a shared entry", async || !recorded.0.lock().unwrap().is_empty()).await;
    let keys = recorded.0.lock().unwrap().clone();
    assert!(keys.iter().all(|key| key.contains(":inventory:")), "{keys:?}");
    for name in OWN.iter().chain(&["discount"]) {
        assert!(counts(server, name).loads > 0, "{name}");
    }
}

on_both_engines!(changes_of_own_data_publish_nothing);
async fn changes_of_own_data_publish_nothing(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, "ann@example.org").await;
    let variant = shop.product().stock(5).create().await;
    let sql = "SELECT COUNT(*) FROM outbox WHERE type = 'cache_invalidation'";
    let before: i64 = value(&shop.database, sql, &[]).await;
    ann.put("/v1/me/preferences", json!({"locale": "de"})).await.expect(200);
    ann.patch("/v1/me", json!({"name": "Anna"})).await.expect(200);
    cart_of(&ann, variant, 2).await;
    cart_of(&server.guest(), variant, 2).await;
    let after: i64 = value(&shop.database, sql, &[]).await;
    assert_eq!(after, before);
    order_of(&ann, variant).await;
    until_unread(&ann, 1).await;
    ann.post("/v1/notifications/read-all", json!({})).await.expect(204);
    let after: i64 = value(&shop.database, sql, &[]).await;
    assert_eq!(after, before + 1, "the reserved pieces of the order");
}
