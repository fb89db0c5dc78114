//! An authenticator app, written beside that of the store.

use aws_lc_rs::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};
use data_encoding::BASE32_NOPAD;
use jiff::Timestamp;
use serde_json::json;
use undercroft::domain::ids::UserId;
use undercroft::infrastructure::repositories::DatabaseError;

use super::{Shop, TestClient};

/// The code of a secret at a time.
pub fn code_at(secret: &str, now: Timestamp) -> String {
    let key = Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, &BASE32_NOPAD.decode(secret.as_bytes()).unwrap());
    let tag = sign(&key, &(now.as_second() / 30).to_be_bytes());
    let at = usize::from(tag.as_ref()[19] & 15);
    let number = u32::from_be_bytes(tag.as_ref()[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// Enrols an app for the user of a client with this password; returns the secret and the recovery codes.
pub async fn enrol(shop: &Shop, client: &TestClient, password: &str) -> (String, Vec<String>) {
    let begun = client.post("/v1/me/totp", json!({"current_password": password})).await.expect(201);
    let secret = begun["secret"].as_str().unwrap().to_owned();
    let code = json!({"one_time_password": code_at(&secret, shop.now())});
    let confirmed = client.post("/v1/me/totp/confirm", code).await.expect(200);
    let codes = confirmed["recovery_codes"].as_array().unwrap();
    (secret, codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect())
}

/// Gives the user of a client a password.
pub async fn set_password(shop: &Shop, client: &TestClient, password: &str) {
    let id = client.get("/v1/me").await.expect(200)["id"].as_str().unwrap().parse().map(UserId).unwrap();
    let hash = shop.store.passwords.hash(&password.into()).await.unwrap();
    let set: Result<u64, DatabaseError> = shop
        .database
        .write((id, hash), async |work, (id, hash)| {
            let sql = "UPDATE users SET password_hash = $2 WHERE id = $1";
            work.execute(sql, &[(*id).into(), hash.as_str().into()]).await
        })
        .await;
    assert_eq!(set.unwrap(), 1);
}
