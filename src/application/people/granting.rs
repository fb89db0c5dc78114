//! Giving and taking away permissions. An administrator can give and take away only what the administrator has, and
//! one who may do everything always remains.

use crate::domain::ids::UserId;
use crate::domain::permission::Permissions;
use crate::domain::user::User;
use crate::infrastructure::exceptions::{Conflict, Failure, UnauthorizedAccessException};
use crate::infrastructure::guards::AdminGuard;
use crate::infrastructure::repositories::{StaffRoleRepository, UnitOfWork, UserRepository};

/// Who gives or takes away permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granter {
    /// The operator of the store on its command line, or a user who gives up the own permissions.
    Unlimited,
    /// An administrator.
    Administrator {
        /// The administrator.
        user_id: UserId,
        /// What the request may do.
        permissions: Permissions,
    },
}

impl Granter {
    /// Returns the administrator of a request.
    pub fn of(admin: &AdminGuard) -> Self {
        Self::Administrator { user_id: admin.user_id(), permissions: admin.permissions }
    }
}

/// What a granter can give and take away, in a transaction that has locked the rights of all administrators.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grantable(Permissions);

impl Grantable {
    /// Locks the rights of administrators until the transaction ends, so that no other one changes what is checked.
    /// Reads what the granter may do now: another administrator may have changed it since the request began.
    pub(super) async fn lock(work: &mut UnitOfWork, granter: Granter) -> Result<Self, Failure> {
        work.lock_name("administrators").await?;
        match granter {
            Granter::Unlimited => Ok(Self(Permissions::ALL)),
            Granter::Administrator { user_id, permissions } => {
                let user = work.find::<User>(user_id).await?;
                let now = match &user {
                    Some(user) => StaffRoleRepository(work).permissions_of(user).await?,
                    None => Permissions::NONE,
                };
                Ok(Self(now.intersection(permissions)))
            }
        }
    }

    /// Fails unless these permissions can be given and taken away.
    ///
    /// # Errors
    ///
    /// [`UnauthorizedAccessException::MissingPermission`] with the first one that is missing;
    /// [`UnauthorizedAccessException::NotAllowed`] if only an administrator without a role of the staff can do it.
    pub(super) fn check(self, permissions: Permissions) -> Result<(), Failure> {
        if self.0.includes(permissions) {
            return Ok(());
        }
        UnauthorizedAccessException::check_permissions(self.0, permissions.iter())?;
        // what is missing has no name: the permissions of later versions
        Err(UnauthorizedAccessException::NotAllowed.into())
    }

    /// Fails unless what a user may do as an administrator can be given and taken away.
    pub(super) async fn check_user(self, work: &mut UnitOfWork, user: &User) -> Result<(), Failure> {
        self.check(StaffRoleRepository(work).permissions_of(user).await?)
    }
}

/// Fails if a user may do everything and no other administrator may. The rights of administrators must be locked.
///
/// # Errors
///
/// [`Conflict::LastAdmin`].
pub(super) async fn check_remaining_admin(work: &mut UnitOfWork, user: &User) -> Result<(), Failure> {
    let may_do_everything = user.permissions(None) == Permissions::ALL;
    if may_do_everything && !UserRepository(work).has_admin_besides(user.id).await? {
        return Err(Conflict::LastAdmin.into());
    }
    Ok(())
}
