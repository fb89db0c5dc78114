//! A payment vendor in the store's own database: it declines, asks for 3-D Secure, answers late or not at all, and
//! repeats its webhooks, as the token says. Its books (`sandbox_charges`, `sandbox_requests`) outlive a crash of the
//! store, as a vendor's do.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::domain::ids::PaymentId;
use crate::domain::money::Money;
use crate::domain::ports::{
    Authorization, Charge, ChargeStatus, DeclineReason, GatewayError, PaymentGateway, PortFuture,
};
use crate::infrastructure::repositories::{Database, DatabaseError, Param, Row, UnitOfWork};

/// How long `tok_slow` takes.
const SLOW: Duration = Duration::from_secs(2);

/// Says that something about a payment changed, as a vendor's webhook does: late, twice, or in the wrong order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice(pub PaymentId);

/// The sandbox vendor.
pub struct SandboxPayments {
    database: Database,
    notices: mpsc::Sender<Notice>,
}

impl SandboxPayments {
    /// A vendor that keeps its books in `database` and sends its webhooks to `notices`.
    pub fn new(database: Database, notices: mpsc::Sender<Notice>) -> Self {
        Self { database, notices }
    }

    /// What the shopper does on the bank's page for a charge that requires action.
    pub async fn act(&self, payment_id: PaymentId, approve: bool) -> Result<bool, DatabaseError> {
        let done = self
            .database
            .write_boxed(move |work| {
                Box::pin(async move {
                    let sql = if approve {
                        "UPDATE sandbox_charges SET status = CASE WHEN capture THEN 'captured' ELSE 'authorized' END, \
                         captured = CASE WHEN capture THEN amount ELSE 0 END \
                         WHERE id = $1 AND status = 'requires_action'"
                    } else {
                        "UPDATE sandbox_charges SET status = 'declined', decline = 'authentication_required' \
                         WHERE id = $1 AND status = 'requires_action'"
                    };
                    work.execute(sql, &[reference(payment_id).into()]).await
                })
            })
            .await?;
        self.notify(payment_id);
        Ok(done == 1)
    }

    /// A webhook; one that finds no room is lost, as webhooks are.
    fn notify(&self, payment_id: PaymentId) {
        let _ = self.notices.try_send(Notice(payment_id));
    }

    async fn charge(&self, request: Authorization) -> Result<Charge, GatewayError> {
        let payment_id = request.payment_id;
        let token = request.token.clone();
        if token == "tok_slow" {
            tokio::time::sleep(SLOW).await;
        }
        let outcome: Result<Charge, GatewayError> = self
            .database
            .write_boxed(move |work| {
                let request = request.clone();
                Box::pin(async move { Ok(authorize(work, &request).await?) })
            })
            .await;
        match token.as_str() {
            "tok_timeout_after_charge" => {
                outcome?;
                Err(GatewayError::NoAnswer("the sandbox was told to lose its answer".into()))
            }
            "tok_duplicate_webhooks" => {
                for _ in 0..3 {
                    self.notify(payment_id);
                }
                outcome
            }
            _ => outcome,
        }
    }

    /// Moves money once a key: the first request with it decides, later ones read how the charge stands.
    async fn moved(
        &self,
        reference: String,
        kind: Kind,
        amount: i64,
        key: Uuid,
    ) -> Result<Charge, GatewayError> {
        self.database
            .write_boxed(move |work| {
                let reference = reference.clone();
                Box::pin(async move { Ok(move_once(work, &reference, kind, amount, key).await?) })
            })
            .await
            .and_then(|accepted: Result<Charge, String>| accepted.map_err(GatewayError::Refused))
    }
}

impl PaymentGateway for SandboxPayments {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    fn authorize(&self, request: Authorization) -> PortFuture<'_, Charge, GatewayError> {
        Box::pin(self.charge(request))
    }

    fn capture(&self, reference: String, amount: Money, key: Uuid) -> PortFuture<'_, Charge, GatewayError> {
        Box::pin(self.moved(reference, Kind::Capture, amount.amount, key))
    }

    fn refund(&self, reference: String, amount: Money, key: Uuid) -> PortFuture<'_, Charge, GatewayError> {
        Box::pin(self.moved(reference, Kind::Refund, amount.amount, key))
    }

    fn void(&self, reference: String, key: Uuid) -> PortFuture<'_, Charge, GatewayError> {
        Box::pin(self.moved(reference, Kind::Void, 0, key))
    }

    fn look_up(&self, payment_id: PaymentId) -> PortFuture<'_, Option<Charge>, GatewayError> {
        Box::pin(async move {
            let mut session = self.database.read().await?;
            Ok(session.first(FIND, &[reference(payment_id).into()], charge_from_row).await?)
        })
    }
}

/// What moves money that is held or taken.
#[derive(Clone, Copy)]
enum Kind {
    Capture,
    Refund,
    Void,
}

const FIND: &str =
    "SELECT id, status, decline, amount, captured, refunded FROM sandbox_charges WHERE id = $1";

fn reference(payment_id: PaymentId) -> String {
    format!("sandbox_{}", payment_id.0.simple())
}

async fn authorize(work: &mut UnitOfWork, request: &Authorization) -> Result<Charge, DatabaseError> {
    let amount = request.amount.amount;
    let (status, decline, captured) = match request.token.as_str() {
        "tok_ok" | "tok_slow" | "tok_timeout_after_charge" | "tok_duplicate_webhooks" if request.capture => {
            ("captured", None, amount)
        }
        "tok_ok" | "tok_slow" | "tok_timeout_after_charge" | "tok_duplicate_webhooks" => {
            ("authorized", None, 0)
        }
        "tok_requires_action" => ("requires_action", None, 0),
        "tok_insufficient_funds" => ("declined", Some("insufficient_funds"), 0),
        _ => ("declined", Some("declined"), 0),
    };
    let id = reference(request.payment_id);
    let now: Timestamp = work.now();
    let sql = "INSERT INTO sandbox_charges (id, token, currency, status, decline, capture, amount, captured, refunded, \
               created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9) ON CONFLICT (id) DO NOTHING";
    let values = [
        Param::from(&id),
        Param::from(&request.token),
        Param::from(request.amount.currency),
        Param::from(status),
        Param::from(decline),
        Param::from(request.capture),
        Param::from(amount),
        Param::from(captured),
        Param::from(now),
    ];
    work.execute(sql, &values).await?;
    work.one(FIND, &[Param::from(&id)], charge_from_row).await
}

async fn move_once(
    work: &mut UnitOfWork,
    reference: &str,
    kind: Kind,
    amount: i64,
    key: Uuid,
) -> Result<Result<Charge, String>, DatabaseError> {
    let (name, change) = match kind {
        Kind::Capture => (
            "capture",
            "UPDATE sandbox_charges SET status = 'captured', captured = captured + $2 \
             WHERE id = $1 AND status IN ('authorized', 'captured') AND captured + $2 <= amount",
        ),
        Kind::Refund => (
            "refund",
            "UPDATE sandbox_charges SET refunded = refunded + $2 \
             WHERE id = $1 AND status = 'captured' AND refunded + $2 <= captured",
        ),
        Kind::Void => (
            "void",
            "UPDATE sandbox_charges SET status = CASE WHEN captured = 0 THEN 'voided' ELSE status END, \
             amount = captured WHERE id = $1 AND CAST($2 AS BIGINT) = 0 AND (captured < amount \
             AND status IN ('authorized', 'captured', 'requires_action') OR status = 'voided')",
        ),
    };
    let sql = "INSERT INTO sandbox_requests (idempotency_key, charge_id, kind, amount, accepted, created_at) \
               SELECT $1, id, $3, $4, $5, $6 FROM sandbox_charges WHERE id = $2 ON CONFLICT DO NOTHING";
    let key = key.to_string();
    let now = work.now();
    let values = [
        Param::from(&key),
        Param::from(reference),
        Param::from(name),
        Param::from(amount),
        Param::from(false),
        Param::from(now),
    ];
    if work.execute(sql, &values).await? == 1 {
        let moved = work.execute(change, &[reference.into(), amount.into()]).await? == 1;
        let sql = "UPDATE sandbox_requests SET accepted = $2 WHERE idempotency_key = $1";
        work.execute(sql, &[Param::from(&key), moved.into()]).await?;
    }
    let sql = "SELECT accepted FROM sandbox_requests WHERE idempotency_key = $1";
    let accepted: Option<bool> = work.first(sql, &[Param::from(&key)], |row| row.get(0)).await?;
    match accepted {
        Some(true) => work.one(FIND, &[reference.into()], charge_from_row).await.map(Ok),
        Some(false) => Ok(Err(format!("the charge does not allow this {name}"))),
        None => Ok(Err("there is no such charge".into())),
    }
}

fn charge_from_row(row: &Row<'_>) -> Result<Charge, DatabaseError> {
    let reference: String = row.get(0)?;
    let amount: i64 = row.get(3)?;
    let status = match row.get::<String>(1)?.as_str() {
        "requires_action" => ChargeStatus::RequiresAction { url: format!("/sandbox/3ds/{reference}") },
        "authorized" => ChargeStatus::Authorized,
        "captured" => ChargeStatus::Captured,
        "voided" => ChargeStatus::Voided,
        _ => ChargeStatus::Declined(match row.get::<Option<String>>(2)?.as_deref() {
            Some("insufficient_funds") => DeclineReason::InsufficientFunds,
            Some("authentication_required") => DeclineReason::AuthenticationRequired,
            _ => DeclineReason::Declined,
        }),
    };
    let held = matches!(status, ChargeStatus::Authorized | ChargeStatus::Captured);
    Ok(Charge {
        reference,
        status,
        authorized: if held { amount } else { 0 },
        captured: row.get(4)?,
        refunded: row.get(5)?,
    })
}

impl From<DatabaseError> for GatewayError {
    fn from(error: DatabaseError) -> Self {
        Self::NoAnswer(error.to_string())
    }
}
