//! The export of the user's own data.

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_DISPOSITION;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::api_keys::ApiKeyBody;
use super::me::PreferencesBody;
use super::notifications::NotificationBody;
use super::sessions::OwnSession;
use crate::application::people::personal_data::{self, PersonalData};
use crate::domain::audit::SecurityAction;
use crate::domain::cart::{Cart, CartStatus, Delivery};
use crate::domain::email::Email;
use crate::domain::ids::{CartId, OrderId, VariantId};
use crate::domain::money::Currency;
use crate::domain::user::Session;
use crate::infrastructure::repositories::{SecurityEntry, UserIdentity};
use crate::presentation::http::bodies::{
    InvoiceBody, OrderBody, PaymentOperationBody, ReviewBody, SubscriptionBody, UserBody,
};
use crate::presentation::http::json::Json;
use crate::presentation::http::principal::WithSessionOrIssuer;
use crate::presentation::http::recorded_store::RecordedStore;
use crate::presentation::http::response::HandlerResult;
use crate::presentation::http::routing::{Routes, routes};

pub(super) fn routes() -> Routes {
    routes![export_account]
}

/// What the store has of a user.
#[derive(Debug, Serialize, ToSchema)]
struct AccountExport {
    /// The account.
    account: UserBody,
    /// The preferences.
    preferences: PreferencesBody,
    /// The accounts at identity providers.
    identities: Vec<Identity>,
    /// The sessions, without their tokens.
    sessions: Vec<OwnSession>,
    /// The API keys, without their texts.
    api_keys: Vec<ApiKeyBody>,
    /// The carts.
    carts: Vec<ExportedCart>,
    /// The orders with their payments.
    orders: Vec<ExportedOrder>,
    /// The invoices and credit notes.
    invoices: Vec<InvoiceBody>,
    /// The reviews.
    reviews: Vec<ReviewBody>,
    /// The subscriptions with their periods.
    subscriptions: Vec<SubscriptionBody>,
    /// The notifications.
    notifications: Vec<NotificationBody>,
    /// The e-mails of the last 30 days, without the tokens in them.
    emails: Vec<ExportedEmail>,
    /// What concerns the security of the account, newest first: the last 10,000 actions of the user, and of others on
    /// the account and its API keys.
    security_log: Vec<ExportedSecurityEntry>,
}

/// An account at an identity provider.
#[derive(Debug, Serialize, ToSchema)]
struct Identity {
    /// The identity provider.
    provider: String,
    /// The name of the account there.
    subject: String,
    /// The time at which the account was connected.
    created_at: Timestamp,
}

/// A cart, without prices.
#[derive(Debug, Serialize, ToSchema)]
struct ExportedCart {
    /// The id of the cart.
    id: CartId,
    /// The status.
    status: CartStatus,
    /// The currency.
    currency: Currency,
    /// The discount code, as it was typed.
    discount_code: Option<String>,
    /// The delivery that the cart is priced for.
    delivery: Delivery,
    /// The items.
    items: Vec<ExportedCartItem>,
    /// The order of a cart that was checked out.
    order_id: Option<OrderId>,
    /// The time at which the cart was created.
    created_at: Timestamp,
    /// The time of the last change.
    updated_at: Timestamp,
}

/// An item of a cart.
#[derive(Debug, Serialize, ToSchema)]
struct ExportedCartItem {
    /// The variant.
    variant_id: VariantId,
    /// The number of pieces.
    quantity: i64,
}

/// An order with the operations of its payment.
#[derive(Debug, Serialize, ToSchema)]
struct ExportedOrder {
    /// The order.
    order: OrderBody,
    /// The operations, oldest first.
    operations: Vec<PaymentOperationBody>,
}

/// An e-mail.
#[derive(Debug, Serialize, ToSchema)]
struct ExportedEmail {
    /// The kind.
    kind: String,
    /// The address to which it was sent.
    recipient: String,
    /// The subject.
    subject: String,
    /// The text.
    body: String,
    /// The time at which it was created.
    created_at: Timestamp,
}

/// An action that concerns the security of the account, such as a session that was created.
#[derive(Debug, Serialize, ToSchema)]
struct ExportedSecurityEntry {
    /// The time of the action.
    occurred_at: Timestamp,
    /// The action.
    action: SecurityAction,
    /// The network of the client's address, if it is known and the client was not another user, such as an
    /// administrator.
    network: Option<String>,
    /// The id of what the action changed: the user, or the API key.
    subject_id: Option<Uuid>,
}

/// Export the own data
///
/// Returns everything that the store has of the user: the account, preferences, sessions, API keys, carts, orders with
/// their payments, invoices, reviews, subscriptions, notifications, e-mails, and what concerns the security of the
/// account. There are no pages. It requires a session or a token of the identity provider. A user exports five times at
/// once, and once more every twelve minutes.
#[utoipa::path(get, path = "/v1/me/export", tag = "account", responses((status = 200, body = AccountExport)))]
async fn export_account(
    user: WithSessionOrIssuer,
    RecordedStore(store): RecordedStore,
) -> HandlerResult<Response> {
    let principal = user.principal();
    let data = personal_data::of_user(&store, principal.user.id).await?;
    let headers = [(CONTENT_DISPOSITION, "attachment; filename=\"account.json\"")];
    Ok((headers, Json(AccountExport::of(data, principal.session()))).into_response())
}

impl AccountExport {
    fn of(data: PersonalData, current: Option<&Session>) -> Self {
        let order = |(placed, operations): &(_, Vec<_>)| ExportedOrder {
            order: OrderBody::of(placed),
            operations: operations.iter().map(PaymentOperationBody::of).collect(),
        };
        let subscriptions = data.subscriptions.iter();
        Self {
            account: UserBody::of(&data.user),
            preferences: PreferencesBody::of(&data.preferences),
            identities: data.identities.into_iter().map(Identity::of).collect(),
            sessions: data.sessions.into_iter().map(|session| OwnSession::of(session, current)).collect(),
            api_keys: data.api_keys.iter().map(ApiKeyBody::of).collect(),
            carts: data.carts.into_iter().map(ExportedCart::of).collect(),
            orders: data.orders.iter().map(order).collect(),
            invoices: data.invoices.into_iter().map(InvoiceBody::alone).collect(),
            reviews: data.reviews.iter().map(ReviewBody::of).collect(),
            subscriptions: subscriptions
                .map(|(one, periods)| SubscriptionBody::with_periods(one, periods))
                .collect(),
            notifications: data.notifications.iter().map(NotificationBody::of).collect(),
            emails: data.emails.into_iter().map(ExportedEmail::of).collect(),
            security_log: data.security_log.into_iter().map(ExportedSecurityEntry::of).collect(),
        }
    }
}

impl Identity {
    fn of(UserIdentity { provider, subject, created_at }: UserIdentity) -> Self {
        Self { provider, subject, created_at }
    }
}

impl ExportedCart {
    fn of(cart: Cart) -> Self {
        let items = cart.lines.into_iter();
        Self {
            id: cart.id,
            status: cart.status,
            currency: cart.currency,
            discount_code: cart.discount_code,
            delivery: cart.delivery,
            items: items
                .map(|line| ExportedCartItem { variant_id: line.variant_id, quantity: line.quantity })
                .collect(),
            order_id: cart.order_id,
            created_at: cart.created_at,
            updated_at: cart.updated_at,
        }
    }
}

impl ExportedEmail {
    fn of(email: Email) -> Self {
        Self {
            kind: email.kind,
            recipient: email.recipient,
            subject: email.subject,
            body: email.body,
            created_at: email.created_at,
        }
    }
}

impl ExportedSecurityEntry {
    fn of(SecurityEntry { occurred_at, action, network, subject_id }: SecurityEntry) -> Self {
        Self { occurred_at, action, network, subject_id }
    }
}
