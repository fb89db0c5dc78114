//! A resource does not exist, or the client may not see it. For resources without an exception of their own.

use http::StatusCode;

use super::{Exception, Kind};

/// The resource does not exist, or the client may not see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{}", self.code())]
pub enum NotFound {
    /// No such route.
    Route,
    /// No such product.
    Product,
    /// No such variant.
    Variant,
    /// No such cart.
    Cart,
    /// No such order.
    Order,
    /// No such payment.
    Payment,
    /// No such invoice.
    Invoice,
    /// No such discount.
    Discount,
    /// No such review.
    Review,
    /// No such subscription.
    Subscription,
    /// No such notification.
    Notification,
    /// No such webhook endpoint.
    WebhookEndpoint,
    /// No such delivery to a webhook endpoint.
    WebhookDelivery,
    /// No such feature flag.
    FeatureFlag,
    /// No such role of the staff.
    Role,
    /// No such job.
    Job,
    /// No such session.
    Session,
    /// No such API key.
    ApiKey,
    /// No such e-mail.
    Email,
    /// The e-mails of the sandbox are not shown: another machine reaches the store, or sent the request.
    SandboxEmails,
    /// No such file.
    File,
    /// No such event.
    Event,
    /// No such subscriber of events.
    Subscriber,
    /// No such dead letter.
    DeadLetter,
}

impl NotFound {
    /// All variants.
    pub(super) const ALL: [Self; 24] = [
        Self::Route,
        Self::Product,
        Self::Variant,
        Self::Cart,
        Self::Order,
        Self::Payment,
        Self::Invoice,
        Self::Discount,
        Self::Review,
        Self::Subscription,
        Self::Notification,
        Self::WebhookEndpoint,
        Self::WebhookDelivery,
        Self::FeatureFlag,
        Self::Role,
        Self::Job,
        Self::Session,
        Self::ApiKey,
        Self::Email,
        Self::SandboxEmails,
        Self::File,
        Self::Event,
        Self::Subscriber,
        Self::DeadLetter,
    ];
}

impl Exception for NotFound {
    fn code(&self) -> &'static str {
        match self {
            Self::Route => "route_not_found",
            Self::Product => "product_not_found",
            Self::Variant => "variant_not_found",
            Self::Cart => "cart_not_found",
            Self::Order => "order_not_found",
            Self::Payment => "payment_not_found",
            Self::Invoice => "invoice_not_found",
            Self::Discount => "discount_not_found",
            Self::Review => "review_not_found",
            Self::Subscription => "subscription_not_found",
            Self::Notification => "notification_not_found",
            Self::WebhookEndpoint => "webhook_endpoint_not_found",
            Self::WebhookDelivery => "webhook_delivery_not_found",
            Self::FeatureFlag => "feature_flag_not_found",
            Self::Role => "role_not_found",
            Self::Job => "job_not_found",
            Self::Session => "session_not_found",
            Self::ApiKey => "api_key_not_found",
            Self::Email => "email_not_found",
            Self::SandboxEmails => "sandbox_emails_not_found",
            Self::File => "file_not_found",
            Self::Event => "event_not_found",
            Self::Subscriber => "subscriber_not_found",
            Self::DeadLetter => "dead_letter_not_found",
        }
    }

    fn kind(&self) -> Kind {
        Kind::Refused
    }

    fn status(&self) -> StatusCode {
        StatusCode::NOT_FOUND
    }
}
