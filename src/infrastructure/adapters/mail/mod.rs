//! Mail: the mailers behind [`Mailer`], and the URL that selects one.

mod local_mailer;
mod smtp_adapter;

use std::str::FromStr;
use std::sync::Arc;

use lettre::Address;
use lettre::message::Mailbox;
use secrecy::SecretString;

use self::local_mailer::LocalMailer;
use self::smtp_adapter::SmtpAdapter;
use crate::domain::ports::Mailer;

/// The mailer of a store. Clones share it.
#[derive(Clone)]
pub struct Mail {
    mailer: Arc<dyn Mailer>,
    /// What operators see of the URL: without credentials.
    shown: Arc<str>,
}

/// The URL of a mailer.
#[derive(Debug, Clone)]
pub enum MailUrl {
    /// `local:`: e-mails are kept in the database, where administrators read them.
    Local,
    /// `smtp://` or `smtps://`: a mail server.
    Smtp(SecretString),
}

/// The sender of the e-mails of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailSender(Mailbox);

impl FromStr for MailSender {
    type Err = InvalidMail;

    fn from_str(text: &str) -> Result<Self, InvalidMail> {
        text.parse().map(Self).map_err(|_| InvalidMail::Sender)
    }
}

impl Default for MailSender {
    fn default() -> Self {
        let address = Address::new_dangerous("shop", "localhost");
        Self(Mailbox::new(None, address))
    }
}

/// Why a text is no URL of a mailer, or an address is no sender.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMail {
    /// The URL has another form.
    #[error("not `local:`, `smtp://USER:PASSWORD@HOST` or `smtps://USER:PASSWORD@HOST`")]
    Url,
    /// The sender is no address.
    #[error("not an e-mail address, such as `shop@example.com` or `Shop <shop@example.com>`")]
    Sender,
}

impl FromStr for MailUrl {
    type Err = InvalidMail;

    fn from_str(text: &str) -> Result<Self, InvalidMail> {
        if text == "local:" {
            return Ok(Self::Local);
        }
        let is_smtp = text.starts_with("smtp://") || text.starts_with("smtps://");
        if is_smtp && SmtpAdapter::accepts(text) {
            return Ok(Self::Smtp(text.into()));
        }
        Err(InvalidMail::Url)
    }
}

impl Mail {
    /// Returns the mailer of a URL, whose e-mails come from `sender`.
    pub fn new(url: &MailUrl, sender: &MailSender) -> Result<Self, InvalidMail> {
        Ok(match url {
            MailUrl::Local => Self { mailer: Arc::new(LocalMailer), shown: "local:".into() },
            MailUrl::Smtp(url) => {
                let adapter = SmtpAdapter::new(url, sender.0.clone())?;
                let shown = adapter.server().into();
                Self { mailer: Arc::new(adapter), shown }
            }
        })
    }

    /// Returns the port.
    pub fn mailer(&self) -> &dyn Mailer {
        &*self.mailer
    }

    /// Returns the host and the port of the server, or `local:`.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Mail").field(&self.shown).finish()
    }
}
