//! API keys: programs act by them for the user who created them.
//!
//! Creating one takes no idempotency key, since the response holds the key, of which the store keeps only the hash.

use jiff::SignedDuration;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::application::emails::accounts::write_security_notice;
use crate::application::{Mailing, Store, audit};
use crate::domain::api_key::{API_KEY_BYTES, ApiKey, ApiKeyText, MAX_API_KEYS, SESSION_ONLY};
use crate::domain::audit::SecurityAction;
use crate::domain::email::SecurityNotice;
use crate::domain::ids::{ApiKeyId, UserId};
use crate::domain::permission::{Action, Permission, Permissions};
use crate::domain::time::{earlier, later};
use crate::domain::user::{Role, Session, User};
use crate::infrastructure::exceptions::{
    Conflict, Failure, Fault, NotFound, UnauthorizedAccessException, ValidationException,
};
use crate::infrastructure::guards::Principal;
use crate::infrastructure::middleware::Partition;
use crate::infrastructure::repositories::{
    ApiKeyFilter, ApiKeyRepository, Page, SessionRepository, StaffRoleRepository, UnitOfWork,
};

use super::granting::{Grantable, Granter};
use super::{current_password, sessions, users};

/// The least time between two recorded uses of a key.
const USE_INTERVAL: SignedDuration = SignedDuration::from_mins(5);

/// The API key to create.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateApiKey {
    /// The name, such as that of the program that uses the key.
    #[schema(min_length = 1, max_length = 100, example = "Warehouse")]
    pub name: String,
    /// The permissions of the key, of those that the user has. Those on API keys, and `roles:write`, are not possible:
    /// what they allow requires a session. If the list is empty or omitted, the key calls no operation of
    /// administrators.
    #[serde(default)]
    #[schema(default = json!([]), max_items = 128)]
    pub scopes: Vec<Permission>,
    /// Whether the key only reads: requests with another method than GET and HEAD are refused. It then has no scope
    /// that writes.
    #[serde(default)]
    #[schema(default = false)]
    pub read_only: bool,
    /// The number of days after which the key expires. If omitted, it does not expire.
    #[schema(nullable = false, minimum = 1, maximum = 3650)]
    pub lifetime_days: Option<i64>,
    /// The current password.
    #[schema(value_type = String, max_length = 128)]
    pub current_password: SecretString,
}

/// An API key that was created.
#[derive(Debug, Clone)]
pub struct CreatedApiKey {
    /// The key as it is stored.
    pub api_key: ApiKey,
    /// The text. The store keeps only its hash.
    pub text: ApiKeyText,
}

/// The user who creates a key, as the request was authenticated.
struct Owner {
    user_id: UserId,
    role: Role,
    permissions: Permissions,
    /// The stored hash of the password that was proven.
    proven: String,
    /// The epoch of the sessions.
    epoch: Option<i64>,
}

/// Creates a key of a user with these permissions, and sends the user a notice. The key may outlive the session by
/// years: who stole the session alone gets none.
///
/// # Errors
///
/// [`UnauthorizedAccessException::OneTimePasswordsNotEnrolled`] for scopes of an administrator who has to enrol an
/// authenticator app first, a [`ValidationException`] for a scope that the user does not have or the key cannot have,
/// and for a wrong password, which is counted as at other changes that require it; `TooMany` after too many of these or
/// new keys of the user, [`Conflict::TooManyApiKeys`], [`UnauthorizedAccessException::InvalidToken`] if the session has
/// ended, and [`Conflict::Stale`] if the password or the role has changed since the request was authenticated, or all
/// sessions of the user were ended: that may end all keys of the user.
pub async fn create(
    store: &Store,
    principal: &Principal,
    new: CreateApiKey,
) -> Result<CreatedApiKey, Failure> {
    if principal.must_enrol && !new.scopes.is_empty() {
        return Err(UnauthorizedAccessException::OneTimePasswordsNotEnrolled.into());
    }
    check_scopes(principal.permissions, &new)?;
    // before the password is proven, during which all sessions may be ended
    let epoch = epoch(store, principal).await?;
    let by = (principal.user_id(), principal.session().map(Session::id));
    let proven = current_password::prove(store, by, Some(&new.current_password)).await?;
    // each has an entry of the audit log, and another one when it is revoked
    audit::count_recorded(store, "new_api_keys", Partition::User(principal.user_id().0)).await?;
    let (user_id, role, permissions) = (principal.user.id, principal.user.role, principal.permissions);
    let owner = Owner { user_id, role, permissions, proven, epoch };
    let write = store.database().write((store.mailing(), owner, new), async |work, (mailing, owner, new)| {
        create_in(work, mailing, owner, new).await
    });
    write.await
}

/// Returns the epoch of the user's sessions, in which the session of the request has not ended.
async fn epoch(store: &Store, principal: &Principal) -> Result<Option<i64>, Failure> {
    let mut connection = store.database().read().await?;
    let epoch = SessionRepository(&mut connection).epoch(principal.user_id()).await?;
    drop(connection);
    if let Some(session) = principal.session()
        && sessions::by_id(store, principal.user_id(), session.id()).await?.is_none()
    {
        return Err(UnauthorizedAccessException::InvalidToken.into());
    }
    Ok(epoch)
}

async fn create_in(
    work: &mut UnitOfWork,
    mailing: &Mailing,
    owner: &Owner,
    new: &CreateApiKey,
) -> Result<CreatedApiKey, Failure> {
    let user = users::lock_not_erased(work, owner.user_id).await?;
    let is_same_epoch = SessionRepository(work).epoch(user.id).await? == owner.epoch;
    let is_proven = user.password_hash.as_ref() == Some(&owner.proven);
    if !is_same_epoch || !is_proven || user.role != owner.role {
        return Err(Conflict::Stale.into());
    }
    let current = StaffRoleRepository(work).permissions_of(&user).await?;
    check_scopes(owner.permissions.intersection(current), new)?;
    if ApiKeyRepository::count(work, user.id).await? >= MAX_API_KEYS {
        return Err(Conflict::TooManyApiKeys.into());
    }
    let (mut secret, now) = ([0; API_KEY_BYTES], work.now());
    work.secret(&mut secret);
    let text = ApiKeyText::new(secret);
    let lifetime = new.lifetime_days.map(|days| SignedDuration::from_hours(days.saturating_mul(24)));
    let api_key = ApiKey {
        id: work.id(),
        user_id: user.id,
        name: new.name.clone(),
        hint: text.hint().to_owned(),
        key_hash: text.hash(),
        scopes: new.scopes.iter().copied().collect(),
        read_only: new.read_only,
        created_at: now,
        expires_at: lifetime.map(|lifetime| later(now, lifetime)),
        last_used_at: None,
    };
    work.insert(&api_key).await?;
    work.record_api_key(SecurityAction::ApiKeyCreated, api_key.id);
    write_security_notice(work, mailing, SecurityNotice::ApiKeyCreated, (user.id, &user.email)).await?;
    Ok(CreatedApiKey { api_key, text })
}

/// Fails for a scope that is not one of the permissions, that no key can have, or that a key which only reads cannot
/// have.
fn check_scopes(permissions: Permissions, new: &CreateApiKey) -> Result<(), Failure> {
    let is_allowed = |scope: &Permission| {
        let is_used = !new.read_only || scope.action == Action::Read;
        is_used && permissions.contains(*scope) && !SESSION_ONLY.contains(scope)
    };
    let missing = new.scopes.iter().position(|scope| !is_allowed(scope));
    let Some(index) = missing else { return Ok(()) };
    let allowed = permissions.iter().filter(is_allowed).map(|permission| json!(permission)).collect();
    Err(ValidationException::one(format!("/scopes/{index}").as_str(), Fault::NotAllowed { allowed }).into())
}

/// Returns the key with this hash of its text, and its user with the version of the user's data; `None` if the key was
/// revoked or has expired. The use is recorded, at most once in [`USE_INTERVAL`].
pub async fn by_hash(store: &Store, key_hash: &[u8]) -> Result<Option<((User, i64), ApiKey)>, Failure> {
    let now = store.now();
    let mut connection = store.database().read().await?;
    let found = ApiKeyRepository(&mut connection).by_hash(key_hash, now).await?;
    drop(connection);
    if let Some((_, api_key)) = &found
        && api_key.last_used_at.is_none_or(|used_at| used_at <= earlier(now, USE_INTERVAL))
    {
        record_use(store, api_key.id).await;
    }
    Ok(found)
}

/// Records the use of a key. A store that cannot write, such as a standby, still serves reads.
async fn record_use(store: &Store, id: ApiKeyId) {
    let write = store.database().write(id, async |work, &id| {
        let before = earlier(work.now(), USE_INTERVAL);
        ApiKeyRepository::record_use(work, id, before).await
    });
    if let Err(error) = write.await {
        tracing::debug!(%error, "the use of an API key was not recorded");
    }
}

/// Returns the keys of a user, the newest first.
pub async fn of_user(store: &Store, user_id: UserId) -> Result<Vec<ApiKey>, Failure> {
    let mut connection = store.database().read().await?;
    Ok(ApiKeyRepository(&mut connection).of_user(user_id).await?)
}

/// Returns a key of a user.
///
/// # Errors
///
/// [`NotFound::ApiKey`].
pub async fn own(store: &Store, user_id: UserId, id: ApiKeyId) -> Result<ApiKey, Failure> {
    let found: Option<ApiKey> = store.database().read().await?.find(id).await?;
    found.filter(|api_key| api_key.user_id == user_id).ok_or_else(|| NotFound::ApiKey.into())
}

/// Returns a page of the keys of all users, newest first.
pub async fn list(
    store: &Store,
    filter: ApiKeyFilter,
    limit: usize,
    cursor: Option<&str>,
) -> Result<Page<ApiKey>, Failure> {
    let request = store.database().page_request(limit, cursor);
    let mut connection = store.database().read().await?;
    Ok(ApiKeyRepository(&mut connection).list(&filter, &request).await?)
}

/// Revokes a key of a user.
///
/// # Errors
///
/// [`NotFound::ApiKey`].
pub async fn revoke_own(store: &Store, user_id: UserId, id: ApiKeyId) -> Result<(), Failure> {
    let write = store.database().write((user_id, id), async |work, &(user_id, id)| {
        if !ApiKeyRepository::remove_own(work, user_id, id).await? {
            return Err(NotFound::ApiKey.into());
        }
        work.record_api_key(SecurityAction::ApiKeyRevoked, id);
        Ok(())
    });
    write.await
}

/// Revokes a key of any user, as an administrator.
///
/// # Errors
///
/// [`NotFound::ApiKey`], and those of a permission that the owner has and the granter does not have.
pub async fn revoke(store: &Store, granter: Granter, id: ApiKeyId) -> Result<(), Failure> {
    let write = store.database().write((granter, id), async |work, &(granter, id)| {
        let grantable = Grantable::lock(work, granter).await?;
        let api_key: ApiKey = work.find(id).await?.ok_or(NotFound::ApiKey)?;
        let owner: User = work.find(api_key.user_id).await?.ok_or(NotFound::ApiKey)?;
        grantable.check_user(work, &owner).await?;
        let removed = work.remove::<ApiKey>(id).await?;
        if removed { Ok(()) } else { Err(NotFound::ApiKey.into()) }
    });
    write.await
}
