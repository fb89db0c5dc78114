//! The charges of the sandbox (`sandbox_charges`) and the operations on them (`sandbox_requests`).

use uuid::Uuid;

use crate::domain::ids::PaymentId;
use crate::domain::money::{Currency, Money};
use crate::domain::ports::{Authorization, Charge, ChargeStatus, DeclineReason};
use crate::infrastructure::repositories::{
    Connection, Database, DatabaseError, FromRow, Param, Row, UnitOfWork,
};

const FIND: &str =
    "SELECT id, status, decline, currency, amount, captured FROM sandbox_charges WHERE id = $1";

/// An operation on an authorized charge.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operation {
    Capture,
    Refund,
    Void,
}

impl Operation {
    /// Returns the name of the operation in `sandbox_requests`.
    fn name(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Refund => "refund",
            Self::Void => "void",
        }
    }

    /// Returns the statement that applies the operation to charge `$1` with amount `$2`. It changes no row where the
    /// operation is not allowed.
    fn sql(self) -> &'static str {
        match self {
            Self::Capture => {
                "UPDATE sandbox_charges SET status = 'captured', captured = captured + $2 \
                 WHERE id = $1 AND status IN ('authorized', 'captured') AND captured + $2 <= amount"
            }
            Self::Refund => {
                "UPDATE sandbox_charges SET refunded = refunded + $2 \
                 WHERE id = $1 AND status = 'captured' AND refunded + $2 <= captured"
            }
            Self::Void => {
                "UPDATE sandbox_charges SET status = CASE WHEN captured = 0 THEN 'voided' ELSE status END, \
                 amount = captured WHERE id = $1 AND CAST($2 AS BIGINT) = 0 AND (captured < amount \
                 AND status IN ('authorized', 'captured', 'requires_action') OR status = 'voided')"
            }
        }
    }
}

/// Returns the reference of the charge for a payment.
pub(super) fn reference_of(payment_id: PaymentId) -> String {
    format!("sandbox_{}", payment_id.0.simple())
}

/// Returns the payment of a reference; the reverse of [`reference_of`].
pub(super) fn payment_of(reference: &str) -> Option<PaymentId> {
    let id = reference.strip_prefix("sandbox_")?;
    Uuid::try_parse(id).ok().map(PaymentId)
}

/// Returns the charge of a reference; `None` if there is none.
pub(super) async fn find_charge(
    connection: &mut Connection,
    reference: &str,
) -> Result<Option<Charge>, DatabaseError> {
    connection.first(FIND, &[reference.into()]).await
}

/// The payment method tokens that new payments may have. Any other is declined, such as one that a subscription has
/// from an earlier version.
pub(super) const TOKENS: [&str; 7] = [
    "tok_ok",
    "tok_declined",
    "tok_insufficient_funds",
    "tok_requires_action",
    "tok_timeout_after_charge",
    "tok_slow",
    "tok_duplicate_webhooks",
];

/// Creates the charge of a payment as its token says. If there is one, it stays as it is. Returns the charge.
pub(super) async fn authorize(
    database: &Database,
    request: &Authorization,
) -> Result<Option<Charge>, DatabaseError> {
    const SQL: &str = "INSERT INTO sandbox_charges (id, token, currency, status, decline, capture, amount, captured, \
                       refunded, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9) \
                       ON CONFLICT (id) DO UPDATE SET token = sandbox_charges.token \
                       RETURNING id, status, decline, currency, amount, captured";
    let amount = request.amount.amount;
    let accepted = if request.capture { "captured" } else { "authorized" };
    let (status, decline) = match request.token.as_str() {
        "tok_ok" | "tok_slow" | "tok_timeout_after_charge" | "tok_duplicate_webhooks" => (accepted, None),
        "tok_requires_action" => ("requires_action", None),
        "tok_insufficient_funds" => ("declined", Some(DeclineReason::InsufficientFunds)),
        _ => ("declined", Some(DeclineReason::Declined)),
    };
    let captured = if status == "captured" { amount } else { 0 };
    let values = vec![
        reference_of(request.payment_id).into(),
        request.token.clone().into(),
        request.amount.currency.into(),
        status.into(),
        Param::from(decline),
        request.capture.into(),
        amount.into(),
        Param::from(captured),
        database.context().clock.now().into(),
    ];
    database.write_one(SQL, values).await
}

/// Applies an operation the first time its key is used, and returns the charge as it is now. An operation that the
/// charge did not allow is recorded too, and refused each time: the inner error is the reason.
pub(super) async fn operate(
    work: &mut UnitOfWork,
    reference: &str,
    operation: Operation,
    amount: i64,
    key: Uuid,
) -> Result<Result<Charge, String>, DatabaseError> {
    let key = key.to_string();
    let sql = "INSERT INTO sandbox_requests (idempotency_key, charge_id, kind, amount, accepted, created_at) \
               SELECT $1, id, $3, $4, $5, $6 FROM sandbox_charges WHERE id = $2 ON CONFLICT DO NOTHING";
    let values = [
        Param::from(&key),
        Param::from(reference),
        Param::from(operation.name()),
        Param::from(amount),
        Param::from(false),
        Param::from(work.now()),
    ];
    if work.execute(sql, &values).await? == 1 {
        let accepted = work.execute(operation.sql(), &[reference.into(), amount.into()]).await? == 1;
        let sql = "UPDATE sandbox_requests SET accepted = $2 WHERE idempotency_key = $1";
        work.execute(sql, &[Param::from(&key), accepted.into()]).await?;
    }

    let sql = "SELECT accepted FROM sandbox_requests WHERE idempotency_key = $1";
    let accepted: Option<bool> = work.first(sql, &[Param::from(&key)]).await?;
    match accepted {
        Some(true) => work.one(FIND, &[reference.into()]).await.map(Ok),
        Some(false) => Ok(Err(format!("the charge does not allow this {}", operation.name()))),
        None => Ok(Err("there is no such charge".into())),
    }
}

/// Approves or declines a charge that waits for the shopper; returns whether it did.
pub(super) async fn decide(
    work: &mut UnitOfWork,
    payment_id: PaymentId,
    approve: bool,
) -> Result<bool, DatabaseError> {
    let sql = if approve {
        "UPDATE sandbox_charges SET status = CASE WHEN capture THEN 'captured' ELSE 'authorized' END, \
         captured = CASE WHEN capture THEN amount ELSE 0 END WHERE id = $1 AND status = 'requires_action'"
    } else {
        "UPDATE sandbox_charges SET status = 'declined', decline = 'authentication_required' \
         WHERE id = $1 AND status = 'requires_action'"
    };
    Ok(work.execute(sql, &[reference_of(payment_id).into()]).await? == 1)
}

impl FromRow for Charge {
    fn from_row(row: &mut Row<'_>) -> Result<Self, DatabaseError> {
        let (reference, status, decline) = row.read::<(String, String, Option<String>)>()?;
        let (currency, amount, captured): (Currency, i64, i64) = row.read()?;
        let money = |amount| Money::new(amount, currency);
        let status = match status.as_str() {
            "requires_action" => ChargeStatus::RequiresAction { url: format!("/sandbox/3ds/{reference}") },
            "authorized" => ChargeStatus::Authorized,
            "captured" => ChargeStatus::Captured,
            "voided" => ChargeStatus::Voided,
            _ => ChargeStatus::Declined(DeclineReason::from_name(decline.as_deref().unwrap_or_default())),
        };
        let authorized = matches!(status, ChargeStatus::Authorized | ChargeStatus::Captured);
        Ok(Self {
            reference,
            status,
            authorized: money(if authorized { amount } else { 0 }),
            captured: money(captured),
        })
    }
}
