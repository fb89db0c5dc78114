//! Passwords are hashed anew when their owner logs in, if the parameters have changed.

use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use serde_json::json;

use super::{PASSWORD, device, log_in, register, try_log_in};
use crate::support::Shop;
use crate::support::store::value;

on_both_engines!(a_password_is_hashed_anew_at_log_in_if_its_hash_is_weaker);
async fn a_password_is_hashed_anew_at_log_in_if_its_hash_is_weaker(shop: &Shop) {
    let server = shop.server().await;
    register(server, "ann@example.org").await;
    let hash = weaken(shop).await;
    let stored = async || value::<String>(&shop.database, "SELECT password_hash FROM users", &[]).await;
    assert_eq!(try_log_in(server, "ann@example.org", "wrong password").await.status, 401);
    assert_eq!(stored().await, hash);
    log_in(server, "ann@example.org", PASSWORD).await;
    let rehashed = stored().await;
    assert!(rehashed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{rehashed}");
    log_in(server, "ann@example.org", PASSWORD).await;
    assert_eq!(stored().await, rehashed);

    // at the same time
    weaken(shop).await;
    let running: Vec<_> = (0..6)
        .map(|_| {
            let server = server.clone();
            tokio::spawn(async move { try_log_in(&server, "ann@example.org", PASSWORD).await })
        })
        .collect();
    for one in running {
        one.await.unwrap().expect(201);
    }
    assert_eq!(stored().await, rehashed);
}

/// Gives the users the hash of their password with weaker parameters and the same salt.
async fn weaken(shop: &Shop) -> String {
    let stored: String = value(&shop.database, "SELECT password_hash FROM users", &[]).await;
    let salt = stored.split('$').nth(4).unwrap();
    let salt = STANDARD_NO_PAD.decode(salt).unwrap();
    let weaker = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(4_096, 1, 1, None).unwrap());
    let hash = weaker.hash_password_with_salt(PASSWORD.as_bytes(), &salt).unwrap().to_string();
    let write = shop.database.write(hash.clone(), async |work, hash| {
        work.execute("UPDATE users SET password_hash = $1", &[hash.as_str().into()]).await
    });
    write.await.unwrap();
    hash
}

on_both_engines!(a_known_device_remains_known_when_its_password_is_hashed_anew);
async fn a_known_device_remains_known_when_its_password_is_hashed_anew(shop: &Shop) {
    let server = shop.server().await;
    register(server, "ann@example.org").await;
    let known = device(&try_log_in(server, "ann@example.org", PASSWORD).await);
    weaken(shop).await;
    let body = json!({"email": "ann@example.org", "password": PASSWORD});
    for _ in 0..2 {
        let response = server.guest().with("cookie", &known).post("/v1/sessions", body.clone()).await;
        response.expect(201);
        assert_eq!(device(&response), "", "it is known");
    }
}
