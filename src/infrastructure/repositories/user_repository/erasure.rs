//! Erases the personal data of a user (GDPR, article 17) and keeps the books.

use std::collections::HashSet;

use thiserror::Error;
use uuid::Uuid;

use super::UserRepository;
use crate::domain::address::Address;
use crate::domain::country::Country;
use crate::domain::email::SecurityNotice;
use crate::domain::ids::{SubscriptionId, UserId};
use crate::domain::state::State;
use crate::infrastructure::repositories::database::{DatabaseError, Owner, Param, UnitOfWork, params};

/// Why a user was not erased.
#[derive(Debug, Error)]
pub enum EraseError {
    /// There is no such user, or the user is erased already.
    #[error("there is no such user to erase")]
    Missing,
    /// An order of the user is pending or paid: it still needs its address.
    #[error("the user has open orders")]
    OpenOrders,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Removes what belongs to the user alone, and the payment method tokens, so that nothing more is charged.
const STATEMENTS: [&str; 12] = [
    "DELETE FROM api_keys WHERE user_id = $1",
    "DELETE FROM sessions WHERE user_id = $1",
    "DELETE FROM user_tokens WHERE user_id = $1",
    "DELETE FROM one_time_passwords WHERE user_id = $1",
    "DELETE FROM recovery_codes WHERE user_id = $1",
    "DELETE FROM user_preferences WHERE user_id = $1",
    "DELETE FROM user_identities WHERE user_id = $1",
    "DELETE FROM notifications WHERE user_id = $1",
    // the response to the registration, whose key belongs to a guest
    "DELETE FROM idempotency_keys WHERE subject = $1",
    "DELETE FROM carts WHERE user_id = $1 AND status = 'open'",
    "UPDATE subscriptions SET token = '', version = version + 1 WHERE user_id = $1",
    "UPDATE payments SET token = '', version = version + 1 \
     WHERE order_id IN (SELECT id FROM orders WHERE user_id = $1)",
];

/// The texts of an erased address that must have some.
const ERASED: &str = "erased";

/// The columns of addresses of which the country is kept, each with its table.
const ADDRESSES: [(&str, &str); 4] = [
    ("orders", "shipping_address"),
    ("orders", "billing_address"),
    ("subscriptions", "shipping_address"),
    ("subscriptions", "billing_address"),
];

impl UserRepository<'_> {
    /// Erases a user; returns the subscriptions that were cancelled.
    ///
    /// - The row of the user is kept for the rows that reference it, without name, birth date and password, and with a
    ///   random e-mail address that cannot receive mail.
    /// - Sessions, API keys, tokens, one-time passwords, preferences, identities, notifications, e-mails, open
    ///   carts, the delivery details of other carts, the responses stored with idempotency keys and the payment
    ///   method tokens are removed. Subscriptions are cancelled.
    /// - Notices about the security of the account that are to be sent are kept until they are sent or have failed.
    /// - Orders keep their lines and amounts, and of their addresses the country, which determined the tax. Their
    ///   tracking codes are removed, since a carrier shows by them who received a parcel.
    /// - Invoices and credit notes are kept unchanged, with their addresses, because the law requires it (article 17,
    ///   paragraph 3, letter b).
    /// - Reviews are kept. They contain no name; they reference the row of the user.
    pub async fn erase(work: &mut UnitOfWork, user_id: UserId) -> Result<Vec<SubscriptionId>, EraseError> {
        let now = work.now();
        let email = erased_email(work);

        // First, because a change of a unique key waits for orders that are being placed, and blocks new ones.
        let sql = "UPDATE users SET email = $2, email_key = $2, name = '', password_hash = NULL, role = 'customer', \
                   staff_role = NULL, birth_date = NULL, email_verified_at = NULL, totp_since = NULL, \
                   erased_at = $3, updated_at = $3, \
                   version = version + 1 WHERE id = $1 AND erased_at IS NULL";
        if work.execute(sql, &params![user_id, &email, now]).await? == 0 {
            return Err(EraseError::Missing);
        }
        work.touch_data(Owner::User(user_id));

        let sql = "SELECT EXISTS (SELECT 1 FROM orders WHERE user_id = $1 AND status IN ('pending', 'paid'))";
        if work.one::<bool>(sql, &params![user_id]).await? {
            return Err(EraseError::OpenOrders);
        }

        let sql = "UPDATE subscriptions SET status = 'cancelled', next_charge_at = NULL, updated_at = $2 \
                   WHERE user_id = $1 AND status NOT IN ('cancelled', 'expired') RETURNING id";
        let cancelled = work.all(sql, &params![user_id, now]).await?;
        for sql in STATEMENTS {
            work.defer(sql, &params![user_id]).await?;
        }
        remove_emails(work, user_id).await?;
        // caches know a cart by both
        let sql =
            "UPDATE carts SET delivery = '{}', version = version + 1, updated_at = $2 WHERE user_id = $1";
        work.defer(sql, &params![user_id, now]).await?;
        let sql = "DELETE FROM idempotency_keys WHERE scope >= $1 AND scope < $2";
        work.defer(sql, &scopes_of(user_id)).await?;
        empty_responses_to_administrators(work, user_id).await?;
        let sql =
            "UPDATE orders SET email = $2, tracking_code = NULL, version = version + 1 WHERE user_id = $1";
        work.defer(sql, &params![user_id, &email]).await?;
        erase_addresses(work, user_id).await?;
        Ok(cancelled)
    }
}

/// Removes the e-mails of a user, except for notices about the security of the account that are to be sent.
async fn remove_emails(work: &mut UnitOfWork, user_id: UserId) -> Result<(), DatabaseError> {
    // nothing more counts them; it also waits for a worker that records the outcome of one, which is removed then
    let sql = "UPDATE emails SET limit_key = NULL WHERE user_id = $1 AND status = 'pending'";
    work.defer(sql, &params![user_id]).await?;

    let kinds: Vec<_> = SecurityNotice::ALL.iter().map(|kind| format!("'{}'", kind.name())).collect();
    let sql = format!(
        "DELETE FROM emails WHERE user_id = $1 AND (status <> 'pending' OR kind NOT IN ({}))",
        kinds.join(", ")
    );
    work.defer(&sql, &params![user_id]).await
}

/// Replaces the addresses of a user's orders and subscriptions, except for their countries.
async fn erase_addresses(work: &mut UnitOfWork, user_id: UserId) -> Result<(), DatabaseError> {
    for (table, column) in ADDRESSES {
        let country = format!("{column} ->> 'country'");
        let sql = format!("SELECT DISTINCT {country} FROM {table} WHERE user_id = $1");
        for country_code in work.all::<Country>(&sql, &params![user_id]).await? {
            let sql = format!("UPDATE {table} SET {column} = $2 WHERE user_id = $1 AND {country} = $3");
            let address = Param::json(&only_country(country_code));
            work.defer(&sql, &[user_id.into(), address, country_code.into()]).await?;
        }
    }
    Ok(())
}

/// Returns the bounds of the scopes of a user's idempotency keys. They begin with the id and a space; `!` is the
/// character after the space.
fn scopes_of(user_id: UserId) -> [Param<'static>; 2] {
    params![format!("{user_id} "), format!("{user_id}!")]
}

/// Empties the stored responses to requests of administrators about an order or a subscription of a user: the path in
/// their scope has its id. The keys are kept, so that a repeated request does not capture or refund an amount again.
async fn empty_responses_to_administrators(
    work: &mut UnitOfWork,
    user_id: UserId,
) -> Result<(), DatabaseError> {
    let sql =
        "SELECT id FROM orders WHERE user_id = $1 UNION ALL SELECT id FROM subscriptions WHERE user_id = $1";
    let own: HashSet<Uuid> = work.all(sql, &params![user_id]).await?.into_iter().collect();

    for administrator in work.all("SELECT id FROM users WHERE role = 'admin'", &[]).await? {
        let sql = "SELECT DISTINCT scope FROM idempotency_keys WHERE scope >= $1 AND scope < $2";
        for scope in work.all::<String>(sql, &scopes_of(administrator)).await? {
            let mut ids = scope.split('/').filter_map(|segment| segment.parse::<Uuid>().ok());
            if ids.any(|id| own.contains(&id)) {
                let sql = "UPDATE idempotency_keys SET body = $2 WHERE scope = $1 AND body IS NOT NULL";
                work.defer(sql, &params![&scope, Vec::new()]).await?;
            }
        }
    }
    Ok(())
}

/// Returns a random e-mail address in `.invalid`, which has no mail servers (RFC 2606, section 2).
fn erased_email(work: &UnitOfWork) -> String {
    let mut secret = [0; 16];
    work.secret(&mut secret);
    format!("erased-{:032x}@erased.invalid", u128::from_be_bytes(secret))
}

/// Returns an address of which only the country is real. It is a valid one: an export of the order can be imported.
fn only_country(country: Country) -> Address {
    Address {
        name: ERASED.to_owned(),
        line1: ERASED.to_owned(),
        line2: None,
        city: ERASED.to_owned(),
        region: None,
        postal_code: String::new(),
        country,
    }
}
