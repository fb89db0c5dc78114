//! Signatures of messages: HMAC-SHA256 over id, time and body.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::WebhookMessage;
use crate::domain::context::Context;
use crate::domain::webhook::WebhookSecret;

/// The number of random bytes of a secret.
const BYTES: usize = 32;
const PREFIX: &str = "whsec_";

/// Returns a new secret.
pub fn new_secret(context: &Context) -> WebhookSecret {
    let mut bytes = [0; BYTES];
    context.ids.secret(&mut bytes);
    WebhookSecret(format!("{PREFIX}{}", STANDARD.encode(bytes)))
}

/// Returns a signature of a message, as one of those in the header `webhook-signature`.
pub(super) fn sign(WebhookSecret(secret): &WebhookSecret, message: &WebhookMessage<'_>) -> String {
    sign_text(secret, &message.id.to_string(), message.at.as_second(), message.body)
}

fn sign_text(secret: &str, id: &str, seconds: i64, body: &str) -> String {
    // a secret that is not Base64 is used as it is
    let encoded = secret.strip_prefix(PREFIX).unwrap_or(secret);
    let key = STANDARD.decode(encoded).unwrap_or_else(|_| encoded.as_bytes().to_vec());
    // HMAC accepts keys of every length
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else { return String::new() };
    mac.update(format!("{id}.{seconds}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Returns whether the headers of a message have the signature that this program makes for it.
    fn is_signed(case: &Value) -> bool {
        let header = |name: &str| case["headers"][name].as_str();
        let text = |name: &str| case[name].as_str().unwrap();
        let (Some(id), Some(time)) = (header("webhook-id"), header("webhook-timestamp")) else {
            return false;
        };
        let Ok(seconds) = time.parse() else { return false };
        let own = sign_text(text("secret"), id, seconds, text("body"));
        header("webhook-signature").unwrap().split(' ').any(|signature| signature == own)
    }

    #[test]
    fn signatures_are_those_of_the_specification() {
        let vectors = include_str!("../../../../tests/fixtures/standard_webhooks.json");
        let vectors: Value = serde_json::from_str(vectors).unwrap();
        let cases = vectors["cases"].as_array().unwrap();
        assert_eq!(cases.iter().filter(|case| is_signed(case)).count(), 4);
        for case in cases {
            assert_eq!(is_signed(case), case["expect"] == "accept", "{}", case["name"]);
        }
    }

    #[test]
    fn secrets_differ_and_have_the_form_of_the_specification() {
        let (one, other) = (new_secret(&Context::system()), new_secret(&Context::system()));
        assert_ne!(one, other);
        let bytes = STANDARD.decode(one.0.strip_prefix("whsec_").unwrap()).unwrap();
        assert_eq!(bytes.len(), 32);
    }
}
