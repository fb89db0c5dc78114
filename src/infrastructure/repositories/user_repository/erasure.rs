//! Forgetting a user on request (GDPR, article 17) without losing the books.

use thiserror::Error;

use super::UserRepository;
use crate::domain::address::Address;
use crate::domain::country::Country;
use crate::domain::ids::{SubscriptionId, UserId};
use crate::infrastructure::repositories::database::{DatabaseError, Param, UnitOfWork, params};

/// Why a user was not forgotten.
#[derive(Debug, Error)]
pub enum EraseError {
    /// There is no such user, or they are forgotten already.
    #[error("there is no such user to be forgotten")]
    Missing,
    /// An order of theirs is neither delivered nor given up: it still needs its address.
    #[error("the user has open orders")]
    OpenOrders,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// What is theirs alone goes with them, and nothing is charged any more.
const FORGET: [&str; 7] = [
    "DELETE FROM sessions WHERE user_id = $1",
    "DELETE FROM user_preferences WHERE user_id = $1",
    "DELETE FROM user_identities WHERE user_id = $1",
    "DELETE FROM notifications WHERE user_id = $1",
    "DELETE FROM carts WHERE user_id = $1 AND status = 'open'",
    "UPDATE subscriptions SET token = '', version = version + 1 WHERE user_id = $1",
    "UPDATE payments SET token = '', version = version + 1 \
     WHERE order_id IN (SELECT id FROM orders WHERE user_id = $1)",
];

/// The columns of addresses that stay, each with its table.
const ADDRESSES: [(&str, &str); 3] =
    [("orders", "shipping_address"), ("orders", "billing_address"), ("subscriptions", "shipping_address")];

impl UserRepository<'_> {
    /// Forgets a user.
    ///
    /// - Their row stays, so that what points to it keeps its meaning, but it says nothing of them any more: no
    ///   name, birth date or password, and an address that nobody can guess, register or be written to at.
    /// - Sessions, preferences, identities, notifications, the open cart, the answers kept with idempotency keys and the
    ///   tokens for means of payment are gone. Subscriptions end; which they were is told.
    /// - Orders keep what was sold and for how much, and of their addresses the country, by which tax was charged.
    /// - Invoices and credit notes stay whole, address and all: the law that has them kept unchanged goes before
    ///   the wish to be forgotten (article 17, paragraph 3, letter b).
    /// - Reviews stay. They bear no name but that of the row.
    pub async fn erase(work: &mut UnitOfWork, user_id: UserId) -> Result<Vec<SubscriptionId>, EraseError> {
        let now = work.now();
        let nobody = nobody(work);
        // First of all: a change of the key waits for orders that are being placed and holds off new ones.
        let sql = "UPDATE users SET email = $2, email_key = $2, name = '', password_hash = NULL, role = 'customer', \
                   birth_date = NULL, email_verified_at = NULL, erased_at = $3, updated_at = $3, \
                   version = version + 1 WHERE id = $1 AND erased_at IS NULL";
        if work.execute(sql, &params![user_id, &nobody, now]).await? == 0 {
            return Err(EraseError::Missing);
        }
        let sql = "SELECT EXISTS (SELECT 1 FROM orders WHERE user_id = $1 AND status IN ('pending', 'paid'))";
        if work.one::<bool>(sql, &params![user_id]).await? {
            return Err(EraseError::OpenOrders);
        }
        let sql = "UPDATE subscriptions SET status = 'cancelled', next_charge_at = NULL, updated_at = $2 \
                   WHERE user_id = $1 AND status NOT IN ('cancelled', 'expired') RETURNING id";
        let ended = work.all(sql, &params![user_id, now]).await?;
        for sql in FORGET {
            work.execute(sql, &params![user_id]).await?;
        }
        // The scope of a user's keys begins with their id and a space, which `!` comes after.
        let sql = "DELETE FROM idempotency_keys WHERE scope >= $1 AND scope < $2";
        work.execute(sql, &params![format!("{user_id} "), format!("{user_id}!")]).await?;
        let sql = "UPDATE orders SET email = $2, version = version + 1 WHERE user_id = $1";
        work.execute(sql, &params![user_id, &nobody]).await?;
        for (table, column) in ADDRESSES {
            let country = format!("{column} ->> 'country'");
            let sql = format!("SELECT DISTINCT {country} FROM {table} WHERE user_id = $1");
            for found in work.all::<Country>(&sql, &params![user_id]).await? {
                let sql = format!("UPDATE {table} SET {column} = $2 WHERE user_id = $1 AND {country} = $3");
                let blank = Param::json(&blank(found));
                work.execute(&sql, &[user_id.into(), blank, found.into()]).await?;
            }
        }
        Ok(ended)
    }
}

/// An address that is nobody's: `.invalid` never leads anywhere (RFC 2606, section 2).
fn nobody(work: &UnitOfWork) -> String {
    let mut secret = [0; 16];
    work.secret(&mut secret);
    format!("erased-{:032x}@erased.invalid", u128::from_be_bytes(secret))
}

/// An address of which only the country is known.
fn blank(country: Country) -> Address {
    Address {
        name: String::new(),
        line1: String::new(),
        line2: None,
        city: String::new(),
        region: None,
        postal_code: String::new(),
        country,
    }
}
