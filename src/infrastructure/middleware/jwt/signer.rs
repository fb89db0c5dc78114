//! Signs tokens with Ed25519 (RFC 8037).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use serde_json::{Value, json};

use super::KeySet;

/// A private key with its id. Clones share it.
#[derive(Clone)]
pub struct TokenSigner {
    kid: String,
    key: Arc<Ed25519KeyPair>,
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSigner").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl TokenSigner {
    /// Returns the key of a seed.
    pub fn new(kid: String, seed: &[u8; 32]) -> Option<Self> {
        let key = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        Some(Self { kid, key: Arc::new(key) })
    }

    /// Returns a token of this type with these claims, in compact form.
    pub fn sign(&self, kind: &str, claims: &impl Serialize) -> serde_json::Result<String> {
        let header = json!({"alg": "EdDSA", "kid": self.kid, "typ": kind});
        let [header, claims] = [serde_json::to_vec(&header)?, serde_json::to_vec(claims)?];
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(signed.as_bytes()));
        Ok(format!("{signed}.{signature}"))
    }

    /// Returns the public key, for verification.
    pub fn key_set(&self) -> KeySet {
        KeySet::of_ed25519(&self.kid, self.key.public_key().as_ref())
    }

    /// Returns the public key, to publish it.
    pub fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.key.public_key());
        json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": self.kid, "use": "sig", "alg": "EdDSA"})
    }
}
