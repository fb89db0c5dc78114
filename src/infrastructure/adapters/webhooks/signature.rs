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
    use super::*;

    #[test]
    fn signatures_are_those_of_the_specification() {
        // the test of the reference libraries, github.com/standard-webhooks/standard-webhooks
        let signature = sign_text(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn secrets_differ_and_have_the_form_of_the_specification() {
        let (one, other) = (new_secret(&Context::system()), new_secret(&Context::system()));
        assert_ne!(one, other);
        let bytes = STANDARD.decode(one.0.strip_prefix("whsec_").unwrap()).unwrap();
        assert_eq!(bytes.len(), 32);
    }
}
