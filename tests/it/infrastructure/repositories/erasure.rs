//! Erasing a user removes the personal data and keeps orders, payments and invoices.

use undercroft::domain::address::Address;
use undercroft::domain::ids::{OrderId, UserId};
use undercroft::domain::user::{Role, User};
use undercroft::infrastructure::repositories::{EraseError, Json, Param, UserRepository};

use super::{at, execute, number, product, register, user};
use crate::support::{Shop, ShopOptions};

fn address(country: &str) -> Address {
    Address {
        name: "Ada Lovelace".into(),
        line1: "1 Lane".into(),
        line2: Some("back door".into()),
        city: "Hull".into(),
        region: Some("Yorkshire".into()),
        postal_code: "HU1".into(),
        country: country.parse().unwrap(),
    }
}

/// Inserts an order of a user, with a British shipping address and a German billing address.
async fn order(shop: &Shop, user: &User, number: i64, status: &str) -> OrderId {
    let id = OrderId(shop.database.context().ids.uuid());
    let params = [
        id.into(),
        number.into(),
        user.id.into(),
        user.email.clone().into(),
        status.to_owned().into(),
        Param::json(&address("GB")),
        Param::json(&address("DE")),
        at(number).into(),
    ];
    let sql = "INSERT INTO orders (id, number, user_id, email, seller, status, currency, subtotal, discount, shipping, tax, \
               total, taxes, shipping_address, billing_address, lines, tracking_code, version, placed_at, updated_at) \
               VALUES ($1, $2, $3, $4, '', $5, 'EUR', 1000, 100, 50, 0, 950, '[]', $6, $7, '[]', 'T1', 1, $8, $8)";
    execute(shop, sql, &params).await;
    let sql = "INSERT INTO invoices (id, kind, series, number, order_id, user_id, currency, total, document, issued_at) \
               VALUES ($1, 'invoice', 'R', $2, $1, $3, 'EUR', 950, $4, $5)";
    let document = Param::json(&address("DE"));
    execute(shop, sql, &[id.into(), number.into(), user.id.into(), document, at(number).into()]).await;
    id
}

/// Inserts the payment of an order, with its payment method token.
async fn payment(shop: &Shop, order: OrderId) {
    let sql = "INSERT INTO payments (id, order_id, provider, token, status, currency, amount, authorized, captured, \
               capturing, voiding, refunded, refunding, attempts, version, created_at, updated_at) \
               VALUES ($1, $1, 'sandbox', 'tok_ok', 'captured', 'EUR', 950, 950, 950, 0, 0, 0, 0, 0, 1, $2, $2)";
    execute(shop, sql, &[order.into(), at(0).into()]).await;
}

/// Inserts an idempotency key of this scope.
async fn key(shop: &Shop, scope: &str) {
    let sql = "INSERT INTO idempotency_keys (scope, key, request_hash, locked_until, expires_at) \
               VALUES ($1, 'k', $2, $3, $3)";
    execute(shop, sql, &[scope.to_owned().into(), vec![0_u8].into(), at(0).into()]).await;
}

/// Inserts one row of a user in each other table with personal data.
async fn personal_data(shop: &Shop, user: &User) {
    let id = || Param::from(shop.database.context().ids.uuid());
    let (owner, now) = (|| Param::from(user.id), || Param::from(at(0)));
    let own = || Param::from(user.id.to_string());
    let sql = "INSERT INTO sessions (token_hash, user_id, created_at, expires_at) VALUES ($1, $2, $3, $3)";
    execute(shop, sql, &[user.id.0.as_bytes().to_vec().into(), owner(), now()]).await;
    let sql = "INSERT INTO user_preferences (user_id, marketing_consent, version, updated_at) VALUES ($1, TRUE, 1, $2)";
    execute(shop, sql, &[owner(), now()]).await;
    let sql =
        "INSERT INTO user_identities (provider, subject, user_id, created_at) VALUES ('auth0', $1, $2, $3)";
    execute(shop, sql, &[own(), owner(), now()]).await;
    let sql = "INSERT INTO notifications (id, user_id, kind, facts, channel, delivery, created_at) \
               VALUES ($1, $2, 'order_paid', '{}', 'in_app', 'delivered', $3)";
    execute(shop, sql, &[id(), owner(), now()]).await;
    for status in ["open", "ordered"] {
        let sql = "INSERT INTO carts (id, user_id, currency, status, delivery, version, created_at, updated_at, \
                   expires_at) VALUES ($1, $2, 'EUR', $3, '{\"email\": \"ann@example.com\"}', 1, $4, $4, $4)";
        execute(shop, sql, &[id(), owner(), status.into(), now()]).await;
    }
    let sql = "INSERT INTO subscriptions (id, user_id, product_id, variant_id, quantity, status, billing_interval, \
               currency, unit_price, shipping_address, billing_address, provider, token, period, anchor_at, paid_until, next_charge_at, \
               failed_attempts, version, created_at, updated_at) \
               SELECT $1, $2, product_id, id, 1, 'active', 'month', 'EUR', 1000, $3, $3, 'sandbox', 'tok_ok', 1, $4, $4, $4, 0, \
               1, $4, $4 FROM variants";
    execute(shop, sql, &[id(), owner(), Param::json(&address("GB")), now()]).await;
}

async fn erase(shop: &Shop, id: UserId) -> Result<(), EraseError> {
    shop.database.write(id, async |work, &id| UserRepository::erase(work, id).await.map(drop)).await
}

async fn find(shop: &Shop, id: UserId) -> User {
    shop.database.read().await.unwrap().find(id).await.unwrap().unwrap()
}

/// The number of rows of a user in each table.
async fn rows_of(shop: &Shop, user: UserId) -> Vec<i64> {
    let mut counts = Vec::new();
    let carts = "(SELECT user_id FROM carts WHERE delivery <> '{}') AS carts";
    for table in ["sessions", "user_preferences", "user_identities", "notifications", carts] {
        let sql = format!("SELECT COUNT(*) FROM {table} WHERE user_id = $1");
        counts.push(number(shop, &sql, &[user.into()]).await);
    }
    counts
}

/// The e-mail address, addresses and sums of an order.
async fn kept(shop: &Shop, order: OrderId) -> (String, Address, Address, [i64; 5]) {
    let sql = "SELECT email, shipping_address, billing_address, subtotal, discount, shipping, tax, total \
               FROM orders WHERE id = $1";
    let mut connection = shop.database.read().await.unwrap();
    let (email, Json(to), Json(billed), subtotal, discount, shipping, tax, total) =
        connection.one(sql, &[order.into()]).await.unwrap();
    (email, to, billed, [subtotal, discount, shipping, tax, total])
}

on_both_engines!(erasing_a_user_keeps_orders_and_invoices_and_no_personal_data);
async fn erasing_a_user_keeps_orders_and_invoices_and_no_personal_data(shop: &Shop) {
    let (mut ann, bob) = (user(1, "ann@example.com"), user(2, "bob@example.com"));
    ann.role = Role::Admin;
    register(shop, &[ann.clone(), bob.clone()]).await;
    product(shop, 1).await;
    let mut orders = Vec::new();
    for (user, number) in [(&ann, 1), (&bob, 2)] {
        personal_data(shop, user).await;
        orders.push(order(shop, user, number, "fulfilled").await);
        payment(shop, orders[orders.len() - 1]).await;
        key(shop, &format!("{} POST /v1/orders", user.id)).await;
    }
    key(shop, "guest POST /v1/orders").await;
    erase(shop, ann.id).await.unwrap();

    let erased = find(shop, ann.id).await;
    assert!(erased.email.starts_with("erased-") && erased.email.ends_with(".invalid"), "{}", erased.email);
    assert_eq!((erased.name.as_str(), erased.role), ("", Role::Customer));
    assert_eq!((erased.password_hash, erased.birth_date, erased.email_verified_at), (None, None, None));
    assert!(erased.erased_at.is_some());
    assert_eq!((erased.version, erased.created_at), (2, ann.created_at));
    assert_eq!(rows_of(shop, ann.id).await, [0; 5]);

    let (email, to, billed, sums) = kept(shop, orders[0]).await;
    assert_eq!((email, sums), (erased.email.clone(), [1000, 100, 50, 0, 950]));
    for (address, country) in [(to, "GB"), (billed, "DE")] {
        assert_eq!(address.country.code(), country, "the country that decided the tax");
        let texts = [address.name, address.line1, address.city, address.postal_code];
        assert_eq!(texts, ["erased", "erased", "erased", ""]);
        assert_eq!((address.line2, address.region), (None, None));
    }
    let ended = "SELECT COUNT(*) FROM subscriptions WHERE user_id = $1 AND status = 'cancelled' AND token = '' \
                 AND next_charge_at IS NULL AND shipping_address ->> 'line1' = 'erased' \
                 AND billing_address ->> 'line1' = 'erased'";
    assert_eq!(number(shop, ended, &[ann.id.into()]).await, 1);
    let changed = "SELECT COUNT(*) FROM carts WHERE user_id = $1 AND version = 2 AND updated_at > created_at";
    assert_eq!(number(shop, changed, &[ann.id.into()]).await, 1, "caches know a cart by both");
    let whole = "SELECT COUNT(*) FROM invoices WHERE user_id = $1 AND total = 950 \
                 AND document ->> 'name' = 'Ada Lovelace'";
    assert_eq!(number(shop, whole, &[ann.id.into()]).await, 1);

    assert!(find(shop, bob.id).await == bob, "other users keep their data");
    assert_eq!(rows_of(shop, bob.id).await, [1, 1, 1, 1, 2]);
    let (email, to, billed, _) = kept(shop, orders[1]).await;
    assert_eq!((email.as_str(), to, billed), ("bob@example.com", address("GB"), address("DE")));
    assert_eq!(number(shop, ended, &[bob.id.into()]).await, 0);
    for (order, has) in orders.iter().zip([0, 1]) {
        let token = "SELECT COUNT(*) FROM payments WHERE order_id = $1 AND token <> ''";
        assert_eq!(number(shop, token, &[(*order).into()]).await, has);
        let tracking_code = "SELECT COUNT(tracking_code) FROM orders WHERE id = $1";
        assert_eq!(number(shop, tracking_code, &[(*order).into()]).await, has);
    }
    let gone = format!("{} %", ann.id);
    assert_eq!(number(shop, "SELECT COUNT(*) FROM idempotency_keys", &[]).await, 2);
    let of = "SELECT COUNT(*) FROM idempotency_keys WHERE scope LIKE $1";
    assert_eq!(number(shop, of, &[gone.into()]).await, 0);
}

on_both_engines!(responses_to_administrators_about_the_orders_of_an_erased_user_are_emptied);
async fn responses_to_administrators_about_the_orders_of_an_erased_user_are_emptied(shop: &Shop) {
    let (ann, mut bob) = (user(1, "ann@example.com"), user(2, "bob@example.com"));
    bob.role = Role::Admin;
    register(shop, &[ann.clone(), bob.clone()]).await;
    let mut scopes = Vec::new();
    for (user, number) in [(&ann, 1), (&bob, 2)] {
        let order = order(shop, user, number, "fulfilled").await;
        payment(shop, order).await;
        scopes.push(format!("{} POST /v1/admin/orders/{order}/refunds", bob.id));
        key(shop, &scopes[scopes.len() - 1]).await;
    }
    let sql = "UPDATE idempotency_keys SET status = 201, body = $1";
    execute(shop, sql, &[b"Ada Lovelace".to_vec().into()]).await;
    erase(shop, ann.id).await.unwrap();

    for (scope, length) in scopes.into_iter().zip([0, 12]) {
        let sql =
            "SELECT CAST(LENGTH(body) AS BIGINT) FROM idempotency_keys WHERE scope = $1 AND status = 201";
        assert_eq!(number(shop, sql, &[scope.into()]).await, length);
    }
}

on_both_engines!(the_address_of_an_erased_user_can_be_registered_again);
async fn the_address_of_an_erased_user_can_be_registered_again(shop: &Shop) {
    let ann = user(1, "ann@example.com");
    register(shop, std::slice::from_ref(&ann)).await;
    erase(shop, ann.id).await.unwrap();
    assert!(matches!(erase(shop, ann.id).await, Err(EraseError::Missing)), "only once");
    assert!(matches!(erase(shop, UserId(uuid::Uuid::nil())).await, Err(EraseError::Missing)));
    let again = user(2, "ann@example.com");
    register(shop, std::slice::from_ref(&again)).await;
    erase(shop, again.id).await.unwrap();
    assert_ne!(find(shop, ann.id).await.email, find(shop, again.id).await.email);
}

on_both_engines!(
    a_user_with_open_orders_is_not_erased,
    ShopOptions::default().unchecked("the orders are rows without payments")
);
async fn a_user_with_open_orders_is_not_erased(shop: &Shop) {
    let ann = user(1, "ann@example.com");
    register(shop, std::slice::from_ref(&ann)).await;
    let open = order(shop, &ann, 1, "pending").await;
    order(shop, &ann, 2, "refunded").await;
    assert_refused(shop, &ann).await;
    execute(shop, "UPDATE orders SET status = 'paid' WHERE id = $1", &[open.into()]).await;
    assert_refused(shop, &ann).await;
    execute(shop, "UPDATE orders SET status = 'cancelled' WHERE id = $1", &[open.into()]).await;
    erase(shop, ann.id).await.unwrap();
}

/// Asserts that the erasure is refused and changes nothing.
async fn assert_refused(shop: &Shop, user: &User) {
    assert!(matches!(erase(shop, user.id).await, Err(EraseError::OpenOrders)));
    assert!(find(shop, user.id).await == *user, "the user is unchanged");
}
