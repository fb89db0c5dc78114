//! `Idempotency-Key`: a request that creates or pays, and may be sent again.
//!
//! A key belongs to whoever is signed in, and to one method and path. The keys of guests share one place, so a guest's
//! key is to be one that nobody guesses, as the documentation says: a UUID.

use axum::extract::{FromRequest, Request};
use http::{HeaderMap, Method};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use utoipa::{ToSchema, openapi::path::Operation};

use super::json;
use super::routing::{Argument, describe_header};
use crate::domain::ids::UserId;
use crate::infrastructure::exceptions::{Failure, Fault, Location, ValidationException};
use crate::infrastructure::repositories::IdempotencyKey;

/// The name of the header.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The longest key.
const LONGEST: usize = 255;

/// A body in JSON with its key, if it was sent with one. A request without a body is one with `{}`.
#[derive(Debug, Clone)]
pub struct Idempotent<T> {
    /// What the body says.
    pub body: T,
    key: Option<Sent>,
}

/// A key as it was sent, and the request it was sent with.
#[derive(Debug, Clone)]
struct Sent {
    key: String,
    method: Method,
    path: String,
    request_hash: Vec<u8>,
}

impl<T> Idempotent<T> {
    /// The key, as one of this user's or of a guest's.
    pub fn key(&self, user_id: Option<UserId>) -> Option<IdempotencyKey> {
        self.key.as_ref().map(|sent| IdempotencyKey {
            scope: match user_id {
                Some(user_id) => format!("{user_id} {} {}", sent.method, sent.path),
                None => format!("guest {} {}", sent.method, sent.path),
            },
            key: sent.key.clone(),
            request_hash: sent.request_hash.clone(),
        })
    }
}

impl<T> Argument for Idempotent<T> {
    fn describe(operation: &mut Operation) {
        let description = "1 to 255 visible characters that nobody guesses, such as a UUID. Sent again with the same \
                           key and body, the request has no second effect and the same answer.";
        describe_header(operation, IDEMPOTENCY_KEY, description);
    }
}

impl<S: Sync, T: DeserializeOwned + ToSchema + 'static> FromRequest<S> for Idempotent<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let key = key(request.headers())?;
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let body = json::read_or_empty(request).await?;
        let key = key.map(|key| {
            let path = uri.path().to_owned();
            let request_hash = Sha256::new()
                .chain_update(method.as_str())
                .chain_update([0])
                .chain_update(uri.path_and_query().map_or("", |whole| whole.as_str()))
                .chain_update([0])
                .chain_update(&body)
                .finalize()
                .to_vec();
            Sent { key, method, path, request_hash }
        });
        Ok(Self { body: json::parse(&body)?, key })
    }
}

/// The key among the headers: 1 to 255 visible characters of ASCII.
fn key(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let location = || Location::Header(IDEMPOTENCY_KEY);
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let fault = match value.as_bytes() {
        _ if values.next().is_some() => Fault::Duplicate,
        [] => Fault::TooShort { min_length: 1 },
        key if key.len() > LONGEST => Fault::TooLong { max_length: LONGEST },
        key if !key.iter().all(u8::is_ascii_graphic) => Fault::Character,
        key => return Ok(Some(String::from_utf8_lossy(key).into_owned())),
    };
    Err(ValidationException::one(location(), fault).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    async fn keyed(path: &str, keys: &[&str], body: &str) -> Result<Idempotent<Option<i64>>, Failure> {
        let mut request = Request::post(path).header("content-type", "application/json");
        for key in keys {
            request = request.header(IDEMPOTENCY_KEY, *key);
        }
        Idempotent::from_request(request.body(Body::from(body.to_owned())).unwrap(), &()).await
    }

    #[tokio::test]
    async fn a_key_belongs_to_its_caller_and_route_and_knows_its_request() {
        let user = Some(UserId(uuid::Uuid::nil()));
        let first = keyed("/a", &["k"], "1").await.unwrap();
        let (guests, users) = (first.key(None).unwrap(), first.key(user).unwrap());
        assert_ne!(guests.scope, users.scope);
        assert_eq!(guests, keyed("/a", &["k"], "1").await.unwrap().key(None).unwrap());
        assert_ne!(
            guests.request_hash,
            keyed("/a", &["k"], "1 ").await.unwrap().key(None).unwrap().request_hash
        );
        assert_ne!(guests.scope, keyed("/b", &["k"], "1").await.unwrap().key(None).unwrap().scope);
        assert_eq!(keyed("/a", &[], "1").await.unwrap().key(None), None);
    }

    #[tokio::test]
    async fn a_key_that_is_none_is_a_fault_of_its_header() {
        let long = "k".repeat(256);
        for keys in [&[""][..], &["a b"], &["\u{e9}"], &["a", "a"], &[&long]] {
            let failure = keyed("/a", keys, "1").await.unwrap_err();
            let faults = failure.downcast_ref::<ValidationException>().unwrap().faults();
            assert_eq!(faults[0].0, Location::Header(IDEMPOTENCY_KEY), "{keys:?}");
        }
        assert!(keyed("/a", &[&long[1..]], "1").await.is_ok());
    }
}
