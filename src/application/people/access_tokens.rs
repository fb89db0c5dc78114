//! Access tokens: signed JSON Web Tokens (RFC 9068) by which other services know a user without a query.
//!
//! A session is exchanged for one, for the store or for the service that the client names. It is valid until it
//! expires, after ten minutes or with the session; at this store only until the session ends, if that is before. The
//! keys are derived from the secret of the store; docs/decisions/0023-api-keys-and-access-tokens.md has the reasons.

use std::iter;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::timeout;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::application::Store;
use crate::domain::access_token::{
    ACCESS_TOKEN_LIFETIME, AccessTokenKey, ROTATION, published_keys, signing_key,
};
use crate::domain::ids::{SessionId, UserId};
use crate::domain::permission::Permissions;
use crate::domain::time::later;
use crate::domain::user::{Role, Session, User, UserData};
use crate::infrastructure::cache::{LoadError, Own};
use crate::infrastructure::exceptions::{Failure, Fault, Technical, ValidationException};
use crate::infrastructure::guards::{Means, Principal};
use crate::infrastructure::middleware::jwt::{Algorithm, Expected, KeySet, TokenSigner, stated_key, verify};
use crate::infrastructure::repositories::{AccessTokenKeyRepository, DatabaseError};

use super::sessions;

/// The type of access tokens (RFC 9068 section 2.1).
const TYPE: &str = "at+jwt";
/// The role of an administrator with a role of the staff.
const STAFF: &str = "staff";
/// The name of the store as an OAuth 2.0 client, which the profile requires.
const CLIENT: &str = "undercroft";
/// How long keys that were read are published while the database is not available: as long as a service may keep them.
const KEPT: SignedDuration = SignedDuration::from_hours(1);
/// The longest wait for the database while there are such keys.
const SOON: Duration = Duration::from_secs(1);

/// The keys as they were last read to be published, and when. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownKeys(Arc<RwLock<Option<ReadKeys>>>);

/// Keys with the time at which they were read.
type ReadKeys = (Timestamp, Arc<[AccessTokenKey]>);

impl KnownKeys {
    /// Returns the keys if they were read within the last hour, and no new one is due: another process that has the
    /// database would create it, and other services have to know it in time.
    fn recent(&self, now: Timestamp) -> Option<Arc<[AccessTokenKey]>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (read_at, keys) = known.as_ref()?;
        let is_recent = (*read_at..later(*read_at, KEPT)).contains(&now);
        (is_recent && !is_due_after(keys.last()?, now)).then(|| Arc::clone(keys))
    }

    /// Keeps keys that were read, and returns them.
    fn set(&self, now: Timestamp, keys: Vec<AccessTokenKey>) -> Arc<[AccessTokenKey]> {
        let keys: Arc<[_]> = keys.into();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some((now, Arc::clone(&keys)));
        keys
    }
}

/// The access token to issue.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateAccessToken {
    /// The service that the token is for: one of those that the settings of the store name, which the fault of another
    /// one (`not_found`) does not list. If omitted, it is the store itself. The store does not accept a token for
    /// another service.
    #[schema(nullable = false, min_length = 1, max_length = 255, example = "https://billing.example.com")]
    pub audience: Option<String>,
}

/// A token that was issued.
#[derive(Clone)]
pub struct IssuedAccessToken {
    /// The token.
    pub text: String,
    /// The time at which it expires, UTC.
    pub expires_at: Timestamp,
    /// Its lifetime in seconds.
    pub expires_in: i64,
}

/// The claims of a token.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: UserId,
    client_id: &'static str,
    iat: i64,
    exp: i64,
    jti: Uuid,
    sid: SessionId,
    /// `customer`, `admin` for an administrator who may do everything, [`STAFF`] for one with a role of the staff.
    roles: [&'static str; 1],
    /// The name of the role of the staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    staff_role: Option<&'a str>,
}

/// Issues a token for a user with a session.
///
/// # Errors
///
/// A [`ValidationException`] for an audience that the terms of the store do not name.
pub async fn issue(
    store: &Store,
    user: &User,
    session: &Session,
    new: &CreateAccessToken,
) -> Result<IssuedAccessToken, Failure> {
    let audience = audience(store, new.audience.as_deref())?;
    let (keys, now) = (keys(store).await?, store.now());
    let key = match signing_key(&keys, now) {
        Some(key) => *key,
        None => first_key(store).await?,
    };
    let expires_at = later(now, ACCESS_TOKEN_LIFETIME).min(session.expires_at);
    let must_enrol = store.terms.accounts.administrators_use_one_time_passwords && user.totp_since.is_none();
    let role = role_of(user, must_enrol);
    let claims = Claims {
        iss: &store.terms.issuer,
        aud: audience,
        sub: user.id,
        client_id: CLIENT,
        iat: now.as_second(),
        exp: expires_at.as_second(),
        jti: store.database().context().ids.uuid(),
        sid: session.id(),
        roles: [role],
        staff_role: user.staff_role.as_deref().filter(|_| role == STAFF),
    };
    let signed = signer(store, &key)?.sign(TYPE, &claims);
    let text = signed.map_err(|error| Technical::internal(format!("a token was not signed: {error}")))?;
    Ok(IssuedAccessToken { text, expires_at, expires_in: expires_at.duration_since(now).as_secs() })
}

/// Returns the audience of a token: that which is requested, or the store itself.
fn audience<'a>(store: &'a Store, requested: Option<&'a str>) -> Result<&'a str, Failure> {
    let own = store.terms.issuer.as_str();
    let Some(requested) = requested else { return Ok(own) };
    let others = store.terms.access_token_audiences.iter().map(String::as_str);
    if iter::once(own).chain(others).any(|audience| audience == requested) {
        return Ok(requested);
    }
    // the allowed ones are not named: anyone can register, and they are services of the merchant
    Err(ValidationException::one("/audience", Fault::NotFound).into())
}

/// Returns the role of a user for other services: that of a customer until an administrator who must use one-time
/// passwords does.
fn role_of(user: &User, must_enrol: bool) -> &'static str {
    match (user.role, &user.staff_role) {
        (Role::Admin, None) if !must_enrol => "admin",
        (Role::Admin, Some(_)) if !must_enrol => STAFF,
        _ => "customer",
    }
}

/// Returns the user of a token, without the permissions of an administrator: other services have the token, too. `None`
/// if it is not valid, or its session has ended.
pub(super) async fn by_text(store: &Store, text: &str) -> Result<Option<Principal>, Failure> {
    let (found, now) = (keys(store).await?, store.now());
    // only the key that the token names is derived
    let stated = stated_key(text);
    let set = match published_keys(&found, now).iter().find(|key| stated == Some(key.id.to_string())) {
        Some(key) => signer(store, key)?.key_set(),
        None => KeySet::default(),
    };
    let expected = Expected {
        issuer: store.terms.issuer.clone(),
        audience: store.terms.issuer.clone(),
        parties: Vec::new(),
        types: vec![Some(TYPE)],
        algorithms: vec![Algorithm::EdDsa],
    };
    let claims = match verify(text, &set, &expected, now) {
        Ok(claims) => claims,
        Err(error) => {
            tracing::debug!(%error, "an access token was refused");
            return Ok(None);
        }
    };
    let ids = claims.subject().parse().ok().zip(claims.text("sid").and_then(|id| id.parse().ok()));
    match ids {
        Some((user_id, session_id)) => by_session(store, user_id, session_id).await,
        None => Ok(None),
    }
}

/// Returns a user with an access token of a session; `None` if the session has ended.
pub(super) async fn by_session(
    store: &Store,
    user_id: UserId,
    session_id: SessionId,
) -> Result<Option<Principal>, Failure> {
    let Some((_, version)) = sessions::by_id(store, user_id, session_id).await? else { return Ok(None) };
    let key = Own { data: UserData { user_id, version }, key: () };
    let user = match store.infrastructure.caches.own().user.value(&key).await {
        Err(LoadError::Missing) => return Ok(None),
        found => User::clone(&found?.0),
    };
    Ok(Some(Principal::new((user, version), Means::AccessToken { session_id }, Permissions::NONE)))
}

/// Returns the public keys as a JSON Web Key Set has them. While the database is not available, they are those that
/// this process read within the last hour: other services verify tokens without the store.
pub async fn published(store: &Store) -> Result<Vec<Value>, Failure> {
    let (known, now) = (&store.published_keys, store.now());
    let keys = match known.recent(now) {
        None => known.set(now, keys(store).await?),
        Some(recent) => match timeout(SOON, keys(store)).await {
            Ok(Ok(keys)) => known.set(now, keys),
            Ok(Err(DatabaseError::Unavailable(_))) | Err(_) => recent,
            Ok(Err(error)) => return Err(error.into()),
        },
    };
    published_keys(&keys, now).iter().map(|key| Ok(signer(store, key)?.jwk())).collect()
}

/// Creates a key, which signs after it was published for an hour.
pub async fn rotate(store: &Store) -> Result<(), Failure> {
    let write = store.database().write((), async |work, ()| {
        let keys = AccessTokenKeyRepository::lock_all(work).await?;
        AccessTokenKeyRepository::add(work, &keys).await.map(drop)
    });
    Ok(write.await?)
}

/// Creates a key if the newest is 30 days old; returns whether it was. There is none before the first token.
pub(crate) async fn rotate_if_due(store: &Store) -> Result<bool, Failure> {
    let newest = keys(store).await?.pop();
    let is_due = newest.is_some_and(|newest| is_due_after(&newest, store.now()));
    if is_due {
        rotate(store).await?;
    }
    Ok(is_due)
}

/// Returns whether the key that replaces this one is due.
fn is_due_after(newest: &AccessTokenKey, now: Timestamp) -> bool {
    later(newest.created_at, ROTATION) <= now
}

async fn keys(store: &Store) -> Result<Vec<AccessTokenKey>, DatabaseError> {
    let mut connection = store.database().read().await?;
    AccessTokenKeyRepository(&mut connection).all().await
}

/// Returns the first key, which is created unless another request did.
async fn first_key(store: &Store) -> Result<AccessTokenKey, Failure> {
    let write = store.database().write((), async |work, ()| {
        let keys = AccessTokenKeyRepository::lock_all(work).await?;
        match signing_key(&keys, work.now()) {
            Some(key) => Ok(*key),
            None => AccessTokenKeyRepository::add(work, &keys).await,
        }
    });
    Ok(write.await?)
}

/// Returns the private key.
fn signer(store: &Store, key: &AccessTokenKey) -> Result<TokenSigner, Failure> {
    let seed = store.database().signing_key().sign("access token key", key.id.0.as_bytes());
    let signer = TokenSigner::new(key.id.to_string(), &seed);
    Ok(signer.ok_or_else(|| Technical::internal("a key of access tokens cannot be derived"))?)
}
