//! E-mails to customers about their orders and subscriptions, and to administrators.
//!
//! The subscriber of `compose` writes an e-mail in the unit of work that handles an event, exactly once. The job of
//! `sender` hands each to the mail server until it is accepted or refused for good.

pub(crate) mod compose;
pub(crate) mod digest;
pub(crate) mod sender;
mod templates;

use jiff::{SignedDuration, Timestamp};

use crate::application::Store;
use crate::domain::email::{Email, EmailStatus};
use crate::domain::ids::{EmailId, UserId};
use crate::domain::state::State;
use crate::domain::user::User;
use crate::infrastructure::exceptions::{Conflict, Failure, NotFound};
use crate::infrastructure::repositories::{
    Connection, EmailFilter, EmailRepository, Page, SettingsRepository, UnitOfWork,
};

/// The retention of an e-mail that was sent or failed.
pub const EMAIL_RETENTION: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The key of the time since which the store sends e-mails.
const SINCE: &str = "emails_since";

/// Returns a page of e-mails, newest first.
pub async fn emails(
    store: &Store,
    filter: &EmailFilter,
    limit: usize,
    cursor: Option<&str>,
) -> Result<Page<Email>, Failure> {
    let request = store.database().page_request(limit, cursor);
    let mut connection = store.database().read().await?;
    Ok(EmailRepository(&mut connection).list(filter, &request).await?)
}

/// Returns an e-mail.
///
/// # Errors
///
/// [`NotFound::Email`].
pub async fn email(store: &Store, id: EmailId) -> Result<Email, Failure> {
    Ok(store.database().read().await?.find(id).await?.ok_or(NotFound::Email)?)
}

/// Sends an e-mail that failed once more, with as many attempts as a new one.
///
/// # Errors
///
/// [`NotFound::Email`], and [`Conflict::ForbiddenTransition`] if it has not failed.
pub async fn retry(store: &Store, id: EmailId) -> Result<Email, Failure> {
    let write = store.database().write(id, async |work, id| {
        let retried = EmailRepository::retry(work, *id).await?;
        let email: Email = work.find(*id).await?.ok_or(NotFound::Email)?;
        if retried {
            return Ok(email);
        }
        let (from, to) = (email.status.name(), EmailStatus::Pending.name());
        Err(Failure::from(Conflict::ForbiddenTransition { what: EmailStatus::WHAT, from, to }))
    });
    write.await
}

/// Records since when the store sends e-mails, so that events from before cause none; for use at the start of a worker.
pub(crate) async fn begin(store: &Store) -> Result<(), Failure> {
    let sends = store.infrastructure.mail.is_some();
    let begun = {
        let mut connection = store.database().read().await?;
        since(&mut connection).await?.is_some()
    };
    if sends == begun {
        return Ok(());
    }
    let write = store.database().write(sends, async |work, sends| {
        let now = work.now().to_string();
        if *sends {
            SettingsRepository::set(work, SINCE, &now).await?;
        } else {
            SettingsRepository::remove(work, SINCE).await?;
        }
        Ok(())
    });
    write.await
}

/// Returns the time since which the store sends e-mails; `None` if it sends none.
async fn since(connection: &mut Connection) -> Result<Option<Timestamp>, Failure> {
    let since = SettingsRepository(connection).find(SINCE).await?;
    Ok(since.and_then(|text| text.parse().ok()))
}

/// What an e-mail is about and to whom it is sent.
struct Draft<'a> {
    kind: &'a str,
    user_id: Option<UserId>,
    recipient: String,
    subject: String,
    body: String,
}

/// Writes an e-mail that is due now, unless its user was erased.
async fn write(work: &mut UnitOfWork, draft: Draft<'_>) -> Result<(), Failure> {
    let email = Email {
        id: work.id(),
        user_id: draft.user_id,
        kind: draft.kind.to_owned(),
        recipient: draft.recipient,
        subject: draft.subject,
        body: draft.body,
        status: EmailStatus::Pending,
        attempts: 0,
        due_at: Some(work.now()),
        error: None,
        created_at: work.now(),
        ended_at: None,
    };
    work.insert(&email).await?;
    // an erasure that began before the insert is committed now; a later one waits, and removes the e-mail
    if let Some(user_id) = email.user_id
        && work.find::<User>(user_id).await?.is_none_or(|user| user.erased_at.is_some())
    {
        work.remove::<Email>(email.id).await?;
    }
    Ok(())
}
