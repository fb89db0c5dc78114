//! The birth dates of users, by which products with a minimum age are sold. A user sets the own one once.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Deserialize;
use utoipa::ToSchema;

use super::granting::{Grantable, Granter};
use super::users::lock_not_erased;
use crate::application::{Change, Store, check_version};
use crate::domain::ids::UserId;
use crate::domain::user::User;
use crate::infrastructure::exceptions::{Failure, Fault, ValidationException};

/// The oldest age in years that a birth date may give.
const MAX_AGE: i16 = 130;

/// The birth date of a user.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceBirthDate {
    /// The birth date; `null` removes it, and the user may set it once more.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required)]
    pub birth_date: Option<Date>,
}

/// Sets or removes the birth date of a user, which the user cannot change.
///
/// # Errors
///
/// A [`ValidationException`] for a date that is no birth date, `PreconditionFailed`, and those of a permission that the
/// user has and the granter does not have.
pub async fn replace(
    store: &Store,
    granter: Granter,
    id: UserId,
    expected_version: Option<i64>,
    new: ReplaceBirthDate,
) -> Result<User, Failure> {
    let given = (granter, Change { id, expected_version, to: new.birth_date });
    let write = store.database().write(given, async |work, (granter, change)| {
        let grantable = Grantable::lock(work, *granter).await?;
        let mut user = lock_not_erased(work, change.id).await?;
        check_version(user.version, change.expected_version)?;
        grantable.check_user(work, &user).await?;
        check_birth_date(change.to, work.now())?;
        user.birth_date = change.to;
        work.update(&mut user).await?;
        Ok(user)
    });
    write.await
}

/// Fails for a birth date in the future, in any time zone, or more than 130 years ago.
pub(crate) fn check_birth_date(birth_date: Option<Date>, now: Timestamp) -> Result<(), Failure> {
    let tomorrow = now.to_zoned(TimeZone::UTC).date().saturating_add(jiff::Span::new().days(1));
    if birth_date.is_some_and(|date| date > tomorrow || date.year() < tomorrow.year() - MAX_AGE) {
        return Err(ValidationException::one("/birth_date", Fault::Invalid).into());
    }
    Ok(())
}
