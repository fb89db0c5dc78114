//! E-mails to customers about their orders and subscriptions, and to administrators.
//!
//! Use cases write those about accounts (`accounts`). The subscriber of `compose` writes an e-mail in the unit of
//! work that handles an event, once for each event. The job of `sender` hands each to the mail server until it is
//! accepted or refused for good.
//!
//! A store sends e-mails from the first start of a worker with a mailer on. From then on they are written by every
//! worker and sent by those with a mailer; one that is due for [`EXPIRY`] and was not attempted fails.

pub(crate) mod accounts;
pub(crate) mod compose;
pub(crate) mod digest;
pub(crate) mod sender;
mod templates;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::application::Store;
use crate::domain::email::{Email, EmailStatus};
use crate::domain::ids::{EmailId, UserId, UserTokenId};
use crate::domain::state::State;
use crate::domain::time::earlier;
use crate::infrastructure::exceptions::{Conflict, Failure, NotFound};
use crate::infrastructure::repositories::{
    Connection, EmailFilter, EmailRepository, Page, SettingsRepository, UnitOfWork, UserRepository,
};

/// The retention of an e-mail that was sent or failed.
pub const EMAIL_RETENTION: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The time after which an e-mail that is due is not sent any more, because no worker with a mailer ran.
pub const EXPIRY: SignedDuration = SignedDuration::from_hours(48);
/// The most e-mails of one topic to an address in [`LIMIT_WINDOW`], of those that have a limit.
const MOST_LIMITED: i64 = 5;
/// The time in which they are counted.
const LIMIT_WINDOW: SignedDuration = SignedDuration::from_hours(1);
/// The most e-mails of an address that the sandbox shows.
const SHOWN: usize = 20;
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

/// Returns the last e-mails to an address as their recipient gets them, with their tokens, newest first.
///
/// They are for developers, and only of a store whose terms allow it: a token can be used by all who read it. Those
/// to administrators are not among them.
///
/// # Errors
///
/// [`NotFound::SandboxEmails`] if the store does not allow it.
pub async fn in_sandbox(store: &Store, address: &str) -> Result<Vec<Email>, Failure> {
    if !store.terms.sandbox_emails {
        return Err(NotFound::SandboxEmails.into());
    }
    let found = EmailRepository(&mut store.database().read().await?).to_address(address, SHOWN).await?;
    let key = store.database().signing_key();
    Ok(found.into_iter().map(|email| accounts::with_token(key, email)).collect())
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

/// Records since when the store sends e-mails, so that events from before cause none; for use at the start of a
/// worker.
pub(crate) async fn begin(store: &Store) -> Result<(), Failure> {
    if store.infrastructure.mail.is_none() {
        return Ok(());
    }
    let write = store.database().write((), async |work, ()| {
        let now = work.now().to_string();
        Ok(SettingsRepository::set_new(work, SINCE, &now).await?)
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
    event_id: Option<Uuid>,
    token_id: Option<UserTokenId>,
    kind: &'a str,
    user_id: Option<UserId>,
    recipient: String,
    subject: String,
    body: String,
    /// See [`Email::limit_key`]: of what anyone can cause to be sent to an address that is not proven to be their own.
    limit_key: Option<String>,
}

/// Writes an e-mail that is due now, unless there is one about its event, its user was erased, or its recipient had the
/// most of those that are limited.
async fn write(work: &mut UnitOfWork, draft: Draft<'_>) -> Result<(), Failure> {
    if let Some(key) = &draft.limit_key {
        let since = earlier(work.now(), LIMIT_WINDOW);
        if EmailRepository(work).count_limited(key, since).await? >= MOST_LIMITED {
            tracing::info!(
                kind = draft.kind,
                "an e-mail was not written: its recipient had the most in an hour"
            );
            return Ok(());
        }
    }
    let user_id = draft.user_id;
    let Some(id) = insert(work, draft).await? else { return Ok(()) };
    // an erasure that began before the insert is committed now; a later one waits, and removes the e-mail, unless it is
    // a notice about the security of the account
    if let Some(user_id) = user_id
        && UserRepository(work).is_erased(user_id).await?
    {
        work.remove::<Email>(id).await?;
    }
    Ok(())
}

/// Inserts an e-mail that is due now, unless there is one about its event; returns its id.
async fn insert(work: &mut UnitOfWork, draft: Draft<'_>) -> Result<Option<EmailId>, Failure> {
    let email = Email {
        id: work.id(),
        user_id: draft.user_id,
        event_id: draft.event_id,
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
        token_id: draft.token_id,
        trace: work.trace(),
        limit_key: draft.limit_key,
    };
    Ok(work.insert_new(&email).await?.then_some(email.id))
}
