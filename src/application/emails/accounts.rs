//! E-mails about accounts: those that carry a token, and notices.
//!
//! The text of an e-mail with a token contains `{token}`, which `sender` replaces when it hands the e-mail to the
//! mail server: no table contains the token.

use serde_json::{Map, Value};

use super::templates::texts;
use super::{Draft, insert, since, write};
use crate::application::{AccountPages, Mailing, Terms};
use crate::domain::email::{Email, SecurityNotice, is_same_mailbox, limit_key};
use crate::domain::ids::UserId;
use crate::domain::state::State;
use crate::domain::user::User;
use crate::domain::user_token::{TokenPurpose, UserToken};
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::{Connection, EmailRepository, SigningKey, UnitOfWork, token_text};

/// What stands for the token in a text.
pub(super) const TOKEN: &str = "{token}";

/// An address that an account has, or had until lately.
pub(crate) struct AccountAddress {
    /// The address.
    pub(crate) email: String,
    /// Whether it may be someone else's: that of a customer who has not verified it.
    pub(crate) is_unverified: bool,
}

/// Returns whether e-mails about accounts reach their recipients: the store sends e-mails, or developers read them
/// in the sandbox.
pub(crate) async fn are_sent(connection: &mut Connection, terms: &Terms) -> Result<bool, Failure> {
    Ok(terms.sandbox_emails || since(connection).await?.is_some())
}

/// Writes the e-mail of a kind that carries a token.
pub(crate) async fn write_token(
    work: &mut UnitOfWork,
    terms: &Terms,
    kind: &str,
    token: &UserToken,
) -> Result<(), Failure> {
    let link = page(&terms.pages, token.purpose).map_or_else(|| format!("Token: {TOKEN}"), str::to_owned);
    let hours = token.purpose.lifetime().as_hours();
    let duration = if hours == 1 { "one hour".to_owned() } else { format!("{hours} hours") };
    let arguments = arguments(terms, [("link", link), ("duration", duration)]);
    let (subject, body) = texts(kind, &arguments)?;
    let (user_id, recipient) = (Some(token.user_id), token.email.clone());
    let token_id = Some(token.id);
    let draft = Draft { event_id: None, token_id, kind, user_id, recipient, subject, body, limit_key: None };
    write(work, draft).await
}

/// Writes a notice to a user. An address that a customer has not verified may be someone else's, and gets few of each
/// kind: those of one kind do not hide that of another, such as many new API keys that of a changed password. The
/// address of an administrator was chosen by the operator, and gets each.
pub(crate) async fn write_notice(
    work: &mut UnitOfWork,
    terms: &Terms,
    kind: &str,
    (user_id, recipient): (UserId, &str),
) -> Result<(), Failure> {
    let user = work.find::<User>(user_id).await?;
    let is_limited = user.is_none_or(|user| user.is_unverified_customer());
    let limit_key = is_limited.then(|| limit_key(kind, recipient));
    write(work, Draft { limit_key, ..notice(terms, kind, (user_id, recipient))? }).await
}

/// Writes a notice about the security of an account to its owner, if the store sends e-mails.
pub(crate) async fn write_security_notice(
    work: &mut UnitOfWork,
    mailing: &Mailing,
    kind: SecurityNotice,
    to: (UserId, &str),
) -> Result<(), Failure> {
    if are_sent(work, &mailing.terms).await? {
        write_notice(work, &mailing.terms, kind.name(), to).await
    } else {
        Ok(())
    }
}

/// Returns the address of a user's account, and those that it had before, as long as the notices of their changes are
/// kept: who changed the address is perhaps not its owner.
pub(crate) async fn addresses_of(
    connection: &mut Connection,
    user: &User,
) -> Result<Vec<AccountAddress>, Failure> {
    let is_unverified = user.is_unverified_customer();
    let mut addresses = vec![AccountAddress { email: user.email.clone(), is_unverified }];
    let former = EmailRepository(connection).recipients(user.id, SecurityNotice::EmailChanged.name()).await?;
    for (email, is_unverified) in former {
        if !addresses.iter().any(|known| is_same_mailbox(&known.email, &email)) {
            addresses.push(AccountAddress { email, is_unverified });
        }
    }
    Ok(addresses)
}

/// Writes the last notice of a user to each of these addresses, if the store sends e-mails, in the transaction that has
/// erased the user: nothing else is written to an erased one.
pub(crate) async fn write_last_notices(
    work: &mut UnitOfWork,
    mailing: &Mailing,
    user_id: UserId,
    addresses: &[AccountAddress],
) -> Result<(), Failure> {
    if !are_sent(work, &mailing.terms).await? {
        return Ok(());
    }
    for AccountAddress { email, .. } in addresses {
        let kind = SecurityNotice::AccountErased.name();
        insert(work, notice(&mailing.terms, kind, (user_id, email))?).await?;
    }
    Ok(())
}

/// Returns a notice to a user, which has no limit.
fn notice<'a>(
    terms: &Terms,
    kind: &'a str,
    (user_id, recipient): (UserId, &str),
) -> Result<Draft<'a>, Failure> {
    let (subject, body) = texts(kind, &arguments(terms, []))?;
    let (user_id, recipient) = (Some(user_id), recipient.to_owned());
    Ok(Draft { event_id: None, token_id: None, kind, user_id, recipient, subject, body, limit_key: None })
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
