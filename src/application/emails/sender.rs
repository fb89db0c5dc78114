//! The jobs that hand e-mails to the mail server, and that end and delete those whose time is over.

use std::time::Instant;

use futures_util::stream::{self, StreamExt};
use tokio_util::sync::CancellationToken;

use super::accounts::with_token;
use super::{EMAIL_RETENTION, EXPIRY};
use crate::application::Store;
use crate::domain::email::{Email, EmailStatus, wait_after};
use crate::domain::ports::MailError;
use crate::domain::time::{earlier, later};
use crate::domain::user_token::UserToken;
use crate::infrastructure::events::{
    CallOutcome, EmailDeliveryEvent, EmailOutcome, ThirdPartyApiResponseEvent,
};
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::{
    EmailAttempt, EmailRepository, UnitOfWork, current_trace, in_trace,
};

/// The most e-mails of one piece of the job.
const BATCH: usize = 100;
/// The most e-mails that are sent at the same time.
const CONCURRENCY: usize = 4;
/// Why an e-mail that was not attempted in time failed.
const NOT_SENT: &str = "no worker with `mail.url` ran for two days";
/// Why an e-mail with a token was not sent.
const TOKEN_EXPIRED: &str = "its token has expired, was used or was replaced";

/// Returns whether e-mails are due.
pub(crate) async fn any_due(store: &Store) -> Result<bool, Failure> {
    if store.infrastructure.mail.is_none() {
        return Ok(false);
    }
    Ok(!due(store, 1).await?.is_empty())
}

/// Sends the e-mails that are due; returns their number. Once `stop` is cancelled, no further one is begun. After a
/// crash, one whose outcome was not recorded is sent once more, with the same `Message-ID`. Each is sent within the
/// trace of what caused it.
pub(crate) async fn send_due(store: &Store, stop: &CancellationToken) -> Result<usize, Failure> {
    if store.infrastructure.mail.is_none() {
        return Ok(0);
    }
    let due = stream::iter(due(store, BATCH).await?).take_until(stop.cancelled());
    let sent = due.map(|email| in_trace(email.trace.or_else(current_trace), send(store, email)));
    let sent = sent.buffer_unordered(CONCURRENCY);
    let outcomes: Vec<_> = sent.collect().await;
    let count = outcomes.len();
    outcomes.into_iter().collect::<Result<(), _>>()?;
    Ok(count)
}

async fn due(store: &Store, limit: usize) -> Result<Vec<Email>, Failure> {
    let now = store.now();
    let mut connection = store.database().read().await?;
    Ok(EmailRepository(&mut connection).due(earlier(now, EXPIRY), now, limit).await?)
}

async fn send(store: &Store, email: Email) -> Result<(), Failure> {
    let Some(mail) = &store.infrastructure.mail else { return Ok(()) };
    // the user may have been erased since it was read
    let present: Option<Email> = store.database().read().await?.find(email.id).await?;
    let Some(email) = present.filter(|email| email.status == EmailStatus::Pending) else { return Ok(()) };
    if !has_valid_token(store, &email).await? {
        return store.database().write(email, async |work, email| end_expired(work, email).await).await;
    }
    let email = with_token(store.database().signing_key(), email);
    let begun = Instant::now();
    let result = mail.mailer().send(&email).await;
    store.infrastructure.bus.emit(&ThirdPartyApiResponseEvent {
        vendor: "mail",
        operation: "send",
        status: None,
        outcome: match &result {
            Ok(()) => CallOutcome::Succeeded,
            Err(MailError::Refused(_)) => CallOutcome::Refused,
            Err(MailError::Unavailable(_)) => CallOutcome::Unavailable,
        },
        latency: begun.elapsed(),
        attempt: email.attempts + 1,
        trace: current_trace(),
    });
    let write = store
        .database()
        .write((email, result), async |work, (email, result)| record(work, email, result).await);
    write.await
}

/// Returns whether the token of an e-mail is valid, if it has one.
async fn has_valid_token(store: &Store, email: &Email) -> Result<bool, Failure> {
    let Some(id) = email.token_id else { return Ok(true) };
    let token: Option<UserToken> = store.database().read().await?.find(id).await?;
    Ok(token.is_some_and(|token| token.expires_at > store.now()))
}

/// Ends an e-mail whose token is not valid any more.
async fn end_expired(work: &mut UnitOfWork, email: &Email) -> Result<(), Failure> {
    let error = Some(TOKEN_EXPIRED.to_owned());
    let attempt = EmailAttempt { id: email.id, status: EmailStatus::Failed, due_at: None, error };
    if !EmailRepository::record(work, &attempt).await? {
        return Ok(());
    }
    publish(work, email, EmailOutcome::Expired, email.attempts + 1).await
}

/// Records the outcome of an attempt with its event.
async fn record(work: &mut UnitOfWork, email: &Email, result: &Result<(), MailError>) -> Result<(), Failure> {
    let attempts = email.attempts + 1;
    let next = wait_after(attempts).map(|wait| later(work.now(), wait));
    let (status, due_at, outcome) = match (result, next) {
        (Ok(()), _) => (EmailStatus::Sent, None, EmailOutcome::Delivered),
        (Err(MailError::Unavailable(_)), Some(next)) => {
            (EmailStatus::Pending, Some(next), EmailOutcome::Deferred)
        }
        (Err(MailError::Unavailable(_)), None) => (EmailStatus::Failed, None, EmailOutcome::Expired),
        (Err(MailError::Refused(_)), _) => (EmailStatus::Failed, None, EmailOutcome::Bounced),
    };
    let error = result.as_ref().err().map(MailError::to_string);
    let attempt = EmailAttempt { id: email.id, status, due_at, error };
    if !EmailRepository::record(work, &attempt).await? {
        return Ok(());
    }
    publish(work, email, outcome, attempts).await
}

async fn publish(
    work: &mut UnitOfWork,
    email: &Email,
    outcome: EmailOutcome,
    attempts: i64,
) -> Result<(), Failure> {
    let Email { id: email_id, user_id, kind, .. } = email.clone();
    Ok(work.publish(&EmailDeliveryEvent { email_id, user_id, kind, outcome, attempts }).await?)
}

/// Ends e-mails that no worker sent in time; returns their number.
pub(crate) async fn expire(store: &Store, limit: i64) -> Result<usize, Failure> {
    let expire = store.database().write(limit, async |work, limit| {
        let before = earlier(work.now(), EXPIRY);
        let expired = EmailRepository::expire(work, before, NOT_SENT, *limit).await?;
        for email in &expired {
            publish(work, email, EmailOutcome::Expired, email.attempts).await?;
        }
        Ok(expired.len())
    });
    expire.await
}

/// Deletes e-mails whose retention is over.
pub(crate) async fn purge(store: &Store, limit: i64) -> Result<u64, Failure> {
    let purge = store.database().write(limit, async |work, limit| {
        let before = earlier(work.now(), EMAIL_RETENTION);
        Ok::<_, Failure>(EmailRepository::purge(work, before, *limit).await?)
    });
    purge.await
}
