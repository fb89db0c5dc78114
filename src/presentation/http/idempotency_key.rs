//! `Idempotency-Key`: a request that creates or pays can be sent again without a second effect.
//!
//! A key is valid for one user, one method and one path. Guests share one scope, so the key of a guest must be long
//! enough that it cannot be guessed, such as a UUID (`docs/decisions/0009-idempotency-keys-of-guests.md`).

use axum::extract::{FromRequest, FromRequestParts, Request};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use utoipa::openapi::ObjectBuilder;

use super::json;
use super::operation::OperationDescription;
use super::routing::Argument;
use crate::application::idempotency::{Render, Responder};
use crate::domain::ids::UserId;
use crate::infrastructure::exceptions::{Failure, Fault, Location, RequestFaults, ValidationException};
use crate::infrastructure::repositories::IdempotencyKey;

/// The name of the header.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The greatest length of a key in bytes.
const MAX_LENGTH: usize = 255;
/// The least length of a guest's key in bytes: that of 128 random bits in base64.
const MIN_LENGTH_OF_GUESTS: usize = 22;

/// A JSON body with the idempotency key of its request, if there is one. A request without a body has the body `{}`.
#[derive(Debug, Clone)]
pub struct Idempotent<T> {
    /// The body.
    pub body: T,
    key: Option<SentKey>,
}

/// A key with the request that it was sent with.
#[derive(Debug, Clone)]
struct SentKey {
    key: String,
    method: Method,
    path: String,
    request_hash: Vec<u8>,
}

impl<T> Idempotent<T> {
    /// The body, and how the use case responds: under the key of `user_id` or, if `None`, of a guest.
    ///
    /// # Errors
    ///
    /// A [`ValidationException`] if the key of a guest has less than 22 characters.
    pub fn into_parts<R: ?Sized + 'static>(
        self,
        user_id: Option<UserId>,
        render: impl Render<R>,
    ) -> Result<(T, Responder<R>), Failure> {
        let key = self.key.map(|key| key.scoped(user_id));
        if user_id.is_none() && key.as_ref().is_some_and(|key| key.key.len() < MIN_LENGTH_OF_GUESTS) {
            let fault = Fault::TooShort { min_length: MIN_LENGTH_OF_GUESTS };
            return Err(ValidationException::one(Location::Header(IDEMPOTENCY_KEY), fault).into());
        }
        Ok((self.body, Responder::new(key, render)))
    }
}

/// A request whose body is read as a stream, with its idempotency key, if there is one.
#[derive(Debug, Clone)]
pub struct StreamedRequest {
    key: Option<String>,
    method: Method,
    uri: Uri,
}

impl StreamedRequest {
    /// Returns how the use case responds, under the key of this user; `content` is what distinguishes the body.
    pub fn responder<R: ?Sized + 'static>(
        self,
        user_id: UserId,
        content: &[&[u8]],
        render: impl Render<R>,
    ) -> Responder<R> {
        let Self { key, method, uri } = self;
        let key = key.map(|key| SentKey::new(key, method, &uri, content).scoped(Some(user_id)));
        Responder::new(key, render)
    }
}

impl SentKey {
    fn new(key: String, method: Method, uri: &Uri, content: &[&[u8]]) -> Self {
        // ids have one spelling but for their case
        let path = percent_decode_str(uri.path()).decode_utf8_lossy().to_ascii_lowercase();
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let hash = Sha256::new()
            .chain_update(method.as_str())
            .chain_update([0])
            .chain_update(&path)
            .chain_update(query)
            .chain_update([0]);
        let hash = content.iter().fold(hash, Sha256::chain_update);
        Self { key, method, path, request_hash: hash.finalize().to_vec() }
    }

    /// Returns the key in the scope of this user or, if `None`, of guests.
    fn scoped(&self, user_id: Option<UserId>) -> IdempotencyKey {
        let Self { key, method, path, request_hash } = self;
        let scope = match user_id {
            Some(user_id) => format!("{user_id} {method} {path}"),
            None => format!("guest {method} {path}"),
        };
        IdempotencyKey { scope, key: key.clone(), request_hash: request_hash.clone() }
    }
}

impl<T> Argument for Idempotent<T> {
    fn describe(operation: &mut OperationDescription<'_>) {
        describe(operation);
        operation.fails_body();
    }
}

impl Argument for StreamedRequest {
    fn describe(operation: &mut OperationDescription<'_>) {
        describe(operation);
    }
}

/// Adds the header of the request with the key, and what follows from it.
fn describe(operation: &mut OperationDescription<'_>) {
    let description = format!(
        "A name for this request that cannot be guessed, such as a UUID: 1 to {MAX_LENGTH} visible ASCII characters, at \
         least {MIN_LENGTH_OF_GUESTS} in the request of a guest. A repeated request with the same key and body has no second \
         effect and gets the same response, unless the operation says otherwise."
    );
    let bounds =
        ObjectBuilder::new().min_length(Some(1)).max_length(Some(MAX_LENGTH)).pattern(Some("^[!-~]+$"));
    operation.request_header_of("Idempotency-Key", &description, bounds);
    operation.response_header(
        StatusCode::CREATED,
        "Location",
        "The URL of the new resource, or of the one that shows it.",
    );
    operation.fails_validation();
    operation.fails_idempotency();
}

impl<S: Sync> FromRequestParts<S> for StreamedRequest {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let key = key(&parts.headers)?;
        Ok(Self { key, method: parts.method.clone(), uri: parts.uri.clone() })
    }
}

impl<S: Sync, T: DeserializeOwned + ToSchema + 'static> FromRequest<S> for Idempotent<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let mut faults = RequestFaults::default();
        let key = faults.keep(key(request.headers()))?;
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let read = json::read_or_empty(request).await.and_then(|text| Ok((json::parse(&text)?, text)));
        let (Some(key), Some((body, text))) = (key, faults.keep(read)?) else {
            return Err(faults.into_failure());
        };

        let key = key.map(|key| SentKey::new(key, method, &uri, &[&text]));
        Ok(Self { body, key })
    }
}

/// Reads the key from the headers: 1 to 255 visible ASCII characters.
fn key(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let location = || Location::Header(IDEMPOTENCY_KEY);
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let fault = match value.as_bytes() {
        _ if values.next().is_some() => Fault::Duplicate,
        [] => Fault::TooShort { min_length: 1 },
        key if key.len() > MAX_LENGTH => Fault::TooLong { max_length: MAX_LENGTH },
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

    fn scoped<T>(request: &Idempotent<T>, user_id: Option<UserId>) -> Option<IdempotencyKey> {
        request.key.as_ref().map(|key| key.scoped(user_id))
    }

    #[tokio::test]
    async fn a_key_is_valid_for_one_user_and_path_and_holds_the_hash_of_its_request() {
        let user = Some(UserId(uuid::Uuid::nil()));
        let first = keyed("/a", &["k"], "1").await.unwrap();
        let (guests, users) = (scoped(&first, None).unwrap(), scoped(&first, user).unwrap());
        assert_ne!(guests.scope, users.scope);
        assert_eq!(guests, scoped(&keyed("/a", &["k"], "1").await.unwrap(), None).unwrap());
        assert_ne!(
            guests.request_hash,
            scoped(&keyed("/a", &["k"], "1 ").await.unwrap(), None).unwrap().request_hash
        );
        assert_ne!(guests.scope, scoped(&keyed("/b", &["k"], "1").await.unwrap(), None).unwrap().scope);
        assert_eq!(scoped(&keyed("/a", &[], "1").await.unwrap(), None), None);
        for spelling in ["/A", "/%61"] {
            let other = keyed(spelling, &["k"], "1").await.unwrap();
            assert_eq!(scoped(&other, None).unwrap(), guests, "{spelling}");
        }
    }

    #[tokio::test]
    async fn an_invalid_key_is_a_fault_of_its_header() {
        let long = "k".repeat(256);
        for keys in [&[""][..], &["a b"], &["\u{e9}"], &["a", "a"], &[&long]] {
            let failure = keyed("/a", keys, "1").await.unwrap_err();
            let faults = failure.downcast_ref::<ValidationException>().unwrap().faults();
            assert_eq!(faults[0].0, Location::Header(IDEMPOTENCY_KEY), "{keys:?}");
        }
        assert!(keyed("/a", &[&long[1..]], "1").await.is_ok());
    }
}
