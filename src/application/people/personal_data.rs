//! The export of the own data (GDPR, articles 15 and 20).

use std::collections::HashMap;

use crate::application::{Store, audit};
use crate::domain::api_key::ApiKey;
use crate::domain::cart::Cart;
use crate::domain::email::Email;
use crate::domain::ids::{OrderId, UserId};
use crate::domain::invoice::Invoice;
use crate::domain::notification::Notification;
use crate::domain::order::Order;
use crate::domain::payment::PaymentOperation;
use crate::domain::placed_order::PlacedOrder;
use crate::domain::review::Review;
use crate::domain::subscription::{Subscription, SubscriptionPeriod};
use crate::domain::user::{Preferences, Session, User};
use crate::infrastructure::exceptions::{Failure, Technical, UserNotFoundException};
use crate::infrastructure::repositories::{
    CartRepository, Connection, PaymentRepository, PersonalDataRepository, PreferencesRepository,
    SubscriptionRepository, UserIdentity,
};

/// The most orders whose payments are read by one statement.
const BATCH: usize = 500;

/// What the store has of a user, all of one snapshot but the sessions.
#[derive(Clone)]
pub struct PersonalData {
    /// The account.
    pub user: User,
    /// The preferences.
    pub preferences: Preferences,
    /// The accounts at identity providers.
    pub identities: Vec<UserIdentity>,
    /// The sessions, also those that have ended and were not deleted yet.
    pub sessions: Vec<Session>,
    /// The API keys.
    pub api_keys: Vec<ApiKey>,
    /// The carts.
    pub carts: Vec<Cart>,
    /// The orders with their payments, each with its operations.
    pub orders: Vec<(PlacedOrder, Vec<PaymentOperation>)>,
    /// The invoices and credit notes.
    pub invoices: Vec<Invoice>,
    /// The reviews.
    pub reviews: Vec<Review>,
    /// The subscriptions with their periods.
    pub subscriptions: Vec<(Subscription, Vec<SubscriptionPeriod>)>,
    /// The notifications.
    pub notifications: Vec<Notification>,
    /// The e-mails.
    pub emails: Vec<Email>,
}

/// Returns what the store has of a user, who is its actor. The audit log records it: a stranger with a session gets all
/// of it at once.
pub async fn of_user(store: &Store, user_id: UserId) -> Result<PersonalData, Failure> {
    let sessions = store.sessions().of_user(user_id).await?;
    let snapshot =
        store.database().snapshot(user_id, async |connection, user_id| read(connection, user_id).await);
    let data = PersonalData { sessions, ..snapshot.await? };
    audit::record_export(store, user_id).await;
    Ok(data)
}

/// Returns what the database has of a user, without the sessions.
async fn read(connection: &mut Connection, user_id: UserId) -> Result<PersonalData, Failure> {
    let user: Option<User> = connection.find(user_id).await?;
    let user = user.ok_or(UserNotFoundException { id: user_id })?;
    let orders = PersonalDataRepository(connection).rows::<Order>(user_id).await?;
    Ok(PersonalData {
        user,
        preferences: PreferencesRepository(connection).of(user_id).await?,
        identities: PersonalDataRepository(connection).identities(user_id).await?,
        sessions: Vec::new(),
        api_keys: PersonalDataRepository(connection).rows(user_id).await?,
        carts: CartRepository(connection).of_user(user_id).await?,
        orders: with_payments(connection, orders).await?,
        invoices: PersonalDataRepository(connection).rows(user_id).await?,
        reviews: PersonalDataRepository(connection).rows(user_id).await?,
        subscriptions: subscriptions(connection, user_id).await?,
        notifications: PersonalDataRepository(connection).rows(user_id).await?,
        emails: PersonalDataRepository(connection).rows(user_id).await?,
    })
}

async fn with_payments(
    connection: &mut Connection,
    orders: Vec<Order>,
) -> Result<Vec<(PlacedOrder, Vec<PaymentOperation>)>, Failure> {
    let mut payments = HashMap::new();
    let ids: Vec<OrderId> = orders.iter().map(|order| order.id).collect();
    for ids in ids.chunks(BATCH) {
        let found = PaymentRepository(connection).by_orders(ids).await?;
        payments.extend(found.into_iter().map(|payment| (payment.order_id, payment)));
    }

    let mut placed = Vec::new();
    for order in orders {
        let payment = payments.remove(&order.id);
        let payment =
            payment.ok_or_else(|| Technical::internal(format!("order {} has no payment", order.id)))?;
        let operations = PaymentRepository(connection).operations(payment.id).await?;
        placed.push((PlacedOrder { order, payment }, operations));
    }
    Ok(placed)
}

async fn subscriptions(
    connection: &mut Connection,
    user_id: UserId,
) -> Result<Vec<(Subscription, Vec<SubscriptionPeriod>)>, Failure> {
    let mut found = Vec::new();
    for subscription in PersonalDataRepository(connection).rows::<Subscription>(user_id).await? {
        let periods = SubscriptionRepository(connection).periods(subscription.id).await?;
        found.push((subscription, periods));
    }
    Ok(found)
}
