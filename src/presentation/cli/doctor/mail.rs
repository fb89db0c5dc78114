//! The checks of e-mails: of the mail server, and of the pages to which e-mails lead.

use super::Finding;
use crate::application::Store;
use crate::infrastructure::adapters::MailUrl;
use crate::settings::Settings;

/// Checks whether the mail server responds and accepts the credentials, and that there is one if other machines reach
/// the store. Without `mail.url` there is no finding.
pub(super) async fn server(settings: &Settings, store: &Store) -> Option<Finding> {
    let mail = store.infrastructure.mail.as_ref()?;
    if matches!(settings.mail.url, Some(MailUrl::Local))
        && let Some(address) = settings.public_address()
    {
        return Some(Finding::warning(
            "mail",
            format!("local: sends no e-mails, and other machines reach {address}"),
            "set `mail.url` to a mail server; until then no customer can verify an address or set a new password",
        ));
    }
    Some(match mail.mailer().check().await {
        Ok(()) => Finding::ok("mail", format!("{} responds", mail.shown())),
        Err(error) => Finding::problem(
            "mail",
            format!("{}: {error}", mail.shown()),
            "start the mail server, or correct `mail.url` in the settings; e-mails wait for a day",
        ),
    })
}

/// Checks that a store which verifies addresses by a page has one for new passwords, too.
pub(super) fn pages(settings: &Settings) -> Option<Finding> {
    let pages = &settings.pages;
    let is_missing = pages.email_verification.is_some() && pages.password_reset.is_none();
    is_missing.then(|| {
        Finding::warning(
            "pages",
            "`pages.email_verification` is set, and `pages.password_reset` is not",
            "set it, too: customers who did not get the e-mail that verifies their address need a new password, and \
             without the page its e-mail has no link",
        )
    })
}
