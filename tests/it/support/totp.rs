//! An authenticator app, written beside that of the store.

use aws_lc_rs::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};
use data_encoding::BASE32_NOPAD;
use jiff::Timestamp;
use serde_json::json;

use super::{Shop, TestClient};

/// The code of a secret at a time.
pub fn code_at(secret: &str, now: Timestamp) -> String {
    let key = Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, &BASE32_NOPAD.decode(secret.as_bytes()).unwrap());
    let tag = sign(&key, &(now.as_second() / 30).to_be_bytes());
    let at = usize::from(tag.as_ref()[19] & 15);
    let number = u32::from_be_bytes(tag.as_ref()[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// Enrols an app for the user of a client with this password; returns the secret, the recovery codes, and the new token
/// of the session.
pub async fn enrol(shop: &Shop, client: &TestClient, password: &str) -> (String, Vec<String>, String) {
    let begun = client.post("/v1/me/totp", json!({"current_password": password})).await.expect(201);
    let secret = begun["secret"].as_str().unwrap().to_owned();
    let code = json!({"one_time_password": code_at(&secret, shop.now())});
    let confirmed = client.post("/v1/me/totp/confirm", code).await;
    let codes = confirmed.expect(200)["recovery_codes"].as_array().unwrap().clone();
    let codes = codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect();
    (secret, codes, confirmed.header("session-token").to_owned())
}
