//! The mailer without a network: an e-mail stays in the database, where administrators read it.
//!
//! Addresses under `bounce.test` and `busy.test` behave like those that a server refuses for good or for now.

use std::future::ready;

use crate::domain::email::Email;
use crate::domain::ports::{MailError, Mailer, PortFuture};

pub(super) struct LocalMailer;

impl Mailer for LocalMailer {
    fn send<'a>(&'a self, email: &'a Email) -> PortFuture<'a, (), MailError> {
        let domain = email.recipient.rsplit('@').next().unwrap_or_default();
        let outcome = match domain {
            "bounce.test" => Err(MailError::Refused("550 no such mailbox".to_owned())),
            "busy.test" => Err(MailError::Unavailable("451 try again later".to_owned())),
            _ => Ok(()),
        };
        Box::pin(ready(outcome))
    }

    fn check(&self) -> PortFuture<'_, (), MailError> {
        Box::pin(ready(Ok(())))
    }
}
