//! Passwords are hashed anew when their owner logs in, if the cost of hashes has changed.

use serde_json::json;

use super::{PASSWORD, device, log_in, register, try_log_in};
use crate::support::store::{value, with_costly_passwords};
use crate::support::{Shop, TestServer};

/// Starts another server of the shop, whose hashes cost more.
async fn costly(shop: &Shop) -> TestServer {
    TestServer::start(with_costly_passwords(&shop.store)).await
}

on_both_engines!(a_password_is_hashed_anew_at_log_in_if_the_cost_has_changed);
async fn a_password_is_hashed_anew_at_log_in_if_the_cost_has_changed(shop: &Shop) {
    let (server, costly) = (shop.server().await, costly(shop).await);
    let user = register(server, "ann@example.org").await;
    let stored = async || value::<String>(&shop.database, "SELECT password_hash FROM users", &[]).await;
    let hash = stored().await;
    assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{hash}");
    assert_eq!(try_log_in(&costly, "ann@example.org", "wrong password").await.status, 401);
    assert_eq!(stored().await, hash);
    let ann = log_in(&costly, "ann@example.org", PASSWORD).await;
    let rehashed = stored().await;
    assert!(rehashed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{rehashed}");
    assert_eq!(ann.get("/v1/me").await.expect(200), user, "the account is the same");
    log_in(&costly, "ann@example.org", PASSWORD).await;
    assert_eq!(stored().await, rehashed);

    // a cost that is lowered is that of the next hash, too
    log_in(server, "ann@example.org", PASSWORD).await;
    assert_eq!(stored().await, hash, "the salt remains");

    // at the same time
    let running: Vec<_> = (0..6)
        .map(|_| {
            let server = costly.clone();
            tokio::spawn(async move { try_log_in(&server, "ann@example.org", PASSWORD).await })
        })
        .collect();
    for one in running {
        one.await.unwrap().expect(201);
    }
    assert_eq!(stored().await, rehashed);
    costly.end().await;
}

on_both_engines!(a_known_device_remains_known_when_its_password_is_hashed_anew);
async fn a_known_device_remains_known_when_its_password_is_hashed_anew(shop: &Shop) {
    let (server, costly) = (shop.server().await, costly(shop).await);
    register(server, "ann@example.org").await;
    let known = device(&try_log_in(server, "ann@example.org", PASSWORD).await);
    let body = json!({"email": "ann@example.org", "password": PASSWORD});
    for _ in 0..2 {
        let response = costly.guest().with("cookie", &known).post("/v1/sessions", body.clone()).await;
        response.expect(201);
        assert_eq!(device(&response), "", "it is known");
    }
    costly.end().await;
}
