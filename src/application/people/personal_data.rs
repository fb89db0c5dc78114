//! The export of the own data (GDPR, articles 15 and 20).

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::application::{Store, audit};
use crate::domain::api_key::ApiKey;
use crate::domain::cart::Cart;
use crate::domain::email::Email;
use crate::domain::ids::UserId;
use crate::domain::invoice::Invoice;
use crate::domain::notification::Notification;
use crate::domain::order::Order;
use crate::domain::payment::PaymentOperation;
use crate::domain::placed_order::PlacedOrder;
use crate::domain::review::Review;
use crate::domain::subscription::{Subscription, SubscriptionPeriod};
use crate::domain::user::{Preferences, Session, User};
use crate::infrastructure::exceptions::{Failure, RejectedRequest, Technical, UserNotFoundException};
use crate::infrastructure::middleware::{Partition, Quota, RateLimit};
use crate::infrastructure::repositories::{
    CartRepository, Connection, PaymentRepository, PersonalDataRepository, PreferencesRepository,
    SecurityEntry, SubscriptionRepository, UserIdentity,
};

/// How many exports of one user begin in [`EXPORTED_IN`]. They are fewer than the readers of SQLite: an export goes on
/// when its client disconnects, and those of one user leave readers to others.
const MOST_EXPORTS: NonZeroU32 = NonZeroU32::new(5).unwrap();
/// The time in which they are counted.
const EXPORTED_IN: Duration = Duration::from_hours(1);

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
    /// What concerns the security of the account, newest first.
    pub security_log: Vec<SecurityEntry>,
}

/// Returns what the store has of a user, who is its actor. The audit log records it: a stranger with a session gets all
/// of it at once.
///
/// # Errors
///
/// [`RejectedRequest::TooMany`] if the user has exported too often; [`UserNotFoundException`].
pub async fn of_user(store: &Store, user_id: UserId) -> Result<PersonalData, Failure> {
    check_limit(store, user_id).await?;
    let sessions = store.sessions().of_user(user_id).await?;
    let snapshot =
        store.database().snapshot(user_id, async |connection, user_id| read(connection, user_id).await);
    let data = PersonalData { sessions, ..snapshot.await? };
    audit::record_export(store, user_id).await;
    Ok(data)
}

/// Counts an export of a user. Fails if there were too many in the last hour.
async fn check_limit(store: &Store, user_id: UserId) -> Result<(), RejectedRequest> {
    let quota = Quota::new(MOST_EXPORTS, EXPORTED_IN);
    let limit = RateLimit { name: "data_exports", quota };
    store.infrastructure.limiter.count(limit, Partition::User(user_id.0)).await.check(quota)
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
        security_log: PersonalDataRepository(connection).security_log(user_id).await?,
    })
}

async fn with_payments(
    connection: &mut Connection,
    orders: Vec<Order>,
) -> Result<Vec<(PlacedOrder, Vec<PaymentOperation>)>, Failure> {
    let ids: Vec<_> = orders.iter().map(|order| order.id).collect();
    let payments = PaymentRepository(connection).by_orders(&ids).await?;
    let ids: Vec<_> = payments.iter().map(|payment| payment.id).collect();
    let mut operations: HashMap<_, Vec<PaymentOperation>> = HashMap::with_capacity(payments.len());
    for operation in PaymentRepository(connection).operations_of(&ids).await? {
        operations.entry(operation.payment_id).or_default().push(operation);
    }
    let mut payments: HashMap<_, _> =
        payments.into_iter().map(|payment| (payment.order_id, payment)).collect();

    let mut placed = Vec::with_capacity(orders.len());
    for order in orders {
        let payment = payments.remove(&order.id);
        let payment =
            payment.ok_or_else(|| Technical::internal(format!("order {} has no payment", order.id)))?;
        let operations = operations.remove(&payment.id).unwrap_or_default();
        placed.push((PlacedOrder { order, payment }, operations));
    }
    Ok(placed)
}

async fn subscriptions(
    connection: &mut Connection,
    user_id: UserId,
) -> Result<Vec<(Subscription, Vec<SubscriptionPeriod>)>, Failure> {
    let subscriptions = PersonalDataRepository(connection).rows::<Subscription>(user_id).await?;
    let ids: Vec<_> = subscriptions.iter().map(|subscription| subscription.id).collect();
    let mut periods: HashMap<_, Vec<SubscriptionPeriod>> = HashMap::with_capacity(subscriptions.len());
    for period in SubscriptionRepository(connection).periods_of_several(&ids).await? {
        periods.entry(period.subscription_id).or_default().push(period);
    }
    let with_periods = |subscription: Subscription| {
        let periods = periods.remove(&subscription.id).unwrap_or_default();
        (subscription, periods)
    };
    Ok(subscriptions.into_iter().map(with_periods).collect())
}
