//! Public keys, as issuers publish them (JSON Web Key Sets, RFC 7517).

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;

use super::Algorithm;

/// The most keys of a set.
const MOST_KEYS: usize = 100;
/// The first byte of a point that is not compressed (SEC 1, section 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// The public keys of an issuer.
#[derive(Clone, Debug, Default)]
pub struct KeySet(Vec<PublicKey>);

/// A text is no key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a set of at most 100 keys")]
pub struct InvalidKeySet;

/// A public key with its id.
#[derive(Clone, Debug)]
pub(super) struct PublicKey {
    kid: String,
    material: Material,
    /// The only algorithm that the key is for, if the set states one.
    algorithm: Option<Algorithm>,
}

#[derive(Clone, Debug)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// A key as it is published.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Value>,
}

impl KeySet {
    /// Parses a set. Keys that verify no signatures, have no id, or are of a type that is not supported are left out;
    /// of several keys with one id, the first is used.
    pub fn parse(json: &[u8]) -> Result<Self, InvalidKeySet> {
        let Jwks { keys } = serde_json::from_slice(json).map_err(|_| InvalidKeySet)?;
        if keys.len() > MOST_KEYS {
            return Err(InvalidKeySet);
        }
        let keys = keys.into_iter().filter_map(|key| PublicKey::of(serde_json::from_value(key).ok()?));
        Ok(Self(keys.collect()))
    }

    /// Returns the set of one public key of Ed25519.
    pub fn of_ed25519(kid: &str, public_key: &[u8]) -> Self {
        let material = Material::Ed25519(public_key.to_vec());
        Self(vec![PublicKey { kid: kid.to_owned(), material, algorithm: Some(Algorithm::EdDsa) }])
    }

    /// Returns the number of keys by which a token that is signed with one of these algorithms can be verified.
    pub fn count_for(&self, algorithms: &[Algorithm]) -> usize {
        let is_usable = |key: &&PublicKey| algorithms.iter().any(|algorithm| key.is_for(*algorithm));
        self.0.iter().filter(is_usable).count()
    }

    /// Returns the key with this id.
    pub(super) fn get(&self, kid: &str) -> Option<&PublicKey> {
        self.0.iter().find(|key| key.kid == kid)
    }
}

impl PublicKey {
    fn of(jwk: Jwk) -> Option<Self> {
        let is_for_signatures = jwk.usage.as_deref().is_none_or(|usage| usage == "sig")
            && jwk.key_ops.as_ref().is_none_or(|all| all.iter().any(|one| one == "verify"));
        let bytes = |member: Option<&String>| URL_SAFE_NO_PAD.decode(member?).ok();
        let material = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", None) => Material::Rsa { n: bytes(jwk.n.as_ref())?, e: bytes(jwk.e.as_ref())? },
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes(jwk.x.as_ref())?, bytes(jwk.y.as_ref())?);
                Material::P256([vec![UNCOMPRESSED], x, y].concat())
            }
            ("OKP", Some("Ed25519")) => Material::Ed25519(bytes(jwk.x.as_ref())?),
            _ => return None,
        };
        let algorithm = match jwk.alg {
            Some(name) => Some(name.parse().ok()?),
            None => None,
        };
        let key = Self { kid: jwk.kid?, material, algorithm };
        (is_for_signatures && key.is_valid()).then_some(key)
    }

    /// Returns whether the key is a point of its curve, or an RSA key of 2048 to 8192 bits.
    fn is_valid(&self) -> bool {
        match &self.material {
            Material::Rsa { n, .. } => (256..=1024).contains(&n.len()),
            Material::P256(point) => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).is_ok(),
            Material::Ed25519(point) => point.len() == 32,
        }
    }

    /// Returns whether the key is for an algorithm: its type decides, and the algorithm that the set states.
    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        let has_type = match &self.material {
            Material::Rsa { .. } => matches!(algorithm, Algorithm::Rs256 | Algorithm::Ps256),
            Material::P256(_) => algorithm == Algorithm::Es256,
            Material::Ed25519(_) => algorithm == Algorithm::EdDsa,
        };
        has_type && self.algorithm.is_none_or(|only| only == algorithm)
    }

    /// Returns whether a signature is that of the message by this key.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let verified = match &self.material {
            Material::Rsa { n, e } => {
                let parameters = match algorithm {
                    Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
                    _ => &RSA_PKCS1_2048_8192_SHA256,
                };
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature)
            }
            Material::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Material::Ed25519(point) => UnparsedPublicKey::new(&ED25519, point).verify(message, signature),
        };
        verified.is_ok()
    }
}
