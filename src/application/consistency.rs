//! Rules that the data must fulfil: payments, stock, numbers and events agree with each other.

use serde::Serialize;

use crate::domain::time::earlier;
use crate::infrastructure::events::RETENTION;
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::{Connection, Database, Param};

/// A rule and the number of rows that violate it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The rule, in words.
    pub rule: &'static str,
    /// The number of rows that violate the rule.
    pub rows: i64,
}

/// A rule in words, and the statement that counts the rows that violate it.
pub type Rule = (&'static str, &'static str);

/// Rules that hold at all times.
const ALWAYS: &[Rule] = &[
    (
        "the reserved stock is the sum of the reservations",
        "SELECT COUNT(*) FROM inventory i LEFT JOIN (SELECT variant_id, CAST(SUM(quantity) AS BIGINT) AS quantity \
         FROM reservations GROUP BY variant_id) AS r ON r.variant_id = i.variant_id \
         WHERE i.reserved <> COALESCE(r.quantity, 0)",
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
        "only orders with reserved stock have holds",
        "SELECT COUNT(*) FROM holds h WHERE NOT EXISTS (SELECT 1 FROM reservations r WHERE r.order_id = h.order_id)",
    ),
    (
        "a paid order has its total authorized",
        "SELECT COUNT(*) FROM orders o LEFT JOIN payments p ON p.order_id = o.id \
         WHERE o.status IN ('paid', 'fulfilled') AND (p.id IS NULL OR p.authorized < o.total)",
    ),
    (
        "every order has one payment of its total",
        "SELECT COUNT(*) FROM orders o LEFT JOIN payments p ON p.order_id = o.id WHERE p.id IS NULL OR p.amount <> o.total",
    ),
    (
        "the refunded amount is the sum of the refunds",
        "SELECT COUNT(*) FROM payments p WHERE p.refunded <> (SELECT CAST(COALESCE(SUM(s.amount), 0) AS BIGINT) \
         FROM payment_operations s WHERE s.payment_id = p.id AND s.kind = 'refund' AND s.status = 'succeeded')",
    ),
    (
        "pending amounts are the sums of the pending operations",
        "SELECT COUNT(*) FROM (SELECT p.id FROM payments p \
         LEFT JOIN payment_operations s ON s.payment_id = p.id AND s.status = 'pending' \
         GROUP BY p.id, p.capturing, p.voiding, p.refunding HAVING \
         p.capturing <> SUM(CASE WHEN s.kind = 'capture' THEN s.amount ELSE 0 END) OR \
         p.voiding <> SUM(CASE WHEN s.kind = 'void' THEN s.amount ELSE 0 END) OR \
         p.refunding <> SUM(CASE WHEN s.kind = 'refund' THEN s.amount ELSE 0 END)) AS wrong",
    ),
    (
        "a payment without a final outcome is due for recovery",
        "SELECT COUNT(*) FROM payments p WHERE p.next_attempt_at IS NULL AND (p.status IN ('pending', 'requires_action') \
         OR EXISTS (SELECT 1 FROM payment_operations s WHERE s.payment_id = p.id AND s.status = 'pending'))",
    ),
    (
        "the payment of a cancelled order is voided, refunded or due for it",
        "SELECT COUNT(*) FROM orders o JOIN payments p ON p.order_id = o.id WHERE o.status = 'cancelled' AND \
         (p.captured > p.refunded + p.refunding OR p.capturing = 0 AND p.authorized > p.captured + p.voiding)",
    ),
    (
        "a refunded payment has nothing left authorized",
        "SELECT COUNT(*) FROM payments WHERE status = 'refunded' AND (captured <> refunded OR authorized <> captured)",
    ),
    (
        "the entries of the audit log are numbered without gaps",
        "SELECT COALESCE(MAX(number), 0) - COUNT(*) FROM audit_log",
    ),
    ("order numbers have no gaps", "SELECT COALESCE(MAX(number), 0) - COUNT(*) FROM orders"),
    (
        "invoice numbers have no gaps",
        "SELECT CAST(COALESCE(SUM(gap), 0) AS BIGINT) FROM \
         (SELECT MAX(number) - COUNT(*) AS gap FROM invoices GROUP BY series) AS series",
    ),
    (
        "a paid order has one invoice",
        "SELECT COUNT(*) FROM orders o WHERE o.status IN ('paid', 'fulfilled', 'refunded') AND \
         (SELECT COUNT(*) FROM invoices i WHERE i.order_id = o.id AND i.kind = 'invoice') <> 1",
    ),
    (
        "each refund and void of an invoiced order has a credit note of its amount",
        "SELECT COUNT(*) FROM payment_operations s JOIN payments p ON p.id = s.payment_id \
         JOIN invoices i ON i.order_id = p.order_id AND i.kind = 'invoice' \
         WHERE s.kind IN ('refund', 'void') AND s.status = 'succeeded' AND s.amount > 0 AND NOT EXISTS \
         (SELECT 1 FROM invoices n WHERE n.payment_operation_id = s.id AND n.corrects = i.id AND n.total = s.amount)",
    ),
    (
        "the documents of imported orders, and no others, are in series of their own",
        "SELECT COUNT(*) FROM invoices i LEFT JOIN payments p ON p.order_id = i.order_id \
         WHERE (i.series LIKE 'IMPORT-%') <> (COALESCE(p.provider, 'imported') = 'imported')",
    ),
    (
        "a credit note of an order refers to its invoice",
        "SELECT COUNT(*) FROM invoices WHERE kind = 'credit_note' AND order_id IS NOT NULL AND corrects IS NULL",
    ),
    (
        "the uses of a discount are the number of its redemptions",
        "SELECT COUNT(*) FROM discounts d WHERE d.used <> \
         (SELECT COUNT(*) FROM discount_uses u WHERE u.discount_id = d.id)",
    ),
    (
        "a cancelled order has no redemption",
        "SELECT COUNT(*) FROM orders o JOIN discount_uses u ON u.order_id = o.id WHERE o.status = 'cancelled'",
    ),
    (
        "an ordered cart refers to its order",
        "SELECT COUNT(*) FROM orders o JOIN carts c ON c.id = o.cart_id \
         WHERE o.status <> 'cancelled' AND (c.order_id IS NULL OR c.order_id <> o.id)",
    ),
    (
        "the rating of a product counts its approved reviews",
        "SELECT COUNT(*) FROM products p WHERE p.rating_count <> \
         (SELECT COUNT(*) FROM reviews r WHERE r.product_id = p.id AND r.status = 'approved')",
    ),
];

/// Rules that hold at all times for rows since $1; older events are deleted once they are delivered.
const RECENT: &[Rule] = &[
    (
        "there are as many orders as order.placed events, imported ones aside",
        "SELECT ABS((SELECT COUNT(*) FROM orders o JOIN payments p ON p.order_id = o.id \
         WHERE o.placed_at >= $1 AND p.provider <> 'imported') - \
         (SELECT COUNT(*) FROM outbox WHERE type = 'order.placed' AND occurred_at >= $1))",
    ),
    (
        "there are as many paid orders as order.paid events, imported ones aside",
        "SELECT ABS((SELECT COUNT(*) FROM invoices WHERE series = 'R' AND issued_at >= $1) - \
         (SELECT COUNT(*) FROM outbox WHERE type = 'order.paid' AND occurred_at >= $1))",
    ),
];

/// Rules that hold once every payment is settled.
const SETTLED: &[Rule] = &[
    (
        "no payment or operation is pending",
        "SELECT COUNT(*) FROM payments WHERE status = 'pending' OR refunding > 0 OR capturing > 0 OR voiding > 0 \
         OR (status = 'authorized' AND next_attempt_at IS NOT NULL)",
    ),
    (
        "the captured amount of a cancelled order is refunded",
        "SELECT COUNT(*) FROM orders o JOIN payments p ON p.order_id = o.id \
         WHERE o.status = 'cancelled' AND p.captured <> p.refunded",
    ),
    (
        "the invoice of a cancelled order is credited in full",
        "SELECT COUNT(*) FROM invoices i JOIN orders o ON o.id = i.order_id \
         WHERE i.kind = 'invoice' AND o.status = 'cancelled' AND i.total <> \
         (SELECT CAST(COALESCE(SUM(n.total), 0) AS BIGINT) FROM invoices n WHERE n.order_id = o.id AND n.kind = 'credit_note')",
    ),
];

/// Returns the violated rules. `at_rest` includes those that hold only while no payment operation is pending.
pub async fn check(database: &Database, at_rest: bool) -> Result<Vec<Violation>, Failure> {
    let since = earlier(database.context().clock.now(), RETENTION);
    database
        .snapshot((at_rest, since), async |connection, (at_rest, since)| {
            let mut found = violations(connection, ALWAYS, &[]).await?;
            if at_rest {
                found.extend(violations(connection, SETTLED, &[]).await?);
            }
            found.extend(violations(connection, RECENT, &[since.into()]).await?);
            Ok(found)
        })
        .await
}

/// Returns the violated ones of `rules`, such as those of a payment provider.
pub async fn check_rules(database: &Database, rules: &'static [Rule]) -> Result<Vec<Violation>, Failure> {
    database.snapshot(rules, async |connection, rules| violations(connection, rules, &[]).await).await
}

async fn violations(
    connection: &mut Connection,
    rules: &[Rule],
    params: &[Param<'_>],
) -> Result<Vec<Violation>, Failure> {
    let mut found = Vec::new();
    for &(rule, sql) in rules {
        found.push(Violation { rule, rows: connection.one(sql, params).await? });
    }
    found.retain(|violation| violation.rows != 0);
    Ok(found)
}
