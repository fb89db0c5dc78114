//! The same checkout by hand: the statements of the store's two units of work, prepared once, on one connection,
//! without a use case. Parameters are `?1`, since SQLite numbers `$1` by its first use. The rows that it writes are
//! counted and compared with those of the store.

use rusqlite::{Connection, Params, params};
use undercroft::domain::ids::VariantId;
use uuid::Uuid;

use crate::Outcome;

/// The price of one piece, in cents.
const PRICE: i64 = 1_990;
/// The total of a checkout: two pieces with shipping, in cents.
const TOTAL: i64 = 2 * PRICE + 490;
const ADDRESS: &str =
    r#"{"name":"Ann Buyer","line1":"Marktplatz 1","city":"Bremen","postal_code":"28195","country":"DE"}"#;

const RATES: &str = r#"[{"basis_points":1900,"inclusive":true,"net":3757,"tax":713}]"#;

const OFFERS: &str = "SELECT v.id, v.product_id, v.sku, p.name, v.options, v.active AND p.active, v.prices, p.kind, \
     p.billing_interval, p.minimum_age, p.tax_class, p.category_id, i.stock - i.reserved \
     FROM variants v JOIN products p ON p.id = v.product_id JOIN inventory i ON i.variant_id = v.id \
     WHERE v.id IN (?1, ?2)";
const TAXES: &str =
    "SELECT country, tax_class, basis_points, inclusive FROM tax_rules WHERE country = ?1 ORDER BY tax_class";
const TAX_CLASS: &str = "WITH RECURSIVE above (id, parent_id, tax_class, steps) AS ( \
     SELECT id, parent_id, tax_class, 0 FROM categories WHERE id = ?1 UNION ALL \
     SELECT c.id, c.parent_id, c.tax_class, steps + 1 FROM categories c JOIN above a ON c.id = a.parent_id) \
     SELECT tax_class FROM above WHERE tax_class IS NOT NULL ORDER BY steps LIMIT 1";
const SHIPPING: &str = "SELECT id, code, name, translations, tax_class, position, active, rates \
     FROM shipping_methods WHERE active ORDER BY position, code";
const RESERVE: &str = "UPDATE inventory SET reserved = reserved + ?2 \
     WHERE variant_id = ?1 AND (stock IS NULL OR stock - reserved >= ?2) RETURNING stock - reserved";
const RESERVATIONS: &str =
    "INSERT INTO reservations (order_id, variant_id, quantity) VALUES (?1, ?2, ?3), (?1, ?4, ?5)";
const NUMBER: &str = "INSERT INTO counters (name, value) VALUES (?1, 1) \
     ON CONFLICT (name) DO UPDATE SET value = counters.value + 1 RETURNING value";
const ORDER: &str = "INSERT INTO orders (id, number, user_id, email, status, cart_id, subscription_id, currency, \
     subtotal, discount, shipping, tax, total, taxes, discount_code, shipping_method, shipping_address, \
     billing_address, lines, tracking_code, version, placed_at, updated_at, fulfilled_at, seller) VALUES (?1, ?2, NULL, ?3, \
     'pending', NULL, NULL, 'EUR', ?4, 0, ?5, ?6, ?7, ?11, NULL, 'parcel', ?8, ?8, ?9, NULL, 1, ?10, ?10, NULL, \
     'Undercroft')";
const PAYMENT: &str = "INSERT INTO payments (id, order_id, provider, token, provider_reference, status, currency, \
     amount, authorized, captured, capturing, voiding, refunded, refunding, failure, action_url, attempts, \
     next_attempt_at, version, created_at, updated_at) VALUES (?1, ?2, 'sandbox', 'tok_ok', NULL, 'pending', 'EUR', ?3, \
     0, 0, 0, 0, 0, 0, NULL, NULL, 0, ?4, 1, ?5, ?5)";
const OPERATION: &str = "INSERT INTO payment_operations (id, payment_id, kind, status, amount, currency, restock, reason, \
     failure, provider_reference, created_at, settled_at) VALUES (?1, ?2, 'authorize', 'pending', ?3, 'EUR', 0, NULL, NULL, \
     NULL, ?4, NULL)";
const EVENT: &str =
    "INSERT INTO outbox (id, type, version, subject, occurred_at, data) VALUES (?1, ?2, 1, ?3, ?4, ?5)";

const LOCK_PAYMENT: &str = "UPDATE payments SET version = version + 1, updated_at = ?2 WHERE id = ?1 RETURNING id, \
     order_id, provider, token, provider_reference, status, currency, amount, authorized, captured, capturing, \
     voiding, refunded, refunding, failure, action_url, attempts, next_attempt_at, version, created_at, updated_at";
const LOCK_ORDER: &str = "UPDATE orders SET version = version + 1, updated_at = ?2 WHERE id = ?1 RETURNING id, number, \
     user_id, email, status, cart_id, subscription_id, currency, subtotal, discount, shipping, tax, total, \
     taxes, discount_code, shipping_method, shipping_address, billing_address, lines, tracking_code, version, \
     placed_at, updated_at, fulfilled_at, seller";
const SETTLE: &str = "UPDATE payment_operations SET status = ?2, provider_reference = ?3, failure = NULL, settled_at = ?4 \
     WHERE payment_id = ?1 AND kind = 'authorize' AND status <> 'succeeded'";
const REMOVE_RESERVATIONS: &str =
    "DELETE FROM reservations WHERE order_id = ?1 RETURNING variant_id, quantity";
const SELL: &str = "UPDATE inventory SET stock = stock - ?2, reserved = reserved - ?2, version = version + 1, \
     updated_at = ?3 WHERE variant_id = ?1";
const INVOICE: &str = "INSERT INTO invoices (id, kind, series, number, order_id, user_id, corrects, payment_operation_id, \
     currency, total, document, issued_at) VALUES (?1, 'invoice', 'R', ?2, ?3, NULL, NULL, NULL, 'EUR', ?4, ?5, ?6)";
const SAVE_PAYMENT: &str = "UPDATE payments SET provider_reference = ?2, status = ?3, authorized = ?4, captured = ?5, \
     capturing = 0, voiding = 0, refunded = 0, refunding = 0, failure = NULL, action_url = NULL, next_attempt_at = NULL WHERE id = ?1";
const SAVE_ORDER: &str =
    "UPDATE orders SET status = ?2, tracking_code = NULL, fulfilled_at = NULL WHERE id = ?1";

/// A connection to a copy of the store, with the settings of the store's writer.
pub(crate) fn open(file: &std::path::Path) -> Outcome<Connection> {
    let connection = Connection::open(file)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
             PRAGMA cache_size = -16000; PRAGMA temp_store = MEMORY;",
    )?;
    connection.set_prepared_statement_cache_capacity(256);
    Ok(connection)
}

/// A checkout of one piece each of two variants.
pub(crate) struct Checkout {
    order: Uuid,
    payment: Uuid,
    variants: [VariantId; 2],
}

impl Checkout {
    /// A checkout with new ids.
    pub(crate) fn new(id: &dyn Fn() -> Uuid, variants: [VariantId; 2]) -> Self {
        Self { order: id(), payment: id(), variants }
    }

    /// The first unit of work: prices the lines, reserves stock, inserts order, payment and event.
    pub(crate) fn place(&self, connection: &Connection, id: &dyn Fn() -> Uuid, now: i64) -> Outcome<()> {
        let [first, second] = self.variants.map(|variant| variant.0);
        let mut offers = connection.prepare_cached(OFFERS)?;
        let mut categories: Vec<Uuid> =
            offers.query_map(params![first, second], |row| row.get(11))?.collect::<Result<_, _>>()?;
        categories.dedup();
        run(connection, TAXES, params!["DE"])?;
        for category in categories {
            run(connection, TAX_CLASS, params![category])?;
        }
        run(connection, SHIPPING, params![])?;
        for variant in [first, second] {
            run(connection, RESERVE, params![variant, 1])?;
        }
        run(connection, RESERVATIONS, params![self.order, first, 1, second, 1])?;
        let number = number(connection, "order")?;
        let lines = self.lines();
        run(
            connection,
            ORDER,
            params![
                self.order,
                number,
                "ann@example.com",
                2 * PRICE,
                490,
                713,
                TOTAL,
                ADDRESS,
                lines,
                now,
                RATES
            ],
        )?;
        run(connection, PAYMENT, params![self.payment, self.order, TOTAL, now + 30_000_000, now])?;
        run(connection, OPERATION, params![id(), self.payment, TOTAL, now])?;
        self.event(connection, id(), "order.placed", now)
    }

    /// The second unit of work: applies the capture.
    pub(crate) fn pay(&self, connection: &Connection, id: &dyn Fn() -> Uuid, now: i64) -> Outcome<()> {
        run(connection, LOCK_PAYMENT, params![self.payment, now])?;
        run(connection, LOCK_ORDER, params![self.order, now])?;
        let reference = format!("sandbox_{}", self.payment.simple());
        run(connection, SETTLE, params![self.payment, "succeeded", reference, now])?;
        self.event(connection, id(), "payment.captured", now)?;
        run(connection, REMOVE_RESERVATIONS, params![self.order])?;
        for variant in self.variants {
            run(connection, SELL, params![variant.0, 1, now])?;
        }
        self.event(connection, id(), "order.paid", now)?;
        let number = number(connection, "invoice:R")?;
        let document = format!(
            r#"{{"seller":"Undercroft","order_number":{number},"billing_address":{ADDRESS},"lines":{},"taxes":{RATES}}}"#,
            self.lines()
        );
        run(connection, INVOICE, params![id(), number, self.order, TOTAL, document, now])?;
        run(connection, SAVE_PAYMENT, params![self.payment, reference, "captured", TOTAL, TOTAL])?;
        run(connection, SAVE_ORDER, params![self.order, "paid"])
    }

    fn event(&self, connection: &Connection, id: Uuid, kind: &str, now: i64) -> Outcome<()> {
        let (subject, payment) = (self.order.to_string(), self.payment);
        let data = format!(
            r#"{{"order_id":"{subject}","payment_id":"{payment}","total":{{"amount":{TOTAL},"currency":"EUR"}}}}"#
        );
        run(connection, EVENT, params![id, kind, subject, now, data])
    }

    fn lines(&self) -> String {
        let [first, second] = self.variants.map(|variant| {
            format!(
                r#"{{"position":1,"variant_id":"{variant}","product_id":"{variant}","sku":"SKU-1000-1","kind":"physical","name":"Oak chair number 1000 (medium)","quantity":1,"unit_price":{PRICE},"discount":0,"tax":318,"tax_basis_points":1900,"tax_inclusive":true,"total":{PRICE}}}"#
            )
        });
        format!("[{first},{second}]")
    }
}

/// Runs a statement to its end.
fn run(connection: &Connection, sql: &str, params: impl Params) -> Outcome<()> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    while rows.next()?.is_some() {}
    Ok(())
}

fn number(connection: &Connection, series: &str) -> Outcome<i64> {
    Ok(connection.prepare_cached(NUMBER)?.query_row([series], |row| row.get(0))?)
}

/// The place of the outbox in the counts of [`rows_a_checkout`].
pub(crate) const OUTBOX: usize = 3;

/// The rows of each kind that a checkout inserts. Fails if not every checkout inserted as many.
pub(crate) fn rows_a_checkout(connection: &Connection, checkouts: usize) -> Outcome<Vec<i64>> {
    const COUNTS: [&str; 8] = [
        "orders WHERE status = 'paid'",
        "payments WHERE status = 'captured' AND captured = 4470",
        "payment_operations WHERE status = 'succeeded'",
        "outbox",
        "invoices",
        "reservations",
        "counters WHERE name IN ('order', 'invoice:R') AND value <> 0",
        "inventory WHERE reserved <> 0",
    ];
    let checkouts = i64::try_from(checkouts)?;
    let count = |what: &&str| -> Outcome<i64> {
        let rows: i64 =
            connection.query_row(&format!("SELECT COUNT(*) FROM {what}"), [], |row| row.get(0))?;
        match rows % checkouts {
            0 => Ok(rows / checkouts),
            _ if what.starts_with("counters") => Ok(rows),
            _ => Err(format!("{rows} {what} after {checkouts} checkouts").into()),
        }
    };
    COUNTS.iter().map(count).collect()
}
