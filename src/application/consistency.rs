//! Looks for what must never be: money, stock, numbers and events that contradict each other.

use jiff::Timestamp;
use serde::Serialize;

use crate::infrastructure::events::RETENTION;
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::Database;

/// A rule that rows break.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// What must hold.
    pub rule: &'static str,
    /// How many rows break it.
    pub rows: i64,
}

/// Rules that hold at every instant, whatever is under way; each with the count of rows that break it.
const ALWAYS: &[(&str, &str)] = &[
    (
        "what is reserved is what reservations say",
        "SELECT COUNT(*) FROM inventory i WHERE i.reserved <> (SELECT CAST(COALESCE(SUM(r.quantity), 0) AS BIGINT) \
         FROM reservations r WHERE r.variant_id = i.variant_id)",
    ),
    (
        "stock is reserved for pending orders only",
        "SELECT COUNT(*) FROM reservations r LEFT JOIN orders o ON o.id = r.order_id \
         WHERE o.id IS NULL OR o.status <> 'pending'",
    ),
    (
        "a pending order has its stock reserved",
        "SELECT COUNT(*) FROM orders o WHERE o.status = 'pending' AND NOT EXISTS \
         (SELECT 1 FROM reservations r WHERE r.order_id = o.id)",
    ),
    (
        "an order is paid only with its money",
        "SELECT COUNT(*) FROM orders o LEFT JOIN payments p ON p.order_id = o.id \
         WHERE o.status IN ('paid', 'fulfilled') AND (p.id IS NULL OR p.authorized < o.total)",
    ),
    (
        "every order has one payment of its total",
        "SELECT COUNT(*) FROM orders o LEFT JOIN payments p ON p.order_id = o.id WHERE p.id IS NULL OR p.amount <> o.total",
    ),
    (
        "what was refunded is what the ledger says",
        "SELECT COUNT(*) FROM payments p WHERE p.refunded <> (SELECT CAST(COALESCE(SUM(s.amount), 0) AS BIGINT) \
         FROM payment_operations s WHERE s.payment_id = p.id AND s.kind = 'refund' AND s.status = 'succeeded')",
    ),
    (
        "what is set aside is what the ledger says",
        "SELECT COUNT(*) FROM (SELECT p.id FROM payments p \
         LEFT JOIN payment_operations s ON s.payment_id = p.id AND s.status = 'pending' \
         GROUP BY p.id, p.capturing, p.voiding, p.refunding HAVING \
         p.capturing <> SUM(CASE WHEN s.kind = 'capture' THEN s.amount ELSE 0 END) OR \
         p.voiding <> SUM(CASE WHEN s.kind = 'void' THEN s.amount ELSE 0 END) OR \
         p.refunding <> SUM(CASE WHEN s.kind = 'refund' THEN s.amount ELSE 0 END)) AS wrong",
    ),
    (
        "what is open at a vendor is asked about",
        "SELECT COUNT(*) FROM payments p WHERE p.next_attempt_at IS NULL AND (p.status IN ('pending', 'requires_action') \
         OR EXISTS (SELECT 1 FROM payment_operations s WHERE s.payment_id = p.id AND s.status = 'pending'))",
    ),
    (
        "what a cancelled order holds or took is on its way back",
        "SELECT COUNT(*) FROM orders o JOIN payments p ON p.order_id = o.id WHERE o.status = 'cancelled' AND \
         (p.captured > p.refunded + p.refunding OR p.capturing = 0 AND p.authorized > p.captured + p.voiding)",
    ),
    (
        "a payment that was refunded holds nothing more",
        "SELECT COUNT(*) FROM payments WHERE status = 'refunded' AND (captured <> refunded OR authorized <> captured)",
    ),
    ("order numbers have no gap", "SELECT COALESCE(MAX(number), 0) - COUNT(*) FROM orders"),
    (
        "invoice numbers have no gap",
        "SELECT CAST(COALESCE(SUM(gap), 0) AS BIGINT) FROM \
         (SELECT MAX(number) - COUNT(*) AS gap FROM invoices GROUP BY series) AS series",
    ),
    (
        "a paid order has one invoice",
        "SELECT COUNT(*) FROM orders o WHERE o.status IN ('paid', 'fulfilled', 'refunded') AND \
         (SELECT COUNT(*) FROM invoices i WHERE i.order_id = o.id AND i.kind = 'invoice') <> 1",
    ),
    (
        "what goes back of an invoice has a credit note of its amount",
        "SELECT COUNT(*) FROM payment_operations s JOIN payments p ON p.id = s.payment_id \
         JOIN invoices i ON i.order_id = p.order_id AND i.kind = 'invoice' \
         WHERE s.kind IN ('refund', 'void') AND s.status = 'succeeded' AND NOT EXISTS \
         (SELECT 1 FROM invoices n WHERE n.payment_operation_id = s.id AND n.corrects = i.id AND n.total = s.amount)",
    ),
    (
        "a credit note of an order takes back from its invoice",
        "SELECT COUNT(*) FROM invoices WHERE kind = 'credit_note' AND order_id IS NOT NULL AND corrects IS NULL",
    ),
    (
        "a discount was used as often as its orders say",
        "SELECT COUNT(*) FROM discounts d WHERE d.used <> \
         (SELECT COUNT(*) FROM discount_uses u WHERE u.discount_id = d.id)",
    ),
    (
        "a cancelled order uses no discount",
        "SELECT COUNT(*) FROM orders o JOIN discount_uses u ON u.order_id = o.id WHERE o.status = 'cancelled'",
    ),
    (
        "an order in a cart is that cart's order",
        "SELECT COUNT(*) FROM orders o JOIN carts c ON c.id = o.cart_id \
         WHERE o.status <> 'cancelled' AND (c.order_id IS NULL OR c.order_id <> o.id)",
    ),
    (
        "a review counts in its product's rating",
        "SELECT COUNT(*) FROM products p WHERE p.rating_count <> \
         (SELECT COUNT(*) FROM reviews r WHERE r.product_id = p.id AND r.status = 'approved')",
    ),
];

/// Rules that hold at every instant on what happened since $1: older events are cleared away once they are read.
const RECENT: &[(&str, &str)] = &[
    (
        "as many orders as announcements",
        "SELECT ABS((SELECT COUNT(*) FROM orders WHERE placed_at >= $1) - \
         (SELECT COUNT(*) FROM outbox WHERE type = 'order.placed' AND occurred_at >= $1))",
    ),
    (
        "as many paid orders as announcements",
        "SELECT ABS((SELECT COUNT(*) FROM invoices WHERE kind = 'invoice' AND issued_at >= $1) - \
         (SELECT COUNT(*) FROM outbox WHERE type = 'order.paid' AND occurred_at >= $1))",
    ),
];

/// Rules that hold once every payment is settled.
const SETTLED: &[(&str, &str)] = &[
    (
        "nothing is left open",
        "SELECT COUNT(*) FROM payments WHERE status = 'pending' OR refunding > 0 OR capturing > 0 OR voiding > 0 \
         OR (status = 'authorized' AND next_attempt_at IS NOT NULL)",
    ),
    (
        "nobody paid for an order that came to nothing",
        "SELECT COUNT(*) FROM orders o JOIN payments p ON p.order_id = o.id \
         WHERE o.status = 'cancelled' AND p.captured <> p.refunded",
    ),
    (
        "a cancelled order's invoice is taken back as a whole",
        "SELECT COUNT(*) FROM invoices i JOIN orders o ON o.id = i.order_id \
         WHERE i.kind = 'invoice' AND o.status = 'cancelled' AND i.total <> \
         (SELECT CAST(COALESCE(SUM(n.total), 0) AS BIGINT) FROM invoices n WHERE n.order_id = o.id AND n.kind = 'credit_note')",
    ),
    (
        "the sandbox's books say the same",
        "SELECT COUNT(*) FROM payments p JOIN sandbox_charges c ON c.id = p.provider_reference \
         WHERE p.captured <> c.captured OR p.refunded <> c.refunded",
    ),
    (
        "every charge of the sandbox is an order's",
        "SELECT COUNT(*) FROM sandbox_charges c WHERE c.captured > 0 AND NOT EXISTS \
         (SELECT 1 FROM payments p WHERE p.provider_reference = c.id)",
    ),
];

/// The rules that are broken; those of a store at rest too, if nothing is under way.
pub async fn check(database: &Database, at_rest: bool) -> Result<Vec<Violation>, Failure> {
    let rules: Vec<_> = ALWAYS.iter().chain(if at_rest { SETTLED } else { &[] }).copied().collect();
    let since = database.context().clock.now().checked_sub(RETENTION).unwrap_or(Timestamp::MIN);
    database
        .snapshot((rules, since), async |connection, (rules, since)| {
            let mut found = Vec::new();
            for (rule, sql) in rules {
                found.push(Violation { rule, rows: connection.one(sql, &[]).await? });
            }
            for &(rule, sql) in RECENT {
                found.push(Violation { rule, rows: connection.one(sql, &[since.into()]).await? });
            }
            found.retain(|violation| violation.rows != 0);
            Ok(found)
        })
        .await
}
