//! Users, as administrators manage them: listed, given a role, erased. The last administrator cannot be removed.

use crate::domain::audit::SecurityAction;
use crate::domain::events::{SubscriptionChanged, UserErased};
use crate::domain::ids::UserId;
use crate::domain::state::State;
use crate::domain::subscription::SubscriptionStatus;
use crate::domain::user::{Role, User};
use crate::infrastructure::exceptions::{Conflict, Failure, UserNotFoundException};
use crate::infrastructure::repositories::{
    EraseError, Page, SessionRepository, UnitOfWork, UserFilter, UserRepository,
};

use crate::application::{Change, Store, check_version};

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

/// Changes the role of a user, and ends their sessions: a token has the rights with which it was issued.
pub async fn change_role(
    store: &Store,
    id: UserId,
    role: Role,
    expected_version: Option<i64>,
) -> Result<User, Failure> {
    let change = Change { id, expected_version, to: role };
    store.database().write(change, async |work, change| change_role_in(work, change).await).await
}

async fn change_role_in(work: &mut UnitOfWork, change: &Change<UserId, Role>) -> Result<User, Failure> {
    let &Change { id, expected_version, to: role } = change;
    let mut user = find_not_erased(work, id).await?;
    check_version(user.version, expected_version)?;
    if user.role == role {
        return Ok(user);
    }
    if user.role == Role::Admin {
        check_other_admin(work, id).await?;
    }
    user.role = role;
    work.record(SecurityAction::RoleChanged, Some(id));
    work.update(&mut user).await?;
    SessionRepository::remove_all_of(work, id).await?;
    Ok(user)
}

/// Removes the personal data of a user. Orders and invoices keep what accounting needs.
pub async fn erase(store: &Store, id: UserId) -> Result<(), Failure> {
    store.database().write(id, async |work, id| erase_in(work, *id).await).await
}

/// Erases a user in an open transaction.
pub(super) async fn erase_in(work: &mut UnitOfWork, id: UserId) -> Result<(), Failure> {
    if find_not_erased(work, id).await?.role == Role::Admin {
        check_other_admin(work, id).await?;
    }
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
    Ok(work.publish(&UserErased { user_id: id }).await?)
}

/// Returns whether the store has an administrator.
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

/// Fails if there is no administrator other than `id`.
async fn check_other_admin(work: &mut UnitOfWork, id: UserId) -> Result<(), Failure> {
    // Without the lock, two administrators removed at the same time would each be seen by the other's check.
    work.lock_name("administrators").await?;
    if UserRepository(work).has_admin_besides(id).await? {
        return Ok(());
    }
    Err(Conflict::LastAdmin.into())
}
