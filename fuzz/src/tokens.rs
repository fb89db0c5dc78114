//! The parsers of API keys, signed tokens and the keys of their issuers.

use jiff::Timestamp;
use undercroft::domain::api_key::ApiKeyText;
use undercroft::infrastructure::middleware::jwt::{
    Algorithm, Expected, KeySet, TokenSigner, stated_issuer, stated_key, verify,
};

/// An API key.
pub fn api_key(bytes: &[u8]) {
    if let Some(secret) = bytes.first_chunk() {
        let made = ApiKeyText::new(*secret);
        assert_eq!(ApiKeyText::parse(made.expose()), Some(made));
    }
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Some(key) = ApiKeyText::parse(text) {
        assert!(key.expose() == text && text.starts_with(key.hint()) && key.hash().len() == 32);
    }
}

/// Returns what is required of tokens that `issuer` signs.
fn expected(issuer: &str) -> Expected {
    let types = vec![None, Some("jwt"), Some("at+jwt")];
    let algorithms = vec![Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa];
    Expected {
        issuer: issuer.to_owned(),
        audience: issuer.to_owned(),
        parties: Vec::new(),
        types,
        algorithms,
    }
}

/// A signed token.
pub fn jwt(bytes: &[u8]) {
    let Ok(token) = str::from_utf8(bytes) else { return };
    let keys = TokenSigner::new("k1".into(), &[7; 32]).expect("a key").key_set();
    let now = Timestamp::from_second(1_700_000_000).expect("a time");
    let issuer = "https://shop.example";
    stated_key(token);
    if let Ok(claims) = verify(token, &keys, &expected(issuer), now) {
        assert!(!claims.subject().is_empty() && stated_issuer(token).as_deref() == Some(issuer));
        assert_eq!(stated_key(token).as_deref(), Some("k1"));
    }
}

/// The keys of an issuer.
pub fn key_set(bytes: &[u8]) {
    const TOKEN: &str = include_str!("../seeds/jwt/of_oidc");
    let Ok(keys) = KeySet::parse(bytes) else { return };
    verify(TOKEN, &keys, &expected("https://tenant.eu.auth0.com/"), Timestamp::UNIX_EPOCH).ok();
}
