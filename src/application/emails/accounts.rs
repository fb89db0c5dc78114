//! E-mails about accounts: those that carry a token, and notices.
//!
//! The text of an e-mail with a token contains `{token}`, which `sender` replaces when it hands the e-mail to the
//! mail server: no table contains the token.

use serde_json::{Map, Value};

use super::templates::texts;
use super::{Draft, since, write};
use crate::application::{AccountPages, Mailing, Terms};
use crate::domain::email::Email;
use crate::domain::ids::UserId;
use crate::domain::state::State;
use crate::domain::user_token::{TokenPurpose, UserToken};
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::{Connection, SigningKey, UnitOfWork, token_text};

/// What stands for the token in a text.
pub(super) const TOKEN: &str = "{token}";

/// Returns whether e-mails about accounts reach their recipients: the store sends e-mails, or developers read them
/// in the sandbox.
pub(crate) async fn are_sent(connection: &mut Connection, terms: &Terms) -> Result<bool, Failure> {
    Ok(terms.sandbox_emails || since(connection).await?.is_some())
}

/// Writes the e-mail that carries a token.
pub(crate) async fn write_token(
    work: &mut UnitOfWork,
    terms: &Terms,
    token: &UserToken,
) -> Result<(), Failure> {
    let link = page(&terms.pages, token.purpose).map_or_else(|| format!("Token: {TOKEN}"), str::to_owned);
    let hours = token.purpose.lifetime().as_hours();
    let duration = if hours == 1 { "one hour".to_owned() } else { format!("{hours} hours") };
    let arguments = arguments(terms, [("link", link), ("duration", duration)]);
    let kind = token.purpose.name();
    let (subject, body) = texts(kind, &arguments)?;
    let (user_id, recipient) = (Some(token.user_id), token.email.clone());
    write(work, Draft { event_id: None, token_id: Some(token.id), kind, user_id, recipient, subject, body })
        .await
}

/// Writes a notice to a user.
pub(crate) async fn write_notice(
    work: &mut UnitOfWork,
    terms: &Terms,
    kind: &str,
    (user_id, recipient): (UserId, &str),
) -> Result<(), Failure> {
    let (subject, body) = texts(kind, &arguments(terms, []))?;
    let (user_id, recipient) = (Some(user_id), recipient.to_owned());
    write(work, Draft { event_id: None, token_id: None, kind, user_id, recipient, subject, body }).await
}

/// Writes a notice about the security of an account to its owner, if the store sends e-mails.
pub(crate) async fn write_security_notice(
    work: &mut UnitOfWork,
    mailing: &Mailing,
    kind: &str,
    to: (UserId, &str),
) -> Result<(), Failure> {
    if are_sent(work, &mailing.terms).await? {
        write_notice(work, &mailing.terms, kind, to).await
    } else {
        Ok(())
    }
}

/// Returns an e-mail as its recipient gets it.
pub(super) fn with_token(key: &SigningKey, mut email: Email) -> Email {
    if let Some(id) = email.token_id {
        email.body = email.body.replace(TOKEN, &token_text(key, id));
    }
    email
}

fn page(pages: &AccountPages, purpose: TokenPurpose) -> Option<&str> {
    match purpose {
        TokenPurpose::EmailVerification | TokenPurpose::EmailChange => pages.email_verification.as_deref(),
        TokenPurpose::PasswordReset => pages.password_reset.as_deref(),
    }
}

fn arguments<const N: usize>(terms: &Terms, more: [(&str, String); N]) -> Map<String, Value> {
    let seller = [("seller", terms.name.clone())];
    seller.into_iter().chain(more).map(|(name, value)| (name.to_owned(), value.into())).collect()
}
