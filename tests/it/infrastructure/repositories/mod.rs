//! The repositories and their mechanism.

use std::future::Future;

use jiff::Timestamp;
use undercroft::domain::ids::{OrderId, ProductId, UserId};
use undercroft::domain::user::{Role, User};
use undercroft::infrastructure::repositories::{DatabaseError, Param, Table, Versioned};
use uuid::Uuid;

use crate::support::Shop;

mod catalogue;
mod category;
mod copy;
mod database;
mod discount;
mod erasure;
mod foreign_tables;
mod lost_connections;
mod notification;
mod personal_data;
mod rates;
mod replication;
mod review;
mod session;
mod user;

/// A time in seconds after one in November 2023.
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

/// A customer who registered `number` seconds after it.
fn user(number: u32, email: &str) -> User {
    let (id, name, created_at) = (Uuid::from_u128(number.into()), "Ada Lovelace", at(number.into()));
    User {
        password_hash: Some("$argon2id$".to_owned()),
        birth_date: Some(jiff::civil::date(1990, 12, 10)),
        email_verified_at: Some(at(0)),
        ..User::new(UserId(id), email.to_owned(), name.to_owned(), Role::Customer, created_at)
    }
}

/// Adds users.
async fn register(shop: &Shop, users: &[User]) {
    for user in users {
        insert(shop, user).await.unwrap();
    }
}

/// Adds a product with one variant, both of this number.
async fn product(shop: &Shop, number: u32) -> ProductId {
    let id = Uuid::from_u128(number.into());
    let values = [id.into(), format!("product-{number}").into(), at(number.into()).into()];
    let sql = "INSERT INTO products (id, slug, name, description, kind, active, options, translations, metadata, \
               rating_sum, rating_count, version, created_at, updated_at) \
               VALUES ($1, $2, '', '', 'physical', TRUE, '[]', '{}', '{}', 0, 0, 1, $3, $3)";
    execute(shop, sql, &values).await;
    let sql = "INSERT INTO variants (id, product_id, sku, options, active, prices, metadata, position) \
               VALUES ($1, $1, $2, '[]', TRUE, '{}', '{}', 0)";
    execute(shop, sql, &values[..2]).await;
    ProductId(id)
}

/// Adds a paid order of this number.
async fn order(shop: &Shop, user_id: Option<UserId>, number: u32) -> OrderId {
    let id = OrderId(shop.database.context().ids.uuid());
    let sql = "INSERT INTO orders (id, number, user_id, email, seller, status, currency, subtotal, discount, shipping, tax, \
               total, taxes, shipping_address, billing_address, lines, version, placed_at, updated_at) \
               VALUES ($1, $2, $3, '', '', 'paid', 'EUR', 0, 0, 0, 0, 0, '[]', '{}', '{}', '[]', 1, $4, $4)";
    execute(shop, sql, &[id.into(), i64::from(number).into(), user_id.into(), at(0).into()]).await;
    id
}

/// Runs one statement and returns the number of rows that it changed.
async fn execute(shop: &Shop, sql: &str, params: &[Param<'static>]) -> u64 {
    let given = (sql.to_owned(), params.to_vec());
    let executed: Result<u64, DatabaseError> =
        shop.database.write(given, async |work, (sql, params)| work.execute(sql, params).await).await;
    executed.unwrap()
}

/// Inserts a row.
async fn insert<T: Table + Clone + Send + Sync + 'static>(shop: &Shop, row: &T) -> Result<(), DatabaseError> {
    shop.database.write(row.clone(), async |work, row| work.insert(row).await).await
}

/// Updates a row and returns it with its new version.
async fn update<T: Versioned + Clone + Send + Sync + 'static>(
    shop: &Shop,
    row: T,
) -> Result<T, DatabaseError> {
    let update = shop.database.write(row, async |work, row| {
        let mut row = row.clone();
        work.update(&mut row).await?;
        Ok(row)
    });
    update.await
}

/// Returns the number that a statement selects.
async fn number(shop: &Shop, sql: &str, params: &[Param<'_>]) -> i64 {
    shop.database.read().await.unwrap().one(sql, params).await.unwrap()
}

/// Runs `work` concurrently; returns how often it returned true.
async fn concurrently<F, Fut>(shop: &Shop, times: usize, work: F) -> usize
where
    F: Fn(Shop, usize) -> Fut,
    Fut: Future<Output = bool> + Send + 'static,
{
    let running: Vec<_> = (0..times).map(|number| tokio::spawn(work(shop.clone(), number))).collect();
    let mut yes = 0;
    for one in running {
        yes += usize::from(one.await.unwrap());
    }
    yes
}
