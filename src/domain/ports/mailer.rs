//! The port of mail servers and mail vendors.

use super::PortFuture;
use crate::domain::email::Email;

/// Sends e-mails.
pub trait Mailer: Send + Sync {
    /// Hands an e-mail to the server. It is accepted when the future returns `Ok`; whether it reaches its recipient is
    /// not known by then.
    fn send<'a>(&'a self, email: &'a Email) -> PortFuture<'a, (), MailError>;

    /// Fails if the server cannot be reached, or refuses the credentials.
    fn check(&self) -> PortFuture<'_, (), MailError>;
}

/// Why an e-mail was not accepted. The texts are those of the server and may contain the address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// The server refused the e-mail for good, such as for an unknown recipient. A further attempt would fail too.
    #[error("refused: {0}")]
    Refused(String),
    /// The server was not reached, or asked to try again later.
    #[error("not accepted: {0}")]
    Unavailable(String),
}
