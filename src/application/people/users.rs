//! People as those who run the store see them: listed, given their role, forgotten. One administrator always stays.

use crate::domain::events::{SubscriptionChanged, UserErased};
use crate::domain::ids::UserId;
use crate::domain::state::State;
use crate::domain::subscription::SubscriptionStatus;
use crate::domain::user::{Role, User};
use crate::infrastructure::exceptions::{Conflict, Failure, UserNotFoundException};
use crate::infrastructure::repositories::{EraseError, Page, UnitOfWork, UserFilter, UserRepository};

use crate::application::{Store, check_version};

/// A page of users, newest first.
pub async fn users(
    store: &Store,
    filter: &UserFilter,
    limit: usize,
    cursor: Option<&str>,
) -> Result<Page<User>, Failure> {
    let list = format!("users {:?} {:?}", filter.email_prefix, filter.role);
    let cursors = store.database().cursor_key().cursors(&list);
    let after = cursor.map(|cursor| cursors.decode(cursor)).transpose()?;
    let mut session = store.database().read().await?;
    Ok(UserRepository(&mut session).list(filter, limit, after, &cursors).await?)
}

/// A user, also one who was forgotten.
pub async fn user(store: &Store, id: UserId) -> Result<User, Failure> {
    let found = store.database().read().await?.find(id).await?;
    found.ok_or_else(|| UserNotFoundException { id }.into())
}

/// Gives a user another role.
pub async fn change_role(
    work: &mut UnitOfWork,
    id: UserId,
    role: Role,
    seen: Option<i64>,
) -> Result<User, Failure> {
    let mut user = present(work, id).await?;
    check_version(user.version, seen)?;
    if user.role == role {
        return Ok(user);
    }
    if user.role == Role::Admin {
        keep_another_admin(work, id).await?;
    }
    user.role = role;
    user.updated_at = work.now();
    work.update(&mut user).await?;
    Ok(user)
}

/// Forgets a user; what the books need stays.
pub async fn erase(work: &mut UnitOfWork, id: UserId) -> Result<(), Failure> {
    if present(work, id).await?.role == Role::Admin {
        keep_another_admin(work, id).await?;
    }
    let ended = UserRepository::erase(work, id).await.map_err(|error| match error {
        EraseError::Missing => UserNotFoundException { id }.into(),
        EraseError::OpenOrders => Failure::from(Conflict::OpenOrders),
        EraseError::Store(error) => error.into(),
    })?;
    for subscription_id in ended {
        let status = SubscriptionStatus::Cancelled.name().to_owned();
        work.publish(&SubscriptionChanged { subscription_id, user_id: id, status }).await?;
    }
    Ok(work.publish(&UserErased { user_id: id }).await?)
}

/// A user who was not forgotten.
async fn present(work: &mut UnitOfWork, id: UserId) -> Result<User, Failure> {
    let found = work.find::<User>(id).await?.filter(|user| user.erased_at.is_none());
    found.ok_or_else(|| UserNotFoundException { id }.into())
}

/// Refuses if there is no administrator but this one.
async fn keep_another_admin(work: &mut UnitOfWork, id: UserId) -> Result<(), Failure> {
    // two who give up their role at once would each see the other
    work.exclusive_lock("administrators").await?;
    if UserRepository(work).has_admin_besides(id).await? {
        return Ok(());
    }
    Err(Conflict::LastAdmin.into())
}
