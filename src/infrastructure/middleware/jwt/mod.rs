//! Signed JSON Web Tokens (RFC 7519, RFC 7515), verified as RFC 8725 recommends.
//!
//! What a token says of itself decides nothing: its `alg` must be one that the service allows and that the key is for,
//! its `kid` only selects one of the keys that are known already, and a token that brings a key or the URL of one is
//! refused. So is one that has a member twice, is encoded in another way than the one canonical one, or requires an
//! extension (`crit`): none is known. A token about events, such as that a user has logged out, is no credential.

mod issuer_keys;
mod keys;
mod signer;

use std::fmt;
use std::str::FromStr;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

pub use self::issuer_keys::TrustedIssuer;
pub use self::keys::{InvalidKeySet, KeySet};
pub use self::signer::TokenSigner;
use crate::domain::time::later;
use crate::domain::unique_members::UniqueMembers;

/// The longest token, in bytes: more than any access token of this store or of common identity providers has.
pub const LONGEST_TOKEN: usize = 8 << 10;
/// The longest key id and subject, in bytes.
const LONGEST_NAME: usize = 255;
/// By how many seconds the clocks of issuer and service may differ.
const LEEWAY: f64 = 30.0;
/// Members of a header that bring a key or its URL, encrypt, compress, or change what is signed.
const REFUSED: [&str; 8] = ["jku", "jwk", "x5u", "x5c", "crit", "b64", "enc", "zip"];

/// A signature algorithm (RFC 7518 section 3.1, RFC 8037). Those with a shared secret, and `none`, do not exist here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// EdDSA on Ed25519.
    EdDsa,
}

/// The error for a text that names no algorithm which a service may allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not RS256, PS256, ES256 or EdDSA")]
pub struct UnknownAlgorithm;

/// What a service requires of tokens.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The issuer.
    pub issuer: String,
    /// The audience, which must be among those of the token.
    pub audience: String,
    /// The clients of the issuer whose tokens are accepted, as tokens name them in `azp` (OpenID Connect) or
    /// `client_id` (RFC 9068); those of any client if it is empty.
    pub parties: Vec<String>,
    /// The types, in lower case without `application/`; with `None`, a token may have none.
    pub types: Vec<Option<&'static str>>,
    /// The algorithms.
    pub algorithms: Vec<Algorithm>,
}

/// The claims of a token that was verified.
#[derive(Clone, PartialEq, Eq)]
pub struct Claims(Map<String, Value>);

/// Why a token is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// It is too long, has not three parts, or a part is not base64url without padding.
    #[error("not the compact form of a token")]
    Form,
    /// Its header or its claims are no JSON object whose members differ.
    #[error("not a JSON object whose members differ")]
    Json,
    /// Its header has a member that is refused, or one of another type.
    #[error("the header has a member that is refused")]
    Header,
    /// It is of another type, or about events.
    #[error("another type of token")]
    Type,
    /// Its algorithm is not allowed, or the key is for another one.
    #[error("the algorithm is not allowed")]
    Algorithm,
    /// It names no key, or with too long an id.
    #[error("no key id")]
    KeyId,
    /// No known key has its key id, and nothing else is wrong beside the signature, which cannot be verified.
    #[error("no known key has this id")]
    UnknownKey,
    /// Its signature is wrong.
    #[error("the signature is wrong")]
    Signature,
    /// It was issued by another issuer.
    #[error("another issuer")]
    Issuer,
    /// It is for another audience.
    #[error("another audience")]
    Audience,
    /// It was issued to another client, or does not say to which.
    #[error("another authorized party")]
    Party,
    /// It has expired, is not valid yet, or does not say.
    #[error("not valid at this time")]
    Time,
    /// It has no subject, or one that is not a line of text.
    #[error("no subject")]
    Subject,
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        match name {
            "RS256" => Ok(Self::Rs256),
            "PS256" => Ok(Self::Ps256),
            "ES256" => Ok(Self::Es256),
            // RFC 9864 names the only curve that is supported
            "EdDSA" | "Ed25519" => Ok(Self::EdDsa),
            _ => Err(UnknownAlgorithm),
        }
    }
}

/// Verifies a token at a time; returns its claims.
///
/// # Errors
///
/// With [`InvalidToken::UnknownKey`], the issuer may have published a key that is not in the set yet.
pub fn verify(
    token: &str,
    keys: &KeySet,
    expected: &Expected,
    now: Timestamp,
) -> Result<Claims, InvalidToken> {
    if token.len() > LONGEST_TOKEN {
        return Err(InvalidToken::Form);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(InvalidToken::Form)?;
    let (header, claims) = signed.split_once('.').ok_or(InvalidToken::Form)?;
    let (header, signature) = (object(header)?, decoded(signature)?);

    let algorithm = check_header(&header, expected)?;
    let kid = text(&header, "kid").filter(|kid| kid.len() <= LONGEST_NAME).ok_or(InvalidToken::KeyId)?;
    let Some(key) = keys.get(kid) else {
        // keys are not fetched for a token that is refused with any key
        check_claims(&object(claims)?, expected, now)?;
        return Err(InvalidToken::UnknownKey);
    };
    if !key.is_for(algorithm) {
        return Err(InvalidToken::Algorithm);
    }
    if !key.verifies(algorithm, signed.as_bytes(), &signature) {
        return Err(InvalidToken::Signature);
    }

    let claims = object(claims)?;
    check_claims(&claims, expected, now)?;
    Ok(Claims(claims))
}

/// Returns the issuer that a token states, which is not verified: to find the keys.
pub fn stated_issuer(token: &str) -> Option<String> {
    let claims = token.split('.').nth(1).filter(|_| token.len() <= LONGEST_TOKEN)?;
    text(&object(claims).ok()?, "iss").map(str::to_owned)
}

/// Returns the id of the key that a token states, which is not verified: to find the key.
pub fn stated_key(token: &str) -> Option<String> {
    let header = token.split('.').next().filter(|_| token.len() <= LONGEST_TOKEN)?;
    text(&object(header).ok()?, "kid").map(str::to_owned)
}

fn check_header(header: &Map<String, Value>, expected: &Expected) -> Result<Algorithm, InvalidToken> {
    let is_nested = header.contains_key("cty");
    if is_nested || REFUSED.iter().any(|name| header.contains_key(*name)) {
        return Err(InvalidToken::Header);
    }
    let kind = match header.get("typ") {
        None => None,
        Some(Value::String(kind)) => Some(kind.to_ascii_lowercase()),
        Some(_) => return Err(InvalidToken::Header),
    };
    let kind = kind.as_deref().map(|kind| kind.strip_prefix("application/").unwrap_or(kind));
    if !expected.types.contains(&kind) {
        return Err(InvalidToken::Type);
    }
    let algorithm = text(header, "alg").and_then(|name| name.parse().ok()).ok_or(InvalidToken::Algorithm)?;
    if expected.algorithms.contains(&algorithm) { Ok(algorithm) } else { Err(InvalidToken::Algorithm) }
}

fn check_claims(
    claims: &Map<String, Value>,
    expected: &Expected,
    now: Timestamp,
) -> Result<(), InvalidToken> {
    if text(claims, "iss") != Some(expected.issuer.as_str()) {
        return Err(InvalidToken::Issuer);
    }
    // a security event (RFC 8417), such as a logout token of OpenID Connect, whose `typ` may be that of any token
    if claims.contains_key("events") {
        return Err(InvalidToken::Type);
    }
    let is_expected = |audience: &Value| audience.as_str() == Some(expected.audience.as_str());
    let is_for_us = match claims.get("aud") {
        Some(Value::Array(audiences)) => {
            audiences.iter().all(Value::is_string) && audiences.iter().any(is_expected)
        }
        Some(audience) => is_expected(audience),
        None => false,
    };
    if !is_for_us {
        return Err(InvalidToken::Audience);
    }
    if !is_of_party(claims, &expected.parties) {
        return Err(InvalidToken::Party);
    }

    let now = now.as_duration().as_secs_f64();
    let [issued, expires] = ["iat", "exp"].map(|name| claims.get(name).and_then(Value::as_f64));
    let begins = match claims.get("nbf") {
        None => Some(f64::MIN),
        Some(time) => time.as_f64(),
    };
    let is_valid_now = issued.is_some_and(|time| time <= now + LEEWAY)
        && begins.is_some_and(|time| time <= now + LEEWAY)
        && expires.is_some_and(|time| time > now - LEEWAY);
    if !is_valid_now {
        return Err(InvalidToken::Time);
    }
    let subject = text(claims, "sub").filter(|subject| !subject.is_empty() && subject.len() <= LONGEST_NAME);
    let is_line = |subject: &str| !subject.chars().any(char::is_control);
    if subject.is_some_and(is_line) { Ok(()) } else { Err(InvalidToken::Subject) }
}

/// Returns whether a token was issued to one of these clients, unless there are none. With both claims, each names one.
fn is_of_party(claims: &Map<String, Value>, parties: &[String]) -> bool {
    let is_accepted = |stated: &Value| parties.iter().any(|party| stated.as_str() == Some(party.as_str()));
    let mut stated = ["azp", "client_id"].into_iter().filter_map(|name| claims.get(name)).peekable();
    parties.is_empty() || (stated.peek().is_some() && stated.all(is_accepted))
}

impl Claims {
    /// Returns the subject.
    pub fn subject(&self) -> &str {
        text(&self.0, "sub").unwrap_or_default()
    }

    /// Returns the time from which the token is not accepted.
    pub fn expires_at(&self) -> Timestamp {
        let seconds = self.get("exp").and_then(Value::as_f64).unwrap_or_default() + LEEWAY;
        let since_epoch = SignedDuration::try_from_secs_f64(seconds).unwrap_or(SignedDuration::MAX);
        later(Timestamp::UNIX_EPOCH, since_epoch)
    }

    /// Returns a claim that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        text(&self.0, name)
    }

    /// Returns a claim.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

impl fmt::Debug for Claims {
    /// Writes no claims, which are personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims").finish_non_exhaustive()
    }
}

/// Returns the bytes of a part. Padding, other characters, and bits that are not zero after the last byte are refused.
fn decoded(part: &str) -> Result<Vec<u8>, InvalidToken> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| InvalidToken::Form)
}

/// Returns the JSON object of a part.
fn object(part: &str) -> Result<Map<String, Value>, InvalidToken> {
    let UniqueMembers(members) = serde_json::from_slice(&decoded(part)?).map_err(|_| InvalidToken::Json)?;
    Ok(members)
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    members.get(name).and_then(Value::as_str)
}
