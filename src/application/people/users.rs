//! Users, as administrators manage them: listed, given a role, erased. The last administrator who may do everything
//! cannot be removed.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::audit::SecurityAction;
use crate::domain::events::{SubscriptionChanged, UserErased};
use crate::domain::ids::UserId;
use crate::domain::permission::{Permission, Resource};
use crate::domain::state::State;
use crate::domain::subscription::SubscriptionStatus;
use crate::domain::user::{Role, User};
use crate::infrastructure::exceptions::{
    Conflict, Failure, Fault, UserNotFoundException, ValidationException,
};
use crate::infrastructure::repositories::{
    ApiKeyRepository, EndedSessions, EraseError, IdentityRepository, Page, SessionRepository,
    StaffRoleRepository, UnitOfWork, UserFilter, UserRepository, UserTokenRepository,
};

use super::granting::{Grantable, Granter, check_remaining_admin};
use super::sessions;
use crate::application::emails::accounts::{addresses_of, write_last_notices};
use crate::application::partial_update::nullable;
use crate::application::{Change, Mailing, Store, check_version};

/// A change of what a user may do: a member that is omitted keeps its value.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateUser {
    /// The role. A customer has no role of the staff.
    #[schema(nullable = false)]
    pub role: Option<Role>,
    /// The name of the role of the staff, of an administrator; `null` is an administrator who may do everything.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, max_length = 100)]
    pub staff_role: Option<Option<String>>,
}

/// Returns a page of users, newest first.
pub async fn users(
    store: &Store,
    filter: &UserFilter,
    limit: usize,
    cursor: Option<&str>,
) -> Result<Page<User>, Failure> {
    let request = store.database().page_request(limit, cursor);
    let mut connection = store.database().read().await?;
    Ok(UserRepository(&mut connection).list(filter, &request).await?)
}

/// Returns a user, also an erased one.
pub async fn user(store: &Store, id: UserId) -> Result<User, Failure> {
    let found = store.database().read().await?.find(id).await?;
    found.ok_or_else(|| UserNotFoundException { id }.into())
}

/// Changes the roles of a user, and ends their sessions and the tokens that were sent to them: a token has the
/// rights with which it was issued. A user who becomes an administrator or a customer loses the API keys and the
/// accounts at identity providers, too.
///
/// # Errors
///
/// A [`ValidationException`] for a role that does not exist or that a customer cannot have; [`Conflict::LastAdmin`];
/// [`Conflict::EmailNotVerified`] if a customer would become an administrator who did not verify the e-mail address;
/// and those of a permission that the user has before or after the change and the granter does not have.
pub async fn change_role(
    store: &Store,
    granter: Granter,
    id: UserId,
    expected_version: Option<i64>,
    update: UpdateUser,
) -> Result<User, Failure> {
    let given = (granter, Change { id, expected_version, to: update });
    let write = store
        .database()
        .write(given, async |work, (granter, change)| change_role_in(work, *granter, change).await);
    let (user, ended) = write.await?;
    if let Some(ended) = ended {
        sessions::end_in_redis(store, &ended).await;
    }
    Ok(user)
}

async fn change_role_in(
    work: &mut UnitOfWork,
    granter: Granter,
    change: &Change<UserId, UpdateUser>,
) -> Result<(User, Option<EndedSessions>), Failure> {
    let grantable = Grantable::lock(work, granter).await?;
    let user = find_not_erased(work, change.id).await?;
    check_version(user.version, change.expected_version)?;
    let mut changed = updated(user.clone(), change.to.clone())?;
    if changed == user {
        return Ok((user, None));
    }
    check_role_exists(work, changed.staff_role.as_deref()).await?;
    grantable.check_user(work, &user).await?;
    grantable.check_user(work, &changed).await?;
    check_remaining_admin(work, &user).await?;
    let becomes_admin = (user.role, changed.role) == (Role::Customer, Role::Admin);
    if becomes_admin && user.email_verified_at.is_none() {
        // someone else may have registered with the address, and know the password
        return Err(Conflict::EmailNotVerified.into());
    }
    work.record(SecurityAction::RoleChanged, Some(user.id));
    work.update(&mut changed).await?;
    if changed.role != user.role {
        // otherwise the scopes of an administrator would return with the role
        ApiKeyRepository::remove_all_of(work, user.id).await?;
        // an administrator is never linked by the address
        IdentityRepository::remove_all_of(work, user.id).await?;
    }
    UserTokenRepository::end_all_of(work, user.id).await?;
    let ended = SessionRepository::end_all_of(work, user.id).await?;
    Ok((changed, Some(ended)))
}

/// Returns a user with other roles.
fn updated(user: User, update: UpdateUser) -> Result<User, Failure> {
    let role = update.role.unwrap_or(user.role);
    let kept = user.staff_role.clone().filter(|_| role == Role::Admin);
    let staff_role = update.staff_role.unwrap_or(kept);
    if role == Role::Customer && staff_role.is_some() {
        return Err(ValidationException::one("/staff_role", Fault::AdministratorsOnly).into());
    }
    Ok(User { role, staff_role, ..user })
}

/// Fails for the name of a role of the staff that does not exist.
async fn check_role_exists(work: &mut UnitOfWork, name: Option<&str>) -> Result<(), Failure> {
    let Some(name) = name else { return Ok(()) };
    let roles = StaffRoleRepository(work).all().await?;
    if roles.iter().any(|role| role.name == name) {
        return Ok(());
    }
    let allowed = roles.into_iter().map(|role| role.name.into()).collect();
    Err(ValidationException::one("/staff_role", Fault::NotAllowed { allowed }).into())
}

/// Ends all sessions of a user, such as those of a stolen device, and the tokens that were sent to the user by e-mail.
/// If `with_api_keys`, revokes all API keys of the user, too.
///
/// # Errors
///
/// Those of a permission that the user has and the granter does not have, and of `api-keys:write` to revoke API keys.
pub async fn end_sessions(
    store: &Store,
    granter: Granter,
    id: UserId,
    with_api_keys: bool,
) -> Result<(), Failure> {
    let given = (granter, id, with_api_keys);
    let write = store.database().write(given, async |work, &(granter, id, with_api_keys)| {
        let grantable = Grantable::lock(work, granter).await?;
        let user = find_not_erased(work, id).await?;
        grantable.check_user(work, &user).await?;
        if with_api_keys {
            grantable.check([Permission::write(Resource::ApiKeys)].into_iter().collect())?;
        }
        sessions::end_everywhere(work, user.id, with_api_keys).await
    });
    sessions::end_in_redis(store, &write.await?).await;
    Ok(())
}

/// Removes the personal data of a user. Orders and invoices keep what accounting needs. The owner of the account gets a
/// last e-mail, also at the address that it had before, and those about its security that are to be sent:
/// docs/decisions/0040-the-last-e-mails-of-an-erased-account.md explains why.
pub async fn erase(store: &Store, granter: Granter, id: UserId) -> Result<(), Failure> {
    let given = (granter, id, store.mailing());
    let erase = store
        .database()
        .write(given, async |work, (granter, id, mailing)| erase_in(work, mailing, *granter, *id).await);
    sessions::end_in_redis(store, &erase.await?).await;
    Ok(())
}

/// Erases a user in an open transaction; returns how the sessions ended.
pub(super) async fn erase_in(
    work: &mut UnitOfWork,
    mailing: &Mailing,
    granter: Granter,
    id: UserId,
) -> Result<EndedSessions, Failure> {
    let grantable = Grantable::lock(work, granter).await?;
    let user = find_not_erased(work, id).await?;
    grantable.check_user(work, &user).await?;
    check_remaining_admin(work, &user).await?;
    let addresses = addresses_of(work, &user).await?;
    let ended = UserRepository::erase(work, id).await.map_err(|error| match error {
        EraseError::Missing => UserNotFoundException { id }.into(),
        EraseError::OpenOrders => Failure::from(Conflict::OpenOrders),
        EraseError::Database(error) => error.into(),
    })?;
    for subscription_id in ended {
        let status = SubscriptionStatus::Cancelled.name().to_owned();
        work.publish(&SubscriptionChanged { subscription_id, user_id: id, status }).await?;
    }
    work.record(SecurityAction::Erased, Some(id));
    work.publish(&UserErased { user_id: id }).await?;
    write_last_notices(work, mailing, id, &addresses).await?;
    Ok(SessionRepository::end_all_of(work, id).await?)
}

/// Returns whether the store has an administrator who may do everything.
pub async fn has_admin(store: &Store) -> Result<bool, Failure> {
    Ok(UserRepository(&mut store.database().read().await?).has_admin().await?)
}

/// Returns a user that was not erased.
pub(super) async fn find_not_erased(work: &mut UnitOfWork, id: UserId) -> Result<User, Failure> {
    let found = work.find::<User>(id).await?.filter(|user| user.erased_at.is_none());
    found.ok_or_else(|| UserNotFoundException { id }.into())
}

/// Locks a user that was not erased, and returns it.
pub(super) async fn lock_not_erased(work: &mut UnitOfWork, id: UserId) -> Result<User, Failure> {
    let found = work.lock::<User>(id).await?.filter(|user| user.erased_at.is_none());
    found.ok_or_else(|| UserNotFoundException { id }.into())
}
