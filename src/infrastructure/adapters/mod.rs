//! The adapters room: one vendor, one file, behind a port of the domain.
//!
//! The payment provider in `sandbox/` needs no network: it behaves like a vendor and has its charges in the database.
//!
//! # In another service
//!
//! A store assembles its payment providers and webhooks from its settings, and they are for stores alone. What another
//! service makes by itself are [`Mail`], [`Files`], [`KeySetClient`], whose keys verify the tokens of an issuer, and
//! [`OtlpExporter`].
//!
//! ```
//! use undercroft::domain::ports::Mailer;
//! use undercroft::infrastructure::adapters::{InvalidMail, Mail};
//!
//! fn mail(url: &str) -> Result<Mail, InvalidMail> {
//!     Mail::new(&url.parse()?, &"Depot <depot@example.com>".parse()?)
//! }
//!
//! let mail = mail("local:").unwrap();
//! let mailer: &dyn Mailer = mail.mailer();
//! ```
//!
//! # Adding one
//!
//! 1. Write `<name>_adapter.rs` with a type that implements the port, such as [`PaymentGateway`]; the module
//!    `adding_one`, at the end of `src/infrastructure/adapters/mod.rs`, is a complete example. In this order: the
//!    vendor and its quirks, with a link to its documentation; settings; bodies, with only the fields used; the port;
//!    the conversion of errors; tests.
//! 2. Add its `mod` line here, and a line to [`assemble`], which gives each provider a queue of notices. The
//!    constructor of a provider that sends webhooks gets it. Calls have a time-out; adapters need none of their own.
//! 3. Describe its settings in `undercroft.example.toml`.
//!
//! Nothing else names an adapter: use cases find it by its name.
//!
//! [`PaymentGateway`]: crate::domain::ports::PaymentGateway

mod certificate_authorities;
mod connection;
mod files;
mod gateways;
mod key_sets;
mod mail;
mod notice_queue;
mod otlp;
mod sandbox;
mod timed_gateway;
mod webhooks;

use std::sync::Arc;

pub use self::certificate_authorities::{CertificateAuthorities, InvalidAuthorities};
pub use self::connection::ConnectError;
pub use self::files::{Files, FilesUrl, InvalidFilesUrl};
pub use self::gateways::{CallLimits, Gateways};
pub use self::key_sets::{KeySetClient, KeySetError};
pub use self::mail::{InvalidMail, Mail, MailSender, MailUrl};
pub use self::notice_queue::NoticeQueue;
pub use self::otlp::{InvalidOtlpUrl, OtlpError, OtlpExporter, OtlpSignal, OtlpUrl};
pub use self::sandbox::SANDBOX_RULES;
use self::sandbox::SandboxPayments;
pub use self::webhooks::{
    InvalidEndpoint, TIMEOUT as WEBHOOK_TIMEOUT, WebhookClient, WebhookError, WebhookMessage,
    WebhookResponse, new_secret as new_webhook_secret,
};
use super::events::EventBus;
use super::repositories::Database;

/// Which vendors a store has, and the limits of calls to them.
#[derive(Debug, Clone)]
pub struct AdapterSettings {
    /// The limits of calls to each payment provider.
    pub calls: CallLimits,
    /// Whether the store has the sandbox, in which payments succeed without money.
    pub sandbox: bool,
    /// The URL at which shoppers reach the store, without a slash at the end. If it is empty, the URLs of pages of the
    /// store are relative.
    pub public_url: String,
    /// The mailer; `None` if the store sends no e-mails.
    pub mail: Option<Mail>,
    /// The file storage.
    pub files: Files,
    /// Whether webhooks may be sent to addresses that are not public, and over HTTP.
    pub private_webhooks: bool,
    /// The certificate authorities of servers that are called over HTTPS.
    pub authorities: CertificateAuthorities,
}

/// Assembles the payment providers of a store; a new provider is a line here.
pub(super) fn assemble(database: &Database, bus: &EventBus, settings: AdapterSettings) -> Gateways {
    let sandbox = settings.sandbox.then(|| {
        let notices = Arc::new(NoticeQueue::default());
        let sandbox = SandboxPayments::new(database.continuing(), notices.clone(), settings.public_url);
        (Arc::new(sandbox) as _, notices)
    });
    Gateways::new(sandbox, settings.calls, bus)
}

#[cfg(test)]
mod adding_one {
    use std::sync::Arc;

    use uuid::Uuid;

    use super::NoticeQueue;
    use crate::domain::ids::PaymentId;
    use crate::domain::money::{Currency, Money};
    use crate::domain::ports::{
        Authorization, Charge, GatewayError, PaymentGateway, PaymentNotices, PortFuture,
    };

    /// A payment provider that only accepts orders by post, and reports each by a notice.
    struct PostAdapter {
        notices: Arc<dyn PaymentNotices>,
    }

    fn refuse<'a>() -> PortFuture<'a, Charge, GatewayError> {
        Box::pin(async { Err(GatewayError::Refused("send a letter".into())) })
    }

    impl PaymentGateway for PostAdapter {
        fn name(&self) -> &'static str {
            "post"
        }

        fn authorize(&self, request: Authorization) -> PortFuture<'_, Charge, GatewayError> {
            self.notices.payment_changed(request.payment_id);
            refuse()
        }

        fn capture(&self, _: String, _: Money, _: Uuid) -> PortFuture<'_, Charge, GatewayError> {
            refuse()
        }

        fn refund(&self, _: String, _: Money, _: Uuid) -> PortFuture<'_, Charge, GatewayError> {
            refuse()
        }

        fn void(&self, _: String, _: Uuid) -> PortFuture<'_, Charge, GatewayError> {
            refuse()
        }

        fn look_up(&self, _: PaymentId) -> PortFuture<'_, Option<Charge>, GatewayError> {
            Box::pin(async { Ok(None) })
        }
    }

    #[tokio::test]
    async fn a_provider_is_used_through_its_port_and_reports_by_notices() {
        let notices = Arc::new(NoticeQueue::default());
        let provider: Arc<dyn PaymentGateway> = Arc::new(PostAdapter { notices: notices.clone() });
        assert!(provider.confirmation_page().is_none(), "the provider has a page of its own");

        let payment_id = PaymentId(Uuid::nil());
        let amount = Money::new(1_299, Currency::EUR);
        let request = Authorization { payment_id, amount, token: "tok_ok".into(), capture: true };
        let refused = provider.authorize(request).await;
        assert!(matches!(refused, Err(GatewayError::Refused(_))), "{refused:?}");
        assert_eq!(notices.next().await, payment_id);
    }
}
