//! Accounts: made by their owners, and for those who run the store.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::domain::events::UserRegistered;
use crate::domain::user::{Role, User};
use crate::infrastructure::exceptions::{EmailAlreadyUsedException, Failure, Fault, ValidationException};
use crate::infrastructure::repositories::{
    PreferencesRepository, SessionRepository, UnitOfWork, UserRepository,
};

/// Who wants an account.
#[derive(Clone)]
pub struct NewUser {
    /// Their address.
    pub email: String,
    /// Their name, if they said it.
    pub name: Option<String>,
    /// What is kept of their password.
    pub password_hash: String,
    /// For goods with a minimum age.
    pub birth_date: Option<Date>,
    /// The language they read.
    pub locale: Option<String>,
}

/// Makes an account. That an address has one already is told: see docs/decisions/0006-what-betrays-an-account.md.
pub async fn register(work: &mut UnitOfWork, new: &NewUser) -> Result<User, Failure> {
    add(work, new, Role::Customer).await
}

/// Makes an administrator, or one of whoever has the address: with this password from here on.
pub async fn make_admin(work: &mut UnitOfWork, new: &NewUser) -> Result<User, Failure> {
    let Some(mut user) = UserRepository(work).by_email(&new.email).await? else {
        return add(work, new, Role::Admin).await;
    };
    user.role = Role::Admin;
    user.password_hash = Some(new.password_hash.clone());
    user.updated_at = work.now();
    if let Some(name) = &new.name {
        user.name.clone_from(name);
    }
    work.update(&mut user).await?;
    SessionRepository::remove_all_of(work, user.id).await?;
    Ok(user)
}

async fn add(work: &mut UnitOfWork, new: &NewUser, role: Role) -> Result<User, Failure> {
    let now = work.now();
    check_birth_date(new.birth_date, now)?;
    let user = User {
        id: work.id(),
        email: new.email.clone(),
        name: new.name.clone().unwrap_or_default(),
        password_hash: Some(new.password_hash.clone()),
        role,
        birth_date: new.birth_date,
        email_verified_at: None,
        erased_at: None,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    if !UserRepository::insert_unique_email(work, &user).await? {
        return Err(EmailAlreadyUsedException.into());
    }
    if new.locale.is_some() {
        let mut wishes = PreferencesRepository(work).of(user.id).await?;
        wishes.locale.clone_from(&new.locale);
        wishes.updated_at = now;
        PreferencesRepository::save(work, &mut wishes).await?;
    }
    work.publish(&UserRegistered { user_id: user.id }).await?;
    Ok(user)
}

/// Refuses the birth date of somebody who is not born yet anywhere on earth, or would be the oldest who ever lived.
pub(crate) fn check_birth_date(birth_date: Option<Date>, now: Timestamp) -> Result<(), Failure> {
    let tomorrow = now.to_zoned(TimeZone::UTC).date().saturating_add(jiff::Span::new().days(1));
    if birth_date.is_some_and(|date| date > tomorrow || date.year() < tomorrow.year() - 130) {
        return Err(ValidationException::one("/birth_date", Fault::Invalid).into());
    }
    Ok(())
}
